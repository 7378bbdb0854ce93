//! `btd create`: a .torrent file out of a file or folder.

use std::path::Path;
use std::process::ExitCode;
use std::time::{SystemTime, UNIX_EPOCH};

use serde::Serialize;

use crate::args::CreateArgs;
use crate::config;
use crate::storage::create::{self, Options};
use crate::storage::scan;

use super::{Failure, print_json, print_line, terminal};

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
    terminal::start_log(&args.log);
    let options = config::options(args.new, args.comment)?;
    let options = Options { creation_date: now_unix_s(), ..options };
    let scan = scan::scan(&args.path)?;
    let what = format!("hashing {}", scan.name);
    let created = terminal::with_progress(&what, create::length(&scan), args.log.quiet, |done| {
        create::create(scan, options, done)
    })?;
    write(&args.output, &created.bytes)?;
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

/// Writes a .torrent file; an older one of that name is replaced.
pub(super) fn write(path: &Path, bytes: &[u8]) -> Result<(), Failure> {
    Ok(std::fs::write(path, bytes).map_err(|error| format!("cannot write {}: {error}", path.display()))?)
}

/// Now, for the creation date.
pub(super) fn now_unix_s() -> Option<i64> {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).ok()?;
    i64::try_from(since.as_secs()).ok()
}
