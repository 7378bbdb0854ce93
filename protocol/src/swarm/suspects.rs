//! Finds out who sent the wrong block of a piece that failed its hash.
//!
//! Storage names the blocks of every failed piece by digest and sender; once the piece passes, the blocks that differ
//! tell who is to blame. The swarm bans. A sender may have left meanwhile and is named all the same: the caller keeps
//! the address of every connection that sent something, and bans that.

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use super::PeerKey;

/// Failed attempts at one piece that are remembered: a piece that fails more often is attacked by many, and every
/// pass blames all of them.
pub const MAX_ATTEMPTS_PER_PIECE: usize = 8;
/// Failed attempts that are remembered in all.
pub const MAX_ATTEMPTS: usize = 256;
/// Digests that are remembered in all: 8 MiB, which eight attempts at a piece of the greatest length fill.
pub const MAX_DIGESTS: usize = 256 * 1024;

/// One block as it was received.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct BlockDigest {
    /// First byte within the piece.
    pub begin: u32,
    /// SHA-1 of the bytes.
    pub digest: [u8; 20],
    /// Who sent it.
    pub source: PeerKey,
}

/// The failed pieces of one torrent whose culprits are not known yet.
#[derive(Debug, Default)]
pub struct Suspects {
    /// The oldest first.
    attempts: VecDeque<Attempt>,
    digest_count: usize,
}

/// A piece that failed, by its blocks.
#[derive(Debug)]
struct Attempt {
    piece: u32,
    blocks: Vec<BlockDigest>,
}

impl Suspects {
    /// Suspects nobody.
    pub fn new() -> Self {
        Self::default()
    }

    /// A piece failed its hash. Returns whom to ban at once: the peer that sent all of it, if it was one.
    pub fn failed(&mut self, piece: u32, blocks: Vec<BlockDigest>) -> Vec<PeerKey> {
        let Some(first) = blocks.first().map(|block| block.source) else { return vec![] };
        if blocks.iter().all(|block| block.source == first) {
            return vec![first];
        }
        if self.attempts.iter().filter(|attempt| attempt.piece == piece).count() >= MAX_ATTEMPTS_PER_PIECE
            && let Some(oldest) = self.attempts.iter().position(|attempt| attempt.piece == piece)
        {
            self.drop_attempt(oldest);
        }
        self.digest_count += blocks.len();
        self.attempts.push_back(Attempt { piece, blocks });
        while self.attempts.len() > MAX_ATTEMPTS || self.digest_count > MAX_DIGESTS {
            self.drop_attempt(0);
        }
        vec![]
    }

    /// A piece passed its hash with these blocks. Returns everyone who sent another block in its place before, each
    /// once.
    pub fn passed(&mut self, piece: u32, good: &[BlockDigest]) -> Vec<PeerKey> {
        if !self.has_failed(piece) {
            return vec![];
        }
        let good: BTreeMap<u32, [u8; 20]> = good.iter().map(|block| (block.begin, block.digest)).collect();
        let mut guilty = BTreeSet::new();
        self.attempts.retain(|attempt| {
            if attempt.piece == piece {
                let is_wrong =
                    |block: &&BlockDigest| good.get(&block.begin).is_some_and(|it| *it != block.digest);
                guilty.extend(attempt.blocks.iter().filter(is_wrong).map(|block| block.source));
                self.digest_count -= attempt.blocks.len();
            }
            attempt.piece != piece
        });
        guilty.into_iter().collect()
    }

    /// Whether a failed attempt at `piece` is remembered. Such a piece is best fetched from one peer alone: if that
    /// fails too, there is no doubt who did it.
    pub fn has_failed(&self, piece: u32) -> bool {
        self.attempts.iter().any(|attempt| attempt.piece == piece)
    }

    fn drop_attempt(&mut self, index: usize) {
        if let Some(attempt) = self.attempts.remove(index) {
            self.digest_count -= attempt.blocks.len();
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// Blocks of which `(content, source)` stands at each place.
    fn blocks(list: &[(u8, u64)]) -> Vec<BlockDigest> {
        let block = |(begin, &(content, source)): (u32, &(u8, u64))| BlockDigest {
            begin: begin * 16_384,
            digest: [content; 20],
            source: PeerKey(source),
        };
        (0..).zip(list).map(block).collect()
    }

    #[test]
    fn who_sent_all_of_a_failed_piece_is_banned_at_once() {
        let mut suspects = Suspects::new();
        assert_eq!(suspects.failed(3, blocks(&[(1, 7), (2, 7)])), [PeerKey(7)]);
        assert!(!suspects.has_failed(3));
        assert_eq!(suspects.failed(3, vec![]), []);
    }

    #[test]
    fn who_sent_the_block_that_differs_is_banned_when_the_piece_passes() {
        let mut suspects = Suspects::new();
        assert_eq!(suspects.failed(3, blocks(&[(1, 7), (9, 8), (3, 5)])), []);
        assert_eq!(suspects.failed(4, blocks(&[(0, 7), (0, 5)])), []);
        assert!(suspects.has_failed(3));
        assert_eq!(suspects.passed(3, &blocks(&[(1, 5), (2, 5), (3, 5)])), [PeerKey(8)]);
        assert!(!suspects.has_failed(3) && suspects.has_failed(4));
        assert_eq!(suspects.passed(3, &blocks(&[(0, 5), (0, 5), (0, 5)])), []);
    }

    #[test]
    fn every_failed_attempt_is_judged() {
        let mut suspects = Suspects::new();
        suspects.failed(0, blocks(&[(9, 1), (2, 2)]));
        suspects.failed(0, blocks(&[(1, 3), (9, 4)]));
        assert_eq!(suspects.passed(0, &blocks(&[(1, 5), (2, 5)])), [PeerKey(1), PeerKey(4)]);
    }

    #[test]
    fn a_block_of_another_cut_proves_nothing() {
        let mut suspects = Suspects::new();
        suspects.failed(0, blocks(&[(1, 1), (2, 2), (9, 3)]));
        assert_eq!(suspects.passed(0, &blocks(&[(1, 5), (2, 5)])), []);
    }

    #[test]
    fn what_is_remembered_is_bounded_and_the_oldest_goes_first() {
        let mut suspects = Suspects::new();
        for piece in 0..300 {
            suspects.failed(piece, blocks(&[(1, 1), (2, 2)]));
        }
        assert!(!suspects.has_failed(43) && suspects.has_failed(44));
        let long = blocks(&(0..32_768).map(|place| (0, place % 2)).collect::<Vec<_>>());
        for _ in 0..20 {
            suspects.failed(1_000, long.clone());
            assert!(suspects.digest_count <= MAX_DIGESTS);
        }
        assert!(suspects.attempts.iter().all(|attempt| attempt.piece == 1_000));
        assert_eq!(suspects.attempts.len(), MAX_ATTEMPTS_PER_PIECE);
    }

    proptest! {
        #[test]
        fn nobody_who_only_sent_good_blocks_is_blamed_and_every_liar_of_a_shared_piece_is(
            attempts in prop::collection::vec((0_u32..3, prop::collection::vec((0_u64..6, any::<bool>()), 2..6)), 1..8),
        ) {
            let mut suspects = Suspects::new();
            let mut liars: BTreeMap<u32, BTreeSet<PeerKey>> = BTreeMap::new();
            let mut count = 0;
            for (piece, sent) in attempts {
                let list: Vec<_> = sent.iter().map(|(source, lies)| (u8::from(*lies), *source)).collect();
                let banned = suspects.failed(piece, blocks(&list));
                let sources: BTreeSet<_> = sent.iter().map(|(source, _)| PeerKey(*source)).collect();
                if sources.len() == 1 {
                    prop_assert!(banned.iter().eq(&sources));
                } else {
                    prop_assert_eq!(banned, []);
                    let lied = sent.iter().filter(|(_, lies)| *lies).map(|(source, _)| PeerKey(*source));
                    liars.entry(piece).or_default().extend(lied);
                    count += sent.len();
                }
                prop_assert_eq!(suspects.digest_count, count);
            }
            for piece in 0..3 {
                let guilty = suspects.passed(piece, &blocks(&[(0, 9); 6]));
                prop_assert!(guilty.iter().eq(liars.entry(piece).or_default().iter()));
            }
            prop_assert_eq!(suspects.digest_count, 0);
        }
    }
}
