//! The picker of a large torrent that comes from a hundred seeds at once: blocks that come in, and pieces that are
//! verified.

use criterion::{Criterion, Throughput};
use protocol::geometry::Block;
use protocol::piece_set::PieceSet;
use protocol::swarm::PeerKey;
use protocol::swarm::picker::{Ask, Pace, Picker, PieceOrder, Receipt};

use crate::clock;
use crate::crowd::{PEER_COUNT, rng};
use crate::lazy::Lazy;
use crate::torrent::{MANY_PIECES, PIECE_BLOCKS, geometry};

/// Peers that give a piece each in one round: together somewhat less than a picker holds unverified.
const GIVERS: u32 = 100;
/// Blocks of a round.
const BLOCKS: u32 = GIVERS * PIECE_BLOCKS;

/// Measures the blocks and the pieces of a round.
pub(crate) fn measure(criterion: &mut Criterion) {
    let mut coming = Lazy::new(|| Download::new().asked_for());
    let mut whole = Lazy::new(|| Download::new().asked_for().received());
    let mut group = criterion.benchmark_group("fetching");
    group.throughput(Throughput::Elements(BLOCKS.into()));
    group.bench_function("6,400 blocks received", |bencher| {
        clock::measure(bencher, coming.get(), Download::receive, |download, whole| {
            assert_eq!(whole, GIVERS);
            download.verify();
            download.ask();
        });
    });
    group.throughput(Throughput::Elements(GIVERS.into()));
    group.bench_function("100 pieces verified", |bencher| {
        clock::measure(bencher, whole.get(), Download::verify, |download, left| {
            assert_eq!(left, download.wanted - GIVERS);
            download.ask();
            assert_eq!(download.receive(), GIVERS);
        });
    });
    group.finish();
}

/// A picker whose peers are all seeds.
struct Download {
    picker: Picker,
    /// Pieces that were wanted when the blocks were asked for.
    wanted: u32,
    all: PieceSet,
    /// Blocks on their way, in the order in which they come: each peer sends one in its turn.
    asked: Vec<(PeerKey, Block)>,
}

impl Download {
    fn new() -> Self {
        let (nothing, all) = (PieceSet::new(MANY_PIECES), PieceSet::full(MANY_PIECES));
        let mut picker = Picker::new(geometry(MANY_PIECES), &nothing, PieceOrder::RarestFirst, &mut rng());
        (0..PEER_COUNT).for_each(|_| picker.peer_joined(&all));
        Self { picker, wanted: MANY_PIECES, all, asked: Vec::new() }
    }

    fn asked_for(mut self) -> Self {
        self.ask();
        self
    }

    fn received(mut self) -> Self {
        assert_eq!(self.receive(), GIVERS);
        self
    }

    /// Asks each giver for a piece; of a new torrent when nothing is left of this one.
    fn ask(&mut self) {
        if self.picker.is_complete() {
            *self = Self::new();
        }
        self.wanted = self.picker.wanted_left();
        let (pieces, count) = (&self.all, PIECE_BLOCKS as usize);
        let mut turns: Vec<(usize, PeerKey, Block)> = Vec::new();
        for peer in (0..GIVERS.into()).map(PeerKey) {
            let ask = Ask { peer, pieces, count, pace: Pace::Fast, preferred: &[], only: None };
            let mut blocks = Vec::new();
            self.picker.pick(ask, &mut blocks);
            turns.extend(blocks.into_iter().enumerate().map(|(turn, block)| (turn, peer, block)));
        }
        turns.sort_by_key(|(turn, ..)| *turn);
        self.asked = turns.into_iter().map(|(_, peer, block)| (peer, block)).collect();
    }

    /// All blocks come in: how many pieces are whole now.
    fn receive(&mut self) -> u32 {
        let mut whole = 0;
        for (peer, block) in &self.asked {
            let receipt = self.picker.received(*block, *peer);
            whole += u32::from(matches!(receipt, Receipt::New { is_last: true, .. }));
        }
        whole
    }

    /// All pieces that came in are verified: how many are left.
    fn verify(&mut self) -> u32 {
        let firsts = self.asked.iter().filter(|(_, block)| block.begin == 0);
        firsts.for_each(|(_, block)| self.picker.verified(block.piece));
        self.picker.wanted_left()
    }
}
