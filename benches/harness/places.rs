//! Where the programs under test lie, and where the benchmarks keep payload, logs and what they installed.

use std::env;
use std::io;
use std::path::{Path, PathBuf};
use std::process::Command;

/// The directories of a run.
#[derive(Debug, Clone)]
pub struct Places {
    /// Directory of btd, `load` and `reference`: that of the benchmark itself.
    pub binaries: PathBuf,
    /// Directory of payload, logs, downloads, Python and rqbit.
    pub directory: PathBuf,
}

impl Places {
    /// The places of the program that runs; without a `directory`, it is `bench` beside that of the program.
    ///
    /// # Errors
    /// When the system does not say where this program lies.
    pub fn find(directory: Option<&Path>) -> io::Result<Self> {
        let program = env::current_exe()?;
        let binaries = program.parent().ok_or_else(|| io::Error::other("this program lies nowhere"))?;
        let beside = || binaries.parent().unwrap_or(Path::new(".")).join("bench");
        Ok(Self { binaries: binaries.to_owned(), directory: directory.map_or_else(beside, Path::to_owned) })
    }

    /// Python with libtorrent, which leaves nothing beside the scripts that it runs.
    pub fn python(&self) -> Command {
        let mut command = Command::new(self.directory.join("venv/bin/python"));
        command.arg("-B");
        command
    }

    /// rqbit, where it was installed.
    pub fn rqbit(&self) -> PathBuf {
        self.directory.join("rqbit/bin/rqbit")
    }

    /// What `name` says on stderr.
    pub fn log(&self, name: &str) -> PathBuf {
        self.directory.join(format!("{name}.log"))
    }
}
