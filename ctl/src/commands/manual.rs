//! Completions and man pages, made from the command line's own description.

use std::io;
use std::path::Path;

use clap::CommandFactory;
use clap_complete::Shell;
use clap_mangen::Man;

use crate::args::Args;
use crate::failure::Failure;
use crate::render::Output;

/// `btctl completions`.
pub(super) fn completions(shell: Shell, output: &mut Output) -> io::Result<()> {
    let mut script = Vec::new();
    clap_complete::generate(shell, &mut Args::command(), "btctl", &mut script);
    output.bytes(&script)
}

/// `btctl man`: one page to stdout, or a page for btctl and each command to a folder.
pub(super) fn man(dir: Option<&Path>, output: &mut Output) -> Result<(), Failure> {
    let Some(dir) = dir else {
        let mut page = Vec::new();
        Man::new(Args::command()).render(&mut page)?;
        return Ok(output.bytes(&page)?);
    };
    let unwritable = |source| Failure::Unwritable { path: dir.into(), source };
    std::fs::create_dir_all(dir).map_err(unwritable)?;
    clap_mangen::generate_to(Args::command(), dir).map_err(unwritable)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_command_that_is_shown_has_a_page() {
        let dir = tempfile::tempdir().unwrap();
        let mut output = Output::capture(false).0;
        man(Some(dir.path()), &mut output).unwrap();
        let page = |name: &str| std::fs::read_to_string(dir.path().join(name)).unwrap_or_default();
        for command in Args::command().get_subcommands().filter(|command| !command.is_hide_set()) {
            let name = format!("btctl-{}.1", command.get_name());
            assert!(page(&name).contains(".SH SYNOPSIS"), "{name}");
        }
        assert!(page("btctl.1").contains("Exit codes") && page("btctl-add.1").contains("magnet"));
        assert!(!dir.path().join("btctl-man.1").exists(), "a hidden command has no page");
    }
}
