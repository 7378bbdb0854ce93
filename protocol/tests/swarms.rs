//! Whole swarms on a clock of their own: the shipped machine, picker, choker and swarm, hundreds of times, from seeds.
//!
//! `SIM_SEED=n` runs that seed alone, `SIM_SEED=n..m` those; a failure prints its own. Figures come with `--nocapture`.

#![expect(clippy::panic, clippy::unwrap_used, reason = "a test that cannot go on fails")]

mod sim;

use std::ops::Range;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use protocol::geometry::BLOCK_LENGTH;
use protocol::swarm::Settings;
use protocol::swarm::picker::PieceOrder;
use sim::{Kind, Net, Node, Plan, Torrent, World, random};

/// Threads that share the seeds of one test: the tests themselves run side by side.
const THREADS: usize = 2;
const HOUR: Duration = Duration::from_secs(3_600);

/// Says which seed it was when the test fails.
struct Seed(u64);

impl Drop for Seed {
    fn drop(&mut self) {
        if std::thread::panicking() {
            eprintln!("SIM_SEED={} runs this world again", self.0);
        }
    }
}

/// Runs `check` for each of `seeds`, or for the one that the environment names.
fn each_seed(seeds: Range<u64>, check: impl Fn(u64) + Sync) {
    let seeds = match std::env::var("SIM_SEED") {
        Ok(seed) => match seed.split_once("..") {
            Some((first, end)) => first.parse().unwrap()..end.parse().unwrap(),
            None => seed.parse().unwrap()..seed.parse::<u64>().unwrap() + 1,
        },
        Err(_) => seeds,
    };
    let next = AtomicU64::new(seeds.start);
    std::thread::scope(|scope| {
        for _ in 0..THREADS {
            scope.spawn(|| {
                loop {
                    let seed = next.fetch_add(1, Ordering::Relaxed);
                    if seed >= seeds.end {
                        return;
                    }
                    let _seed = Seed(seed);
                    check(seed);
                }
            });
        }
    });
}

/// Runs `world` until everybody has everything who is to.
fn complete(world: &mut World, limit: Duration) {
    assert!(world.run(limit, World::is_complete), "not everybody completes, {}", world.describe());
}

#[test]
fn every_honest_leecher_of_a_small_swarm_completes_whatever_the_others_do() {
    each_seed(0..300, |seed| complete(&mut random::world(seed), 4 * HOUR));
}

#[test]
fn the_same_seed_gives_the_same_run_and_another_gives_another() {
    let trace = |seed| {
        let mut world = random::world(seed);
        complete(&mut world, 4 * HOUR);
        world.trace
    };
    each_seed(1_000..1_010, |seed| {
        assert_eq!(trace(seed), trace(seed));
        assert_ne!(trace(seed), trace(seed + 1));
    });
}

/// Pieces and their length in the large swarm.
const PIECE_COUNT: usize = 400;
const PIECE_LENGTH: u32 = 64 * 1_024;
/// What everybody uploads in it, in bytes a second: a piece.
const RATE: u64 = 64 * 1_024;

/// One seed and 30 leechers that all upload as much: when the last one finishes, in units of size / rate, and how many
/// copies the seed has sent by when every block has left it once.
fn spread(seed: u64, piece_order: PieceOrder) -> (f64, f64) {
    let torrent = torrent(seed, PIECE_COUNT);
    let settings = Settings { piece_order, seed_slots: Some(4), ..Settings::default() };
    let plan = Plan { settings, ..Plan::leecher(RATE) };
    let mut plans = vec![Plan { is_seed: true, ..plan.clone() }];
    plans.extend((0..30).map(|_| plan.clone()));
    let mut world = World::new(seed, torrent, Net::default(), plans);
    complete(&mut world, 10 * HOUR);
    // A piece a second.
    (world.now.as_secs_f64() / as_f64(PIECE_COUNT), world.copies.at_first_copy().unwrap())
}

#[test]
fn thirty_leechers_finish_soon_after_the_seed_has_sent_little_more_than_one_copy() {
    each_seed(1..3, |seed| {
        let (time, copies) = spread(seed, PieceOrder::RarestFirst);
        let (ordered_time, ordered_copies) = spread(seed, PieceOrder::Sequential);
        println!(
            "seed {seed}: the last of 30 finishes after {time:.2} of size/U (in order: {ordered_time:.2}), the seed \
             has then sent {copies:.3} copies by the first whole one (in order: {ordered_copies:.3})"
        );
        assert!(time <= 1.4, "the last one finishes after {time:.2} of size/U");
        assert!(copies <= 1.15, "the first copy costs the seed {copies:.2}");
        assert!(ordered_time > time && ordered_copies > copies, "in-order picking is no worse");
    });
}

/// How much of the payload each of `nodes` has fetched, on average.
fn fetched(world: &World, nodes: Range<usize>) -> f64 {
    mean(world, nodes, |node| node.fetched)
}

/// How much of the payload each of `nodes` has sent, on average.
fn served(world: &World, nodes: Range<usize>) -> f64 {
    mean(world, nodes, |node| node.served)
}

fn mean(world: &World, nodes: Range<usize>, count: impl Fn(&Node) -> u64) -> f64 {
    let nodes = &world.nodes[nodes];
    let blocks: u64 = nodes.iter().map(|node| count(node) / u64::from(BLOCK_LENGTH)).sum();
    let payload = world.torrent.payload.len() / BLOCK_LENGTH as usize;
    as_f64(usize::try_from(blocks).unwrap()) / as_f64(nodes.len() * payload)
}

fn as_f64(count: usize) -> f64 {
    f64::from(u32::try_from(count).unwrap())
}

/// A payload of so many pieces of the usual length.
fn torrent(seed: u64, piece_count: usize) -> Torrent {
    Torrent::new(seed, piece_count * PIECE_LENGTH as usize, PIECE_LENGTH)
}

/// How long pieces are what a new swarm lacks: everybody has the few that the seed has sent.
const START: Duration = Duration::from_secs(60);

/// Bandwidth is scarce from when there are pieces to share until some have nearly all: then they have little to ask of
/// each other, and what they do not need goes to whoever asks.
#[test]
fn who_uploads_nothing_gets_less_than_a_third_of_what_others_get_while_bandwidth_is_scarce() {
    each_seed(1..5, |seed| {
        let mut plans = vec![Plan::seed(2 * RATE)];
        plans[0].settings.seed_slots = Some(4);
        plans.extend((0..20).map(|_| Plan::leecher(RATE)));
        let mut greedy = Plan::leecher(RATE);
        greedy.settings.leech_slots = Some(0);
        plans.extend([greedy.clone(), greedy]);
        let mut world = World::new(seed, torrent(seed, PIECE_COUNT), Net::default(), plans);
        world.run(START, |_| false);
        let before = (fetched(&world, 1..21), fetched(&world, 21..23), served(&world, 1..21));
        let most = world.torrent.piece_count() * 3 / 4;
        let is_over = |world: &World| world.nodes[1..21].iter().any(|node| node.have_count() >= most);
        assert!(world.run(HOUR, is_over), "nobody gets far");
        let (given, greedy) = (fetched(&world, 1..21), fetched(&world, 21..23));
        let (rate, greedy_rate) = (given - before.0, greedy - before.1);
        let capacity = (world.now - START).as_secs_f64() / as_f64(PIECE_COUNT);
        let usage = (served(&world, 1..21) - before.2) / capacity;
        println!(
            "seed {seed}: who uploads nothing gets {:.3} of what others get, {:.3} with the start; {usage:.2} of all \
             uploads are used",
            greedy_rate / rate,
            greedy / given
        );
        assert!(usage > 0.9, "bandwidth is not scarce: {usage:.2} of it is used");
        assert!(greedy_rate < rate / 3.0, "{greedy_rate:.3} payloads against {rate:.3}");
    });
}

#[test]
fn who_sends_wrong_bytes_is_banned_and_costs_little() {
    each_seed(1..9, |seed| {
        let mut plans = vec![Plan::seed(RATE)];
        plans.extend((0..8).map(|_| Plan::leecher(RATE)));
        let share = if seed % 2 == 0 { 1.0 } else { 0.3 };
        plans.push(Plan { kind: Kind::Corrupt(share), ..Plan::seed(2 * RATE) });
        let mut world = World::new(seed, torrent(seed, 100), Net::default(), plans);
        complete(&mut world, HOUR);
        let fetched = fetched(&world, 1..9);
        let judges = world.nodes[1..9].iter().filter(|node| node.banned.contains(&9)).count();
        println!("seed {seed}: {judges} of 8 ban the liar; {fetched:.3} payloads are fetched");
        assert_eq!(judges, 8, "everybody bans who sends wrong bytes");
        assert!(fetched <= 1.3, "{fetched:.3} payloads are fetched");
    });
}

/// What the end-game costs is a few blocks for each peer, however long the payload: here it has 800.
#[test]
fn in_a_quiet_swarm_next_to_nothing_is_fetched_twice() {
    each_seed(1..5, |seed| {
        let mut plans = vec![Plan::seed(RATE), Plan::seed(4 * RATE)];
        plans.extend((0..8).map(|_| Plan::leecher(RATE)));
        let mut world = World::new(seed, torrent(seed, 200), Net::default(), plans);
        complete(&mut world, HOUR);
        let fetched: Vec<f64> = (2..10).map(|node| fetched(&world, node..node + 1)).collect();
        println!("seed {seed}: {fetched:.3?} payloads are fetched");
        assert!(fetched.iter().all(|fetched| *fetched <= 1.05), "{fetched:.3?} payloads are fetched");
    });
}
