//! `btd create`: a .torrent file out of a file or folder.

use std::path::Path;
use std::process::ExitCode;

use serde::Serialize;
use service::output::{print_json, print_line};

use crate::args::CreateArgs;
use crate::config;
use crate::storage::scan;
use crate::storage::torrent_file::Output;

use super::report::Summary;

use super::{Failure, hashing};

/// What `--json` prints.
#[derive(Serialize)]
struct Report<'a> {
    #[serde(flatten)]
    summary: Summary<'a>,
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
    if args.json {
        print_json(&Report { summary: Summary::new(info), torrent: &args.output })?;
    } else if !args.log.quiet {
        print_line(&format!("{}  {}", info.info_hash(), args.output.display()))?;
    }
    Ok(ExitCode::SUCCESS)
}
