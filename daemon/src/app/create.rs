//! `btd create`: a .torrent file out of a file or folder.

use std::path::Path;
use std::process::ExitCode;

use serde::Serialize;

use crate::args::CreateArgs;
use crate::config;
use crate::storage::scan;

use super::torrent_file::Output;
use super::{Failure, hashing, print_json, print_line};

/// What `--json` prints.
#[derive(Serialize)]
struct Report<'a> {
    info_hash: String,
    name: &'a str,
    length: u64,
    piece_length: u32,
    piece_count: u32,
    torrent: &'a Path,
}

/// Hashes the path and writes the torrent.
pub(super) fn run(args: CreateArgs) -> Result<ExitCode, Failure> {
    let options = config::options(args.new, args.comment)?;
    let scan = scan::scan(&args.path)?;
    let output = Output::new(&args.output, &scan)?;
    let created = hashing::create(scan, &options, args.log.quiet)?;
    output.write(&created.bytes)?;
    let info = &created.metainfo.info;
    let geometry = info.geometry();
    if args.json {
        print_json(&Report {
            info_hash: info.info_hash().to_string(),
            name: info.name(),
            length: geometry.length(),
            piece_length: geometry.piece_length(),
            piece_count: geometry.piece_count(),
            torrent: &args.output,
        })?;
    } else if !args.log.quiet {
        print_line(&format!("{}  {}", info.info_hash(), args.output.display()))?;
    }
    Ok(ExitCode::SUCCESS)
}
