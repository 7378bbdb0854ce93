//! Messages that carry the `info` dictionary from peer to peer (BEP 9).

use crate::bencode::Value;

use super::ExtendedError;
use super::dictionary::Dictionary;

/// Bytes in a piece of metadata, but for the last.
pub const METADATA_PIECE_LENGTH: usize = 16 * 1024;

/// A `ut_metadata` message, as it stands after its extended id.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum MetadataMessage<'a> {
    /// Asks for a piece of the raw `info` dictionary.
    Request {
        /// Index of the piece.
        piece: u32,
    },
    /// A piece of it.
    Data {
        /// Index of the piece.
        piece: u32,
        /// Bytes in the whole dictionary.
        total_size: u32,
        /// The bytes of the piece.
        data: &'a [u8],
    },
    /// The sender will not give this piece.
    Reject {
        /// Index of the piece.
        piece: u32,
    },
    /// A kind of message from the future, to be ignored (BEP 9).
    Unknown,
}

impl<'a> MetadataMessage<'a> {
    /// The payload of the message, after its id.
    pub fn encode(&self) -> Vec<u8> {
        let (kind, piece, total_size) = match *self {
            Self::Request { piece } => (0, piece, None),
            Self::Data { piece, total_size, .. } => (1, piece, Some(total_size)),
            Self::Reject { piece } => (2, piece, None),
            Self::Unknown => (255, 0, None),
        };
        let dictionary = Dictionary::new().integer("msg_type", kind).integer("piece", piece);
        let mut bytes = dictionary.integer_if("total_size", total_size).finish();
        if let Self::Data { data, .. } = *self {
            bytes.extend_from_slice(data);
        }
        bytes
    }

    /// Reads the payload of the message, after its id. Of a key given twice the last counts.
    ///
    /// # Errors
    /// When it does not begin with a bencoded dictionary, or lacks what its kind must have.
    pub fn decode(payload: &'a [u8]) -> Result<Self, ExtendedError> {
        let dictionary = Value::scan_leniently(payload)?;
        let data = &payload[dictionary.raw().len()..];
        let (mut kind, mut piece, mut total_size) = (None, None, None);
        for (key, value) in dictionary.dictionary().ok_or(ExtendedError::Malformed)? {
            let slot = match key {
                b"msg_type" => &mut kind,
                b"piece" => &mut piece,
                b"total_size" => &mut total_size,
                _ => continue,
            };
            *slot = value.integer().and_then(|number| u32::try_from(number).ok());
        }
        let number = |slot: Option<u32>| slot.ok_or(ExtendedError::Malformed);
        Ok(match number(kind)? {
            0 => Self::Request { piece: number(piece)? },
            1 => Self::Data { piece: number(piece)?, total_size: number(total_size)?, data },
            2 => Self::Reject { piece: number(piece)? },
            _ => Self::Unknown,
        })
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn messages_look_as_bep_9_prints_them() {
        assert_eq!(MetadataMessage::Request { piece: 0 }.encode(), b"d8:msg_typei0e5:piecei0ee");
        let data = MetadataMessage::Data { piece: 0, total_size: 3, data: b"xyz" };
        assert_eq!(data.encode(), b"d8:msg_typei1e5:piecei0e10:total_sizei3eexyz");
        assert_eq!(MetadataMessage::Reject { piece: 7 }.encode(), b"d8:msg_typei2e5:piecei7ee");
    }

    #[test]
    fn a_message_without_its_piece_is_malformed_and_one_from_the_future_is_unknown() {
        assert_eq!(MetadataMessage::decode(b"d8:msg_typei0ee"), Err(ExtendedError::Malformed));
        assert_eq!(MetadataMessage::decode(b"d8:msg_typei0e5:piecei-1ee"), Err(ExtendedError::Malformed));
        assert_eq!(MetadataMessage::decode(b"d8:msg_typei1e5:piecei1ee"), Err(ExtendedError::Malformed));
        assert_eq!(MetadataMessage::decode(b"d8:msg_typei00e5:piecei1ee"), Err(ExtendedError::Malformed));
        assert_eq!(MetadataMessage::decode(b"le"), Err(ExtendedError::Malformed));
        assert!(matches!(MetadataMessage::decode(b"d8:msg_typei0e"), Err(ExtendedError::Bencode(_))));
        assert_eq!(MetadataMessage::decode(b"d8:msg_typei9ee"), Ok(MetadataMessage::Unknown));
        let unread = b"d1:xi007e8:msg_typei0e5:piecei1e10:total_sizei-1ee";
        assert_eq!(MetadataMessage::decode(unread), Ok(MetadataMessage::Request { piece: 1 }));
    }

    proptest! {
        #[test]
        fn encode_then_decode_is_identity(kind in 0..3, piece: u32, total_size: u32, data: Vec<u8>) {
            let message = match kind {
                0 => MetadataMessage::Request { piece },
                1 => MetadataMessage::Data { piece, total_size, data: &data },
                _ => MetadataMessage::Reject { piece },
            };
            let bytes = message.encode();
            prop_assert_eq!(MetadataMessage::decode(&bytes), Ok(message));
        }

        #[test]
        fn arbitrary_bytes_never_panic(bytes: Vec<u8>) {
            let _ = MetadataMessage::decode(&bytes);
            let _ = super::super::ExtendedHandshake::decode(&bytes);
        }
    }
}
