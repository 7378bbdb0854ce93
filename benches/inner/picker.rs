//! The picker of a large torrent among a thousand peers: what to ask of one of them, and what it has.

use std::collections::BTreeSet;
use std::hint::black_box;

use criterion::{BenchmarkGroup, Criterion, Throughput, measurement::WallTime};
use protocol::geometry::Block;
use protocol::piece_set::PieceSet;
use protocol::swarm::PeerKey;
use protocol::swarm::picker::{Ask, Pace, Picker, PieceOrder};
use rand::seq::SliceRandom;

use crate::clock;
use crate::crowd::{Crowd, PEER_COUNT, few, half, rng};
use crate::lazy::Lazy;
use crate::torrent::{MANY_PIECES, PIECE_BLOCKS, geometry};

/// Blocks of a whole piece.
const WHOLE: usize = PIECE_BLOCKS as usize;
/// Blocks on their way from each peer where four share a piece.
const PART: usize = WHOLE / 4;
/// Pieces of a peer that has hardly begun.
const FEW: u32 = 100;
/// Pieces that are missing in the end-game: more blocks than the thousand peers would take.
const LAST_PIECES: u32 = 100;
/// HAVE messages of a round.
const HAVES: usize = 1_000;

/// Measures picks for one peer, and what it says of its pieces.
pub(crate) fn measure(criterion: &mut Criterion) {
    let mut rng = rng();
    let crowd = Crowd::new(&mut rng);
    let (nothing, some) = (PieceSet::new(MANY_PIECES), half(&mut rng));
    let mut fresh = Lazy::new(|| Stage::new(&crowd, &nothing, WHOLE));
    let mut halfway = Lazy::new(|| Stage::new(&crowd, &some, WHOLE));
    // Some 250 pieces have free blocks.
    let mut begun = Lazy::new(|| Stage::new(&crowd, &some, PART).choked_by_half());
    let mut ending = Lazy::new(|| Stage::new(&crowd, &all_but(LAST_PIECES), PART));

    let mut group = criterion.benchmark_group("picker");
    let (half, few) = (&crowd.newcomer, &few(FEW));
    let new = Pick { has: half, blocks: WHOLE, pieces: 1 };
    measure_pick(&mut group, "64 blocks, fresh", &mut fresh, new);
    measure_pick(&mut group, "64 blocks, half complete", &mut halfway, new);
    let of_begun = Pick { has: half, blocks: WHOLE, pieces: WHOLE / PART };
    measure_pick(&mut group, "64 blocks, of pieces that were begun", &mut begun, of_begun);
    let of_few = Pick { has: few, blocks: WHOLE, pieces: 1 };
    measure_pick(&mut group, "64 blocks, of none that was begun", &mut begun, of_few);
    let last = Pick { has: half, blocks: 1, pieces: 1 };
    measure_pick(&mut group, "1 block, end-game", &mut ending, last);
    measure_haves(&mut group, &mut fresh);
    measure_bitfields(&mut group, &mut fresh);
    group.finish();
}

/// A picker among the crowd, each of whom is asked for some blocks.
struct Stage {
    picker: Picker,
}

impl Stage {
    /// The pieces in `have` are verified, and `asked` blocks are on their way from each peer.
    fn new(crowd: &Crowd, have: &PieceSet, asked: usize) -> Self {
        let picker = Picker::new(geometry(MANY_PIECES), have, PieceOrder::RarestFirst, &mut rng());
        let mut stage = Self { picker };
        crowd.peers.iter().for_each(|pieces| stage.picker.peer_joined(pieces));
        for (key, pieces) in (0..).map(PeerKey).zip(&crowd.peers) {
            stage.pick(key, pieces, asked);
        }
        stage
    }

    /// Every second peer gives nothing any more: what was asked of it is to be asked of others.
    fn choked_by_half(mut self) -> Self {
        (0..PEER_COUNT.into()).step_by(2).for_each(|key| self.picker.forget_peer(PeerKey(key)));
        self
    }

    fn pick(&mut self, peer: PeerKey, pieces: &PieceSet, count: usize) -> Vec<Block> {
        let mut out = Vec::with_capacity(count);
        self.picker.pick(Ask { peer, pieces, count, pace: Pace::Fast, preferred: &[], only: None }, &mut out);
        out
    }
}

/// All pieces but the last `count`.
fn all_but(count: u32) -> PieceSet {
    let mut pieces = PieceSet::full(MANY_PIECES);
    (0..count).for_each(|number| _ = pieces.remove(MANY_PIECES - 1 - number));
    pieces
}

/// What one more peer is asked for.
#[derive(Clone, Copy)]
struct Pick<'a> {
    /// What the peer has.
    has: &'a PieceSet,
    blocks: usize,
    /// Of how many pieces they are.
    pieces: usize,
}

impl Pick<'_> {
    /// That `blocks` are what may be asked of the peer.
    fn check(&self, blocks: &[Block], picker: &Picker) {
        assert_eq!(blocks.len(), self.blocks);
        assert!(blocks.iter().all(|block| self.has.contains(block.piece) && picker.wants(block.piece)));
        let pieces: BTreeSet<u32> = blocks.iter().map(|block| block.piece).collect();
        assert_eq!(pieces.len(), self.pieces, "{pieces:?}");
    }
}

/// One more peer is asked for blocks; then it is gone.
fn measure_pick(
    group: &mut BenchmarkGroup<'_, WallTime>,
    name: &str,
    stage: &mut Lazy<Stage, impl Fn() -> Stage>,
    pick: Pick<'_>,
) {
    let newcomer = PeerKey(PEER_COUNT.into());
    group.throughput(Throughput::Elements(pick.blocks as u64));
    group.bench_function(name, |bencher| {
        let work = |stage: &mut Stage| stage.pick(newcomer, black_box(pick.has), pick.blocks);
        clock::measure(bencher, stage.get(), work, |stage, blocks| {
            pick.check(&blocks, &stage.picker);
            stage.picker.forget_peer(newcomer);
        });
    });
}

/// A peer that had nothing gains pieces, one HAVE each; then it is gone.
fn measure_haves(group: &mut BenchmarkGroup<'_, WallTime>, stage: &mut Lazy<Stage, impl Fn() -> Stage>) {
    let mut gained: Vec<u32> = (0..MANY_PIECES).collect();
    gained.shuffle(&mut rng());
    gained.truncate(HAVES);
    group.throughput(Throughput::Elements(HAVES as u64));
    group.bench_function("1,000 haves", |bencher| {
        let stage = stage.get();
        let before = stage.picker.availability(gained[0]);
        let work = |stage: &mut Stage| {
            let mut pieces = PieceSet::new(MANY_PIECES);
            for piece in &gained {
                pieces.insert(*piece);
                stage.picker.peer_gained(&pieces, *piece);
            }
            pieces
        };
        clock::measure(bencher, stage, work, |stage, pieces| {
            assert_eq!(pieces.len() as usize, HAVES);
            assert_eq!(stage.picker.availability(gained[0]), before + 1);
            stage.picker.peer_left(&pieces);
        });
    });
}

/// A peer says all its pieces at once, and is gone.
fn measure_bitfields(group: &mut BenchmarkGroup<'_, WallTime>, stage: &mut Lazy<Stage, impl Fn() -> Stage>) {
    let all = PieceSet::full(MANY_PIECES);
    group.throughput(Throughput::Elements(1));
    for (name, pieces) in
        [("half of all pieces come and go", half(&mut rng())), ("all pieces come and go", all)]
    {
        let piece = pieces.iter().next().unwrap();
        group.bench_function(name, |bencher| {
            let Stage { picker } = stage.get();
            let before = picker.availability(piece);
            bencher.iter(|| {
                picker.peer_joined(black_box(&pieces));
                assert_eq!(picker.availability(piece), before + 1);
                picker.peer_left(black_box(&pieces));
            });
            assert_eq!(picker.availability(piece), before);
        });
    }
}
