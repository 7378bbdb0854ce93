//! Payloads to share: folders of pseudo-random files in which no two blocks are alike, so that a byte from the
//! wrong place never goes unnoticed. The same seed always gives the same bytes.

use std::fs::{self, File};
use std::io::{BufWriter, Write};
use std::path::{Path, PathBuf};

/// Bytes that are made and written at a time.
const CHUNK_BYTES: usize = 1 << 20;

/// The eight bytes at word `index` of the stream named `seed` (splitmix64: a bijection of the counter, so that
/// no two words of one stream are equal).
fn word(seed: u64, index: u64) -> [u8; 8] {
    let mut mixed =
        seed.wrapping_mul(0xd134_2543_de82_ef95).wrapping_add(index.wrapping_mul(0x9e37_79b9_7f4a_7c15));
    mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    (mixed ^ (mixed >> 31)).to_le_bytes()
}

/// Writes `length` bytes of the stream named `seed` to the new file `path`.
pub fn write_file(path: &Path, seed: u64, length: u64) {
    let write = || -> std::io::Result<()> {
        let mut file = BufWriter::with_capacity(CHUNK_BYTES, File::create(path)?);
        for index in 0..length / 8 {
            file.write_all(&word(seed, index))?;
        }
        let rest = usize::try_from(length % 8).expect("less than eight");
        file.write_all(&word(seed, length / 8)[..rest])?;
        file.flush()
    };
    write().unwrap_or_else(|error| panic!("{}: {error}", path.display()));
}

/// Makes the folder `name` in `parent` with files of the given paths and lengths; returns its path.
pub fn write_folder(parent: &Path, name: &str, seed: u64, files: &[(&str, u64)]) -> PathBuf {
    let folder = parent.join(name);
    fs::create_dir_all(&folder).unwrap_or_else(|error| panic!("{}: {error}", folder.display()));
    for (number, (path, length)) in (1..).zip(files) {
        let path = folder.join(path);
        let above = path.parent().expect("a file lies in a folder");
        fs::create_dir_all(above).unwrap_or_else(|error| panic!("{}: {error}", above.display()));
        write_file(&path, seed * 1_000 + number, *length);
    }
    folder
}

/// Makes the file `name` in `parent`; returns its path.
pub fn write_single(parent: &Path, name: &str, seed: u64, length: u64) -> PathBuf {
    let path = parent.join(name);
    write_file(&path, seed, length);
    path
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::*;

    #[test]
    fn a_payload_has_the_length_asked_for_and_repeats_nothing() {
        let folder = tempfile::tempdir().unwrap();
        let root = write_folder(folder.path(), "p", 7, &[("a", 80_003), ("sub/b", 80_000), ("empty", 0)]);
        let bytes = [fs::read(root.join("a")).unwrap(), fs::read(root.join("sub/b")).unwrap()].concat();
        assert_eq!(bytes.len(), 160_003);
        assert_eq!(fs::metadata(root.join("empty")).unwrap().len(), 0);
        let words: HashSet<&[u8]> = bytes.chunks_exact(8).collect();
        assert_eq!(words.len(), bytes.len() / 8, "a word appears twice");
    }

    #[test]
    fn a_seed_names_its_bytes() {
        let folder = tempfile::tempdir().unwrap();
        let read = |name, seed| fs::read(write_single(folder.path(), name, seed, 100)).unwrap();
        assert_eq!(read("a", 1), read("b", 1));
        assert_ne!(read("a", 1), read("b", 2));
    }
}
