//! What packages are made with: `btd completions` and `btd man`, as they are typed.

use std::path::PathBuf;

use clap::ValueHint;
use clap_complete::Shell;

/// `btd completions`.
#[derive(Debug, clap::Args)]
pub struct CompletionsArgs {
    /// Which shell.
    pub shell: Shell,
}

/// `btd man`.
#[derive(Debug, clap::Args)]
pub struct ManArgs {
    /// Where to write a page for each command [default: the page of btd itself, to stdout].
    #[arg(value_name = "DIR", value_hint = ValueHint::DirPath)]
    pub folder: Option<PathBuf>,
}
