//! `btd verify`: which files and pieces of a torrent's payload are as they should be.

use std::io;
use std::process::ExitCode;

use protocol::meta::Info;
use serde::Serialize;
use service::output::{print_json, print_line};

use crate::args::VerifyArgs;
use crate::storage::torrent_file;
use crate::storage::verify::{FileState, Verification};

use super::report::{describe, name};
use super::{Failure, hashing};

/// What `--json` prints.
#[derive(Serialize)]
struct Report<'a> {
    info_hash: String,
    name: &'a str,
    complete: bool,
    pieces: Pieces,
    files: Vec<File>,
}

#[derive(Serialize)]
struct Pieces {
    total: u32,
    ok: u32,
    bad: Vec<u32>,
}

#[derive(Serialize)]
struct File {
    path: String,
    /// Bytes that it should have.
    length: u64,
    state: &'static str,
    /// What is wrong, for a person.
    reason: Option<String>,
}

/// Verifies and reports: exit code 0 only when all is there.
pub(super) fn run(args: &VerifyArgs) -> Result<ExitCode, Failure> {
    let metainfo = torrent_file::read(&args.torrent)?;
    let info = &metainfo.info;
    let verification = hashing::check(info, &args.data, args.log.quiet);
    let is_complete = verification.is_complete();
    if args.json {
        print_json(&report(info, &verification))?;
    } else {
        print_lines(info, &verification, args.log.quiet)?;
    }
    Ok(if is_complete { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

fn report<'a>(info: &'a Info, verification: &Verification) -> Report<'a> {
    let files = info.files().iter().zip(&verification.files);
    let files = files.filter_map(|(file, state)| {
        let state = state.as_ref()?;
        let reason = (*state != FileState::Ok).then(|| describe(state));
        Some(File { path: file.path.to_string(), length: file.length, state: name(state), reason })
    });
    Report {
        info_hash: info.info_hash().to_string(),
        name: info.name(),
        complete: verification.is_complete(),
        pieces: Pieces {
            total: info.geometry().piece_count(),
            ok: verification.have.have_count(),
            bad: verification.bad_pieces(),
        },
        files: files.collect(),
    }
}

fn print_lines(info: &Info, verification: &Verification, is_quiet: bool) -> io::Result<()> {
    for (file, state) in info.files().iter().zip(&verification.files) {
        match state {
            None => {}
            Some(FileState::Ok) if is_quiet => {}
            Some(state) => print_line(&format!("{:<10} {}: {}", name(state), file.path, describe(state)))?,
        }
    }
    let (have, count) = (verification.have.have_count(), info.geometry().piece_count());
    let verdict = if verification.is_complete() { "complete" } else { "not complete" };
    print_line(&format!("{verdict}: {have} of {count} pieces of {} match", info.name()))
}
