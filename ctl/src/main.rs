//! btctl: the control tool of btd. It answers `--help` and `--version`; its commands come with the daemon's API.

use clap::Parser;

/// The control tool of btd.
#[derive(Debug, Parser)]
#[command(version, arg_required_else_help = true)]
struct Args {}

fn main() {
    Args::parse();
}
