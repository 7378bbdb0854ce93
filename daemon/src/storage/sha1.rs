//! SHA-1 of several messages at once, in lanes. The processor's SHA unit waits most of the time for its own last result,
//! so four chains of rounds that do not depend on each other take little longer than one. AVX-512 vectors hold eight, and
//! are faster still when all of them are in use.
//!
//! Called by whoever has several pieces to hash. Where there is neither, the `sha1` crate hashes them one by one. Never
//! copies payload, but for the 64 bytes around a cut.

mod engine;
mod unit;
mod vectors;

use std::ops::Range;

use sha1::{Digest, Sha1};

use super::hash::PieceHash;
pub use engine::UNIT_LANES;
use engine::{Engine, MAX_LANES};

/// Bytes that SHA-1 takes in at a time (RFC 3174).
const CHUNK_LENGTH: usize = 64;
/// Bytes at the end of the last chunk that give the message's length in bits.
const LENGTH_FIELD: usize = size_of::<u64>();
/// What the hash of every message starts from (RFC 3174, section 6.1).
const INITIAL_STATE: State = [0x6745_2301, 0xefcd_ab89, 0x98ba_dcfe, 0x1032_5476, 0xc3d2_e1f0];

type State = [u32; 5];
type Chunk = [u8; CHUNK_LENGTH];

/// SHA-1 of each of `messages`, in their order. A message is the bytes of its slices end to end, wherever it was cut.
///
/// Lengths may differ: the lane of a message that ends takes the next one, so only the last few run with less company.
pub fn digest_all<'a, M>(messages: impl IntoIterator<Item = M>) -> Vec<PieceHash>
where
    M: IntoIterator<Item = &'a [u8]>,
{
    match Engine::detect() {
        Some(engine) => interleaved(engine, messages.into_iter()),
        None => one_by_one(messages.into_iter()),
    }
}

/// Messages that are worth hashing together: of more, each takes no less time.
pub fn lanes() -> usize {
    Engine::detect().map_or(1, Engine::lanes)
}

fn one_by_one<'a, M>(messages: impl Iterator<Item = M>) -> Vec<PieceHash>
where
    M: IntoIterator<Item = &'a [u8]>,
{
    let digest = |message: M| message.into_iter().fold(Sha1::new(), Sha1::chain_update).finalize().into();
    messages.map(digest).collect()
}

fn interleaved<'a, M>(engine: Engine, mut messages: impl Iterator<Item = M>) -> Vec<PieceHash>
where
    M: IntoIterator<Item = &'a [u8]>,
{
    let mut digests = Vec::new();
    let mut lanes = Vec::with_capacity(engine.lanes());
    loop {
        while lanes.len() < engine.lanes()
            && let Some(message) = messages.next()
        {
            lanes.push(Lane::new(digests.len(), message.into_iter()));
            digests.push(PieceHash::default());
        }
        if lanes.is_empty() {
            return digests;
        }
        step(engine, &mut lanes);
        lanes.retain(|lane| {
            if lane.is_done() {
                digests[lane.number] = lane.digest();
            }
            !lane.is_done()
        });
    }
}

/// Takes every lane as far as the one whose next cut or end comes first.
fn step<'a, I: Iterator<Item = &'a [u8]>>(engine: Engine, lanes: &mut [Lane<'a, I>]) {
    let length = lanes.iter().map(|lane| lane.run().len()).min().unwrap_or(0);
    let mut states = [INITIAL_STATE; MAX_LANES];
    let mut runs: [&[Chunk]; MAX_LANES] = [&[]; MAX_LANES];
    for (lane, (state, run)) in lanes.iter().zip(states.iter_mut().zip(&mut runs)) {
        (*state, *run) = (lane.state, &lane.run()[..length]);
    }
    engine.compress(&mut states[..lanes.len()], &runs[..lanes.len()]);
    for (lane, state) in lanes.iter_mut().zip(states) {
        lane.state = state;
        lane.advance(length);
    }
}

/// A message on its way. Until it is done, at least one chunk of it stands ready.
struct Lane<'a, I> {
    /// Which message it is.
    number: usize,
    state: State,
    /// Slices that were not begun.
    slices: I,
    /// The rest of the slice that was.
    slice: &'a [u8],
    /// Chunks that do not stand in one slice: one across a cut, or the end of the message with its padding.
    joined: [Chunk; 2],
    /// Those of `joined` that come next, before `slice`.
    waiting: Range<usize>,
    /// Bytes of the slices begun so far.
    length: u64,
    is_padded: bool,
}

impl<'a, I: Iterator<Item = &'a [u8]>> Lane<'a, I> {
    fn new(number: usize, slices: I) -> Self {
        let mut lane = Self {
            number,
            state: INITIAL_STATE,
            slices,
            slice: &[],
            joined: [[0; CHUNK_LENGTH]; 2],
            waiting: 0..0,
            length: 0,
            is_padded: false,
        };
        lane.refill();
        lane
    }

    /// The chunks that stand ready.
    fn run(&self) -> &[Chunk] {
        if self.waiting.is_empty() { self.slice.as_chunks().0 } else { &self.joined[self.waiting.clone()] }
    }

    /// Goes past the first `length` chunks of the run.
    fn advance(&mut self, length: usize) {
        if self.waiting.is_empty() {
            self.slice = &self.slice[length * CHUNK_LENGTH..];
        } else {
            self.waiting.start += length;
        }
        if self.run().is_empty() && !self.is_padded {
            self.refill();
        }
    }

    /// Finds the next chunk, when less than one is left of the slice under way.
    fn refill(&mut self) {
        let mut filled = 0;
        loop {
            let part = self.slice.len().min(CHUNK_LENGTH - filled);
            self.joined[0][filled..filled + part].copy_from_slice(&self.slice[..part]);
            self.slice = &self.slice[part..];
            filled += part;
            if filled == CHUNK_LENGTH {
                self.waiting = 0..1;
                return;
            }
            let Some(slice) = self.slices.next() else { return self.pad(filled) };
            self.slice = slice;
            self.length += slice.len() as u64;
            if filled == 0 && slice.len() >= CHUNK_LENGTH {
                self.waiting = 0..0;
                return;
            }
        }
    }

    /// Ends the message after the `filled` bytes of its last chunk (RFC 3174, section 4).
    fn pad(&mut self, filled: usize) {
        self.joined[0][filled..].fill(0);
        self.joined[0][filled] = 0x80;
        self.joined[1].fill(0);
        let last = usize::from(filled + 1 + LENGTH_FIELD > CHUNK_LENGTH);
        let bits = self.length * u64::from(u8::BITS);
        self.joined[last][CHUNK_LENGTH - LENGTH_FIELD..].copy_from_slice(&bits.to_be_bytes());
        self.waiting = 0..last + 1;
        self.is_padded = true;
    }

    fn is_done(&self) -> bool {
        self.is_padded && self.waiting.is_empty()
    }

    fn digest(&self) -> PieceHash {
        let mut digest = PieceHash::default();
        for (bytes, word) in digest.chunks_exact_mut(size_of::<u32>()).zip(self.state) {
            bytes.copy_from_slice(&word.to_be_bytes());
        }
        digest
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::unit::ShaUnit;
    use super::vectors::Vectors;
    use super::*;

    /// All ways, or those that this machine has.
    fn all_ways(messages: &[Vec<&[u8]>]) -> Vec<Vec<PieceHash>> {
        let messages = || messages.iter().map(|message| message.iter().copied());
        let mut ways = vec![one_by_one(messages()), digest_all(messages())];
        let parts = [ShaUnit::detect().map(Engine::Unit), Vectors::detect().map(Engine::Vectors)];
        ways.extend(parts.into_iter().flatten().map(|engine| interleaved(engine, messages())));
        ways
    }

    fn hex(digest: &PieceHash) -> String {
        digest.iter().map(|byte| format!("{byte:02x}")).collect()
    }

    #[test]
    fn the_vectors_of_rfc_3174_come_out() {
        let million = [b'a'; 1_000];
        let messages = [
            vec![b"abc".as_slice()],
            vec![b"abcdbcdecdefdefgefghfghighijhijkijkljklmklmnlmnomnopnopq".as_slice()],
            vec![million.as_slice(); 1_000],
            vec![b"01234567".as_slice(); 80],
            vec![],
        ];
        for digests in all_ways(&messages) {
            let digests: Vec<String> = digests.iter().map(hex).collect();
            assert_eq!(
                digests,
                [
                    "a9993e364706816aba3e25717850c26c9cd0d89d",
                    "84983e441c3bd26ebaae4aa1f95129e5e54670f1",
                    "34aa973cd4c4daa4f61eeb2bdbad27316534016f",
                    "dea356a2cddd90c7a7ecedc5ebb563934f460452",
                    "da39a3ee5e6b4b0d3255bfef95601890afd80709",
                ]
            );
        }
    }

    #[test]
    fn every_length_around_the_ends_of_chunks_is_padded_right() {
        let bytes: Vec<u8> = (0_u8..=255).collect();
        let messages: Vec<Vec<&[u8]>> = (0..=200).map(|length| vec![&bytes[..length]]).collect();
        let expected: Vec<PieceHash> =
            (0..=200).map(|length| Sha1::digest(&bytes[..length]).into()).collect();
        assert!(all_ways(&messages).iter().all(|digests| *digests == expected));
    }

    #[test]
    fn no_message_has_no_digest() {
        assert!(digest_all(std::iter::empty::<[&[u8]; 1]>()).is_empty());
    }

    /// A message, and where it is cut.
    fn message() -> impl Strategy<Value = (Vec<u8>, Vec<usize>)> {
        let bytes = prop::collection::vec(any::<u8>(), 0..2_000);
        (bytes, prop::collection::vec(0_usize..2_000, 0..12))
    }

    fn cut<'a>(bytes: &'a [u8], cuts: &[usize]) -> Vec<&'a [u8]> {
        let mut cuts: Vec<usize> = cuts.iter().map(|cut| cut % (bytes.len() + 1)).collect();
        cuts.extend([0, bytes.len()]);
        cuts.sort_unstable();
        cuts.windows(2).map(|ends| &bytes[ends[0]..ends[1]]).collect()
    }

    proptest! {
        #[test]
        fn digests_are_those_of_the_sha1_crate(messages in prop::collection::vec(message(), 1..20)) {
            let expected: Vec<PieceHash> =
                messages.iter().map(|(bytes, _)| Sha1::digest(bytes).into()).collect();
            let slices: Vec<Vec<&[u8]>> = messages.iter().map(|(bytes, cuts)| cut(bytes, cuts)).collect();
            for digests in all_ways(&slices) {
                prop_assert_eq!(&digests, &expected);
            }
        }
    }
}
