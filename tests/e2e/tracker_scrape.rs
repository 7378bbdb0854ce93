//! Scrapes over HTTP (BEP 48).

use tests::bttracker::with_tracker;
use tests::query::{Ask, Hash, escaped, scrape_target};

use crate::Case;

pub(crate) const CASES: &[Case] = &[
    Case::new("tracker_scrapes_in_the_form_of_bep_48", scrapes_in_the_form_of_bep_48),
    Case::new("tracker_scrapes_unknown_torrents_as_zeros", scrapes_unknown_torrents_as_zeros),
    Case::new("tracker_scrapes_many_in_order_and_none_twice", scrapes_many_in_order_and_none_twice),
    Case::new("tracker_scrapes_a_hundred_and_no_more", scrapes_a_hundred_and_no_more),
    Case::new("tracker_refuses_a_full_scrape", refuses_a_full_scrape),
    Case::new("tracker_passes_over_other_keys_of_a_scrape", passes_over_other_keys_of_a_scrape),
    Case::new("tracker_scrapes_without_making_torrents", scrapes_without_making_torrents),
];

const HASH: Hash = [b'h'; 20];

fn scrapes_in_the_form_of_bep_48() {
    with_tracker("t-s-form", "", |tracker| {
        tracker.announce(&Ask::leech(HASH, 1001));
        tracker.announce(&Ask::seed(HASH, 1002));
        tracker.announce(&Ask::leech(HASH, 1003));
        tracker.announce(&Ask::seed(HASH, 1003).event("completed"));
        let answer = tracker.fetch(&scrape_target(&[HASH]));
        let value = answer.bencode();
        let file = answer.file(HASH);
        let mut keys = file.keys();
        keys.retain(|key| key != "downloaders");
        assert_eq!(keys, ["complete", "downloaded", "incomplete"]);
        assert_eq!(answer.row(HASH), (2, 1, 1));
        assert_eq!(value.get("files").dictionary().len(), 1);
        let start = format!("d5:filesd20:{}d8:completei2e10:downloadedi1e", "h".repeat(20));
        assert!(answer.text().starts_with(&start), "{}", answer.text());
        if let Some(flags) = value.find("flags") {
            flags.get("min_request_interval").integer();
        }
    });
}

fn scrapes_unknown_torrents_as_zeros() {
    with_tracker("t-s-unknown", "", |tracker| {
        tracker.announce(&Ask::leech(HASH, 1001));
        let answer = tracker.fetch(&scrape_target(&[[1; 20], HASH, [2; 20]]));
        assert_eq!(answer.row([1; 20]), (0, 0, 0));
        assert_eq!(answer.row(HASH), (0, 0, 1));
        assert_eq!(answer.row([2; 20]), (0, 0, 0));
    });
}

fn scrapes_many_in_order_and_none_twice() {
    with_tracker("t-s-order", "", |tracker| {
        let hashes: Vec<Hash> = [200, 3, 90, 3, 0, 255, 200].map(|byte| [byte; 20]).to_vec();
        // Keys out of order fail as the answer is read.
        let value = tracker.fetch(&scrape_target(&hashes)).bencode();
        let told: Vec<&[u8]> =
            value.get("files").dictionary().iter().map(|(hash, _)| hash.as_slice()).collect();
        assert_eq!(told, [[0; 20], [3; 20], [90; 20], [200; 20], [255; 20]]);
    });
}

fn scrapes_a_hundred_and_no_more() {
    with_tracker("t-s-most", "", |tracker| {
        let hashes: Vec<Hash> = (0..101).map(|number| [number; 20]).collect();
        let answer = tracker.fetch(&scrape_target(&hashes[..100]));
        assert_eq!(answer.bencode().get("files").dictionary().len(), 100);
        let reason = tracker.fetch(&scrape_target(&hashes)).failure();
        assert!(reason.contains("100"), "it says how many: {reason}");
    });
}

fn refuses_a_full_scrape() {
    with_tracker("t-s-full", "", |tracker| {
        tracker.announce(&Ask::leech(HASH, 1001));
        for target in ["/scrape", "/scrape?", "/scrape?x=y", "/scrape?info_hash"] {
            let reason = tracker.fetch(target).failure();
            assert!(reason.contains("scrape") || reason.contains("info_hash"), "{target}: {reason}");
        }
    });
}

fn passes_over_other_keys_of_a_scrape() {
    with_tracker("t-s-keys", "", |tracker| {
        tracker.announce(&Ask::leech(HASH, 1001));
        let target = format!("/scrape?x=%zz&&info_hash={}&trackerid=1&compact", escaped(&HASH));
        assert_eq!(tracker.fetch(&target).row(HASH), (0, 0, 1));
    });
}

fn scrapes_without_making_torrents() {
    with_tracker("t-s-none", "", |tracker| {
        tracker.fetch(&scrape_target(&[HASH])).row(HASH);
        tracker.udp_caller().scrape(&[HASH]);
        let reply = tracker.ask("GET", &format!("/v1/torrents/{}", "68".repeat(20)));
        assert_eq!(reply.status, 404, "nobody has announced it: {}", reply.text());
    });
}
