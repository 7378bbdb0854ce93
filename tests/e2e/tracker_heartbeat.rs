//! Peers that fall silent are forgotten, those that go on are kept; and what the control socket tells of both.

use tests::bttracker::with_tracker;
use tests::query::{Ask, Hash};

use crate::Case;

pub(crate) const CASES: &[Case] = &[
    Case::new("tracker_forgets_silent_peers", forgets_silent_peers),
    Case::new("tracker_keeps_peers_for_two_intervals", keeps_peers_for_two_intervals),
    Case::new("tracker_tells_how_long_a_peer_is_silent", tells_how_long_a_peer_is_silent),
];

const HASH: Hash = [7; 20];
const QUICK: &str = "[announce]\ninterval = '2s'\nmin_interval = '1s'";

fn forgets_silent_peers() {
    with_tracker("t-h-silent", QUICK, |tracker| {
        tracker.announce(&Ask::leech(HASH, 1001));
        tracker.announce6(&Ask::seed(HASH, 1002));
        tracker.udp_caller().announce(&Ask::leech(HASH, 1003));
        let lively = Ask::leech(HASH, 1004);
        tracker.wait("end of the silent", |tracker| {
            tracker.announce(&lively);
            (tracker.scrape(HASH) == (0, 0, 1)).then_some(())
        });
        assert_eq!(tracker.peers(HASH), ["127.0.0.1:1004".parse().unwrap()]);
        assert_eq!(tracker.announce(&Ask::leech(HASH, 1005)).peers().len(), 1);
        // When nobody is left, the torrent goes, too.
        tracker.wait("end of the torrent", |tracker| {
            let reply = tracker.ask("GET", &format!("/v1/torrents/{}", "07".repeat(20)));
            (reply.status == 404).then_some(())
        });
        assert_eq!(tracker.announce(&Ask::leech(HASH, 1006)).peers(), []);
    });
}

fn keeps_peers_for_two_intervals() {
    // Three seconds: whoever comes each second and a half has missed nothing.
    with_tracker("t-h-kept", "[announce]\ninterval = '3s'\nmin_interval = '1s'", |tracker| {
        let (kept, witness) = (Ask::leech(HASH, 1001), Ask::leech([8; 20], 1001));
        tracker.announce(&witness);
        // A witness that is silent is forgotten meanwhile: the time has passed.
        tracker.wait("end of the witness", |tracker| {
            tracker.announce(&kept);
            assert_eq!(tracker.scrape(HASH), (0, 0, 1));
            (tracker.scrape([8; 20]) == (0, 0, 0)).then_some(())
        });
    });
}

fn tells_how_long_a_peer_is_silent() {
    with_tracker("t-h-idle", "", |tracker| {
        tracker.announce(&Ask::leech(HASH, 1001));
        let idle = |port: usize| {
            let torrent = tracker.get(&format!("/v1/torrents/{}", "07".repeat(20)));
            torrent["peers"][port]["idle_s"].as_u64().unwrap_or_else(|| panic!("{torrent}"))
        };
        tracker.wait("two seconds of silence", |_| (idle(0) >= 2).then_some(()));
        tracker.announce(&Ask::leech(HASH, 1001));
        tracker.wait("second that it came in", |_| (idle(0) < 2).then_some(()));
    });
}
