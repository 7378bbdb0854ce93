//! The file that a configuration is read from: found, read and parsed, with the place of whatever is wrong in it.
//!
//! Programs read it when they start, and again on SIGHUP. What its keys mean they check themselves.

use std::fs::File;
use std::io::{self, Read};
use std::path::{Path, PathBuf};

use serde::de::DeserializeOwned;

use super::Fault;

/// Longest configuration: the commented default of btd has some 8 KiB.
const MAX_FILE_LENGTH: u64 = 1 << 20;

/// A file that was read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Document {
    /// Its path.
    pub path: PathBuf,
    text: String,
}

/// Why there is no configuration.
#[derive(Debug, thiserror::Error)]
pub enum LoadError {
    /// A file cannot be read.
    #[error("{}: cannot be read: {source}", .path.display())]
    Read {
        /// Its path.
        path: PathBuf,
        /// What the kernel said.
        source: io::Error,
    },
    /// It is no configuration.
    #[error("{}: longer than {MAX_FILE_LENGTH} bytes: not a configuration", .0.display())]
    TooLong(PathBuf),
    /// A key or a value cannot be meant.
    #[error(transparent)]
    Fault(#[from] Fault),
}

impl Document {
    /// Reads the file that was `named`, or else the `usual` one, which need not exist.
    ///
    /// # Errors
    /// When it cannot be read.
    pub fn find(named: Option<&Path>, usual: &Path) -> Result<Option<Self>, LoadError> {
        match Self::read(named.unwrap_or(usual)) {
            Err(LoadError::Read { source, .. })
                if source.kind() == io::ErrorKind::NotFound && named.is_none() =>
            {
                Ok(None)
            }
            result => result.map(Some),
        }
    }

    /// Reads a file of bounded length.
    fn read(path: &Path) -> Result<Self, LoadError> {
        let mut text = String::new();
        let length =
            File::open(path).and_then(|file| file.take(MAX_FILE_LENGTH + 1).read_to_string(&mut text));
        match length {
            Ok(length) if u64::try_from(length).unwrap_or(u64::MAX) > MAX_FILE_LENGTH => {
                Err(LoadError::TooLong(path.to_owned()))
            }
            Ok(_) => Ok(Self { path: path.to_owned(), text }),
            Err(source) => Err(LoadError::Read { path: path.to_owned(), source }),
        }
    }

    /// What it says, as typed.
    ///
    /// # Errors
    /// Where it is no TOML, has a key that is none, or a value that cannot be; the fault says where.
    pub fn parse<T: DeserializeOwned>(&self) -> Result<T, Fault> {
        toml::from_str(&self.text).map_err(|error| self.locate(Fault::of_toml(&self.text, &error)))
    }

    /// The same fault, with its place in this file.
    pub fn locate(&self, fault: Fault) -> Fault {
        fault.found_in(&self.path, &self.text)
    }
}
