//! Cuts the byte stream of a peer into messages, in place wherever a message arrived as a whole.

use crate::bitfield;

use super::message::{Message, id};

/// Longest frame of a message without a limit of its own: an extended message with a metadata piece or a list of
/// peers is far shorter.
pub const MAX_FRAME_LENGTH: usize = 64 * 1024;

const PREFIX_LENGTH: usize = 4;
/// Memory for frames in parts that a connection keeps: enough for requests, the message a seeder sees most.
const MAX_KEPT_LENGTH: usize = 256;

/// Bytes that are not the peer wire protocol.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum WireError {
    /// A length prefix that no message of this id may have.
    #[error("a frame of {length} bytes for message {id} is too long")]
    TooLong {
        /// The id of the message.
        id: u8,
        /// What the length prefix said.
        length: usize,
    },
    /// A body that does not fit its id.
    #[error("message {id} of {length} bytes is malformed")]
    Malformed {
        /// The id of the message.
        id: u8,
        /// Bytes in the frame, the id included.
        length: usize,
    },
}

/// Puts frames together from reads that end anywhere. Holds at most one unfinished frame.
#[derive(Debug)]
pub struct Decoder {
    /// Longest BITFIELD: that of the torrent.
    max_bitfield_length: usize,
    /// Longest PIECE: that of a block we ask for.
    max_piece_length: usize,
    /// The start of a frame whose end has not been read yet, with its prefix.
    partial: Vec<u8>,
    /// Whether `partial` was handed out as a message and is to be dropped.
    is_spent: bool,
}

impl Decoder {
    /// A decoder for a torrent of `piece_count` pieces from which we ask for blocks of at most `max_block_length`
    /// bytes, or for none. A peer can make us hold no more than that.
    pub fn new(piece_count: u32, max_block_length: u32) -> Self {
        Self {
            max_bitfield_length: 1 + bitfield::wire_length(piece_count),
            max_piece_length: 9 + max_block_length as usize,
            partial: Vec::new(),
            is_spent: false,
        }
    }

    /// Takes the next message off the front of `input`; `None` when the rest is not a whole message, which is then
    /// kept for the next call. The message borrows from `input`, or from the decoder when it came in parts.
    ///
    /// # Errors
    /// When the bytes are not the peer wire protocol; the connection is of no use after that.
    pub fn next<'a, 'i: 'a>(&'a mut self, input: &mut &'i [u8]) -> Result<Option<Message<'a>>, WireError> {
        if self.is_spent {
            // A long frame was rare; do not sit on its memory.
            if self.partial.capacity() > MAX_KEPT_LENGTH {
                self.partial = Vec::new();
            }
            self.partial.clear();
            self.is_spent = false;
        }
        if self.partial.is_empty() {
            let whole: &'i [u8] = input;
            if let Some(length) = self.frame_length(whole)?
                && let Some((frame, rest)) = whole.split_at_checked(PREFIX_LENGTH + length)
            {
                *input = rest;
                return decode(&frame[PREFIX_LENGTH..]).map(Some);
            }
        }
        self.gather(input)
    }

    /// Goes on with a frame that is in parts: takes just its bytes from `input`.
    fn gather<'a>(&'a mut self, input: &mut &[u8]) -> Result<Option<Message<'a>>, WireError> {
        while !input.is_empty() {
            let wanted = match self.frame_length(&self.partial)? {
                Some(length) => PREFIX_LENGTH + length,
                None => self.partial.len() + 1,
            };
            let taken = (wanted - self.partial.len()).min(input.len());
            let (head, rest) = input.split_at(taken);
            self.partial.extend_from_slice(head);
            *input = rest;
            if self
                .frame_length(&self.partial)?
                .is_some_and(|length| self.partial.len() == PREFIX_LENGTH + length)
            {
                self.is_spent = true;
                return decode(&self.partial[PREFIX_LENGTH..]).map(Some);
            }
        }
        Ok(None)
    }

    /// The length that the frame at the start of `bytes` announces, once prefix and id are there and within limits.
    fn frame_length(&self, bytes: &[u8]) -> Result<Option<usize>, WireError> {
        let Some((prefix, rest)) = bytes.split_first_chunk::<PREFIX_LENGTH>() else { return Ok(None) };
        let length = u32::from_be_bytes(*prefix) as usize;
        if length == 0 {
            return Ok(Some(0));
        }
        let Some(&id) = rest.first() else { return Ok(None) };
        let limit = match id {
            id::BITFIELD => self.max_bitfield_length,
            id::PIECE => self.max_piece_length,
            _ => MAX_FRAME_LENGTH,
        };
        if length > limit { Err(WireError::TooLong { id, length }) } else { Ok(Some(length)) }
    }
}

fn decode(body: &[u8]) -> Result<Message<'_>, WireError> {
    let id = body.first().copied().unwrap_or(0);
    Message::decode(body).ok_or(WireError::Malformed { id, length: body.len() })
}

#[cfg(test)]
mod tests {
    use proptest::collection::vec;
    use proptest::prelude::*;

    use super::*;
    use crate::geometry::Block;

    const BITFIELD_LENGTH: usize = 128;

    fn decoder() -> Decoder {
        Decoder::new(1024, 1024)
    }

    /// A message that owns its bytes, so that a strategy can make it.
    #[derive(Debug, Clone)]
    struct Owned {
        kind: usize,
        block: Block,
        data: Vec<u8>,
        small: u8,
    }

    impl Owned {
        fn message(&self) -> Message<'_> {
            let Block { piece, begin, .. } = self.block;
            match self.kind {
                0 => Message::KeepAlive,
                1 => Message::Choke,
                2 => Message::Unchoke,
                3 => Message::Interested,
                4 => Message::NotInterested,
                5 => Message::Have(piece),
                6 => Message::Bitfield(&self.data),
                7 => Message::Request(self.block),
                8 => Message::Piece { piece, begin, data: &self.data },
                9 => Message::Cancel(self.block),
                10 => Message::Port(u16::from(self.small) * 257),
                11 => Message::Suggest(piece),
                12 => Message::HaveAll,
                13 => Message::HaveNone,
                14 => Message::Reject(self.block),
                15 => Message::AllowedFast(piece),
                16 => Message::Extended { id: self.small, payload: &self.data },
                _ => Message::Unknown { id: self.small | 0x80 },
            }
        }
    }

    fn messages() -> impl Strategy<Value = Vec<Owned>> {
        let owned = (0_usize..18, any::<[u32; 3]>(), vec(any::<u8>(), 0..60), any::<u8>()).prop_map(
            |(kind, [piece, begin, length], data, small)| Owned {
                kind,
                block: Block { piece, begin, length },
                data,
                small,
            },
        );
        vec(owned, 1..12)
    }

    /// Decodes reads that end at `cuts`, and checks each message against `expected`.
    fn decodes_to(expected: &[Owned], bytes: &[u8], cuts: &[usize]) {
        let mut decoder = decoder();
        let mut expected = expected.iter();
        let ends = cuts.iter().copied().chain([bytes.len()]);
        let mut start = 0;
        for end in ends {
            let mut input = &bytes[start..end];
            while let Some(message) = decoder.next(&mut input).unwrap() {
                assert_eq!(message, expected.next().unwrap().message());
            }
            start = end;
        }
        assert!(expected.next().is_none(), "a message is missing");
    }

    proptest! {
        #[test]
        fn encode_then_decode_is_identity_however_the_reads_are_split(
            messages in messages(),
            cuts in vec(any::<prop::sample::Index>(), 0..8),
        ) {
            let mut bytes = Vec::new();
            messages.iter().for_each(|owned| owned.message().encode(&mut bytes));
            let mut cuts: Vec<usize> = cuts.iter().map(|cut| cut.index(bytes.len() + 1)).collect();
            cuts.sort_unstable();
            decodes_to(&messages, &bytes, &cuts);
            let every_byte: Vec<usize> = (1..bytes.len()).collect();
            decodes_to(&messages, &bytes, &every_byte);
        }

        #[test]
        fn arbitrary_bytes_never_panic(chunks in vec(vec(any::<u8>(), 0..40), 0..10)) {
            let mut decoder = decoder();
            'chunks: for chunk in &chunks {
                let mut input = &chunk[..];
                loop {
                    match decoder.next(&mut input) {
                        Ok(Some(_)) => {}
                        Ok(None) => break,
                        Err(_) => break 'chunks,
                    }
                }
            }
        }
    }

    #[test]
    fn an_oversized_frame_is_refused_before_its_body_arrives() {
        for (id, limit) in
            [(5, 1 + BITFIELD_LENGTH), (7, 9 + 1024), (20, MAX_FRAME_LENGTH), (99, MAX_FRAME_LENGTH)]
        {
            let length = limit + 1;
            let mut frame = u32::try_from(length).unwrap().to_be_bytes().to_vec();
            frame.push(id);
            for split in 0..=frame.len() {
                let mut decoder = decoder();
                let first = decoder.next(&mut &frame[..split]).map(|message| message.is_some());
                let result =
                    first.and_then(|_| decoder.next(&mut &frame[split..]).map(|message| message.is_some()));
                assert_eq!(result, Err(WireError::TooLong { id, length }), "split at {split}");
            }
        }
    }

    #[test]
    fn a_message_of_the_wrong_length_is_malformed() {
        let result = decoder().next(&mut &[0, 0, 0, 2, 1, 0][..]).map(|message| message.is_some());
        assert_eq!(result, Err(WireError::Malformed { id: 1, length: 2 }));
    }
}
