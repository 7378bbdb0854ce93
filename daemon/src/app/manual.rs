//! `btd completions` and `btd man`: what is generated from the command line itself, so that it cannot be wrong.

use std::process::ExitCode;

use clap::CommandFactory;

use crate::args::{Args, CompletionsArgs, ManArgs};

use super::{Failure, write_bytes};

/// Prints the completions for a shell.
pub(super) fn completions(args: &CompletionsArgs) -> Result<ExitCode, Failure> {
    let mut script = Vec::new();
    clap_complete::generate(args.shell, &mut Args::command(), "btd", &mut script);
    write_bytes(&script)?;
    Ok(ExitCode::SUCCESS)
}

/// Writes `btd.1`, and a page for each command that is shown; without a folder the first, to stdout.
pub(super) fn pages(args: &ManArgs) -> Result<ExitCode, Failure> {
    match &args.folder {
        Some(folder) => {
            std::fs::create_dir_all(folder)
                .and_then(|()| clap_mangen::generate_to(Args::command(), folder))
                .map_err(|error| format!("{}: {error}", folder.display()))?;
        }
        None => {
            let mut page = Vec::new();
            clap_mangen::Man::new(Args::command()).render(&mut page)?;
            write_bytes(&page)?;
        }
    }
    Ok(ExitCode::SUCCESS)
}
