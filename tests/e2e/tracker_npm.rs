//! The client of the npm package bittorrent-tracker (`tests/scripts/announce.mjs`) starts, updates, completes, stops
//! and scrapes, over HTTP and over UDP.

use std::process::Command;
use std::time::Duration;

use serde_json::Value;
use tests::bttracker::{Bttracker, with_tracker};
use tests::client::npm_folder;
use tests::folders::workspace;
use tests::needs::Need;
use tests::process::run_well;

use crate::Case;

pub(crate) const CASES: &[Case] = &[
    Case::new("tracker_serves_the_npm_client_over_http", serves_the_npm_client_over_http).needs(NPM),
    Case::new("tracker_serves_the_npm_client_over_udp", serves_the_npm_client_over_udp).needs(NPM),
];

const NPM: &[Need] = &[Need::Npm("bittorrent-tracker")];
/// Longest that all of it may take.
const LIMIT: Duration = Duration::from_secs(60);

/// What the client was told, in the order of the script.
fn told(url: &str) -> Vec<Value> {
    let mut command = Command::new("node");
    command.arg(workspace().join("tests/scripts/announce.mjs")).arg(npm_folder()).arg(url);
    let output = run_well(command, LIMIT);
    let parse = |line: &str| serde_json::from_str(line).unwrap_or_else(|_| panic!("{}", output.describe()));
    output.stdout().lines().map(parse).collect()
}

/// Fails unless each step was told seeds, leechers, and peers as here.
fn assert_told(tracker: &Bttracker<'_>, url: &str) {
    let told = told(url);
    let (seed, leech) = ("127.0.0.1:4001", "127.0.0.1:4002");
    let steps: [(&str, u64, u64, &[&str]); 8] = [
        ("seed starts", 1, 0, &[]),
        ("leech starts", 1, 1, &[seed]),
        ("leech updates", 1, 1, &[seed]),
        ("seed updates", 1, 1, &[leech]),
        ("leech completes", 2, 0, &[]),
        ("leech scrapes", 2, 0, &[]),
        ("seed stops", 1, 0, &[]),
        ("leech updates again", 1, 0, &[]),
    ];
    for ((what, complete, incomplete, peers), line) in steps.iter().zip(&told) {
        assert_eq!(line["what"], *what, "{line}");
        assert_eq!(
            (&line["complete"], &line["incomplete"]),
            (&(*complete).into(), &(*incomplete).into()),
            "{line}"
        );
        let got: Vec<&str> =
            line["peers"].as_array().unwrap().iter().map(|it| it.as_str().unwrap()).collect();
        assert_eq!(got, *peers, "{line}");
    }
    assert_eq!(told[5]["downloaded"], 1, "{}", told[5]);
    let one = &told[8];
    assert_eq!(
        (&one["complete"], &one["incomplete"], &one["downloaded"]),
        (&1.into(), &0.into(), &1.into()),
        "{one}"
    );
    let two = &told[9]["torrents"];
    assert_eq!(two["5a".repeat(20)]["complete"], 1, "{two}");
    assert_eq!(two["0f".repeat(20)]["complete"], 0, "{two}");
    assert_eq!(told.len(), 10);
    assert_eq!(tracker.peers([0x5a; 20]), [leech.parse().unwrap()], "as it stood in the end");
}

fn serves_the_npm_client_over_http() {
    with_tracker("t-n-http", "", |tracker| {
        assert_told(tracker, &format!("http://{}/announce", tracker.http4()));
    });
}

fn serves_the_npm_client_over_udp() {
    with_tracker("t-n-udp", "", |tracker| {
        assert_told(tracker, &format!("udp://{}/announce", tracker.udp4()));
    });
}
