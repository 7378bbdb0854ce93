//! btd: parses its arguments and runs what they ask for.

use std::process::ExitCode;

use btd::app;
use btd::args::Args;
use clap::Parser;

fn main() -> ExitCode {
    app::run(Args::parse())
}
