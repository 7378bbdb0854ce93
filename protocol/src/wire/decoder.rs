//! Cuts the byte stream of a peer into messages, in place wherever a message arrived as a whole.

use crate::bitfield;

use super::message::{Message, fixed_length, id};

/// Longest frame of an extended message: one with a metadata piece or a list of peers is far shorter.
pub const MAX_FRAME_LENGTH: usize = 64 * 1024;
/// Longest frame of a message that we do not speak. It costs no memory, but past this it is no protocol: the longest
/// that anybody sends (hashes of BEP 52) has some 16 KiB.
pub const MAX_SKIPPED_LENGTH: usize = 1024 * 1024;

const PREFIX_LENGTH: usize = 4;
/// Memory for frames in parts that a connection keeps: enough for requests, the message a seeder sees most.
const MAX_KEPT_LENGTH: usize = 256;

/// Bytes that are not the peer wire protocol.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum WireError {
    /// A length prefix beyond the limit of this id.
    #[error("a frame of {length} bytes for message {id} is too long")]
    TooLong {
        /// The id of the message.
        id: u8,
        /// What the length prefix said.
        length: usize,
    },
    /// A length prefix that no message of this id has.
    #[error("message {id} of {length} bytes is malformed")]
    Malformed {
        /// The id of the message.
        id: u8,
        /// Bytes in the frame, the id included.
        length: usize,
    },
}

/// What is to be done with a frame, once its prefix and its id are there.
#[derive(Debug, Clone, Copy)]
enum Frame {
    /// It becomes a message; so many bytes follow the prefix.
    Kept { length: usize },
    /// It is read past; so many bytes follow the id.
    Skipped { id: u8, left: usize },
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
    /// The id of the frame that is being read past, and how many bytes of it have not been read.
    skipped: Option<(u8, usize)>,
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
            skipped: None,
        }
    }

    /// Goes on with other limits: those of [`Decoder::new`], which were not known when the first bytes came.
    pub fn set_limits(&mut self, piece_count: u32, max_block_length: u32) {
        self.max_bitfield_length = 1 + bitfield::wire_length(piece_count);
        self.max_piece_length = 9 + max_block_length as usize;
    }

    /// The whole frame that the last message borrowed from, if that came in parts: its memory need not be copied.
    pub fn take_gathered(&mut self) -> Option<Vec<u8>> {
        std::mem::take(&mut self.is_spent).then(|| std::mem::take(&mut self.partial))
    }

    /// Takes the next message off the front of `input`; `None` when the rest is not a whole message, which is then
    /// kept for the next call. The message borrows from `input`, or from the decoder when it came in parts.
    ///
    /// # Errors
    /// When the bytes are not the peer wire protocol; the connection is of no use after that.
    pub fn next<'a, 'i: 'a>(&'a mut self, input: &mut &'i [u8]) -> Result<Option<Message<'a>>, WireError> {
        self.drop_spent();
        if self.partial.is_empty() && self.skipped.is_none() {
            let whole: &'i [u8] = input;
            if let Some(Frame::Kept { length }) = self.frame(whole)?
                && let Some((frame, rest)) = whole.split_at_checked(PREFIX_LENGTH + length)
            {
                *input = rest;
                return decode(&frame[PREFIX_LENGTH..]).map(Some);
            }
        }
        self.gather(input)
    }

    /// Forgets the frame that the last call handed out.
    fn drop_spent(&mut self) {
        if std::mem::take(&mut self.is_spent) {
            // A long frame was rare; do not sit on its memory.
            if self.partial.capacity() > MAX_KEPT_LENGTH {
                self.partial = Vec::new();
            }
            self.partial.clear();
        }
    }

    /// Goes on with a frame that is in parts, or is to be read past: takes just its bytes from `input`.
    fn gather<'a>(&'a mut self, input: &mut &[u8]) -> Result<Option<Message<'a>>, WireError> {
        while self.skipped.is_none() {
            let wanted = match self.frame(&self.partial)? {
                Some(Frame::Kept { length }) if self.partial.len() == PREFIX_LENGTH + length => {
                    self.is_spent = true;
                    return decode(&self.partial[PREFIX_LENGTH..]).map(Some);
                }
                Some(Frame::Kept { length }) => PREFIX_LENGTH + length,
                Some(Frame::Skipped { id, left }) => {
                    self.partial.clear();
                    self.skipped = Some((id, left));
                    break;
                }
                // The next byte may be all that is missing to know more.
                None => self.partial.len() + 1,
            };
            if input.is_empty() {
                return Ok(None);
            }
            let missing = wanted - self.partial.len();
            let (head, rest) = input.split_at(missing.min(input.len()));
            self.partial.reserve_exact(missing);
            self.partial.extend_from_slice(head);
            *input = rest;
        }
        Ok(self.skip(input))
    }

    /// Goes on reading past a frame, and reports it at its end.
    fn skip(&mut self, input: &mut &[u8]) -> Option<Message<'static>> {
        let (id, left) = self.skipped?;
        let taken = left.min(input.len());
        *input = &input[taken..];
        self.skipped = (taken < left).then_some((id, left - taken));
        (taken == left).then_some(Message::Unknown { id })
    }

    /// What the frame at the start of `bytes` is, once prefix and id are there.
    fn frame(&self, bytes: &[u8]) -> Result<Option<Frame>, WireError> {
        let Some((prefix, rest)) = bytes.split_first_chunk::<PREFIX_LENGTH>() else { return Ok(None) };
        let length = u32::from_be_bytes(*prefix) as usize;
        if length == 0 {
            return Ok(Some(Frame::Kept { length }));
        }
        let Some(&id) = rest.first() else { return Ok(None) };
        let (limit, frame) = match (id, fixed_length(id)) {
            (_, Some(fixed)) if fixed == length => return Ok(Some(Frame::Kept { length })),
            (id::BITFIELD, _) => (self.max_bitfield_length, Frame::Kept { length }),
            (id::PIECE, _) => (self.max_piece_length, Frame::Kept { length }),
            (id::EXTENDED, _) => (MAX_FRAME_LENGTH, Frame::Kept { length }),
            // A PORT that is no port is no reason to part: the DHT is not spoken here.
            (id::PORT, _) | (_, None) => (MAX_SKIPPED_LENGTH, Frame::Skipped { id, left: length - 1 }),
            (_, Some(_)) => return Err(WireError::Malformed { id, length }),
        };
        if length > limit { Err(WireError::TooLong { id, length }) } else { Ok(Some(frame)) }
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

    /// What comes of a frame of `length` bytes for message `id` of which only the head arrives, however it is split.
    fn of_head(id: u8, length: usize) -> Result<bool, WireError> {
        let mut frame = u32::try_from(length).unwrap().to_be_bytes().to_vec();
        frame.push(id);
        let split_at = |split: usize| {
            let mut decoder = decoder();
            let first = decoder.next(&mut &frame[..split]).map(|message| message.is_some());
            first.and_then(|_| decoder.next(&mut &frame[split..]).map(|message| message.is_some()))
        };
        let result = split_at(0);
        assert!((0..=frame.len()).all(|split| split_at(split) == result), "{id} {length}");
        result
    }

    #[test]
    fn an_oversized_frame_is_refused_before_its_body_arrives() {
        let limits = [
            (5, 1 + BITFIELD_LENGTH),
            (7, 9 + 1024),
            (9, MAX_SKIPPED_LENGTH),
            (20, MAX_FRAME_LENGTH),
            (99, MAX_SKIPPED_LENGTH),
        ];
        for (id, limit) in limits {
            assert_eq!(of_head(id, limit), Ok(false), "{id}");
            assert_eq!(of_head(id, limit + 1), Err(WireError::TooLong { id, length: limit + 1 }), "{id}");
        }
    }

    #[test]
    fn a_message_of_one_length_is_malformed_before_its_body_arrives() {
        for (right, ids) in [(1, [0, 1, 2, 3, 14, 15].as_slice()), (5, &[4, 13, 17]), (13, &[6, 8, 16])] {
            for &id in ids {
                for length in [1, 2, 4, 5, 6, 12, 13, 14, 60_000, u32::MAX as usize] {
                    if length != right {
                        assert_eq!(of_head(id, length), Err(WireError::Malformed { id, length }));
                    }
                }
            }
        }
    }

    #[test]
    fn a_message_that_nobody_speaks_is_read_past_without_being_stored_and_reported_once() {
        let frame = |id: u8, length: u32| {
            let body = vec![0xaa; length as usize - 1];
            [&length.to_be_bytes()[..], &[id], &body].concat()
        };
        let mut bytes = Vec::new();
        let frames = [(21, 49), (22, 16_000), (23, 1), (9, 2), (9, 4), (99, 1 << 20)];
        frames.iter().for_each(|&(id, length)| bytes.extend(frame(id, length)));
        Message::Have(7).encode(&mut bytes);
        for read in [1, 3, 5, 1_000, bytes.len()] {
            let mut decoder = decoder();
            let mut heard = Vec::new();
            for mut input in bytes.chunks(read) {
                while let Some(message) = decoder.next(&mut input).unwrap() {
                    match message {
                        Message::Unknown { id } => heard.push(id),
                        other => assert_eq!(
                            (other, heard.as_slice()),
                            (Message::Have(7), &[21, 22, 23, 9, 9, 99][..])
                        ),
                    }
                }
                assert!(input.is_empty() && decoder.partial.capacity() <= 16, "{read}");
            }
            assert_eq!(heard.len(), 6, "{read}");
        }
    }

    #[test]
    fn a_frame_in_parts_takes_no_more_memory_than_it_needs_and_gives_it_back() {
        let payload = vec![7; 40_000];
        let mut bytes = Vec::new();
        Message::Extended { id: 1, payload: &payload }.encode(&mut bytes);
        let mut decoder = decoder();
        for mut input in bytes[..bytes.len() - 1].chunks(9_999) {
            assert_eq!(decoder.next(&mut input), Ok(None));
            assert_eq!(decoder.partial.capacity(), bytes.len());
        }
        let mut end = &bytes[bytes.len() - 1..];
        assert!(matches!(decoder.next(&mut end), Ok(Some(Message::Extended { id: 1, .. }))));
        assert_eq!(decoder.next(&mut end), Ok(None));
        assert_eq!(decoder.partial.capacity(), 0, "kept after a long frame");
    }

    #[test]
    fn the_memory_for_a_short_frame_in_parts_is_kept() {
        let mut decoder = decoder();
        assert_eq!(decoder.next(&mut &[0, 0, 0, 5, 4, 0][..]), Ok(None));
        assert_eq!(decoder.next(&mut &[0, 1, 2][..]), Ok(Some(Message::Have(258))));
        assert_eq!(decoder.next(&mut &[][..]), Ok(None));
        assert!(decoder.partial.capacity() >= 9);
    }
}
