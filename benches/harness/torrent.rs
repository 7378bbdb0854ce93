//! The .torrent of a payload: one file, v1, no tracker.
//!
//! Written here and not by a contender, so that a contender that is missing fails alone.

use std::fs::{self, File};
use std::io::{self, Read};
use std::path::{Path, PathBuf};

use protocol::geometry::Geometry;
use protocol::id::InfoHash;
use sha1::{Digest, Sha1};

/// How the benchmarks cut their payload.
pub const PIECE_LENGTH: u64 = 1 << 20;

/// A payload, how it is cut, and what it is called on the wire.
#[derive(Debug, Clone)]
pub struct Torrent {
    /// The payload.
    pub payload: PathBuf,
    /// The .torrent.
    pub file: PathBuf,
    /// Its pieces.
    pub geometry: Geometry,
    /// SHA-1 of each of them, end to end.
    pub pieces: Vec<u8>,
    /// Its name.
    pub info_hash: InfoHash,
}

/// Hashes `payload` in pieces of `piece_length` bytes and writes the .torrent beside it.
///
/// # Errors
/// When the payload cannot be read or cut so, or the .torrent not be written.
pub fn create(payload: &Path, piece_length: u64) -> io::Result<Torrent> {
    let mut source = File::open(payload)?;
    let geometry = Geometry::new(source.metadata()?.len(), piece_length).map_err(io::Error::other)?;
    let pieces = hash_pieces(&mut source, &geometry)?;
    let info = info_dictionary(payload, &geometry, &pieces)?;
    let file = payload.with_extension("torrent");
    fs::write(&file, [b"d4:info", info.as_slice(), b"e"].concat())?;
    let info_hash = InfoHash::of_info(&info);
    Ok(Torrent { payload: payload.to_owned(), file, geometry, pieces, info_hash })
}

fn info_dictionary(payload: &Path, geometry: &Geometry, pieces: &[u8]) -> io::Result<Vec<u8>> {
    let name = payload.file_name().and_then(|name| name.to_str());
    let name = name.ok_or_else(|| io::Error::other("the name of the payload is not UTF-8"))?;
    let (length, piece_length) = (geometry.length(), geometry.piece_length());
    let mut info = format!("d6:lengthi{length}e4:name{}:{name}", name.len()).into_bytes();
    info.extend(format!("12:piece lengthi{piece_length}e6:pieces{}:", pieces.len()).bytes());
    info.extend(pieces);
    info.push(b'e');
    Ok(info)
}

fn hash_pieces(source: &mut File, geometry: &Geometry) -> io::Result<Vec<u8>> {
    let mut hashes = Vec::new();
    let mut bytes = Vec::new();
    for piece in 0..geometry.piece_count() {
        let range = geometry.piece_range(piece);
        bytes.clear();
        source.by_ref().take(range.end - range.start).read_to_end(&mut bytes)?;
        hashes.extend(Sha1::digest(&bytes));
    }
    Ok(hashes)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_torrent_is_canonical_bencode() {
        let directory = tempfile::tempdir().unwrap();
        let payload = directory.path().join("payload");
        fs::write(&payload, "abc").unwrap();
        let torrent = create(&payload, 2).unwrap();
        let mut expected = b"d4:infod6:lengthi3e4:name7:payload12:piece lengthi2e6:pieces40:".to_vec();
        expected.extend(Sha1::digest("ab"));
        expected.extend(Sha1::digest("c"));
        expected.extend(b"ee");
        assert_eq!(fs::read(&torrent.file).unwrap(), expected);
        assert_eq!(torrent.pieces, expected[63..103]);
        assert_eq!(torrent.info_hash, InfoHash::of_info(&expected[7..expected.len() - 1]));
    }
}
