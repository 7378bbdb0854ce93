//! The few frames of BEP 3 that the load and the reference speak.
//!
//! Coded here once more, apart from `protocol`: a frame that btd gets wrong must not look right to its benchmark.

use protocol::geometry::Block;

/// Bytes in a handshake.
pub const HANDSHAKE_LENGTH: usize = 68;
/// Bytes in a whole REQUEST.
pub const REQUEST_LENGTH: usize = 17;
/// Bytes of a PIECE before its payload.
pub const PIECE_HEADER_LENGTH: usize = 13;
/// Bytes of length and id, the head of every message but the keep-alive.
pub const MESSAGE_HEADER_LENGTH: usize = 5;
/// Longest message that is taken from a peer: a BITFIELD of 4 Mi pieces is the longest in the field.
pub const MAX_MESSAGE_LENGTH: u32 = 512 * 1024 + 1;

/// Id of CHOKE.
pub const CHOKE: u8 = 0;
/// Id of UNCHOKE.
pub const UNCHOKE: u8 = 1;
/// Id of BITFIELD.
pub const BITFIELD: u8 = 5;
/// Id of REQUEST.
pub const REQUEST: u8 = 6;
/// Id of PIECE.
pub const PIECE: u8 = 7;

/// INTERESTED, whole.
pub const INTERESTED_FRAME: [u8; 5] = [0, 0, 0, 1, 2];
/// UNCHOKE, whole.
pub const UNCHOKE_FRAME: [u8; 5] = [0, 0, 0, 1, UNCHOKE];

const PROTOCOL: &[u8; 20] = b"\x13BitTorrent protocol";
const INFO_HASH_AT: usize = 28;
const PEER_ID_AT: usize = 48;

/// A handshake without extensions: every seeder takes it, and answers with a plain BITFIELD.
pub fn handshake(info_hash: &[u8; 20], peer_id: &[u8; 20]) -> [u8; HANDSHAKE_LENGTH] {
    let mut frame = [0; HANDSHAKE_LENGTH];
    frame[..PROTOCOL.len()].copy_from_slice(PROTOCOL);
    frame[INFO_HASH_AT..PEER_ID_AT].copy_from_slice(info_hash);
    frame[PEER_ID_AT..].copy_from_slice(peer_id);
    frame
}

/// The info-hash of a handshake, or `None` for bytes that are not one.
pub fn handshake_info_hash(frame: &[u8; HANDSHAKE_LENGTH]) -> Option<[u8; 20]> {
    let hash = frame.starts_with(PROTOCOL).then_some(&frame[INFO_HASH_AT..PEER_ID_AT])?;
    hash.try_into().ok()
}

/// A whole REQUEST for `block`.
pub fn request(block: Block) -> [u8; REQUEST_LENGTH] {
    let mut frame = [0; REQUEST_LENGTH];
    frame[..4].copy_from_slice(&13_u32.to_be_bytes());
    frame[4] = REQUEST;
    frame[5..9].copy_from_slice(&block.piece.to_be_bytes());
    frame[9..13].copy_from_slice(&block.begin.to_be_bytes());
    frame[13..].copy_from_slice(&block.length.to_be_bytes());
    frame
}

/// What stands before the payload of `block` in a PIECE.
pub fn piece_header(block: Block) -> [u8; PIECE_HEADER_LENGTH] {
    let mut frame = [0; PIECE_HEADER_LENGTH];
    frame[..4].copy_from_slice(&(9 + block.length).to_be_bytes());
    frame[4] = PIECE;
    frame[5..9].copy_from_slice(&block.piece.to_be_bytes());
    frame[9..].copy_from_slice(&block.begin.to_be_bytes());
    frame
}

/// The big-endian number at byte `at` of `bytes`, which must reach that far.
pub fn number(bytes: &[u8], at: usize) -> u32 {
    bytes[at..at + 4].iter().fold(0, |number, byte| number << 8 | u32::from(*byte))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn frames_stand_as_in_bep_3() {
        let block = Block { piece: 0x0102_0304, begin: 0x4000, length: 0x4000 };
        assert_eq!(request(block), *b"\0\0\0\x0d\x06\x01\x02\x03\x04\0\0\x40\0\0\0\x40\0");
        assert_eq!(piece_header(block), *b"\0\0\x40\x09\x07\x01\x02\x03\x04\0\0\x40\0");
        assert_eq!(number(&request(block), 5), block.piece);
    }

    #[test]
    fn a_handshake_carries_its_info_hash() {
        let frame = handshake(&[7; 20], &[8; 20]);
        assert_eq!(handshake_info_hash(&frame), Some([7; 20]));
        assert_eq!(handshake_info_hash(&[0; HANDSHAKE_LENGTH]), None);
    }
}
