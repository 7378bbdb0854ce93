//! `btd verify` finds what is wrong with a payload and says where.

use std::fs::{self, OpenOptions};
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};

use serde_json::{Value, json};
use tempfile::TempDir;
use tests::bencode::{self, bytes, dictionary};
use tests::btd::{arguments, btd, json_line};
use tests::folders::scratch;
use tests::payload::{write_folder, write_single};
use tests::process::Output;

use crate::Case;

pub(crate) const CASES: &[Case] = &[
    Case::new("verify_passes_a_complete_payload", passes_a_complete_payload),
    Case::new("verify_finds_a_flipped_byte", finds_a_flipped_byte),
    Case::new("verify_finds_a_truncated_file", finds_a_truncated_file),
    Case::new("verify_finds_a_missing_file", finds_a_missing_file),
    Case::new("verify_finds_a_missing_empty_file", finds_a_missing_empty_file),
    Case::new("verify_finds_a_longer_file", finds_a_longer_file),
    Case::new("verify_reads_nothing_outside_its_folder", reads_nothing_outside_its_folder),
];

/// Bytes in a piece: `a` lies in pieces 0 to 2, `sub/größe` in 2 to 6, `z` in 6.
const PIECE_BYTES: u64 = 32_768;
const FILES: &[(&str, u64)] = &[("a", 80_000), ("empty", 0), ("sub/größe", 120_000), ("z", 10_000)];
const PIECES: usize = 7;

/// A folder, the torrent that btd made of it, and where both lie.
struct Fixture {
    scratch: TempDir,
    payload: PathBuf,
    torrent: PathBuf,
}

impl Fixture {
    fn new(name: &str) -> Self {
        let scratch = scratch(name);
        let payload = write_folder(scratch.path(), "p", 1, FILES);
        let torrent = scratch.path().join("p.torrent");
        let length = PIECE_BYTES.to_string();
        let made = btd(&arguments(&[&"create", &payload, &"-o", &torrent, &"--piece-length", &length]));
        assert_eq!(made.code(), Some(0), "{}", made.describe());
        Self { scratch, payload, torrent }
    }

    fn verify(&self, options: &[&str]) -> Output {
        let data = self.scratch.path();
        let mut all = arguments(&[&"verify", &self.torrent, &"--data", &data]);
        all.extend(options.iter().map(Into::into));
        btd(&all)
    }

    /// Checks that the pieces `bad` and the files in `states` are reported, with and without `--json`, and that
    /// only a payload without any is called complete.
    fn assert_found(&self, bad: &[usize], states: &[(&str, &str)]) {
        let json = self.verify(&["--json"]);
        let said = json_line(&json);
        let complete = states.is_empty();
        let code = i32::from(!complete);
        assert_eq!(json.code(), Some(code), "{}", json.describe());
        assert_eq!(said["complete"], complete, "{said}");
        assert_eq!(said["name"], "p");
        assert_eq!(said["pieces"], json!({"total": PIECES, "ok": PIECES - bad.len(), "bad": bad}), "{said}");
        let state_of = |path: &str| {
            let state = states.iter().find(|(name, _)| *name == path);
            state.map_or("ok", |(_, state)| *state).to_owned()
        };
        let found: Vec<(String, String)> = entries(&said);
        let wanted: Vec<(String, String)> =
            FILES.iter().map(|(path, _)| (format!("p/{path}"), state_of(path))).collect();
        assert_eq!(found, wanted, "{said}");
        let text = self.verify(&[]);
        assert_eq!(text.code(), Some(code), "{}", text.describe());
        for (path, state) in states {
            let names_it = |line: &str| line.contains(&format!("p/{path}")) && line.contains(state);
            assert!(text.stdout().lines().any(names_it), "{path} is {state}: {}", text.describe());
        }
    }
}

/// The path and the state of each file in the report `said`.
fn entries(said: &Value) -> Vec<(String, String)> {
    let files = said["files"].as_array().unwrap_or_else(|| panic!("no files in {said}"));
    let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    files.iter().map(|file| (text(&file["path"]), text(&file["state"]))).collect()
}

fn passes_a_complete_payload() {
    Fixture::new("complete").assert_found(&[], &[]);
}

fn finds_a_flipped_byte() {
    let fixture = Fixture::new("flipped");
    flip_byte(&fixture.payload.join("sub/größe"), 60_000);
    // Byte 140,000 of the payload lies in piece 4.
    fixture.assert_found(&[4], &[("sub/größe", "damaged")]);
}

fn finds_a_truncated_file() {
    let fixture = Fixture::new("truncated");
    OpenOptions::new().write(true).open(fixture.payload.join("z")).unwrap().set_len(9_999).unwrap();
    // A piece that two files share is bad, but the other file's bytes in it cannot be told apart from good ones:
    // only the file that is known to be short must be named.
    let said = json_line(&fixture.verify(&["--json"]));
    assert_eq!(said["pieces"]["bad"], json!([6]), "{said}");
    assert!(entries(&said).contains(&("p/z".to_owned(), "truncated".to_owned())), "{said}");
    let text = fixture.verify(&[]);
    assert_eq!(text.code(), Some(1), "{}", text.describe());
    assert!(
        text.stdout().lines().any(|line| line.contains("p/z") && line.contains("truncated")),
        "{}",
        text.describe()
    );
}

fn finds_a_missing_file() {
    let fixture = Fixture::new("missing");
    fs::remove_file(fixture.payload.join("a")).unwrap();
    let said = json_line(&fixture.verify(&["--json"]));
    assert_eq!(said["complete"], false, "{said}");
    assert_eq!(said["pieces"]["bad"], json!([0, 1, 2]), "{said}");
    assert!(entries(&said).contains(&("p/a".to_owned(), "missing".to_owned())), "{said}");
    let text = fixture.verify(&[]);
    assert_eq!(text.code(), Some(1), "{}", text.describe());
    assert!(
        text.stdout().lines().any(|line| line.contains("p/a") && line.contains("missing")),
        "{}",
        text.describe()
    );
}

fn finds_a_missing_empty_file() {
    let fixture = Fixture::new("missing-empty");
    fs::remove_file(fixture.payload.join("empty")).unwrap();
    fixture.assert_found(&[], &[("empty", "missing")]);
}

fn finds_a_longer_file() {
    let fixture = Fixture::new("longer");
    let path = fixture.payload.join("sub/größe");
    OpenOptions::new().write(true).open(&path).unwrap().set_len(120_001).unwrap();
    let said = fixture.verify(&["--json"]);
    // Its first 120,000 bytes are all there; what matters is that no piece is called bad for what follows.
    assert_eq!(json_line(&said)["pieces"]["bad"], json!([]), "{}", said.describe());
}

fn reads_nothing_outside_its_folder() {
    let scratch = scratch("traversal");
    let secret = write_single(scratch.path(), "secret", 1, 1_000);
    let data = scratch.path().join("data");
    fs::create_dir_all(data.join("p")).unwrap();
    let hash = sha1_of(&secret);
    for path in [vec!["..", "..", "secret"], vec!["../../secret"], vec![secret.to_str().unwrap()]] {
        let file = dictionary([
            ("length", bencode::Value::Integer(1_000)),
            ("path", bencode::Value::List(path.iter().map(bytes).collect())),
        ]);
        let info = dictionary([
            ("files", bencode::Value::List(vec![file])),
            ("name", bytes("p")),
            ("piece length", bencode::Value::Integer(16_384)),
            ("pieces", bytes(hash)),
        ]);
        let torrent = scratch.path().join("evil.torrent");
        fs::write(&torrent, dictionary([("info", info)]).encode()).unwrap();
        let output = btd(&arguments(&[&"verify", &torrent, &"--data", &data]));
        assert_eq!(output.code(), Some(1), "{path:?} was found: {}", output.describe());
    }
}

fn sha1_of(path: &Path) -> [u8; 20] {
    use sha1::{Digest, Sha1};
    Sha1::digest(fs::read(path).unwrap()).into()
}

fn flip_byte(path: &Path, offset: u64) {
    let file = OpenOptions::new().read(true).write(true).open(path).unwrap();
    let mut byte = [0];
    file.read_exact_at(&mut byte, offset).unwrap();
    file.write_all_at(&[byte[0] ^ 1], offset).unwrap();
}
