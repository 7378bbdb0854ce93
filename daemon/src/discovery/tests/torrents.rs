//! The thread as a whole: torrents come and go, complete and stop.

use std::sync::atomic::AtomicUsize;
use std::time::Instant;

use protocol::announce::TrackerState;
use tokio::sync::Notify;

use super::*;

fn hash(number: u16) -> InfoHash {
    let mut bytes = [9; 20];
    bytes[..2].copy_from_slice(&number.to_be_bytes());
    InfoHash::new(bytes)
}

fn tracked(number: u16, tiers: &[&[String]]) -> Tracked {
    let tiers: Vec<Vec<String>> = tiers.iter().map(|tier| tier.to_vec()).collect();
    let (trackers, stats) = (read_trackers(&tiers), Arc::new(Stats::default()));
    Tracked { info_hash: hash(number), trackers, stats, first: None }
}

/// A tracker that passes on what it is asked, and answers at once.
async fn listening() -> (SocketAddr, mpsc::UnboundedReceiver<Announce>) {
    let (asked, requests) = mpsc::unbounded_channel();
    let at = serve(move |target| {
        asked.send(query(&target)).ok();
        std::future::ready(body(Answer { min_interval: Some(Duration::ZERO), ..answer(&["10.0.0.1:1"]) }))
    })
    .await;
    (at, requests)
}

async fn next<T>(receiver: &mut mpsc::UnboundedReceiver<T>) -> T {
    timeout(PATIENCE, receiver.recv()).await.expect("it comes").expect("the other side lives")
}

async fn stop(discovery: Discovery, within: Duration) -> Duration {
    let start = Instant::now();
    tokio::task::spawn_blocking(move || discovery.stop(within)).await.unwrap();
    start.elapsed()
}

#[tokio::test]
async fn a_torrent_is_started_completed_and_stopped_in_true_numbers() {
    let (settings, mut found) = settings();
    let (at, mut asked) = listening().await;
    let discovery = Discovery::start(settings).unwrap();
    let handle = discovery.handle();
    let torrent = tracked(1, &[&["ws://x/".to_owned(), format!("http://v4.test:{}/a/secret", at.port())]]);
    let stats = Arc::clone(&torrent.stats);
    assert_eq!(handle.add(torrent), 1, "a scheme that is not spoken does not count");
    let started = next(&mut asked).await;
    assert_eq!((started.event, started.left, started.num_want), (Event::Started, UNKNOWN_LEFT, Some(200)));
    let (info_hash, peers) = next(&mut found).await;
    assert_eq!((info_hash, peers.peers.len(), peers.family), (hash(1), 1, Family::V4));
    assert_eq!(peers.tracker, format!("http://v4.test:{}", at.port()), "the path may be a secret");
    stats.downloaded.store(1_000, Ordering::Relaxed);
    stats.left.store(0, Ordering::Relaxed);
    handle.completed(hash(1));
    let completed = next(&mut asked).await;
    assert_eq!((completed.event, completed.downloaded, completed.left), (Event::Completed, 1_000, 0));
    next(&mut found).await;
    handle.want_peers(hash(1));
    assert_eq!(next(&mut asked).await.event, Event::None);
    next(&mut found).await;
    stats.uploaded.store(5, Ordering::Relaxed);
    stop(discovery, PATIENCE).await;
    let stopped = next(&mut asked).await;
    assert_eq!((stopped.event, stopped.uploaded, stopped.num_want), (Event::Stopped, 5, Some(0)));
    assert!(asked.try_recv().is_err(), "nothing else was asked");
    assert!(handle.status(hash(1)).is_empty(), "a handle outlives the thread, and does nothing");
}

#[tokio::test]
async fn a_seed_is_not_told_of_peers_that_are_all_seeds() {
    let (settings, mut found) = settings();
    let at = serve(|target| {
        // There is a leecher, until one that asks is complete.
        let leechers = Some(u32::from(query(&target).event != Event::Completed));
        std::future::ready(body(Answer { seeds: Some(2), leechers, ..answer(&["10.0.0.1:1"]) }))
    })
    .await;
    let discovery = Discovery::start(settings).unwrap();
    let mut peers_of = async |number: u16, left: u64, is_complete: bool| {
        let torrent = tracked(number, &[&[format!("http://{at}/")]]);
        torrent.stats.left.store(left, Ordering::Relaxed);
        discovery.handle().add(torrent);
        let first = next(&mut found).await.1;
        if !is_complete {
            return first;
        }
        discovery.handle().completed(hash(number));
        next(&mut found).await.1
    };
    assert_eq!(peers_of(1, 0, false).await.peers.len(), 1, "there is somebody to be served");
    assert_eq!(peers_of(2, 5, true).await.peers.len(), 1, "seeds are of use to a download");
    let answered = peers_of(3, 0, true).await;
    assert_eq!((answered.peers.len(), answered.seeds, answered.leechers), (0, Some(2), Some(0)));
}

#[tokio::test]
async fn a_torrent_is_announced_once_over_each_family() {
    let (settings, mut found) = settings();
    let v4 = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap();
    let at = v4.local_addr().unwrap();
    // The same port may be taken over IPv6; then there is nothing to be tested with it.
    let Ok(v6) = TcpListener::bind(("::1", at.port())).await else { return };
    serve_on(v4, |_| std::future::ready(body(answer(&["10.0.0.4:1"]))));
    serve_on(v6, |_| std::future::ready(body(answer(&["10.0.0.6:1"]))));
    let discovery = Discovery::start(settings).unwrap();
    discovery.handle().add(tracked(1, &[&[format!("http://both.test:{}/", at.port())]]));
    let mut both = [next(&mut found).await.1, next(&mut found).await.1];
    both.sort_by_key(|found| found.family);
    let seen: Vec<_> = both.iter().map(|found| (found.family, found.peers[0].to_string())).collect();
    assert_eq!(seen, [(Family::V4, "10.0.0.4:1".to_owned()), (Family::V6, "10.0.0.6:1".to_owned())]);
}

#[tokio::test]
async fn the_next_tier_helps_when_the_first_is_dead() {
    let (settings, mut found) = settings();
    let dead = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap().local_addr().unwrap();
    let (at, _asked) = listening().await;
    let discovery = Discovery::start(settings).unwrap();
    let handle = discovery.handle();
    handle.add(tracked(1, &[&[format!("http://{dead}/")], &[format!("http://{at}/")]]));
    next(&mut found).await;
    let [failing, working] = handle.status(hash(1)).try_into().unwrap();
    assert_eq!((failing.state, working.state), (TrackerState::Failing, TrackerState::Working));
    assert!(failing.last_error.as_deref().is_some_and(|error| error.contains("refused")), "{failing:?}");
}

#[tokio::test]
async fn many_torrents_do_not_storm_one_host() {
    const TORRENTS: u16 = 1_000;
    let (settings, mut found) = settings();
    let (now, most) = (Arc::new(AtomicUsize::new(0)), Arc::new(AtomicUsize::new(0)));
    let peak = Arc::clone(&most);
    let at = serve(move |_| {
        let (now, most) = (Arc::clone(&now), Arc::clone(&most));
        async move {
            most.fetch_max(now.fetch_add(1, Ordering::SeqCst) + 1, Ordering::SeqCst);
            // Long enough for everybody who would come.
            for _ in 0..100 {
                tokio::task::yield_now().await;
            }
            now.fetch_sub(1, Ordering::SeqCst);
            body(answer(&["10.0.0.1:1"]))
        }
    })
    .await;
    let discovery = Discovery::start(settings).unwrap();
    let handle = discovery.handle();
    for number in 0..TORRENTS {
        handle.add(tracked(number, &[&[format!("http://{at}/")]]));
    }
    let mut seen = std::collections::HashSet::new();
    while seen.len() < usize::from(TORRENTS) {
        seen.insert(next(&mut found).await.0);
    }
    let most = peak.load(Ordering::SeqCst);
    assert!((2..=4).contains(&most), "{most} at a time");
}

#[tokio::test]
async fn a_dead_host_is_tried_by_few_torrents_and_known_to_all() {
    const TORRENTS: u16 = 500;
    let (settings, _found) = settings();
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap();
    let at = listener.local_addr().unwrap();
    let tries = Arc::new(AtomicUsize::new(0));
    let tried = Arc::clone(&tries);
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            tried.fetch_add(1, Ordering::SeqCst);
            drop(stream);
        }
    });
    let (alive, mut asked) = listening().await;
    let discovery = Discovery::start(settings).unwrap();
    let handle = discovery.handle();
    let tiers = [vec![format!("http://{at}/")], vec![format!("http://{alive}/")]];
    for number in 0..TORRENTS {
        handle.add(tracked(number, &[&tiers[0], &tiers[1]]));
    }
    for _ in 0..TORRENTS {
        assert_eq!(next(&mut asked).await.event, Event::Started);
    }
    for number in 0..TORRENTS {
        let dead = handle.ask_status(hash(number)).await.unwrap().swap_remove(0);
        assert_eq!((dead.state, dead.failures), (TrackerState::Failing, 1));
        assert!(dead.last_error.is_some() && dead.next.is_some_and(|next| next > Instant::now()));
    }
    let tries = tries.load(Ordering::SeqCst);
    assert!((1..=4).contains(&tries), "{tries} tries");
}

#[tokio::test]
async fn a_torrent_of_before_waits_for_its_time_or_its_user() {
    let (settings, mut found) = settings();
    let (at, mut asked) = listening().await;
    let discovery = Discovery::start(settings).unwrap();
    let handle = discovery.handle();
    let url = [format!("http://{at}/")];
    let (now, hour) = (Instant::now(), Duration::from_secs(3600));
    handle.add(Tracked { first: Some(now + hour), ..tracked(1, &[&url]) });
    handle.add(Tracked { first: Some(now), ..tracked(2, &[&url]) });
    handle.add(Tracked { first: Some(now), ..tracked(3, &[&url]) });
    let mut overdue = [next(&mut found).await, next(&mut found).await].map(|(info_hash, _)| info_hash);
    overdue.sort_unstable();
    assert_eq!(overdue, [hash(2), hash(3)]);
    let [waiting] = handle.ask_status(hash(1)).await.unwrap().try_into().unwrap();
    assert_eq!(waiting.state, TrackerState::Untried);
    assert!(waiting.next >= Some(now + hour));
    handle.reannounce(hash(1));
    let (info_hash, answered) = next(&mut found).await;
    assert_eq!(info_hash, hash(1));
    assert!(answered.next_in > Duration::from_secs(1790) && answered.next_in < Duration::from_secs(2000));
    for _ in 0..3 {
        assert_eq!(next(&mut asked).await.event, Event::Started);
    }
    let [figures] = handle.figures().try_into().unwrap();
    assert_eq!((figures.host.as_str(), figures.announces, figures.failures), ("127.0.0.1", 3, 0));
    assert!(figures.is_working);
}

#[tokio::test]
async fn who_stops_learns_which_torrents_trackers_believe_gone() {
    let (settings, mut found) = settings();
    let (at, _asked) = listening().await;
    let discovery = Discovery::start(settings).unwrap();
    let handle = discovery.handle();
    let url = [format!("http://{at}/")];
    handle.add(tracked(1, &[&url]));
    handle.add(Tracked { first: Some(Instant::now() + PATIENCE), ..tracked(2, &[&url]) });
    next(&mut found).await;
    let dismissed = tokio::task::spawn_blocking(move || discovery.stop(PATIENCE)).await.unwrap();
    assert_eq!(dismissed, [hash(1)]);
    assert!(handle.ask_status(hash(1)).await.is_err());
}

#[tokio::test]
async fn what_waits_is_dropped_with_its_torrent() {
    let (settings, _found) = settings();
    let settings = Settings { per_host: 1, ..settings };
    let (asked, mut requests) = mpsc::unbounded_channel();
    let gate = Arc::new(Notify::new());
    let held = Arc::clone(&gate);
    let at = serve(move |target| {
        asked.send(query(&target)).ok();
        let held = Arc::clone(&held);
        async move {
            held.notified().await;
            body(answer(&[]))
        }
    })
    .await;
    let discovery = Discovery::start(settings).unwrap();
    let handle = discovery.handle();
    let url = [format!("http://{at}/")];
    handle.add(tracked(1, &[&url]));
    assert_eq!(next(&mut requests).await.info_hash, hash(1));
    handle.add(tracked(2, &[&url]));
    handle.add(tracked(3, &[&url]));
    handle.remove(hash(2));
    assert_eq!(handle.status(hash(3))[0].state, TrackerState::Asking);
    assert!(handle.status(hash(2)).is_empty());
    gate.notify_one();
    assert_eq!(next(&mut requests).await.info_hash, hash(3), "the second has left the queue");
}

#[tokio::test]
async fn a_removed_torrent_is_stopped_at_its_tracker() {
    let (settings, mut found) = settings();
    let (at, mut asked) = listening().await;
    let discovery = Discovery::start(settings).unwrap();
    discovery.handle().add(tracked(1, &[&[format!("http://{at}/")]]));
    next(&mut found).await;
    discovery.handle().remove(hash(1));
    assert_eq!(next(&mut asked).await.event, Event::Started);
    assert_eq!(next(&mut asked).await.event, Event::Stopped);
}

#[tokio::test]
async fn a_torrent_whose_start_was_not_answered_yet_is_stopped_too() {
    let (settings, _found) = settings();
    let (asked, mut requests) = mpsc::unbounded_channel();
    let at = serve(move |target| {
        let query = query(&target);
        let is_stopped = query.event == Event::Stopped;
        asked.send(query).ok();
        async move { if is_stopped { body(answer(&[])) } else { std::future::pending().await } }
    })
    .await;
    let discovery = Discovery::start(settings).unwrap();
    discovery.handle().add(tracked(1, &[&[format!("http://{at}/")]]));
    assert_eq!(next(&mut requests).await.event, Event::Started);
    stop(discovery, PATIENCE).await;
    assert_eq!(next(&mut requests).await.event, Event::Stopped);
}

#[tokio::test]
async fn stopping_is_bounded_however_slow_trackers_are() {
    let (settings, mut found) = settings();
    let (asked, mut goodbyes) = mpsc::unbounded_channel();
    let at = serve(move |target| {
        let is_stopped = query(&target).event == Event::Stopped;
        if is_stopped {
            asked.send(()).ok();
        }
        async move { if is_stopped { std::future::pending().await } else { body(answer(&[])) } }
    })
    .await;
    let discovery = Discovery::start(settings).unwrap();
    for number in 0..3 {
        discovery.handle().add(tracked(number, &[&[format!("http://{at}/")]]));
    }
    for _ in 0..3 {
        next(&mut found).await;
    }
    let within = Duration::from_millis(500);
    let took = stop(discovery, within).await;
    assert!(took >= within && took < within * 3, "{took:?}");
    for _ in 0..3 {
        next(&mut goodbyes).await;
    }
}
