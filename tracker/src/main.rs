//! bttracker: parses its arguments and runs what they ask for.

use std::process::ExitCode;

use bttracker::app;
use bttracker::args::Args;
use clap::Parser;

fn main() -> ExitCode {
    app::run(Args::parse())
}
