//! Tests of reading torrents: each refusal, what is mended instead, and what holds for every torrent.

mod attributes;

use std::collections::BTreeMap;
use std::sync::Arc;

use proptest::prelude::*;

use super::*;
use crate::bencode::{BencodeError, MAX_DEPTH};
use crate::geometry::{GeometryError, MAX_PIECE_LENGTH};
use crate::id::InfoHash;

/// An `info` that is valid.
pub(super) const SINGLE_FILE: &str =
    "d6:lengthi5e4:name1:a12:piece lengthi4e6:pieces40:AAAAAAAAAAAAAAAAAAAABBBBBBBBBBBBBBBBBBBBe";

/// The bytes of a torrent file with the keys `outer` and this `info`.
pub(super) fn torrent(outer: &str, info: &str) -> Vec<u8> {
    format!("d{outer}4:info{info}e").into_bytes()
}

/// The keys of [`SINGLE_FILE`] with some changed or added, or left out where the value is empty.
fn with(changes: &[(&str, &str)]) -> Vec<u8> {
    let pieces = format!("40:{}{}", "A".repeat(20), "B".repeat(20));
    let mut keys = BTreeMap::from([
        ("length", "i5e"),
        ("name", "1:a"),
        ("piece length", "i4e"),
        ("pieces", pieces.as_str()),
    ]);
    keys.extend(changes.iter().copied());
    let keys = keys.into_iter().filter(|(_, value)| !value.is_empty());
    let keys: String = keys.map(|(key, value)| format!("{}:{key}{value}", key.len())).collect();
    format!("d{keys}e").into_bytes()
}

fn parse(raw: impl AsRef<[u8]>) -> Result<Info, InfoError> {
    Info::parse(Arc::from(raw.as_ref()))
}

fn refusal(changes: &[(&str, &str)]) -> InfoError {
    parse(with(changes)).unwrap_err()
}

/// What is wrong with a torrent of these `files`.
fn files_refusal(list: &str) -> InfoError {
    refusal(&[("length", ""), ("files", list)])
}

/// A torrent of these `files`, with `length` bytes together.
fn with_files(list: impl AsRef<[u8]>, length: usize) -> Info {
    let hashes = length.div_ceil(4) * 20;
    let end = format!("4:name4:root12:piece lengthi4e6:pieces{hashes}:{}e", "A".repeat(hashes));
    parse([b"d5:files", list.as_ref(), end.as_bytes()].concat()).unwrap()
}

fn paths(info: &Info) -> Vec<String> {
    info.files().iter().map(|file| file.path.to_string()).collect()
}

#[test]
fn a_single_file_torrent_is_read() {
    let info = parse(SINGLE_FILE).unwrap();
    assert_eq!(info.name(), "a");
    assert_eq!(paths(&info), ["a"]);
    assert_eq!((info.files()[0].length, &info.files()[0].kind), (5, &FileKind::Regular));
    assert_eq!((info.geometry().piece_length(), info.geometry().piece_count()), (4, 2));
    assert_eq!(info.layout().length(), 5);
    assert_eq!((info.piece_hash(0), info.piece_hash(1)), (b"AAAAAAAAAAAAAAAAAAAA", b"BBBBBBBBBBBBBBBBBBBB"));
    assert!(!info.is_private());
}

#[test]
fn a_folder_torrent_is_read_with_paths_below_its_name() {
    let info = with_files("ld6:lengthi3e4:pathl1:x1:yeed6:lengthi0e4:pathl1:zeee", 3);
    assert_eq!(paths(&info), ["root/x/y", "root/z"]);
    assert_eq!((info.layout().file_range(0), info.layout().file_range(1)), (0..3, 3..3));
}

#[test]
fn the_info_hash_is_that_of_the_raw_bytes_unknown_keys_and_order_included() {
    let odd = "d3:fool2:\u{e9}i1ee6:pieces40:AAAAAAAAAAAAAAAAAAAABBBBBBBBBBBBBBBBBBBB4:name1:a6:lengthi5e12:piece lengthi4ee";
    let metainfo = Metainfo::parse(&[torrent("", odd), b"trailing".to_vec()].concat()).unwrap();
    assert_eq!(&**metainfo.info.raw(), odd.as_bytes());
    assert_eq!(metainfo.info.info_hash(), InfoHash::of_info(odd.as_bytes()));
    assert_eq!(*metainfo.info, parse(odd).unwrap());
    // Known answer, by `printf ... | sha1sum`.
    let known = "d6:lengthi5e4:name1:a12:piece lengthi4e6:pieces40:AAAAAAAAAAAAAAAAAAAABBBBBBBBBBBBBBBBBBBBe";
    assert_eq!(parse(known).unwrap().info_hash().to_string(), "db6f5d5648a054d2c783a9c00692ecde41b51958");
}

#[test]
fn private_is_any_integer_but_zero() {
    let private = |value| parse(with(&[("private", value)])).unwrap().is_private();
    assert!(private("i1e") && private("i2e"));
    assert!(!private("i0e") && !private("1:1") && !private(""));
}

#[test]
fn a_utf8_name_wins_where_it_is_usable() {
    let name = |name, utf8| parse(with(&[("name", name), ("name.utf-8", utf8)])).unwrap().name().to_owned();
    assert_eq!(name("1:a", "1:b"), "b");
    assert_eq!(name("", "1:b"), "b");
    assert_eq!(name("0:", "1:b"), "b");
    assert_eq!(name("1:a", "0:"), "a");
    assert_eq!(name("1:a", "i1e"), "a");
    let raw = with(&[("name", "1:N"), ("name.utf-8", "1:U")]);
    let raw: Vec<u8> = raw.into_iter().map(|byte| if byte == b'U' { 0xff } else { byte }).collect();
    assert_eq!(parse(raw).unwrap().name(), "N");
}

#[test]
fn names_that_are_not_utf8_get_replacement_characters() {
    let info = with_files(b"ld6:lengthi3e4:pathl2:\xff.eee", 3);
    assert_eq!(paths(&info), ["root/\u{fffd}."]);
}

#[test]
fn a_name_of_which_nothing_is_left_is_replaced() {
    assert_eq!(parse(with(&[("name", "2:..")])).unwrap().name(), "_");
    assert_eq!(parse(with(&[("name", "4:/a/b")])).unwrap().name(), "_a_b");
}

#[test]
fn a_utf8_path_wins_where_it_is_usable() {
    let read = |utf8: &[u8]| {
        let file = [b"ld6:lengthi3e4:pathl1:xe10:path.utf-8", utf8, b"ee"].concat();
        paths(&with_files(file, 3)).remove(0)
    };
    assert_eq!(read(b"l1:y1:ze"), "root/y/z");
    for bad in [b"le".as_slice(), b"l1:\xffe", b"li1ee", b"1:y", b"de"] {
        assert_eq!(read(bad), "root/x", "{}", bad.escape_ascii());
    }
    assert_eq!(paths(&with_files("ld6:lengthi3e10:path.utf-8l1:yeee", 3)), ["root/y"]);
}

#[test]
fn files_that_would_be_one_on_disk_are_renamed_apart() {
    let list = "ld6:lengthi1e4:pathl1:aeed6:lengthi1e4:pathl2:..1:aeed6:lengthi1e4:pathl1:a1:beee";
    assert_eq!(paths(&with_files(list, 3)), ["root/a.1", "root/a.2", "root/a/b"]);
}

#[test]
fn files_that_clash_at_the_limit_of_a_path_stay_within_it() {
    let name = |length: usize| format!("{length}:{}", "x".repeat(length));
    let path = format!("{}{}", name(255).repeat(15), name(MAX_PATH_LENGTH - 5 - 15 * 256));
    let info = with_files(format!("l{}e", format!("d6:lengthi1e4:pathl{path}ee").repeat(2)), 2);
    let lengths: Vec<usize> = paths(&info).iter().map(String::len).collect();
    assert!(lengths[0] == MAX_PATH_LENGTH && lengths[1] <= MAX_PATH_LENGTH, "{lengths:?}");
}

#[test]
fn what_is_no_dictionary_is_refused() {
    for raw in ["le", "i1e", "0:"] {
        assert_eq!(parse(raw), Err(InfoError::NotADictionary));
        let error = Metainfo::parse(&torrent("", raw)).unwrap_err();
        assert_eq!(error.to_string(), "`info` is not a dictionary");
    }
    assert_eq!(Metainfo::parse(b"le"), Err(BencodeError::NotADictionary.into()));
    assert_eq!(Metainfo::parse(b"de"), Err(BencodeError::MissingInfo.into()));
    assert_eq!(Metainfo::parse(b"d4:infoi01ee"), Err(BencodeError::BadNumber { at: 7 }.into()));
}

#[test]
fn raw_bytes_that_are_not_one_clean_value_are_refused() {
    let raw = [SINGLE_FILE.as_bytes(), b"x"].concat();
    assert_eq!(parse(&raw), Err(BencodeError::TrailingBytes { at: SINGLE_FILE.len() }.into()));
    assert_eq!(parse("d4:name1:a4:name1:be"), Err(BencodeError::DuplicateKey { at: 10 }.into()));
    let deep = [vec![b'l'; MAX_DEPTH], vec![b'e'; MAX_DEPTH]].concat();
    let deep = [b"d1:x", deep.as_slice(), b"e"].concat();
    assert_eq!(parse(&deep), Err(BencodeError::TooDeep { at: MAX_DEPTH + 3 }.into()));
}

#[test]
fn a_piece_length_out_of_range_is_refused_and_any_other_taken() {
    assert_eq!(refusal(&[("piece length", "")]), InfoError::MissingPieceLength);
    assert_eq!(refusal(&[("piece length", "1:4")]), InfoError::MissingPieceLength);
    assert_eq!(refusal(&[("piece length", "i-4e")]), InfoError::NegativePieceLength(-4));
    let out_of_range = |length| InfoError::Geometry(GeometryError::PieceLength(length));
    assert_eq!(refusal(&[("piece length", "i0e")]), out_of_range(0));
    let long = u64::from(MAX_PIECE_LENGTH) + 1;
    assert_eq!(refusal(&[("piece length", &format!("i{long}e"))]), out_of_range(long));
    assert!(parse(with(&[("piece length", "i3e")])).is_ok());
}

#[test]
fn a_missing_name_is_refused() {
    for name in ["", "0:", "i1e", "l1:ae"] {
        assert_eq!(refusal(&[("name", name)]), InfoError::MissingName, "{name}");
    }
}

#[test]
fn either_length_or_files_is_needed_and_files_wins() {
    assert_eq!(refusal(&[("length", "")]), InfoError::NoLengthOrFiles);
    for length in ["i5e", "i99e", "i-1e", "1:x"] {
        let info = parse(with(&[("length", length), ("files", "ld6:lengthi6e4:pathl1:xeee")])).unwrap();
        assert_eq!((paths(&info), info.layout().length()), (vec!["a/x".to_owned()], 6), "{length}");
    }
    assert_eq!(refusal(&[("files", "le")]), InfoError::NoFiles);
}

#[test]
fn lengths_that_are_no_sizes_are_refused() {
    assert_eq!(refusal(&[("length", "1:5")]), InfoError::MissingLength { file: 0 });
    assert_eq!(refusal(&[("length", "i-5e")]), InfoError::NegativeLength { file: 0, length: -5 });
    assert_eq!(refusal(&[("length", "i0e")]), InfoError::Geometry(GeometryError::Empty));
    let first = "d6:lengthi1e4:pathl1:xee";
    assert_eq!(files_refusal(&format!("l{first}d4:pathl1:yeee")), InfoError::MissingLength { file: 1 });
    let negative = files_refusal(&format!("l{first}d6:lengthi-1e4:pathl1:yeee"));
    assert_eq!(negative, InfoError::NegativeLength { file: 1, length: -1 });
    let huge = format!("d6:lengthi{}e4:pathl1:xee", i64::MAX);
    assert_eq!(files_refusal(&format!("l{}e", huge.repeat(3))), InfoError::LengthOverflow);
    let empty = files_refusal("ld6:lengthi0e4:pathl1:xeee");
    assert_eq!(empty, InfoError::Geometry(GeometryError::Empty));
}

#[test]
fn a_list_of_files_of_the_wrong_shape_is_refused() {
    assert_eq!(files_refusal("1:x"), InfoError::FilesNotAList);
    assert_eq!(files_refusal("le"), InfoError::NoFiles);
    assert_eq!(files_refusal("ld6:lengthi1e4:pathl1:xee1:ye"), InfoError::FileNotADictionary { file: 1 });
}

#[test]
fn a_path_of_the_wrong_shape_is_refused() {
    let path = |path: &str| files_refusal(&format!("ld6:lengthi5e{path}ee"));
    assert_eq!(path(""), InfoError::MissingPath { file: 0 });
    assert_eq!(path("4:path1:x"), InfoError::MissingPath { file: 0 });
    assert_eq!(path("4:pathle"), InfoError::EmptyPath { file: 0 });
    assert_eq!(path("4:pathl1:xi1ee"), InfoError::PathComponent { file: 0 });
    let deep = |depth: usize| format!("4:pathl{}e", "1:x".repeat(depth));
    assert_eq!(path(&deep(MAX_PATH_DEPTH + 1)), InfoError::PathTooDeep { file: 0 });
    assert_eq!(with_files(format!("ld6:lengthi5e{}ee", deep(MAX_PATH_DEPTH)), 5).files().len(), 1);
    let long = path(&format!("4:pathl{}e", format!("255:{}", "x".repeat(255)).repeat(16)));
    assert_eq!(long, InfoError::PathTooLong { file: 0, length: 16 * 256 + 1 });
}

#[test]
fn too_many_files_are_refused() {
    let list = format!("l{}e", "d6:lengthi1e4:pathl1:xee".repeat(MAX_FILE_COUNT + 1));
    assert_eq!(files_refusal(&list), InfoError::TooManyFiles);
}

#[test]
fn pieces_must_be_as_many_as_the_length_makes() {
    let hashes = |bytes: usize| format!("{bytes}:{}", "A".repeat(bytes));
    assert_eq!(refusal(&[("pieces", "")]), InfoError::MissingPieces);
    assert_eq!(refusal(&[("pieces", "le")]), InfoError::MissingPieces);
    assert_eq!(refusal(&[("pieces", &hashes(41))]), InfoError::PiecesLength(41));
    assert_eq!(refusal(&[("pieces", &hashes(20))]), InfoError::PieceCount { expected: 2, found: 1 });
    assert_eq!(refusal(&[("pieces", &hashes(60))]), InfoError::PieceCount { expected: 2, found: 3 });
    assert_eq!(refusal(&[("pieces", "0:")]), InfoError::PieceCount { expected: 2, found: 0 });
    let many = refusal(&[("length", "i99999999999e")]);
    assert_eq!(many, InfoError::Geometry(GeometryError::TooManyPieces(25_000_000_000)));
}

#[test]
fn a_v2_only_torrent_is_refused_by_name_and_a_hybrid_read_as_v1() {
    let tree = ("file tree", "d1:ad0:d6:lengthi5eeee");
    let error = refusal(&[("pieces", ""), ("length", ""), ("meta version", "i2e"), tree]);
    assert_eq!(error.to_string(), "v2-only torrents are not supported yet");
    assert_eq!(paths(&parse(with(&[("meta version", "i2e"), tree])).unwrap()), ["a"]);
}

#[test]
fn refusals_name_the_key_in_lower_case() {
    let errors = [
        refusal(&[("name", "")]),
        refusal(&[("pieces", "0:")]),
        refusal(&[("piece length", "i0e")]),
        refusal(&[("length", "")]),
        files_refusal("le"),
        files_refusal("ld6:lengthi5eee"),
    ];
    for error in errors.map(|error| error.to_string()) {
        assert!(error.contains('`') && !error.starts_with(char::is_uppercase), "{error}");
    }
}

/// A torrent with a bit of everything, to be broken.
fn rich_torrent() -> Vec<u8> {
    let files = "ld4:attr1:x6:lengthi3e4:pathl1:x1:yeed4:attr1:l4:pathl1:ze12:symlink pathl1:xeed4:attr1:p6:lengthi1eee";
    let info = with(&[("length", ""), ("files", files), ("name.utf-8", "2:\u{e9}"), ("private", "i1e")]);
    let info = String::from_utf8(info).unwrap().replace("40:AAAAAAAAAAAAAAAAAAAA", "20:");
    let outer = "8:announce4:udp:13:announce-listll4:udp:ee7:comment2:hi13:creation datei9e8:url-list4:http";
    torrent(outer, &info)
}

#[test]
fn no_truncation_and_no_changed_byte_makes_the_reader_panic() {
    let whole = rich_torrent();
    assert!(Metainfo::parse(&whole).is_ok());
    for end in 0..whole.len() {
        assert!(Metainfo::parse(&whole[..end]).is_err(), "{end}");
    }
    for at in 0..whole.len() {
        for byte in [0, b'0', b'1', b'9', b':', b'd', b'e', b'i', b'l', b'-', b'/', 0xff] {
            let mut bytes = whole.clone();
            bytes[at] = byte;
            let _ = Metainfo::parse(&bytes);
        }
    }
}

proptest! {
    #[test]
    fn any_bytes_are_read_without_a_panic(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
        let _ = (Metainfo::parse(&bytes), parse(&bytes));
        let list = [b"d5:files", bytes.as_slice(), b"e"].concat();
        let _ = (parse(&list), Metainfo::parse(&torrent("", &String::from_utf8_lossy(&list))));
    }

    #[test]
    fn unknown_keys_are_kept_in_the_info_hash(key in "x[a-z]{0,9}", value in "[a-z]{1,9}", list in any::<bool>()) {
        let text = format!("{}:{value}", value.len());
        let raw = with(&[(&key, if list { format!("ld0:{text}e{text}e") } else { text }.as_str())]);
        let metainfo = Metainfo::parse(&torrent("", std::str::from_utf8(&raw).unwrap())).unwrap();
        prop_assert_eq!(metainfo.info.info_hash(), InfoHash::of_info(&raw));
        prop_assert_eq!(&metainfo.info.raw()[..], &raw[..]);
        prop_assert_ne!(metainfo.info.info_hash(), parse(SINGLE_FILE).unwrap().info_hash());
    }

    #[test]
    fn files_on_disk_never_share_or_nest_or_leave_the_folder(
        files in prop::collection::vec(prop::collection::vec("[./ab]{0,3}|\\.pad|[0-9]", 1..4), 1..20),
    ) {
        let component = |c: &String| format!("{}:{c}", c.len());
        let file = |f: &Vec<String>| format!("d6:lengthi1e4:pathl{}ee", f.iter().map(component).collect::<String>());
        let list = format!("l{}e", files.iter().map(file).collect::<String>());
        let info = with_files(&list, files.len());
        let on_disk = info.files().iter().filter(|file| file.kind != FileKind::Padding);
        let paths: Vec<Vec<&str>> = on_disk.map(|file| file.path.components().collect()).collect();
        for (index, path) in paths.iter().enumerate() {
            prop_assert!(path.len() > 1 && path[0] == "root");
            prop_assert!(path.iter().all(|c| !["", ".", ".."].contains(c) && !c.contains('/')), "{:?}", path);
            let clash = |(other, prefix): (usize, &Vec<&str>)| other != index && path.starts_with(prefix);
            prop_assert!(!paths.iter().enumerate().any(clash), "{:?}", path);
        }
    }
}
