//! Which pieces somebody has: our own bits, shared between threads, and the wire form of a peer's.

use std::sync::atomic::{AtomicU32, AtomicU64, Ordering};

/// Pieces in a word.
pub(crate) const WORD_BITS: u32 = u64::BITS;

/// The pieces we have and have verified, one bit a piece.
///
/// Written by the swarm once storage has hashed and written a piece, read by every worker: a set bit promises that the
/// bytes of that piece were on disk and matched. Bits are kept in wire order, piece 0 in the highest bit of the first
/// word.
#[derive(Debug)]
pub struct HaveBits {
    words: Box<[AtomicU64]>,
    piece_count: u32,
    have_count: AtomicU32,
}

impl HaveBits {
    /// A bit for each of `piece_count` pieces, none set.
    pub fn new(piece_count: u32) -> Self {
        let words = (0..piece_count.div_ceil(WORD_BITS)).map(|_| AtomicU64::new(0)).collect();
        Self { words, piece_count, have_count: AtomicU32::new(0) }
    }

    /// Marks `piece` as verified. A piece out of range is our own mistake.
    pub fn set(&self, piece: u32) {
        assert!(piece < self.piece_count, "piece {piece} of {}", self.piece_count);
        let (word, bit) = place(piece);
        let before = self.words[word].fetch_or(bit, Ordering::AcqRel);
        if before & bit == 0 {
            self.have_count.fetch_add(1, Ordering::AcqRel);
        }
    }

    /// Whether `piece` is verified; false for a piece that does not exist.
    pub fn get(&self, piece: u32) -> bool {
        let (word, bit) = place(piece);
        piece < self.piece_count && self.words[word].load(Ordering::Acquire) & bit != 0
    }

    /// How many pieces the torrent has.
    pub fn piece_count(&self) -> u32 {
        self.piece_count
    }

    /// How many pieces are verified.
    pub fn have_count(&self) -> u32 {
        self.have_count.load(Ordering::Acquire)
    }

    /// Whether every piece is verified.
    pub fn is_complete(&self) -> bool {
        self.have_count() == self.piece_count
    }

    /// The payload of a BITFIELD message (BEP 3): high bit first, spare bits zero.
    pub fn to_wire(&self) -> Vec<u8> {
        to_wire(self.words(), self.piece_count)
    }

    /// The bits as they are now.
    pub(crate) fn words(&self) -> impl Iterator<Item = u64> + '_ {
        self.words.iter().map(|word| word.load(Ordering::Acquire))
    }
}

/// The payload of a BITFIELD message for the bits in `words`.
pub(crate) fn to_wire(words: impl Iterator<Item = u64>, piece_count: u32) -> Vec<u8> {
    let mut bytes: Vec<u8> = words.flat_map(u64::to_be_bytes).collect();
    bytes.truncate(wire_length(piece_count));
    bytes
}

/// Where `piece` lives: the word and the mask of its bit.
pub(crate) fn place(piece: u32) -> (usize, u64) {
    ((piece / WORD_BITS) as usize, 1 << (WORD_BITS - 1 - piece % WORD_BITS))
}

/// Bytes in the payload of a BITFIELD message for a torrent of `piece_count` pieces.
pub fn wire_length(piece_count: u32) -> usize {
    piece_count.div_ceil(8) as usize
}

/// Whether `bytes` is a bitfield for `piece_count` pieces: the right length, and no spare bit set (BEP 3).
pub fn is_valid_wire(bytes: &[u8], piece_count: u32) -> bool {
    if bytes.len() != wire_length(piece_count) {
        return false;
    }
    match (bytes.last(), piece_count % 8) {
        (Some(last), used @ 1..) => last.trailing_zeros() >= 8 - used,
        _ => true,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bits_set_are_bits_read_and_counted_once() {
        let bits = HaveBits::new(70);
        for piece in [0, 63, 64, 69, 69] {
            bits.set(piece);
        }
        assert_eq!(bits.have_count(), 4);
        assert!([0, 63, 64, 69].into_iter().all(|piece| bits.get(piece)));
        assert!(!bits.get(1) && !bits.get(70) && !bits.get(u32::MAX));
    }

    #[test]
    fn the_wire_form_has_piece_0_in_the_high_bit_and_no_spare_bits() {
        let bits = HaveBits::new(10);
        (0..10).for_each(|piece| bits.set(piece));
        assert!(bits.is_complete());
        assert_eq!(bits.to_wire(), [0xff, 0xc0]);
        assert!(is_valid_wire(&bits.to_wire(), 10));
    }

    #[test]
    fn a_peers_bitfield_of_the_wrong_shape_is_refused() {
        assert!(!is_valid_wire(&[0xff], 10), "too short");
        assert!(!is_valid_wire(&[0xff, 0xc0, 0], 10), "too long");
        assert!(!is_valid_wire(&[0xff, 0xe0], 10), "a spare bit");
        assert!(is_valid_wire(&[0x01], 8) && is_valid_wire(&[], 0));
    }
}
