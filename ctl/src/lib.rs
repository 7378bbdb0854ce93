//! The doorbell: btctl asks a running btd over its Unix socket, and shows what it answers.
//!
//! `args` is the command line, `client` speaks to the daemon, `commands` has a module for each kind of question, `render`
//! and `watch` show the answers. It never touches payload, and keeps nothing.

#![forbid(unsafe_code)]

pub mod args;
pub mod client;
mod commands;
pub mod failure;
pub mod render;
pub mod socket;
mod torrent_file;
mod watch;

use std::process::ExitCode;

use args::Args;
use failure::Failure;
use protocol::printable::printable;
use render::Output;

/// Does what the command line asks for, and says how it went: 0 done, 1 refused or failed, 2 usage, 3 no daemon, 4 no
/// such torrent, 5 timed out.
pub fn run(args: Args) -> ExitCode {
    let mut output = Output::stdout(&args.global);
    let result = commands::run(args, &mut output);
    // What was printed before a failure comes before it.
    let flushed = output.flush().map_err(Failure::from);
    match result.and(flushed) {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => {
            if !failure.is_silent() {
                complain(&failure);
            }
            failure.exit_code().into()
        }
    }
}

/// Says what failed.
fn complain(failure: &Failure) {
    eprintln!("btctl: {}", printable(&failure.to_string()));
}
