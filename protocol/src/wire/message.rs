//! One message of the peer wire (BEP 3, BEP 6, BEP 10), without its length prefix and with it.

use crate::geometry::Block;

/// Bytes before the data of a PIECE message: length prefix, id, piece, begin.
pub const PIECE_HEADER_LENGTH: usize = 13;

/// Message ids, as the BEPs number them.
pub(super) mod id {
    pub(crate) const CHOKE: u8 = 0;
    pub(crate) const UNCHOKE: u8 = 1;
    pub(crate) const INTERESTED: u8 = 2;
    pub(crate) const NOT_INTERESTED: u8 = 3;
    pub(crate) const HAVE: u8 = 4;
    pub(crate) const BITFIELD: u8 = 5;
    pub(crate) const REQUEST: u8 = 6;
    pub(crate) const PIECE: u8 = 7;
    pub(crate) const CANCEL: u8 = 8;
    pub(crate) const PORT: u8 = 9;
    pub(crate) const SUGGEST: u8 = 13;
    pub(crate) const HAVE_ALL: u8 = 14;
    pub(crate) const HAVE_NONE: u8 = 15;
    pub(crate) const REJECT: u8 = 16;
    pub(crate) const ALLOWED_FAST: u8 = 17;
    pub(crate) const EXTENDED: u8 = 20;
}

/// Bytes in the frame of message `id`, the id included, where it is always the same; `None` for messages whose
/// length varies, and for those that we do not speak.
pub(super) fn fixed_length(id: u8) -> Option<usize> {
    match id {
        id::CHOKE | id::UNCHOKE | id::INTERESTED | id::NOT_INTERESTED => Some(1),
        id::HAVE_ALL | id::HAVE_NONE => Some(1),
        id::PORT => Some(3),
        id::HAVE | id::SUGGEST | id::ALLOWED_FAST => Some(5),
        id::REQUEST | id::CANCEL | id::REJECT => Some(13),
        _ => None,
    }
}

/// A message between two peers after their handshakes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Message<'a> {
    /// Nothing to say, still there.
    KeepAlive,
    /// Requests will not be answered.
    Choke,
    /// Requests will be answered.
    Unchoke,
    /// The sender wants pieces that the receiver has.
    Interested,
    /// The sender wants nothing.
    NotInterested,
    /// The sender now has this piece.
    Have(u32),
    /// The pieces that the sender has, high bit first.
    Bitfield(&'a [u8]),
    /// Asks for a block.
    Request(Block),
    /// A block: piece, first byte within it, bytes.
    Piece {
        /// Index of the piece.
        piece: u32,
        /// First byte, counted from the start of the piece.
        begin: u32,
        /// The payload.
        data: &'a [u8],
    },
    /// Takes a request back.
    Cancel(Block),
    /// UDP port of the sender's DHT node (BEP 5).
    Port(u16),
    /// A piece that the sender would like to give (BEP 6).
    Suggest(u32),
    /// The sender has every piece (BEP 6).
    HaveAll,
    /// The sender has no piece (BEP 6).
    HaveNone,
    /// A request that will not be answered (BEP 6).
    Reject(Block),
    /// A piece that may be requested while choked (BEP 6).
    AllowedFast(u32),
    /// A message of the extension protocol (BEP 10): its id as the receiver named it, and what follows.
    Extended {
        /// 0 for the extended handshake.
        id: u8,
        /// Everything after the id.
        payload: &'a [u8],
    },
    /// A message of an extension that we do not speak (BEP 52 has 21 to 23), or one that has our id and is another's
    /// (a PORT that is no port). It came to its end; what it said was read past.
    Unknown {
        /// Its id.
        id: u8,
    },
}

impl<'a> Message<'a> {
    /// Appends the message with its length prefix to `out`.
    pub fn encode(&self, out: &mut Vec<u8>) {
        match *self {
            Self::KeepAlive => out.extend_from_slice(&[0; 4]),
            Self::Choke => frame(out, id::CHOKE, &[]),
            Self::Unchoke => frame(out, id::UNCHOKE, &[]),
            Self::Interested => frame(out, id::INTERESTED, &[]),
            Self::NotInterested => frame(out, id::NOT_INTERESTED, &[]),
            Self::Have(piece) => frame(out, id::HAVE, &[&piece.to_be_bytes()]),
            Self::Bitfield(bits) => frame(out, id::BITFIELD, &[bits]),
            Self::Request(block) => frame(out, id::REQUEST, &[&block_bytes(block)]),
            Self::Piece { piece, begin, data } => {
                frame(out, id::PIECE, &[&piece.to_be_bytes(), &begin.to_be_bytes(), data]);
            }
            Self::Cancel(block) => frame(out, id::CANCEL, &[&block_bytes(block)]),
            Self::Port(port) => frame(out, id::PORT, &[&port.to_be_bytes()]),
            Self::Suggest(piece) => frame(out, id::SUGGEST, &[&piece.to_be_bytes()]),
            Self::HaveAll => frame(out, id::HAVE_ALL, &[]),
            Self::HaveNone => frame(out, id::HAVE_NONE, &[]),
            Self::Reject(block) => frame(out, id::REJECT, &[&block_bytes(block)]),
            Self::AllowedFast(piece) => frame(out, id::ALLOWED_FAST, &[&piece.to_be_bytes()]),
            Self::Extended { id, payload } => frame(out, id::EXTENDED, &[&[id], payload]),
            Self::Unknown { id } => frame(out, id, &[]),
        }
    }

    /// Reads the body of a frame, what follows the length prefix; `None` when it has the wrong length for its id, or
    /// an id that we do not speak, whose frames never become a body.
    pub(super) fn decode(body: &'a [u8]) -> Option<Self> {
        let Some((&id, rest)) = body.split_first() else { return Some(Self::KeepAlive) };
        let plain = |message| rest.is_empty().then_some(message);
        let number = || rest.try_into().ok().map(u32::from_be_bytes);
        match id {
            id::CHOKE => plain(Self::Choke),
            id::UNCHOKE => plain(Self::Unchoke),
            id::INTERESTED => plain(Self::Interested),
            id::NOT_INTERESTED => plain(Self::NotInterested),
            id::HAVE => number().map(Self::Have),
            id::BITFIELD => Some(Self::Bitfield(rest)),
            id::REQUEST => block(rest).map(Self::Request),
            id::PIECE => {
                let (piece, rest) = rest.split_first_chunk()?;
                let (begin, data) = rest.split_first_chunk()?;
                Some(Self::Piece {
                    piece: u32::from_be_bytes(*piece),
                    begin: u32::from_be_bytes(*begin),
                    data,
                })
            }
            id::CANCEL => block(rest).map(Self::Cancel),
            id::PORT => rest.try_into().ok().map(|port| Self::Port(u16::from_be_bytes(port))),
            id::SUGGEST => number().map(Self::Suggest),
            id::HAVE_ALL => plain(Self::HaveAll),
            id::HAVE_NONE => plain(Self::HaveNone),
            id::REJECT => block(rest).map(Self::Reject),
            id::ALLOWED_FAST => number().map(Self::AllowedFast),
            id::EXTENDED => rest.split_first().map(|(&id, payload)| Self::Extended { id, payload }),
            _ => None,
        }
    }
}

/// The bytes of a PIECE message before its data: the block goes out as this header and a slice of the payload.
pub fn piece_header(block: Block) -> [u8; PIECE_HEADER_LENGTH] {
    let mut header = [0; PIECE_HEADER_LENGTH];
    header[..4].copy_from_slice(&(block.length + 9).to_be_bytes());
    header[4] = id::PIECE;
    header[5..9].copy_from_slice(&block.piece.to_be_bytes());
    header[9..].copy_from_slice(&block.begin.to_be_bytes());
    header
}

/// Appends length prefix, id and `parts`. What we send is far below the 4 GiB that the prefix can say.
fn frame(out: &mut Vec<u8>, id: u8, parts: &[&[u8]]) {
    let length = 1 + parts.iter().map(|part| part.len()).sum::<usize>();
    let length = u32::try_from(length).unwrap_or(u32::MAX);
    out.extend_from_slice(&length.to_be_bytes());
    out.push(id);
    parts.iter().for_each(|part| out.extend_from_slice(part));
}

fn block_bytes(block: Block) -> [u8; 12] {
    let mut bytes = [0; 12];
    bytes[..4].copy_from_slice(&block.piece.to_be_bytes());
    bytes[4..8].copy_from_slice(&block.begin.to_be_bytes());
    bytes[8..].copy_from_slice(&block.length.to_be_bytes());
    bytes
}

fn block(bytes: &[u8]) -> Option<Block> {
    let (piece, bytes) = bytes.split_first_chunk()?;
    let (begin, bytes) = bytes.split_first_chunk()?;
    let length = bytes.try_into().ok()?;
    Some(Block {
        piece: u32::from_be_bytes(*piece),
        begin: u32::from_be_bytes(*begin),
        length: u32::from_be_bytes(length),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Every message with its bytes, in which no two fields are alike.
    #[rustfmt::skip]
    const GOLDEN: [(Message<'_>, &[u8]); 18] = {
        const BLOCK: Block = Block { piece: 0x0102_0304, begin: 0x0506_0708, length: 0x090a_0b0c };
        [
            (Message::KeepAlive, &[0, 0, 0, 0]),
            (Message::Choke, &[0, 0, 0, 1, 0]),
            (Message::Unchoke, &[0, 0, 0, 1, 1]),
            (Message::Interested, &[0, 0, 0, 1, 2]),
            (Message::NotInterested, &[0, 0, 0, 1, 3]),
            (Message::Have(0x0102_0304), &[0, 0, 0, 5, 4, 1, 2, 3, 4]),
            (Message::Bitfield(&[0xf1, 0x80]), &[0, 0, 0, 3, 5, 0xf1, 0x80]),
            (Message::Request(BLOCK), &[0, 0, 0, 13, 6, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12]),
            (
                Message::Piece { piece: 0x0102_0304, begin: 0x0506_0708, data: &[21, 22, 23] },
                &[0, 0, 0, 12, 7, 1, 2, 3, 4, 5, 6, 7, 8, 21, 22, 23],
            ),
            (Message::Cancel(BLOCK), &[0, 0, 0, 13, 8, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12]),
            (Message::Port(0x1ae1), &[0, 0, 0, 3, 9, 0x1a, 0xe1]),
            (Message::Suggest(0x0102_0304), &[0, 0, 0, 5, 13, 1, 2, 3, 4]),
            (Message::HaveAll, &[0, 0, 0, 1, 14]),
            (Message::HaveNone, &[0, 0, 0, 1, 15]),
            (Message::Reject(BLOCK), &[0, 0, 0, 13, 16, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12]),
            (Message::AllowedFast(0x0102_0304), &[0, 0, 0, 5, 17, 1, 2, 3, 4]),
            (Message::Extended { id: 3, payload: b"de" }, &[0, 0, 0, 4, 20, 3, b'd', b'e']),
            (Message::Unknown { id: 21 }, &[0, 0, 0, 1, 21]),
        ]
    };

    #[test]
    fn every_message_has_the_bytes_that_the_specifications_give_it() {
        for (message, bytes) in GOLDEN {
            let mut encoded = Vec::new();
            message.encode(&mut encoded);
            assert_eq!(encoded, bytes, "{message:?}");
            let mut input = bytes;
            let mut decoder = super::super::Decoder::new(16, 16);
            assert_eq!(decoder.next(&mut input), Ok(Some(message)));
            assert!(input.is_empty());
        }
    }

    #[test]
    fn the_messages_of_one_length_are_known_by_it() {
        for (message, bytes) in GOLDEN.into_iter().skip(1) {
            let varies = matches!(
                message,
                Message::Bitfield(_)
                    | Message::Piece { .. }
                    | Message::Extended { .. }
                    | Message::Unknown { .. }
            );
            assert_eq!(fixed_length(bytes[4]), (!varies).then_some(bytes.len() - 4), "{message:?}");
        }
    }

    #[test]
    fn a_piece_header_is_the_front_of_a_piece_message() {
        let mut whole = Vec::new();
        Message::Piece { piece: 7, begin: 16_384, data: &[9; 100] }.encode(&mut whole);
        let header = piece_header(Block { piece: 7, begin: 16_384, length: 100 });
        assert_eq!(whole[..PIECE_HEADER_LENGTH], header);
        assert_eq!(whole[PIECE_HEADER_LENGTH..], [9; 100]);
    }

    #[test]
    fn a_body_of_the_wrong_length_is_no_message() {
        for body in [
            &[0, 0][..],
            &[4, 0, 0, 0],
            &[4, 0, 0, 0, 0, 0],
            &[6; 12],
            &[6; 14],
            &[7; 8],
            &[9, 1],
            &[20],
            &[21],
        ] {
            assert_eq!(Message::decode(body), None, "{body:?}");
        }
    }
}
