//! `btd create` and what the commands refuse: paths that cannot be read or hold nothing, options that make no sense.

use std::fs::{self, Permissions};
use std::os::unix::fs::PermissionsExt;
use std::time::Duration;

use tests::btd::{arguments, assert_refused, binary, btd, btd_json};
use tests::folders::scratch;
use tests::needs::{Need, unprivileged_command};
use tests::payload::{write_folder, write_single};
use tests::process::run;

use crate::Case;

pub(crate) const CASES: &[Case] = &[
    Case::new("a_missing_path_is_refused", a_missing_path_is_refused),
    Case::new("an_unreadable_file_is_refused", an_unreadable_file_is_refused).needs(&[Need::Unprivileged]),
    Case::new("nothing_to_share_is_refused", nothing_to_share_is_refused),
    Case::new("options_that_make_no_sense_are_refused", options_that_make_no_sense_are_refused),
    Case::new("a_torrent_without_its_payload_is_refused", a_torrent_without_its_payload_is_refused),
    Case::new("what_create_writes_is_what_inspect_reads", what_create_writes_is_what_inspect_reads),
    Case::new("create_leaves_nothing_behind_when_it_fails", create_leaves_nothing_behind_when_it_fails),
];

/// Longest that a refused command may take.
const LIMIT: Duration = Duration::from_secs(60);

fn a_missing_path_is_refused() {
    let scratch = scratch("missing");
    let path = scratch.path().join("no-such-file");
    let out = scratch.path().join("x.torrent");
    assert_refused(&btd(&arguments(&[&"seed", &"--listen", &"127.0.0.1:0", &path])), &["no-such-file"]);
    assert_refused(&btd(&arguments(&[&"create", &path, &"-o", &out])), &["no-such-file"]);
    assert_refused(&btd(&arguments(&[&"inspect", &path])), &["no-such-file"]);
    assert_refused(&btd(&arguments(&[&"verify", &path, &"--data", &scratch.path()])), &["no-such-file"]);
}

fn an_unreadable_file_is_refused() {
    let scratch = scratch("unreadable");
    let folder = write_folder(scratch.path(), "p", 1, &[("open", 5_000), ("secret", 5_000)]);
    fs::set_permissions(folder.join("secret"), Permissions::from_mode(0o000)).unwrap();
    let mut command = unprivileged_command(binary());
    command.args(["seed", "--listen", "127.0.0.1:0"]).arg(&folder);
    assert_refused(&run(command, LIMIT), &["secret"]);
    let mut command = unprivileged_command(binary());
    command.arg("create").arg(&folder).arg("-o").arg(scratch.path().join("x.torrent"));
    assert_refused(&run(command, LIMIT), &["secret"]);
}

fn nothing_to_share_is_refused() {
    let scratch = scratch("nothing");
    let empty = scratch.path().join("empty-folder");
    fs::create_dir(&empty).unwrap();
    let hollow = write_folder(scratch.path(), "hollow", 1, &[("a", 0), ("sub/b", 0)]);
    let file = write_single(scratch.path(), "empty-file", 1, 0);
    for path in [empty, hollow, file] {
        let name = path.file_name().unwrap().to_str().unwrap();
        assert_refused(&btd(&arguments(&[&"seed", &"--listen", &"127.0.0.1:0", &path])), &[name]);
    }
}

fn options_that_make_no_sense_are_refused() {
    let scratch = scratch("options");
    let file = write_single(scratch.path(), "f", 1, 1_000);
    for options in [
        ["--piece-length", "0"],
        ["--piece-length", "-1"],
        ["--piece-length", "many"],
        ["--piece-length", "1TiB"],
        ["--listen", "6881"],
        ["--listen", "localhost"],
        ["--workers", "0"],
        ["--max-connections", "0"],
        ["--no-such-option", "1"],
    ] {
        let output =
            btd(&arguments(&[&"seed", &"--listen", &"127.0.0.1:0", &options[0], &options[1], &file]));
        assert!(matches!(output.code(), Some(1 | 2)), "{options:?}: {}", output.describe());
        assert!(!output.stderr.is_empty() && output.stdout.is_empty(), "{options:?}: {}", output.describe());
        assert!(!output.stderr().contains("panicked"), "{options:?}: {}", output.describe());
    }
}

fn a_torrent_without_its_payload_is_refused() {
    let scratch = scratch("no-payload");
    let folder = write_folder(scratch.path(), "p", 1, &[("a", 5_000), ("b", 5_000)]);
    let torrent = scratch.path().join("p.torrent");
    btd(&arguments(&[&"create", &folder, &"-o", &torrent]));
    fs::remove_file(folder.join("b")).unwrap();
    let data = scratch.path();
    let output = btd(&arguments(&[&"seed", &"--listen", &"127.0.0.1:0", &torrent, &"--data", &data]));
    assert_refused(&output, &["b"]);
}

fn what_create_writes_is_what_inspect_reads() {
    let scratch = scratch("create");
    let folder = write_folder(scratch.path(), "größe", 1, &[("a", 70_000), ("sub/b", 0), ("z", 10_000)]);
    let torrent = scratch.path().join("out.torrent");
    let output = btd(&arguments(&[
        &"create",
        &folder,
        &"-o",
        &torrent,
        &"--tracker",
        &"http://one.invalid/a",
        &"--piece-length",
        &"64KiB",
        &"--comment",
        &"two words",
        &"--private",
    ]));
    assert_eq!(output.code(), Some(0), "{}", output.describe());
    let said = btd_json(&arguments(&[&"inspect", &torrent, &"--json"]));
    let file =
        |path: &str, length: u64| serde_json::json!({"path": path, "length": length, "padding": false});
    let files = [file("größe/a", 70_000), file("größe/sub/b", 0), file("größe/z", 10_000)];
    assert_eq!(said["files"], serde_json::json!(files));
    assert_eq!(said["name"], "größe");
    assert_eq!(
        (&said["length"], &said["piece_length"], &said["piece_count"]),
        (&80_000.into(), &65_536.into(), &2.into())
    );
    assert_eq!(said["trackers"], serde_json::json!([["http://one.invalid/a"]]));
    assert_eq!((&said["comment"], &said["private"]), (&"two words".into(), &true.into()));
    // What a human reads says the same.
    let text = btd(&arguments(&[&"inspect", &torrent])).stdout();
    for word in ["größe/sub/b", said["info_hash"].as_str().unwrap(), "http://one.invalid/a", "two words"] {
        assert!(text.contains(word), "{word:?} is missing in {text}");
    }
}

fn create_leaves_nothing_behind_when_it_fails() {
    let scratch = scratch("create-fails");
    let torrent = scratch.path().join("out.torrent");
    let output = btd(&arguments(&[&"create", &scratch.path().join("nothing-here"), &"-o", &torrent]));
    assert_refused(&output, &["nothing-here"]);
    let left: Vec<_> = fs::read_dir(scratch.path()).unwrap().flatten().collect();
    assert!(left.is_empty(), "{left:?}");
    let file = write_single(scratch.path(), "f", 1, 1_000);
    let nowhere = scratch.path().join("no-such-folder/out.torrent");
    assert_refused(&btd(&arguments(&[&"create", &file, &"-o", &nowhere])), &["no-such-folder"]);
}
