//! The key of connection ids as a file: 32 hex digits. The application reads the one that nodes share, or keeps one in
//! the state folder so that ids live through a restart. What is there is never written over.

use std::fs::File;
use std::io::{self, ErrorKind, Read, Write};
use std::path::{Path, PathBuf};

use data_encoding::{HEXLOWER, HEXLOWER_PERMISSIVE};

/// A key: 128 bits.
pub type Key = [u8; 16];

/// The key in a state folder.
const NAME: &str = "udp.key";
/// More than a key and the white space around it.
const MAX_LENGTH: u64 = 256;

/// Why there is no key.
#[derive(Debug, thiserror::Error)]
pub enum KeyError {
    /// The file cannot be read or made.
    #[error("{}: {source}", .path.display())]
    Unreachable {
        /// The file, or its folder.
        path: PathBuf,
        /// What the kernel said.
        source: io::Error,
    },
    /// The file holds something else. It is not shown: it may be most of a key.
    #[error("{}: a key is 32 hex digits, and nothing else", .0.display())]
    NoKey(PathBuf),
}

/// A key that nobody has had before.
pub fn new_key() -> Key {
    rand::random()
}

/// Reads the key in the file at `path`: 32 hex digits in any case, with white space before or after.
///
/// # Errors
/// When it cannot be read, or is no key.
pub fn load_key(path: &Path) -> Result<Key, KeyError> {
    let unreachable = |source| KeyError::Unreachable { path: path.into(), source };
    let mut text = Vec::new();
    let file = File::open(path).map_err(unreachable)?;
    file.take(MAX_LENGTH).read_to_end(&mut text).map_err(unreachable)?;
    let key = HEXLOWER_PERMISSIVE.decode(text.trim_ascii()).ok();
    key.and_then(|key| key.try_into().ok()).ok_or_else(|| KeyError::NoKey(path.into()))
}

/// Reads the key in `state_dir`; makes one, for its owner alone, if there is none.
///
/// # Errors
/// When it can neither be read nor made, or what is there is no key.
pub fn keep_key(state_dir: &Path) -> Result<Key, KeyError> {
    let path = state_dir.join(NAME);
    match load_key(&path) {
        Err(KeyError::Unreachable { source, .. }) if source.kind() == ErrorKind::NotFound => {}
        result => return result,
    }
    let key = new_key();
    match write(state_dir, &path, &key) {
        Ok(()) => Ok(key),
        // Another process was faster: its key is the one that stays.
        Err(error) if error.kind() == ErrorKind::AlreadyExists => load_key(&path),
        Err(source) => Err(KeyError::Unreachable { path, source }),
    }
}

/// Writes `key` to `path`, whole or not at all, and never over what is there.
fn write(folder: &Path, path: &Path, key: &Key) -> io::Result<()> {
    // Made with mode 0600.
    let mut file = tempfile::Builder::new().prefix(".udp.key-").tempfile_in(folder)?;
    writeln!(file, "{}", HEXLOWER.encode(key))?;
    file.as_file().sync_all()?;
    file.persist_noclobber(path)?;
    File::open(folder)?.sync_all()
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;

    use super::*;

    #[test]
    fn a_key_is_made_once_and_for_its_owner_alone() {
        let folder = tempfile::tempdir().unwrap();
        let key = keep_key(folder.path()).unwrap();
        assert_eq!(keep_key(folder.path()).unwrap(), key);
        let path = folder.path().join(NAME);
        assert_eq!(load_key(&path).unwrap(), key);
        assert_eq!(path.metadata().unwrap().permissions().mode() & 0o777, 0o600);
        assert_eq!(folder.path().read_dir().unwrap().count(), 1, "nothing else is left there");
        let other = tempfile::tempdir().unwrap();
        assert_ne!(keep_key(other.path()).unwrap(), key);
    }

    #[test]
    fn a_key_that_is_there_is_never_written_over() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join(NAME);
        std::fs::write(&path, "000102030405060708090a0b0c0d0e0F\r\n").unwrap();
        let key = keep_key(folder.path()).unwrap();
        assert_eq!((key[0], key[1], key[15]), (0, 1, 15));
        let error = write(folder.path(), &path, &[7; 16]).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::AlreadyExists);
        assert_eq!(keep_key(folder.path()).unwrap(), key);
    }

    #[test]
    fn what_is_no_key_is_named_and_not_shown() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join(NAME);
        for text in ["", "00", "000102030405060708090a0b0c0d0e0g", &"0".repeat(34), &"0 ".repeat(300)] {
            std::fs::write(&path, text).unwrap();
            let error = keep_key(folder.path()).unwrap_err();
            assert!(matches!(error, KeyError::NoKey(_)), "{text}");
            assert!(error.to_string().contains("udp.key: a key is 32 hex digits"), "{error}");
            assert_eq!(std::fs::read_to_string(&path).unwrap(), text, "and it is left alone");
        }
        let error = keep_key(&folder.path().join("none")).unwrap_err();
        assert!(error.to_string().contains("none/udp.key"), "{error}");
    }
}
