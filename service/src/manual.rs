//! Completions and manual pages: what is generated from the command line itself, so that it cannot be wrong.

use std::io;
use std::path::{Path, PathBuf};

use clap::Command;
use clap_complete::Shell;

use crate::output::write_bytes;

/// Why nothing is written.
#[derive(Debug, thiserror::Error)]
pub enum ManualError {
    /// The folder does not take pages.
    #[error("{}: {source}", path.display())]
    Folder {
        /// The folder.
        path: PathBuf,
        /// What the kernel said.
        source: io::Error,
    },
    /// Standard output does not take it.
    #[error(transparent)]
    Output(#[from] io::Error),
}

/// Prints the completions of `command` for a shell.
///
/// # Errors
/// When stdout does not take them.
pub fn completions(mut command: Command, shell: Shell) -> Result<(), ManualError> {
    let mut script = Vec::new();
    let name = command.get_name().to_owned();
    clap_complete::generate(shell, &mut command, name, &mut script);
    Ok(write_bytes(&script)?)
}

/// Writes the page of `command`, and one for each of its commands that is shown, to a folder, which is made if it is
/// missing; without a folder the first, to stdout.
///
/// # Errors
/// When the folder or stdout does not take them.
pub fn pages(command: Command, folder: Option<&Path>) -> Result<(), ManualError> {
    match folder {
        Some(folder) => std::fs::create_dir_all(folder)
            .and_then(|()| clap_mangen::generate_to(command, folder))
            .map_err(|source| ManualError::Folder { path: folder.to_owned(), source }),
        None => {
            let mut page = Vec::new();
            clap_mangen::Man::new(command).render(&mut page)?;
            Ok(write_bytes(&page)?)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_page_is_written_for_each_command_that_is_shown() {
        let folder = tempfile::tempdir().unwrap();
        let command = || {
            let commands = [Command::new("seek"), Command::new("hide").hide(true)];
            Command::new("game").about("A game").subcommands(commands)
        };
        let below = folder.path().join("a/b");
        pages(command(), Some(&below)).unwrap();
        let page = std::fs::read_to_string(below.join("game.1")).unwrap();
        assert!(page.contains("A game"), "{page}");
        assert!(below.join("game-seek.1").exists() && !below.join("game-hide.1").exists());
        let file = below.join("game.1");
        let error = pages(command(), Some(&file)).unwrap_err().to_string();
        assert!(error.starts_with(&format!("{}: ", file.display())), "{error}");
    }
}
