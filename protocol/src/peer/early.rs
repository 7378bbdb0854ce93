//! What a peer says of its pieces before we know how many there are: kept until the metadata is here.

use crate::bitfield;
use crate::geometry::MAX_PIECE_COUNT;
use crate::piece_set::PieceSet;

use super::PeerError;

/// HAVE messages that are kept. A peer that says more of them before we have the metadata looks poorer than it is.
const MAX_HAVES: usize = 16 * 1024;

/// A peer's pieces, unchecked.
#[derive(Debug, Default)]
pub(super) struct Early {
    said: Said,
    haves: Vec<u32>,
}

#[derive(Debug, Default)]
enum Said {
    #[default]
    Nothing,
    All,
    Bits(Vec<u8>),
}

impl Early {
    /// The peer has all pieces.
    pub(super) fn all(&mut self) {
        *self = Self { said: Said::All, haves: Vec::new() };
    }

    /// The peer has no piece.
    pub(super) fn none(&mut self) {
        *self = Self::default();
    }

    /// The peer has the pieces of this BITFIELD message.
    pub(super) fn bits(&mut self, bits: &[u8]) -> Result<(), PeerError> {
        if bits.len() > bitfield::wire_length(MAX_PIECE_COUNT) {
            return Err(PeerError::Bitfield);
        }
        *self = Self { said: Said::Bits(bits.to_vec()), haves: Vec::new() };
        Ok(())
    }

    /// The peer has one more piece.
    pub(super) fn have(&mut self, piece: u32) -> Result<(), PeerError> {
        if piece >= MAX_PIECE_COUNT {
            return Err(PeerError::NoSuchPiece(piece));
        }
        if self.haves.len() < MAX_HAVES {
            self.haves.push(piece);
        }
        Ok(())
    }

    /// All of it, now that there are known to be `piece_count` pieces.
    ///
    /// # Errors
    /// When it does not fit the torrent.
    pub(super) fn settle(self, piece_count: u32) -> Result<PieceSet, PeerError> {
        let mut pieces = match self.said {
            Said::Nothing => PieceSet::new(piece_count),
            Said::All => PieceSet::full(piece_count),
            Said::Bits(bits) => PieceSet::from_wire(&bits, piece_count).ok_or(PeerError::Bitfield)?,
        };
        for piece in self.haves {
            if piece >= piece_count {
                return Err(PeerError::NoSuchPiece(piece));
            }
            pieces.insert(piece);
        }
        Ok(pieces)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_said_last_counts_and_haves_add_to_it() {
        let mut early = Early::default();
        early.have(1).unwrap();
        early.bits(&[0x80]).unwrap();
        early.have(2).unwrap();
        assert!(early.settle(8).unwrap().iter().eq([0, 2]));
        let mut early = Early::default();
        early.have(1).unwrap();
        early.all();
        assert!(early.settle(3).unwrap().is_full());
    }

    #[test]
    fn what_does_not_fit_the_torrent_is_the_peers_mistake() {
        let mut early = Early::default();
        early.bits(&[0x80, 0]).unwrap();
        assert_eq!(early.settle(8), Err(PeerError::Bitfield));
        let mut early = Early::default();
        early.have(8).unwrap();
        assert_eq!(early.settle(8), Err(PeerError::NoSuchPiece(8)));
        assert!(Early::default().have(MAX_PIECE_COUNT).is_err());
    }
}
