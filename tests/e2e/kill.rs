//! kill -9 at random moments, twenty times, while pieces are in flight: what was verified survives, nothing else is
//! trusted, and little is fetched twice.

use std::env;
use std::time::{SystemTime, UNIX_EPOCH};

use nix::sys::signal::Signal;
use tests::get::GET_LIMIT;
use tests::raw_seed::RawSeed;

use crate::Case;
use crate::offer::Offer;

pub(crate) const CASES: &[Case] = &[Case::new("a_killed_download_goes_on", a_killed_download_goes_on)];

/// How often it is killed.
const KILLS: usize = 20;
/// Bytes of the payload: 1,025 pieces of 64 KiB, four blocks each.
const LENGTH: u64 = 64 * 1024 * 1024 + 12_345;
/// Blocks in a piece.
const PIECE_BLOCKS: usize = 4;
/// Blocks that may be on their way at a time.
const AHEAD_BLOCKS: usize = 64;
/// Most blocks that are let through before a kill: twenty times the mean of that is two thirds of the payload.
const MAX_BLOCKS: u64 = 260;

/// A stream of numbers (splitmix64).
pub(crate) struct Random(pub(crate) u64);

impl Random {
    /// A number below `end`.
    pub(crate) fn below(&mut self, end: u64) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        (mixed ^ (mixed >> 31)) % end
    }
}

/// `$TESTS_SEED`, or one that no run had before; printed, so that a failure can be had again.
pub(crate) fn seed() -> u64 {
    let given = env::var("TESTS_SEED").ok().and_then(|text| text.parse().ok());
    given.unwrap_or_else(|| {
        let now = SystemTime::now().duration_since(UNIX_EPOCH).expect("the clock is past 1970");
        now.as_secs() * 1_000_000 + u64::from(now.subsec_micros())
    })
}

/// What one run has shown before it was killed.
struct Run {
    sent_blocks: usize,
    verified: usize,
    checked: Option<u32>,
}

impl Run {
    /// Whether blocks of pieces that were not verified had left the seed.
    fn had_pieces_in_flight(&self) -> bool {
        self.sent_blocks > self.verified * PIECE_BLOCKS
    }
}

/// Downloads until the seed has sent `blocks` more, or, if `is_told`, until as many as that are verified; then kills.
fn run_and_kill(
    offer: &Offer,
    seed: &RawSeed,
    folder: &std::path::Path,
    blocks: usize,
    is_told: bool,
) -> Run {
    let before = seed.sent_count();
    let mut getter = offer.get(folder, &[seed.address], &[]);
    if is_told {
        // The line is read the moment it is written: what is remembered of the piece is being written, too.
        seed.allow(blocks + AHEAD_BLOCKS);
        for _ in 0..blocks.div_ceil(PIECE_BLOCKS) {
            getter.verified();
        }
    } else {
        seed.allow(blocks);
        seed.wait_sent(before + blocks, GET_LIMIT);
    }
    let ended = getter.end(Signal::SIGKILL);
    seed.hang_up();
    assert_eq!(ended.output.code(), None, "it was killed: {}", ended.output.describe());
    Run {
        sent_blocks: seed.sent_count() - before,
        verified: ended.verified().len(),
        checked: ended.checked(),
    }
}

fn a_killed_download_goes_on() {
    let number = seed();
    println!("kill: TESTS_SEED={number}");
    let mut random = Random(number);
    let offer = Offer::single_with("kill", LENGTH, &["--piece-length", "64KiB"]);
    let folder = offer.place("got");
    let seed = RawSeed::start(&offer.torrent, offer.bytes(), 0, |_| false);
    let (mut in_flight, mut told) = (0, 0);
    for kill in 0..KILLS {
        let blocks = usize::try_from(1 + random.below(MAX_BLOCKS)).unwrap();
        seed.forbid();
        let run = run_and_kill(&offer, &seed, &folder, blocks, kill % 3 == 2);
        in_flight += usize::from(run.had_pieces_in_flight());
        // Every piece that was told as verified was remembered, or is found again.
        if let Some(checked) = run.checked {
            let checked = usize::try_from(checked).unwrap();
            assert!(
                checked >= told,
                "seed {number}, kill {kill}: {checked} of {told} verified pieces survived"
            );
            told = checked;
        }
        told += run.verified;
    }
    seed.allow(usize::MAX);
    let ended = offer.get(&folder, &[seed.address], &[]).finish();
    offer.assert_in(&folder);
    let checked = ended.checked().unwrap_or(0);
    let (fetched, all) = (seed.sent_count(), offer.block_count());
    println!(
        "kill: {KILLS} kills, {in_flight} with pieces in flight; {checked} pieces survived the last; \
         {fetched} blocks were fetched of {all}"
    );
    assert!(in_flight * 2 >= KILLS, "seed {number}: only {in_flight} of {KILLS} kills had pieces in flight");
    assert!(fetched * 10 <= all * 16, "seed {number}: {fetched} blocks were fetched of {all}");
    assert!(usize::try_from(checked).unwrap() >= told, "seed {number}: {checked} of {told} pieces survived");
}
