//! What `btd inspect` refuses, what it reads although it is odd, and the paths that it makes harmless.

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;

use serde_json::Value as Json;
use tests::bencode::{Value, bytes, dictionary};
use tests::btd::{arguments, assert_refused, btd, btd_json};
use tests::folders::scratch;

use crate::Case;

pub(crate) const CASES: &[Case] = &[
    Case::new("malformed_torrents_are_refused", malformed_torrents_are_refused),
    Case::new("malformed_bencode_is_refused", malformed_bencode_is_refused),
    Case::new("odd_but_harmless_torrents_are_read", odd_but_harmless_torrents_are_read),
    Case::new("paths_are_made_harmless", paths_are_made_harmless),
    Case::new("files_that_collide_are_told_apart", files_that_collide_are_told_apart),
    Case::new("malformed_magnets_are_refused", malformed_magnets_are_refused),
];

/// Largest piece length that is read.
const MAX_PIECE_LENGTH: i64 = 512 << 20;

fn file(length: Value, path: &[&str]) -> Value {
    dictionary([("length", length), ("path", Value::List(path.iter().map(bytes).collect()))])
}

/// A torrent of one file of 20,000 bytes: two pieces.
fn single() -> Value {
    dictionary([(
        "info",
        dictionary([
            ("length", Value::Integer(20_000)),
            ("name", bytes("x")),
            ("piece length", Value::Integer(16_384)),
            ("pieces", bytes([7; 40])),
        ]),
    )])
}

/// A torrent of two files of 10,000 bytes each, with the second one replaced by `second`.
fn multi(second: Value) -> Value {
    dictionary([(
        "info",
        dictionary([
            ("files", Value::List(vec![file(Value::Integer(10_000), &["a"]), second])),
            ("name", bytes("x")),
            ("piece length", Value::Integer(16_384)),
            ("pieces", bytes([7; 40])),
        ]),
    )])
}

/// The torrent of one file with `change` made to its info dictionary.
fn changed(change: impl FnOnce(&mut Value)) -> Value {
    let mut torrent = single();
    change(torrent.get_mut("info"));
    torrent
}

fn with(key: &str, value: Value) -> Value {
    changed(|info| info.set(key, value))
}

fn without(key: &str) -> Value {
    changed(|info| info.remove(key))
}

/// Writes `torrent` and checks that every command that reads it refuses it, with `words` in the message.
fn assert_torrent_refused(folder: &Path, what: &str, torrent: &[u8], words: &[&str]) {
    let path = folder.join("bad.torrent");
    fs::write(&path, torrent).unwrap();
    for command in ["inspect", "verify"] {
        let output = btd(&arguments(&[&command, &path]));
        assert_ne!(output.code(), Some(0), "{command} takes {what}: {}", output.describe());
        assert_refused(&output, &[&["bad.torrent"], words].concat());
    }
}

fn malformed_torrents_are_refused() {
    let scratch = scratch("malformed");
    let good_second = file(Value::Integer(10_000), &["b"]);
    let v2_only = dictionary([
        (
            "file tree",
            dictionary([(
                "x",
                dictionary([(
                    "",
                    dictionary([("length", Value::Integer(20_000)), ("pieces root", bytes([7; 32]))]),
                )]),
            )]),
        ),
        ("meta version", Value::Integer(2)),
        ("name", bytes("x")),
        ("piece length", Value::Integer(16_384)),
    ]);
    let table: Vec<(&str, Value, &[&str])> = vec![
        ("not a dictionary", Value::List(vec![]), &[]),
        ("no info", dictionary([("comment", bytes("x"))]), &["info"]),
        ("info is not a dictionary", dictionary([("info", bytes("x"))]), &["info"]),
        ("no piece length", without("piece length"), &["piece length"]),
        ("piece length of zero", with("piece length", Value::Integer(0)), &["piece length"]),
        ("negative piece length", with("piece length", Value::Integer(-16_384)), &["piece length"]),
        (
            "too large piece length",
            with("piece length", Value::Integer(MAX_PIECE_LENGTH + 1)),
            &["piece length"],
        ),
        ("piece length that is text", with("piece length", bytes("16384")), &["piece length"]),
        ("no name", without("name"), &["name"]),
        ("name that is a number", with("name", Value::Integer(1)), &["name"]),
        ("no pieces", without("pieces"), &["pieces"]),
        ("pieces that are a list", with("pieces", Value::List(vec![])), &["pieces"]),
        ("pieces of 39 bytes", with("pieces", bytes([7; 39])), &["pieces"]),
        ("a hash too few", with("pieces", bytes([7; 20])), &["pieces"]),
        ("a hash too many", with("pieces", bytes([7; 60])), &["pieces"]),
        ("no hashes", with("pieces", bytes("")), &["pieces"]),
        ("neither length nor files", without("length"), &["length"]),
        ("negative length", with("length", Value::Integer(-1)), &["length"]),
        ("length of zero", with("length", Value::Integer(0)), &[]),
        ("length that is text", with("length", bytes("20000")), &["length"]),
        ("length beyond 64 bits", with("length", Value::Raw(b"i99999999999999999999e".to_vec())), &[]),
        ("length that overflows", multi(file(Value::Integer(i64::MAX), &["b"])), &[]),
        (
            "no files",
            changed(|info| {
                info.remove("length");
                info.set("files", Value::List(vec![]));
            }),
            &["files"],
        ),
        (
            "files that are text",
            changed(|info| {
                info.remove("length");
                info.set("files", bytes("x"));
            }),
            &["files"],
        ),
        ("a file that is text", multi(bytes("x")), &[]),
        ("a file without length", multi(dictionary([("path", Value::List(vec![bytes("b")]))])), &["length"]),
        ("a file of negative length", multi(file(Value::Integer(-10_000), &["b"])), &["length"]),
        ("a file without path", multi(dictionary([("length", Value::Integer(10_000))])), &["path"]),
        ("a file with an empty path", multi(file(Value::Integer(10_000), &[])), &["path"]),
        (
            "a path that is text",
            multi(dictionary([("length", Value::Integer(10_000)), ("path", bytes("b"))])),
            &["path"],
        ),
        (
            "a path of numbers",
            multi(dictionary([
                ("length", Value::Integer(10_000)),
                ("path", Value::List(vec![Value::Integer(1)])),
            ])),
            &["path"],
        ),
        ("a path too deep", multi(file(Value::Integer(10_000), &["d"; 10_000])), &["path"]),
        (
            "a torrent of version 2 only",
            dictionary([("info", v2_only)]),
            &["v2-only torrents are not supported yet"],
        ),
    ];
    let mut refused = BTreeSet::new();
    for (what, torrent, words) in table {
        let encoded = torrent.encode();
        assert!(refused.insert(encoded.clone()), "{what} stands twice in the table");
        assert_torrent_refused(scratch.path(), what, &encoded, words);
    }
    // What the table changes is otherwise valid.
    for good in [single(), multi(good_second)] {
        assert!(!refused.contains(&good.encode()));
        read(scratch.path(), &good.encode());
    }
}

fn malformed_bencode_is_refused() {
    let scratch = scratch("bencode");
    let good = single().encode();
    let nested = [vec![b'l'; 100_000], vec![b'e'; 100_000]].concat();
    let raw = |text: &str| with("length", Value::Raw(text.into())).encode();
    let mut duplicate = single();
    let Value::Dictionary(entries) = duplicate.get_mut("info") else { panic!("info is a dictionary") };
    entries.insert(1, ("length".into(), Value::Integer(20_001)));
    let table: Vec<(&str, Vec<u8>)> = vec![
        ("nothing", vec![]),
        ("a page instead of a torrent", b"<!DOCTYPE html><html><body>404</body></html>\n".to_vec()),
        ("zeros", vec![0; 1_000]),
        ("a torrent cut in half", good[..good.len() / 2].to_vec()),
        ("a torrent without its last byte", good[..good.len() - 1].to_vec()),
        ("leading zeros", raw("i020000e")),
        ("negative zero", raw("i-0e")),
        ("a plus sign", raw("i+20000e")),
        ("no digits", raw("ie")),
        ("only a minus", raw("i-e")),
        ("a number that never ends", raw("i20000")),
        ("a string longer than the file", b"d4:info99999999:xe".to_vec()),
        ("a string length with leading zeros", b"d04:infod4:name1:xee".to_vec()),
        ("a string length beyond 64 bits", b"d4:info99999999999999999999:xe".to_vec()),
        ("a negative string length", b"d4:info-1:xe".to_vec()),
        ("a key that is a number", b"di1ei2ee".to_vec()),
        ("a key without a value", b"d4:infoe".to_vec()),
        ("deep nesting", nested.clone()),
        ("deep nesting beside info", [b"d1:a".as_slice(), &nested, &good[1..]].concat()),
        ("deep nesting inside info", with("x", Value::Raw(nested)).encode()),
        ("nesting that never ends", vec![b'd'; 1_000_000]),
        ("a key twice in info", duplicate.encode()),
    ];
    for (what, torrent) in table {
        assert_torrent_refused(scratch.path(), what, &torrent, &[]);
    }
}

/// What `btd inspect` says of `torrent`, which it must read.
fn read(folder: &Path, torrent: &[u8]) -> Json {
    let path = folder.join("good.torrent");
    fs::write(&path, torrent).unwrap();
    btd_json(&arguments(&[&"inspect", &path, &"--json"]))
}

fn odd_but_harmless_torrents_are_read() {
    use sha1::{Digest, Sha1};
    let scratch = scratch("odd");
    let mut out_of_order = single();
    let Value::Dictionary(entries) = out_of_order.get_mut("info") else { panic!("info is a dictionary") };
    entries.reverse();
    let tiny = changed(|info| {
        info.set("piece length", Value::Integer(1));
        info.set("length", Value::Integer(2));
    });
    let huge = changed(|info| {
        info.set("piece length", Value::Integer(MAX_PIECE_LENGTH));
        info.set("pieces", bytes([7; 20]));
    });
    let unknown = with("x-unknown", dictionary([("source", bytes("y")), ("z", Value::Integer(-5))]));
    for (what, torrent, after) in [
        ("keys out of order", out_of_order, ""),
        ("bytes after the last e", single(), "\n\0more"),
        ("a piece length of one byte", tiny, ""),
        ("the largest piece length", huge, ""),
        ("a piece length that is no power of two", with("piece length", Value::Integer(10_001)), ""),
        ("keys that nobody knows", unknown, ""),
    ] {
        let said = read(scratch.path(), &[&torrent.encode(), after.as_bytes()].concat());
        // The info-hash is that of the bytes as they stand.
        let hash = Sha1::digest(torrent.get("info").encode());
        let hex: String = hash.iter().map(|byte| format!("{byte:02x}")).collect();
        assert_eq!(said["info_hash"], hex.as_str(), "{what}");
    }
}

/// The paths that `btd inspect` shows for `torrent`.
fn paths(folder: &Path, torrent: &Value) -> Vec<String> {
    let said = read(folder, &torrent.encode());
    let files = said["files"].as_array().unwrap();
    files.iter().map(|file| file["path"].as_str().unwrap().to_owned()).collect()
}

fn assert_harmless(path: &str, name: &str) {
    let components: Vec<&str> = path.split('/').collect();
    assert!(components.len() >= 2 || components == [name], "{path:?} lies in the torrent's folder");
    for component in components {
        assert!(!matches!(component, "" | "." | ".."), "{path:?} has a component that is not a name");
        assert!(!component.contains('\0'), "{path:?} has a NUL");
        assert!(component.len() <= 255, "{path:?} has a component that no file system takes");
    }
}

fn paths_are_made_harmless() {
    let scratch = scratch("harmless");
    let long = "x".repeat(1_000);
    for path in [
        ["..", "..", "etc", "passwd"].as_slice(),
        &["../../etc/passwd"],
        &["/etc/passwd"],
        &["", "b"],
        &["", ""],
        &["."],
        &[".."],
        &["b", ""],
        &["b\0c"],
        &["\0"],
        &["/"],
        &["sub/../../b"],
        &[&long],
    ] {
        let torrent = multi(file(Value::Integer(10_000), path));
        let found = paths(scratch.path(), &torrent);
        assert_eq!(found.len(), 2, "{path:?}: {found:?}");
        for found in found {
            assert!(found.starts_with("x/"), "{path:?} became {found:?}");
            assert_harmless(&found, "x");
        }
    }
    for name in ["..", "/etc/passwd", "../x", ".", "a/b", "a\0b", "/"] {
        for torrent in [with("name", bytes(name)), {
            let mut torrent = multi(file(Value::Integer(10_000), &["b"]));
            torrent.get_mut("info").set("name", bytes(name));
            torrent
        }] {
            for found in paths(scratch.path(), &torrent) {
                let first = found.split('/').next().unwrap_or_default().to_owned();
                assert_harmless(&found, &first);
            }
        }
    }
}

fn files_that_collide_are_told_apart() {
    let scratch = scratch("collide");
    for second in [["a"].as_slice(), &["", "a"], &["a", "b"], &["..", "a"], &["./a"]] {
        let found = paths(scratch.path(), &multi(file(Value::Integer(10_000), second)));
        let [first, other] = found.as_slice() else { panic!("two files: {found:?}") };
        assert_ne!(first, other, "{second:?}");
        // A file cannot be a folder at the same time.
        assert!(!other.starts_with(&format!("{first}/")), "{second:?}: {found:?}");
    }
}

fn malformed_magnets_are_refused() {
    let hash = "0123456789abcdef0123456789abcdef01234567";
    let v2 = format!("magnet:?xt=urn:btmh:1220{}", hash.repeat(2)[..64].to_owned());
    for (link, words) in [
        ("magnet:".to_owned(), [].as_slice()),
        ("magnet:?".to_owned(), &[]),
        ("magnet:?dn=name".to_owned(), &[]),
        ("magnet:?xt=".to_owned(), &[]),
        ("magnet:?xt=urn:btih:".to_owned(), &[]),
        (format!("magnet:?xt=urn:btih:{}", &hash[1..]), &[]),
        (format!("magnet:?xt=urn:btih:{hash}0"), &[]),
        (format!("magnet:?xt=urn:btih:{}g", &hash[1..]), &[]),
        (format!("magnet:?xt=urn:btih:{}", "1".repeat(32)), &[]),
        (format!("magnet:?xt=urn:sha1:{hash}"), &[]),
        (v2, &["v2-only torrents are not supported yet"]),
    ] {
        assert_refused(&btd(&["inspect", &link]), words);
        assert_refused(&btd(&["inspect", &link, "--json"]), words);
    }
    // What is refused above is refused for its fault alone.
    btd_json(&["inspect", &format!("magnet:?xt=urn:btih:{hash}"), "--json"]);
}
