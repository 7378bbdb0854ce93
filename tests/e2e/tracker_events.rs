//! What becomes of a peer: it starts, pauses, completes, stops; and what is counted of that.

use tests::bttracker::with_tracker;
use tests::query::{Ask, Hash, scrape_target};

use crate::Case;

pub(crate) const CASES: &[Case] = &[
    Case::new("tracker_takes_any_event", takes_any_event),
    Case::new("tracker_tells_a_stopped_peer_of_nobody", tells_a_stopped_peer_of_nobody),
    Case::new("tracker_forgets_a_stopped_peer", forgets_a_stopped_peer),
    Case::new("tracker_takes_a_stop_of_a_stranger", takes_a_stop_of_a_stranger),
    Case::new("tracker_counts_a_download_once", counts_a_download_once),
    Case::new("tracker_counts_no_download_of_a_stranger", counts_no_download_of_a_stranger),
    Case::new("tracker_makes_a_complete_peer_a_seed", makes_a_complete_peer_a_seed),
    Case::new("tracker_keeps_a_paused_peer", keeps_a_paused_peer),
    Case::new("tracker_counts_an_unpaused_peer_again", counts_an_unpaused_peer_again),
    Case::new("tracker_takes_a_new_peer_id_for_the_same_peer", takes_a_new_peer_id_for_the_same_peer),
];

const HASH: Hash = [7; 20];

fn takes_any_event() {
    with_tracker("t-e-any", "", |tracker| {
        let ask = Ask::leech(HASH, 1001);
        for event in ["started", "completed", "paused", "resumed", "x", "STARTED", "%00", "started2"] {
            let target = format!("{}&event={event}", ask.target());
            tracker.fetch(&target).well();
            assert_eq!(tracker.peers(HASH).len(), 1, "{event}");
        }
        tracker.fetch(&format!("{}&event=", ask.target())).well();
        assert_eq!(tracker.peers(HASH).len(), 1);
    });
}

fn tells_a_stopped_peer_of_nobody() {
    with_tracker("t-e-nobody", "", |tracker| {
        for port in 1..=5 {
            tracker.announce(&Ask::leech(HASH, port));
        }
        tracker.announce6(&Ask::leech(HASH, 6));
        for rest in ["", "&numwant=50"] {
            let answer = tracker.announce(&Ask::leech(HASH, 1).event("stopped").with(rest));
            assert!(answer.bencode().get("peers").bytes().is_empty(), "{}", answer.text());
            assert_eq!(answer.peers(), []);
        }
        let list = tracker.announce(&Ask::leech(HASH, 2).event("stopped").with("&compact=0")).bencode();
        assert_eq!(list.get("peers").list(), []);
        assert_eq!(tracker.udp_caller().announce(&Ask::leech(HASH, 3).event("stopped")).peers, []);
    });
}

fn forgets_a_stopped_peer() {
    with_tracker("t-e-forgets", "", |tracker| {
        let [leech, seed] = [Ask::leech(HASH, 1001), Ask::seed(HASH, 1002)];
        tracker.announce(&leech);
        tracker.announce(&seed);
        assert_eq!(tracker.scrape(HASH), (1, 0, 1));
        tracker.announce(&seed.event("stopped"));
        assert_eq!(tracker.scrape(HASH), (0, 0, 1));
        // Nor does it matter what it says it lacks.
        tracker.announce(&Ask { left: 0, ..leech }.event("stopped"));
        assert_eq!(tracker.scrape(HASH), (0, 0, 0));
        assert_eq!(tracker.announce(&Ask::leech(HASH, 1003)).peers(), []);
    });
}

fn takes_a_stop_of_a_stranger() {
    with_tracker("t-e-stranger", "", |tracker| {
        let answer = tracker.announce(&Ask::leech(HASH, 1001).event("stopped"));
        assert_eq!((answer.number("complete"), answer.number("incomplete")), (0, 0));
        assert!(tracker.peers(HASH).is_empty());
    });
}

fn counts_a_download_once() {
    with_tracker("t-e-once", "", |tracker| {
        tracker.announce(&Ask::leech(HASH, 1001).event("started"));
        for _ in 0..3 {
            tracker.announce(&Ask::seed(HASH, 1001).event("completed"));
            assert_eq!(tracker.scrape(HASH), (1, 1, 0));
        }
        // Over UDP it is the same peer.
        tracker.udp_caller().announce(&Ask::seed(HASH, 1001).event("completed"));
        assert_eq!(tracker.scrape(HASH), (1, 1, 0));
        tracker.announce(&Ask::leech(HASH, 1002).event("started"));
        tracker.udp_caller().announce(&Ask::seed(HASH, 1002).event("completed"));
        assert_eq!(tracker.scrape(HASH), (2, 2, 0));
    });
}

fn counts_no_download_of_a_stranger() {
    with_tracker("t-e-unknown", "", |tracker| {
        tracker.announce(&Ask::seed(HASH, 1001).event("completed"));
        tracker.udp_caller().announce(&Ask::seed(HASH, 1002).event("completed"));
        // Nor of one that came with all of it.
        tracker.announce(&Ask::seed(HASH, 1003).event("started"));
        tracker.announce(&Ask::seed(HASH, 1003));
        assert_eq!(tracker.scrape(HASH), (3, 0, 0));
    });
}

fn makes_a_complete_peer_a_seed() {
    with_tracker("t-e-seed", "", |tracker| {
        tracker.announce(&Ask::leech(HASH, 1001));
        assert_eq!(tracker.scrape(HASH), (0, 0, 1));
        tracker.announce(&Ask::seed(HASH, 1001));
        assert_eq!(tracker.scrape(HASH).0, 1, "it lacks nothing any more");
        tracker.announce(&Ask::leech(HASH, 1001));
        assert_eq!((tracker.scrape(HASH).0, tracker.scrape(HASH).2), (0, 1), "and now it does");
    });
}

fn keeps_a_paused_peer() {
    with_tracker("t-e-paused", "", |tracker| {
        tracker.announce(&Ask::leech(HASH, 1001));
        tracker.announce(&Ask::leech(HASH, 1002).event("paused"));
        let file = tracker.fetch(&scrape_target(&[HASH])).file(HASH);
        assert_eq!(file.get("incomplete").integer(), 2);
        assert_eq!(file.get("downloaders").integer(), 1, "those that download (BEP 21)");
        let peers = tracker.announce(&Ask::leech(HASH, 1003)).peers();
        assert_eq!(peers.len(), 2, "it can be had what it has: {peers:?}");
        let torrent = tracker.get(&format!("/v1/torrents/{}", "07".repeat(20)));
        assert_eq!(torrent["paused"], 1, "{torrent}");
        let states = torrent["peers"].as_array().unwrap().iter().map(|peer| peer["state"].as_str().unwrap());
        assert_eq!(states.filter(|state| *state == "paused").count(), 1, "{torrent}");
    });
}

fn counts_an_unpaused_peer_again() {
    with_tracker("t-e-unpaused", "", |tracker| {
        tracker.announce(&Ask::leech(HASH, 1001).event("paused"));
        tracker.announce(&Ask::leech(HASH, 1001).event("started"));
        let file = tracker.fetch(&scrape_target(&[HASH])).file(HASH);
        assert_eq!(file.get("incomplete").integer(), 1);
        let torrent = tracker.get(&format!("/v1/torrents/{}", "07".repeat(20)));
        assert_eq!(torrent["paused"], 0, "{torrent}");
    });
}

fn takes_a_new_peer_id_for_the_same_peer() {
    with_tracker("t-e-id", "", |tracker| {
        tracker.announce(&Ask::leech(HASH, 1001));
        tracker.announce(&Ask { peer_id: *b"-XX0002-somebodynew!", ..Ask::leech(HASH, 1001) });
        assert_eq!(tracker.scrape(HASH), (0, 0, 1), "a peer is where it listens");
    });
}
