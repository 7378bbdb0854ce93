//! Tests of what files are on disk: padding, symbolic links, executable and hidden files (BEP 47).

use proptest::prelude::*;

use super::*;

/// Which of the files with these attributes, lengths and paths are padding, in pieces of four bytes.
fn padding(files: &[(&str, usize, &[&str])]) -> Vec<bool> {
    let text = |text: &&str| format!("{}:{text}", text.len());
    let file = |(attr, length, path): &(&str, usize, &[&str])| {
        let path: String = path.iter().map(text).collect();
        format!("d4:attr{}6:lengthi{length}e4:pathl{path}ee", text(attr))
    };
    let list: String = files.iter().map(file).collect();
    let info = with_files(format!("l{list}e"), files.iter().map(|(_, length, _)| length).sum());
    info.files().iter().map(|file| file.kind == FileKind::Padding).collect()
}

#[test]
fn padding_is_known_by_its_attribute_and_counts() {
    assert_eq!(padding(&[("p", 3, &["x"]), ("xp", 2, &["x"]), ("q", 1, &["x"])]), [true, true, false]);
    let info = with_files("ld4:attr1:p6:lengthi2eed4:attri1e6:lengthi1e4:pathl1:xeee", 3);
    let kinds: Vec<_> = info.files().iter().map(|file| &file.kind).collect();
    assert_eq!(kinds, [&FileKind::Padding, &FileKind::Regular]);
    assert_eq!(
        (paths(&info), info.layout().length()),
        (vec!["root/.pad/2".to_owned(), "root/x".to_owned()], 3)
    );
}

#[test]
fn padding_is_known_by_its_name_where_it_ends_with_a_piece() {
    let bitcomet = "_____padding_file_0_";
    assert_eq!(padding(&[("", 1, &["a"]), ("", 3, &[".pad", "3"]), ("", 1, &["b"])]), [false, true, false]);
    assert_eq!(padding(&[("", 2, &["a"]), ("", 2, &["d", bitcomet])]), [false, true]);
    assert_eq!(padding(&[("", 2, &["a"]), ("", 2, &[&format!("x{bitcomet}"), "y"])]), [false, true]);
}

#[test]
fn a_file_with_the_name_of_padding_but_not_its_place_is_a_file() {
    let bitcomet = "_____padding_file_0_";
    for (name, file) in [
        ("a length other than its name", (4, [".pad", "123"].as_slice())),
        ("an end inside a piece", (7, &[".pad", "7"])),
        ("BitComet's inside a piece", (7, &["d", bitcomet])),
        ("no number", (4, &[".pad", "4a"])),
        ("deeper", (4, &[".pad", "4", "4"])),
        ("elsewhere", (4, &["x", ".pad", "4"])),
    ] {
        assert_eq!(padding(&[("", file.0, file.1), ("", 4, &["b"])]), [false, false], "{name}");
    }
    let nothing_behind_a_piece = padding(&[("", 4, &["a"]), ("", 0, &[".pad", "0"]), ("", 4, &["b"])]);
    assert_eq!(nothing_behind_a_piece, [false; 3]);
    let at_the_end_inside_a_piece = padding(&[("", 4, &["a"]), ("", 2, &[".pad", "2"])]);
    assert_eq!(at_the_end_inside_a_piece, [false, false]);
    assert_eq!(padding(&[("l", 0, &[".pad", "4"]), ("", 4, &["b"])]), [false, false], "a link");
}

#[test]
fn attributes_are_read_for_one_file_and_for_many() {
    let info = with_files("ld4:attr2:xh6:lengthi3e4:pathl1:xeed6:lengthi0e4:pathl1:yeee", 3);
    let flags: Vec<_> = info.files().iter().map(|file| (file.executable, file.hidden)).collect();
    assert_eq!(flags, [(true, true), (false, false)]);
    assert!(parse(with(&[("attr", "1:x")])).unwrap().files()[0].executable);
}

#[test]
fn a_symlink_has_no_bytes_and_points_inside_the_torrent() {
    let list = "ld6:lengthi3e4:pathl1:xeed4:attr1:l6:lengthi9e4:pathl1:ye12:symlink pathl1:d1:xeee";
    let info = with_files(list, 3);
    let link = &info.files()[1];
    assert_eq!((link.path.to_string().as_str(), link.length), ("root/y", 0));
    let FileKind::Symlink { target: Some(target) } = &link.kind else { panic!("{:?}", link.kind) };
    assert_eq!(target.to_string(), "root/d/x");
}

#[test]
fn a_symlink_that_leads_out_or_nowhere_is_kept_without_a_target() {
    let name = format!("255:{}", "x".repeat(255));
    let (deep, long) = ("1:x".repeat(MAX_PATH_DEPTH + 1), name.repeat(16));
    let (deep, long) = (format!("l{deep}e"), format!("l{long}e"));
    let bad = [
        "",
        "le",
        "l0:e",
        "l2:..1:ae",
        "l1:a2:..e",
        "l1:.e",
        "l4:/etce",
        "l3:a/be",
        "l2:a\0e",
        "1:a",
        "li1ee",
        "l1:ai1ee",
        &deep,
        &long,
    ];
    for target in bad {
        let key = if target.is_empty() { String::new() } else { format!("12:symlink path{target}") };
        let info = with_files(format!("ld6:lengthi3e4:pathl1:xeed4:attr1:l4:pathl1:ye{key}ee"), 3);
        assert_eq!(info.files()[1].kind, FileKind::Symlink { target: None }, "{target:?}");
    }
}

proptest! {
    #[test]
    fn no_target_of_a_symlink_leaves_the_folder(
        target in prop::collection::vec("[./a\\x00]{0,3}|.{0,4}|a{250,260}", 0..5),
    ) {
        let target: String = target.iter().map(|c| format!("{}:{c}", c.len())).collect();
        let info = with_files(format!("ld4:attr1:l4:pathl1:ye12:symlink pathl{target}eed6:lengthi3e4:pathl1:xeee"), 3);
        let FileKind::Symlink { target } = &info.files()[0].kind else { panic!("no link") };
        for component in target.iter().flat_map(FilePath::components) {
            prop_assert!(!["", ".", ".."].contains(&component) && !component.contains(['/', '\0']));
        }
        prop_assert!(target.iter().all(|target| target.root() == "root" && !target.below_root().is_empty()));
    }
}
