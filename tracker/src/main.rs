//! bttracker: a standalone tracker. It answers `--help` and `--version`; its service comes later.

use clap::Parser;

/// A standalone BitTorrent tracker.
#[derive(Debug, Parser)]
#[command(version, arg_required_else_help = true)]
struct Args {}

fn main() {
    Args::parse();
}
