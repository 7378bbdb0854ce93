//! `btd inspect` reads in a torrent or a magnet link what libtorrent and transmission read in it.

use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};

use serde_json::{Value, json};
use tempfile::TempDir;
use tests::btd::{arguments, btd, btd_json};
use tests::client::{Shown, libtorrent_create, libtorrent_inspect, transmission_create, transmission_show};
use tests::folders::scratch;
use tests::needs::Need;
use tests::payload::{write_folder, write_single};

use crate::Case;

pub(crate) const CASES: &[Case] = &[
    Case::new("inspect_reads_a_single_file", reads_a_single_file).needs(BOTH),
    Case::new("inspect_reads_a_folder", reads_a_folder).needs(BOTH),
    Case::new("inspect_reads_everything_beside_info", reads_everything_beside_info).needs(BOTH),
    Case::new("inspect_marks_padding_files", marks_padding_files).needs(BOTH),
    Case::new("inspect_counts_symlinks_as_nothing", counts_symlinks_as_nothing).needs(BOTH),
    Case::new("inspect_reads_a_hybrid_torrent", reads_a_hybrid_torrent).needs(&[Need::Libtorrent]),
    Case::new("inspect_refuses_a_v2_only_torrent", refuses_a_v2_only_torrent).needs(&[Need::Libtorrent]),
    Case::new("inspect_reads_what_transmission_creates", reads_what_transmission_creates).needs(BOTH),
    Case::new("others_read_what_btd_creates", others_read_what_btd_creates).needs(BOTH),
    Case::new("inspect_reads_magnet_links", reads_magnet_links).needs(&[Need::Libtorrent]),
];

const BOTH: &[Need] =
    &[Need::Libtorrent, Need::Program("transmission-show"), Need::Program("transmission-create")];

const FILES: &[(&str, u64)] =
    &[("a b.bin", 100_003), ("empty", 0), ("größe/日本語", 50_000), ("größe/sub/x (1)", 16_384), ("z", 1)];

/// A folder with the payload and a place for a torrent.
struct Fixture {
    _scratch: TempDir,
    payload: PathBuf,
    torrent: PathBuf,
}

impl Fixture {
    fn folder(name: &str) -> Self {
        let scratch = scratch(name);
        let payload = write_folder(scratch.path(), "größe & co", 1, FILES);
        Self::around(scratch, payload)
    }

    fn around(scratch: TempDir, payload: PathBuf) -> Self {
        let torrent = scratch.path().join("x.torrent");
        Self { _scratch: scratch, payload, torrent }
    }

    /// What btd reads, which must be what libtorrent reads.
    fn agreed_with_libtorrent(&self) -> Value {
        let said = inspect(&self.torrent);
        let mut wanted = libtorrent_inspect(self.torrent.to_str().unwrap());
        assert_eq!(without_padding_paths(&said), without_padding_paths(&wanted), "the files");
        let keys = wanted.as_object_mut().unwrap();
        keys.remove("files");
        for (key, value) in keys {
            assert_eq!(&said[key], value, "`{key}` as btd and as libtorrent read it");
        }
        said
    }

    /// The same, and transmission agrees too.
    fn agreed_with_both(&self) -> Value {
        let said = self.agreed_with_libtorrent();
        let shown = transmission_show(&self.torrent);
        let text = |value: &Value| value.as_str().unwrap().to_owned();
        let files = said["files"].as_array().unwrap().iter().map(|file| text(&file["path"])).collect();
        let found = Shown { info_hash: text(&said["info_hash"]), name: text(&said["name"]), files };
        assert_eq!(found, shown, "as btd and as transmission read it");
        said
    }
}

fn inspect(torrent: &Path) -> Value {
    btd_json(&arguments(&[&"inspect", &torrent, &"--json"]))
}

/// The files of a report; padding files have no place on disk, so that their names are nobody's business.
fn without_padding_paths(report: &Value) -> Vec<Value> {
    let mut files = report["files"].as_array().unwrap().clone();
    for file in &mut files {
        if file["padding"] == true {
            file["path"] = "".into();
        }
    }
    files
}

fn reads_a_single_file() {
    let scratch = scratch("single");
    let payload = write_single(scratch.path(), "one file ☃.bin", 1, 100_003);
    let fixture = Fixture::around(scratch, payload);
    libtorrent_create(&fixture.payload, &fixture.torrent, "v1", &[]);
    let said = fixture.agreed_with_both();
    assert_eq!(said["files"], json!([{"path": "one file ☃.bin", "length": 100_003, "padding": false}]));
}

fn reads_a_folder() {
    let fixture = Fixture::folder("folder");
    libtorrent_create(&fixture.payload, &fixture.torrent, "v1", &[]);
    let said = fixture.agreed_with_both();
    assert_eq!(said["files"].as_array().unwrap().len(), FILES.len());
}

fn reads_everything_beside_info() {
    let fixture = Fixture::folder("beside");
    libtorrent_create(
        &fixture.payload,
        &fixture.torrent,
        "v1",
        &[
            "--private",
            "--comment=ein Kommentar ☃",
            "--creator=a creator",
            "--tracker=0=http://one.invalid/announce",
            "--tracker=0=http://two.invalid/announce",
            "--tracker=1=udp://three.invalid:80/announce",
            "--web-seed=http://seed.invalid/files/",
        ],
    );
    let said = fixture.agreed_with_both();
    // libtorrent wrote all of it, so that agreement is not agreement about nothing.
    assert_eq!(said["trackers"].as_array().unwrap().len(), 2, "{said}");
    assert_eq!((&said["private"], &said["comment"]), (&true.into(), &"ein Kommentar ☃".into()));
    assert_eq!(said["web_seeds"], json!(["http://seed.invalid/files/"]));
    assert!(said["creation_date"].is_u64(), "{said}");
}

fn marks_padding_files() {
    let fixture = Fixture::folder("padding");
    libtorrent_create(&fixture.payload, &fixture.torrent, "v1", &["--padded"]);
    let said = fixture.agreed_with_libtorrent();
    let padding = said["files"].as_array().unwrap().iter().filter(|file| file["padding"] == true).count();
    assert!(padding >= 2, "{said}");
    let shown = transmission_show(&fixture.torrent);
    assert_eq!(
        (said["info_hash"].as_str(), said["name"].as_str()),
        (Some(&*shown.info_hash), Some(&*shown.name))
    );
}

fn counts_symlinks_as_nothing() {
    let fixture = Fixture::folder("symlinks");
    symlink("a b.bin", fixture.payload.join("link")).unwrap();
    libtorrent_create(&fixture.payload, &fixture.torrent, "v1", &["--symlinks"]);
    let said = fixture.agreed_with_both();
    let link = said["files"].as_array().unwrap().iter().find(|file| file["path"] == "größe & co/link");
    assert_eq!(link.unwrap_or_else(|| panic!("no link in {said}"))["length"], 0);
}

fn reads_a_hybrid_torrent() {
    let fixture = Fixture::folder("hybrid");
    libtorrent_create(&fixture.payload, &fixture.torrent, "hybrid", &[]);
    fixture.agreed_with_libtorrent();
}

fn refuses_a_v2_only_torrent() {
    let fixture = Fixture::folder("v2");
    libtorrent_create(&fixture.payload, &fixture.torrent, "v2", &[]);
    let output = btd(&arguments(&[&"inspect", &fixture.torrent]));
    tests::btd::assert_refused(&output, &["v2-only torrents are not supported yet"]);
}

fn reads_what_transmission_creates() {
    let fixture = Fixture::folder("transmission");
    transmission_create(
        &fixture.payload,
        &fixture.torrent,
        &[
            "--private",
            "--comment",
            "by transmission",
            "--tracker",
            "http://one.invalid/announce",
            "--piecesize",
            "32",
        ],
    );
    let said = fixture.agreed_with_both();
    assert_eq!((&said["piece_length"], &said["comment"]), (&32_768.into(), &"by transmission".into()));
    let single = write_single(fixture.payload.parent().unwrap(), "single", 2, 70_000);
    transmission_create(&single, &fixture.torrent, &[]);
    fixture.agreed_with_both();
}

fn others_read_what_btd_creates() {
    let fixture = Fixture::folder("btd");
    let output = btd(&arguments(&[
        &"create",
        &fixture.payload,
        &"-o",
        &fixture.torrent,
        &"--private",
        &"--comment",
        &"by btd",
        &"--piece-length",
        &"32KiB",
        &"--tracker",
        &"http://one.invalid/announce",
        &"--tracker",
        &"udp://two.invalid:80",
    ]));
    assert_eq!(output.code(), Some(0), "{}", output.describe());
    let said = fixture.agreed_with_both();
    assert_eq!((&said["piece_length"], &said["comment"]), (&32_768.into(), &"by btd".into()));
    let single = write_single(fixture.payload.parent().unwrap(), "single", 2, 70_000);
    let output = btd(&arguments(&[&"create", &single, &"-o", &fixture.torrent]));
    assert_eq!(output.code(), Some(0), "{}", output.describe());
    fixture.agreed_with_both();
}

fn reads_magnet_links() {
    let hex = "0123456789abcdef0123456789abcdef01234567";
    let base32 = "AERUKZ4JVPG66AJDIVTYTK6N54ASGRLH";
    for link in [
        format!(
            "magnet:?xt=urn:btih:{hex}&dn=a+b%20c%E2%98%83&tr=http%3A%2F%2Fone.invalid%2Fannounce%3Fk%3Dv&tr=udp://two.invalid:80&ws=http://seed.invalid/"
        ),
        format!("magnet:?dn=x&xt=urn:btih:{base32}"),
        format!("magnet:?xt=urn:btih:{}", hex.to_uppercase()),
    ] {
        let said = btd_json(&["inspect", &link, "--json"]);
        let wanted = libtorrent_inspect(&link);
        assert_eq!(said["info_hash"], hex, "{link}");
        for (key, value) in wanted.as_object().unwrap() {
            let absent = *value == json!("") && said[key].is_null();
            assert!(&said[key] == value || absent, "`{key}` of {link}: {} and not {value}", said[key]);
        }
    }
}
