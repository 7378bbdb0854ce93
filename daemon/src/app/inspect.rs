//! `btd inspect`: what a .torrent file or a magnet link says.

use std::ffi::OsStr;
use std::io;
use std::path::Path;
use std::process::ExitCode;

use protocol::meta::{FileEntry, FileKind, Magnet, Metainfo};
use serde::Serialize;
use service::output::{print_json, print_line};

use crate::args::InspectArgs;
use crate::storage::torrent_file;

use super::{Failure, terminal};

/// What a torrent or a magnet link says, as `--json` prints it. Null is what a link does not say.
#[derive(Debug, Serialize)]
struct Report<'a> {
    info_hash: String,
    name: Option<&'a str>,
    length: Option<u64>,
    piece_length: Option<u32>,
    piece_count: Option<u32>,
    files: Option<Vec<FileReport>>,
    /// In tiers.
    trackers: Vec<Vec<&'a str>>,
    web_seeds: &'a [String],
    private: Option<bool>,
    comment: Option<&'a str>,
    created_by: Option<&'a str>,
    creation_date: Option<i64>,
    /// What only a link says.
    #[serde(flatten)]
    link: Option<LinkReport>,
}

#[derive(Debug, Serialize)]
struct FileReport {
    path: String,
    length: u64,
    padding: bool,
}

#[derive(Debug, Serialize)]
struct LinkReport {
    peers: Vec<String>,
    /// Files to fetch (BEP 53), as ranges of indices, both ends included; null for all.
    select: Option<Vec<[usize; 2]>>,
}

/// Prints what the torrent or the link says.
pub(super) fn run(args: &InspectArgs) -> Result<ExitCode, Failure> {
    if is_magnet(&args.what) {
        let magnet: Magnet = args.what.to_string_lossy().parse()?;
        if args.json { print_json(&magnet_report(&magnet))? } else { print_magnet(&magnet)? }
    } else {
        let metainfo = torrent_file::read(Path::new(&args.what))?;
        if args.json { print_json(&torrent_report(&metainfo))? } else { print_torrent(&metainfo)? }
    }
    Ok(ExitCode::SUCCESS)
}

/// Whether what was typed is a magnet link, not a path.
fn is_magnet(what: &OsStr) -> bool {
    const SCHEME: &[u8] = b"magnet:";
    what.as_encoded_bytes().get(..SCHEME.len()).is_some_and(|start| start.eq_ignore_ascii_case(SCHEME))
}

fn torrent_report(metainfo: &Metainfo) -> Report<'_> {
    let (info, geometry) = (&metainfo.info, metainfo.info.geometry());
    let file = |file: &FileEntry| FileReport {
        path: file.path.to_string(),
        length: file.length,
        padding: file.kind == FileKind::Padding,
    };
    Report {
        info_hash: info.info_hash().to_string(),
        name: Some(info.name()),
        length: Some(geometry.length()),
        piece_length: Some(geometry.piece_length()),
        piece_count: Some(geometry.piece_count()),
        files: Some(info.files().iter().map(file).collect()),
        trackers: metainfo.trackers.iter().map(|tier| tier.iter().map(String::as_str).collect()).collect(),
        web_seeds: &metainfo.web_seeds,
        private: Some(info.is_private()),
        comment: metainfo.comment.as_deref(),
        created_by: metainfo.created_by.as_deref(),
        creation_date: metainfo.creation_date,
        link: None,
    }
}

fn magnet_report(magnet: &Magnet) -> Report<'_> {
    let ranges = magnet.select.as_ref();
    let link = LinkReport {
        peers: magnet.peers.iter().map(ToString::to_string).collect(),
        select: ranges.map(|ranges| ranges.iter().map(|range| [*range.start(), *range.end()]).collect()),
    };
    Report {
        info_hash: magnet.info_hash.to_string(),
        name: magnet.display_name.as_deref(),
        length: magnet.length,
        piece_length: None,
        piece_count: None,
        files: None,
        trackers: magnet.trackers.iter().map(|tracker| vec![tracker.as_str()]).collect(),
        web_seeds: &magnet.web_seeds,
        private: None,
        comment: None,
        created_by: None,
        creation_date: None,
        link: Some(link),
    }
}

/// Prints a label and a value, aligned.
fn field(label: &str, value: impl std::fmt::Display) -> io::Result<()> {
    print_line(&format!("{label:<14} {value}"))
}

fn print_torrent(metainfo: &Metainfo) -> Result<(), Failure> {
    let (info, geometry) = (&metainfo.info, metainfo.info.geometry());
    field("name", info.name())?;
    field("info-hash", info.info_hash())?;
    field("length", format_args!("{} ({} bytes)", terminal::bytes(geometry.length()), geometry.length()))?;
    let piece_length = terminal::bytes(geometry.piece_length().into());
    field("pieces", format_args!("{} of {piece_length}", geometry.piece_count()))?;
    field("private", if info.is_private() { "yes" } else { "no" })?;
    for (tier, trackers) in metainfo.trackers.iter().enumerate() {
        field(&format!("tracker {}", tier + 1), trackers.join(" "))?;
    }
    for url in &metainfo.web_seeds {
        field("web seed", url)?;
    }
    for (label, text) in [("comment", &metainfo.comment), ("created by", &metainfo.created_by)] {
        if let Some(text) = text {
            field(label, text)?;
        }
    }
    if let Some(seconds) = metainfo.creation_date {
        field("created", format_args!("@{seconds}"))?;
    }
    for file in info.files() {
        let mark = match &file.kind {
            FileKind::Regular => String::new(),
            FileKind::Padding => "  (padding)".to_owned(),
            FileKind::Symlink { target: Some(target) } => format!("  -> {target}"),
            FileKind::Symlink { target: None } => "  -> (nowhere)".to_owned(),
        };
        print_line(&format!("{:>14}  {}{mark}", file.length, file.path))?;
    }
    Ok(())
}

fn print_magnet(magnet: &Magnet) -> Result<(), Failure> {
    field("info-hash", magnet.info_hash)?;
    if let Some(name) = &magnet.display_name {
        field("name", name)?;
    }
    if let Some(length) = magnet.length {
        field("length", format_args!("{} ({length} bytes)", terminal::bytes(length)))?;
    }
    magnet.trackers.iter().try_for_each(|url| field("tracker", url))?;
    magnet.web_seeds.iter().try_for_each(|url| field("web seed", url))?;
    magnet.peers.iter().try_for_each(|peer| field("peer", peer))?;
    for range in magnet.select.iter().flatten() {
        field("select", format_args!("{}-{}", range.start(), range.end()))?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use std::os::unix::ffi::OsStrExt;

    use super::*;

    #[test]
    fn a_magnet_link_is_known_by_its_scheme_in_any_case() {
        for link in ["magnet:?xt=", "MAGNET:", "Magnet:?x"] {
            assert!(is_magnet(OsStr::new(link)), "{link}");
        }
        for path in ["", "magnet", "./magnet:x", "x.torrent"] {
            assert!(!is_magnet(OsStr::new(path)), "{path}");
        }
        assert!(!is_magnet(OsStr::from_bytes(b"\xff\xfe.torrent")));
    }
}
