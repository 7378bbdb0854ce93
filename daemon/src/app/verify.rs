//! `btd verify`: which files and pieces of a torrent's payload are as they should be.

use std::path::Path;
use std::process::ExitCode;

use protocol::meta::Info;
use serde::Serialize;

use crate::args::VerifyArgs;
use crate::storage::verify::{FileState, Verification, verify};

use super::{Failure, print_json, print_line, read_torrent, terminal};

/// Most piece numbers that are spelled out for a person.
const MAX_SHOWN_PIECES: usize = 8;

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
    terminal::start_log(&args.log);
    let metainfo = read_torrent(&args.torrent)?;
    let info = &metainfo.info;
    let verification = hash(info, &args.data, args.log.quiet);
    let is_complete = verification.is_complete();
    if args.json {
        print_json(&report(info, &verification))?;
    } else {
        print_lines(info, &verification, args.log.quiet)?;
    }
    Ok(if is_complete { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

/// Hashes the payload under a progress bar.
pub(super) fn hash(info: &Info, data: &Path, is_quiet: bool) -> Verification {
    let what = format!("checking {}", info.name());
    terminal::with_progress(&what, info.geometry().length(), is_quiet, |done| verify(info, data, done))
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

fn print_lines(info: &Info, verification: &Verification, is_quiet: bool) -> Result<(), Failure> {
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

fn name(state: &FileState) -> &'static str {
    match state {
        FileState::Ok => "ok",
        FileState::Missing => "missing",
        FileState::Truncated { .. } => "truncated",
        FileState::Oversized { .. } => "oversized",
        FileState::Damaged { .. } => "damaged",
        FileState::Unreadable { .. } => "unreadable",
    }
}

fn describe(state: &FileState) -> String {
    match state {
        FileState::Ok => "all bytes match".to_owned(),
        FileState::Missing => "not on disk".to_owned(),
        FileState::Truncated { length } => format!("only {length} bytes on disk"),
        FileState::Oversized { length } => format!("{length} bytes on disk are too many"),
        FileState::Damaged { bad_pieces } => {
            let shown: Vec<String> =
                bad_pieces.iter().take(MAX_SHOWN_PIECES).map(ToString::to_string).collect();
            let more = bad_pieces.len().saturating_sub(MAX_SHOWN_PIECES);
            let more = if more > 0 { format!(" and {more} more") } else { String::new() };
            format!("bad pieces {}{more}", shown.join(", "))
        }
        FileState::Unreadable { reason } => reason.clone(),
    }
}

impl Verification {
    /// The first file that is not as it should be, for a message.
    pub(super) fn first_bad_file(&self, info: &Info) -> Option<String> {
        let mut files = info.files().iter().zip(&self.files);
        files.find_map(|(file, state)| match state {
            Some(state) if *state != FileState::Ok => Some(format!("{}: {}", file.path, describe(state))),
            _ => None,
        })
    }
}
