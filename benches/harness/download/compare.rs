//! Whether a download is the payload, byte for byte.

use std::fs::File;
use std::io::{self, Read};
use std::path::Path;

const CHUNK_LENGTH: usize = 1 << 20;

/// Compares all of `found` with all of `payload`.
///
/// # Errors
/// When one of them cannot be read, or they differ: the error says where.
pub(super) fn files(payload: &Path, found: &Path) -> io::Result<()> {
    let missing = |error| io::Error::other(format!("cannot read {}: {error}", found.display()));
    let (mut expected, mut actual) = (File::open(payload)?, File::open(found).map_err(missing)?);
    let (expected_length, actual_length) = (expected.metadata()?.len(), actual.metadata()?.len());
    if expected_length != actual_length {
        return Err(io::Error::other(format!("the download has {actual_length} bytes of {expected_length}")));
    }
    let (mut left, mut right) = (vec![0; CHUNK_LENGTH], vec![0; CHUNK_LENGTH]);
    let mut offset = 0;
    while offset < expected_length {
        let length =
            usize::try_from(expected_length - offset).map_or(CHUNK_LENGTH, |rest| rest.min(CHUNK_LENGTH));
        expected.read_exact(&mut left[..length])?;
        actual.read_exact(&mut right[..length])?;
        if left[..length] != right[..length] {
            return Err(io::Error::other(format!("the download is wrong in the MiB at byte {offset}")));
        }
        offset += length as u64;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    #[test]
    fn one_wrong_byte_is_found() {
        let directory = tempfile::tempdir().unwrap();
        let (payload, found) = (directory.path().join("payload"), directory.path().join("found"));
        let mut bytes = vec![7; CHUNK_LENGTH + 3];
        fs::write(&payload, &bytes).unwrap();
        assert!(files(&payload, &found).unwrap_err().to_string().contains("cannot read"));
        fs::write(&found, &bytes).unwrap();
        files(&payload, &found).unwrap();
        bytes[CHUNK_LENGTH + 2] = 8;
        fs::write(&found, &bytes).unwrap();
        assert!(files(&payload, &found).unwrap_err().to_string().ends_with("at byte 1048576"));
        fs::write(&found, &bytes[1..]).unwrap();
        assert!(files(&payload, &found).unwrap_err().to_string().contains("1048578 bytes of 1048579"));
    }
}
