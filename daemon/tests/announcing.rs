//! What announcing costs a torrent that does nothing else: memory of this process, which is why the test is alone in
//! its binary.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on fails")]

use std::fs;
use std::net::{Ipv4Addr, TcpListener};
use std::sync::Arc;
use std::time::{Duration, Instant};

use btd::discovery::{Discovery, Handle, Lookup, Settings, Stats, Tracked, read_trackers};
use protocol::announce::{TrackerSet, TrackerState};
use protocol::id::{InfoHash, PeerId};

const TORRENTS: u32 = 50_000;
/// Most bytes of a torrent that waits for its time.
const MAX_WAITING: u64 = 400;
/// Most bytes of a torrent whose two trackers both failed over both families: the most that there can be to know.
const MAX_FAILING: u64 = 600;

fn hash(number: u32) -> InfoHash {
    InfoHash::of_info(&number.to_be_bytes())
}

/// Bytes of anonymous memory of this process.
fn anonymous() -> u64 {
    let status = fs::read_to_string("/proc/self/status").unwrap();
    let line = status.lines().find_map(|line| line.strip_prefix("RssAnon:")).unwrap();
    1024 * line.trim().trim_end_matches(" kB").parse::<u64>().unwrap()
}

fn add(handle: &Handle, number: u32, trackers: &Arc<TrackerSet>) {
    let (trackers, stats) = (Arc::clone(trackers), Arc::new(Stats::default()));
    let first = Some(Instant::now() + Duration::from_secs(3600));
    handle.add(Tracked { info_hash: hash(number), trackers, stats, first });
}

/// Does something to all torrents, never far ahead of the thread.
fn for_all(handle: &Handle, act: impl Fn(u32)) {
    for number in 0..TORRENTS {
        act(number);
        if number % 1_000 == 0 {
            handle.status(hash(0));
        }
    }
}

/// All names lead to this machine, over IPv4 alone.
fn resolve(_name: String) -> Lookup {
    Box::pin(async { Ok(vec![Ipv4Addr::LOCALHOST.into()]) })
}

fn report(what: &str, before: u64, most: u64) {
    let each = anonymous().saturating_sub(before) / u64::from(TORRENTS);
    println!("{what}: {each} bytes each");
    assert!(each <= most, "{what}: {each} bytes each");
}

#[test]
fn a_torrent_costs_a_few_hundred_bytes() {
    // A port that nobody listens at.
    let port = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap().local_addr().unwrap().port();
    let tiers = ["a", "b"].map(|name| vec![format!("http://{name}.test:{port}/announce")]);
    let trackers = read_trackers(&tiers);
    let our_id = PeerId::new(*b"-BD0100-abcdefghijkl");
    let settings = Settings::new(our_id, 6881, 7, Arc::new(|_, _| ()));
    let discovery = Discovery::start(Settings { resolve: Arc::new(resolve), ..settings }).unwrap();
    let handle = discovery.handle();
    add(&handle, TORRENTS, &trackers);
    let last = hash(TORRENTS - 1);
    assert_eq!(handle.status(hash(TORRENTS)).len(), 4);
    let before = anonymous();
    for_all(&handle, |number| add(&handle, number, &trackers));
    assert!(handle.status(last).iter().all(|status| status.state == TrackerState::Untried));
    report("waiting", before, MAX_WAITING);
    for_all(&handle, |number| handle.reannounce(hash(number)));
    let is_over = |state| matches!(state, TrackerState::Failing | TrackerState::NoAddress);
    while !handle.status(last).iter().all(|status| is_over(status.state)) {
        std::thread::yield_now();
    }
    report("failing", before, MAX_FAILING);
    let announces: u64 = handle.figures().iter().map(|figures| figures.announces).sum();
    assert!(announces < 100, "{announces} announces to hosts that are known to be dead");
}
