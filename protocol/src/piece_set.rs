//! A set of pieces: what a peer has, or what is wanted. Owned by one thread, unlike our own [`HaveBits`].
//!
//! [`HaveBits`]: crate::bitfield::HaveBits

use std::fmt;

use crate::bitfield::{self, HaveBits, WORD_BITS, place};

/// A bit for each piece of a torrent, piece 0 in the highest bit of the first word, as on the wire (BEP 3).
#[derive(Clone, PartialEq, Eq)]
pub struct PieceSet {
    words: Box<[u64]>,
    piece_count: u32,
    len: u32,
}

impl PieceSet {
    /// No piece of `piece_count`.
    pub fn new(piece_count: u32) -> Self {
        Self { words: vec![0; piece_count.div_ceil(WORD_BITS) as usize].into(), piece_count, len: 0 }
    }

    /// Every piece of `piece_count`.
    pub fn full(piece_count: u32) -> Self {
        let mut set = Self::new(piece_count);
        set.words.fill(u64::MAX);
        if let Some(last) = set.words.last_mut() {
            *last <<= (WORD_BITS - piece_count % WORD_BITS) % WORD_BITS;
        }
        set.len = piece_count;
        set
    }

    /// The pieces that are ours at this moment.
    pub fn of(have: &HaveBits) -> Self {
        Self::from_words(have.words().collect(), have.piece_count())
    }

    fn from_words(words: Box<[u64]>, piece_count: u32) -> Self {
        let len = words.iter().map(|word| word.count_ones()).sum();
        Self { words, piece_count, len }
    }

    /// Reads the payload of a BITFIELD message; `None` when it is of the wrong length or has a spare bit set.
    pub fn from_wire(bytes: &[u8], piece_count: u32) -> Option<Self> {
        if !bitfield::is_valid_wire(bytes, piece_count) {
            return None;
        }
        let word = |bytes: &[u8]| {
            let mut padded = [0; size_of::<u64>()];
            padded[..bytes.len()].copy_from_slice(bytes);
            u64::from_be_bytes(padded)
        };
        Some(Self::from_words(bytes.chunks(size_of::<u64>()).map(word).collect(), piece_count))
    }

    /// The payload of a BITFIELD message (BEP 3).
    pub fn to_wire(&self) -> Vec<u8> {
        bitfield::to_wire(self.words.iter().copied(), self.piece_count)
    }

    /// Adds `piece`; whether it is new. A piece that does not exist is not added.
    pub fn insert(&mut self, piece: u32) -> bool {
        let is_new = piece < self.piece_count && !self.contains(piece);
        if is_new {
            let (word, bit) = place(piece);
            self.words[word] |= bit;
            self.len += 1;
        }
        is_new
    }

    /// Takes `piece` out; whether it was there.
    pub fn remove(&mut self, piece: u32) -> bool {
        let is_here = self.contains(piece);
        if is_here {
            let (word, bit) = place(piece);
            self.words[word] &= !bit;
            self.len -= 1;
        }
        is_here
    }

    /// Whether `piece` is in the set; false for a piece that does not exist.
    pub fn contains(&self, piece: u32) -> bool {
        let (word, bit) = place(piece);
        piece < self.piece_count && self.words[word] & bit != 0
    }

    /// How many pieces are in the set.
    pub fn len(&self) -> u32 {
        self.len
    }

    /// Whether no piece is.
    pub fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// Whether every piece of the torrent is.
    pub fn is_full(&self) -> bool {
        self.len == self.piece_count
    }

    /// How many pieces the torrent has.
    pub fn piece_count(&self) -> u32 {
        self.piece_count
    }

    /// The pieces of the set, in order.
    pub fn iter(&self) -> impl Iterator<Item = u32> + '_ {
        pieces_of(self.words.iter().copied())
    }

    /// The pieces that are in both sets, in order: 64 are compared at a time.
    pub fn common<'a>(&'a self, other: &'a Self) -> impl Iterator<Item = u32> + 'a {
        pieces_of(self.words.iter().zip(&other.words).map(|(a, b)| a & b))
    }

    /// How many pieces are in both sets.
    pub fn common_len(&self, other: &Self) -> u32 {
        self.words.iter().zip(&other.words).map(|(a, b)| (a & b).count_ones()).sum()
    }
}

impl fmt::Debug for PieceSet {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "PieceSet({} of {})", self.len, self.piece_count)
    }
}

/// The pieces whose bits are set in `words`.
fn pieces_of(words: impl Iterator<Item = u64>) -> impl Iterator<Item = u32> {
    words.zip(0_u32..).flat_map(|(mut word, number)| {
        std::iter::from_fn(move || {
            let bit = (word != 0).then(|| word.leading_zeros())?;
            word &= !(1 << (WORD_BITS - 1 - bit));
            Some(number * WORD_BITS + bit)
        })
    })
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use proptest::prelude::*;

    use super::*;

    #[test]
    fn a_full_set_has_every_piece_and_no_more() {
        for count in [1, 8, 63, 64, 65, 200] {
            let full = PieceSet::full(count);
            assert!(full.is_full() && full.iter().eq(0..count), "{count}");
            assert!(!full.contains(count) && !full.contains(u32::MAX));
            let have = HaveBits::new(count);
            (0..count).for_each(|piece| have.set(piece));
            assert_eq!(full, PieceSet::of(&have));
            assert_eq!(full, PieceSet::from_wire(&wire(0..count, count), count).unwrap());
        }
    }

    /// The payload of a BITFIELD message that has `pieces`.
    fn wire(pieces: impl IntoIterator<Item = u32>, count: u32) -> Vec<u8> {
        let mut bytes = vec![0; bitfield::wire_length(count)];
        pieces.into_iter().for_each(|piece| bytes[(piece / 8) as usize] |= 0x80 >> (piece % 8));
        bytes
    }

    proptest! {
        #[test]
        fn it_is_a_set(
            count in 1_u32..200,
            changes in prop::collection::vec((any::<bool>(), 0_u32..220), 0..100),
            other in prop::collection::btree_set(0_u32..200, 0..60),
        ) {
            let (mut set, mut model) = (PieceSet::new(count), BTreeSet::new());
            for (is_insert, piece) in changes {
                let is_piece = piece < count;
                if is_insert {
                    prop_assert_eq!(set.insert(piece), is_piece && model.insert(piece));
                } else {
                    prop_assert_eq!(set.remove(piece), model.remove(&piece));
                }
            }
            let other: BTreeSet<u32> = other.into_iter().filter(|piece| *piece < count).collect();
            let other_set = PieceSet::from_wire(&wire(other.iter().copied(), count), count).unwrap();
            prop_assert!(set.iter().eq(model.iter().copied()));
            prop_assert_eq!(set.len() as usize, model.len());
            prop_assert_eq!(PieceSet::from_wire(&set.to_wire(), count), Some(set.clone()));
            prop_assert!(set.common(&other_set).eq(model.intersection(&other).copied()));
            prop_assert_eq!(set.common_len(&other_set) as usize, model.intersection(&other).count());
        }
    }
}
