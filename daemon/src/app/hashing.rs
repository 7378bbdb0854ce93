//! Hashing under a progress bar: of what becomes a torrent, and of what a torrent says should be there.

use std::path::Path;
use std::time::{SystemTime, UNIX_EPOCH};

use protocol::meta::Info;

use crate::storage::create::{self, CreateError, Created, Options};
use crate::storage::scan::Scan;
use crate::storage::verify::{Verification, verify};

use super::terminal::with_progress;

/// Makes a torrent of `scan`, dated now.
pub(super) fn create(scan: Scan, options: &Options, is_quiet: bool) -> Result<Created, CreateError> {
    let what = format!("hashing {}", scan.name);
    let options = Options { creation_date: now_unix_s(), ..options.clone() };
    with_progress(&what, create::length(&scan), is_quiet, |done| create::create(scan, options, done))
}

/// Compares the payload of `info`, whose files' paths start at `data`, with its hashes.
pub(super) fn check(info: &Info, data: &Path, is_quiet: bool) -> Verification {
    let what = format!("checking {}", info.name());
    with_progress(&what, info.geometry().length(), is_quiet, |done| verify(info, data, done))
}

fn now_unix_s() -> Option<i64> {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).ok()?;
    i64::try_from(since.as_secs()).ok()
}
