//! btctl: parses its arguments and does what they ask for.

use std::process::ExitCode;

use btctl::args::Args;
use clap::Parser;

fn main() -> ExitCode {
    btctl::run(Args::parse())
}
