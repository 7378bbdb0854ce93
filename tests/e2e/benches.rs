//! A short run of each benchmark, so that none rots: with those contenders that the tests have anyway. What they measure
//! is of no interest here, but that they measure it, and that all answers were right.

use std::os::unix::fs::symlink;
use std::path::Path;
use std::process::Command;

use serde_json::Value;
use tests::client::python;
use tests::folders::{scratch, target};
use tests::needs::Need;

use crate::Case;

pub(crate) const CASES: &[Case] = &[
    Case::new("bench_upload_measures", upload).needs(&[Need::Libtorrent]),
    Case::new("bench_upload_measures_cold_payload", cold).needs(&[Need::MemoryCgroups]),
    Case::new("bench_upload_measures_beside_a_stall", stall).needs(&[Need::Fuse]),
    Case::new("bench_download_measures", download).needs(&[Need::Libtorrent]),
    Case::new("bench_hash_measures", hash).needs(&[Need::Libtorrent, Need::Program("openssl")]),
    Case::new("bench_scale_measures", scale),
    Case::new("bench_announce_measures", announce),
];

fn upload() {
    let parts = ["connections", "crowd", "idle", "workers", "verify"];
    let figures = run("upload", &[&parts[..], &["--contenders", "btd,libtorrent,reference"]].concat());
    // Two counts of connections of three contenders; three rows of the crowd; two of each other part.
    assert_eq!(measured(&figures["rows"], "rounds"), 6 + 3 + 2 + 2 + 2);
}

fn cold() {
    assert_eq!(measured(&run("upload", &["cold"])["rows"], "rounds"), 4);
}

fn stall() {
    assert_eq!(measured(&run("upload", &["stall"])["rows"], "rounds"), 2);
}

fn download() {
    let figures = run("download", &["--contenders", "btd,libtorrent"]);
    assert_eq!(measured(&figures["rows"], "reports"), 2);
}

fn hash() {
    let figures = run("hash", &["--contenders", "btd,libtorrent,openssl"]);
    assert_eq!(measured(&figures["rows"], "reports"), 6);
}

fn scale() {
    let figures = run("scale", &["--contenders", "btd"]);
    assert!(figures["rows"].as_array().is_some_and(|rows| rows.iter().all(|row| !row["report"].is_null())));
}

fn announce() {
    for part in ["http", "sweep", "snapshot"] {
        run("announce", &[part, "--contenders", "bttracker,hyper"]);
    }
}

/// Runs a benchmark as shortly as it can be, and returns its figures.
fn run(name: &str, options: &[&str]) -> Value {
    let folder = scratch(&format!("bench-{name}"));
    if let Some(venv) = python().parent().and_then(Path::parent) {
        symlink(venv, folder.path().join("venv")).unwrap();
    }
    let program = target().join("release").join(name);
    assert!(program.is_file(), "there is no {}: `tests/run` builds it", program.display());
    let json = folder.path().join("figures.json");
    let mut command = Command::new(program);
    command.args(options).arg("--quick").arg("--json").arg(&json).arg("--directory").arg(folder.path());
    let output = command.output().unwrap();
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    let (said, complained) = (text(&output.stdout), text(&output.stderr));
    assert!(output.status.success(), "{name}: {}\n{said}\n{complained}", output.status);
    serde_json::from_slice(&std::fs::read(json).unwrap()).unwrap()
}

/// How many of `rows` have a measured round.
fn measured(rows: &Value, rounds: &str) -> usize {
    let rows = rows.as_array().unwrap();
    rows.iter().filter(|row| row[rounds].as_array().is_some_and(|rounds| !rounds.is_empty())).count()
}
