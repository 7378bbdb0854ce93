//! Torrents by the thousand, and their payload: real ones, whose files are there and verify, but cheap.
//!
//! All payload is zeros, so that one hash serves all pieces, and one sparse file serves all torrents: their files are
//! hard links to it.

use std::fs::{self, File};
use std::io;
use std::path::{Path, PathBuf};

use sha1::{Digest, Sha1};

const PIECE_LENGTH: u32 = 16 * 1024;
/// Hard links to one file: ext4 takes 65,000.
const MAX_LINKS: usize = 60_000;

/// What all torrents have in common.
#[derive(Debug, Clone)]
pub(super) struct Kind {
    /// Files, in a folder of the torrent's name; of one, that is its name.
    pub(super) files: u32,
    /// Pieces; the files have as many each.
    pub(super) pieces: u32,
    /// Announce URLs, a tier each.
    pub(super) trackers: Vec<String>,
}

impl Kind {
    /// Name of torrent `number`.
    pub(super) fn name(number: usize) -> String {
        format!("Some.Show.S01E{number:06}.1080p.WEB.x264-GROUP")
    }

    /// The .torrent file of torrent `number`, byte for byte.
    pub(super) fn metainfo(&self, number: usize) -> Vec<u8> {
        let name = text(&Self::name(number));
        let files = match self.files {
            1 => format!("6:lengthi{}e", self.file_length()),
            files => format!("5:filesl{}e", (0..files).map(|file| self.file_entry(file)).collect::<String>()),
        };
        let head = format!("{files}4:name{name}12:piece lengthi{PIECE_LENGTH}e");
        let hash = Sha1::digest(vec![0; PIECE_LENGTH as usize]);
        let mut metainfo =
            format!("d{}4:infod{head}6:pieces{}:", self.announce(), 20 * self.pieces).into_bytes();
        (0..self.pieces).for_each(|_| metainfo.extend(hash));
        metainfo.extend(b"ee");
        metainfo
    }

    /// Puts the payload of the first `count` torrents below `folder`.
    ///
    /// # Errors
    /// When the file system takes no such files.
    pub(super) fn lay_out(&self, folder: &Path, count: usize) -> io::Result<()> {
        fs::create_dir_all(folder)?;
        let sources = folder.with_extension("sources");
        fs::create_dir_all(&sources)?;
        let per_source = MAX_LINKS / self.files as usize;
        let mut source = PathBuf::new();
        for number in 0..count {
            if number % per_source == 0 {
                source = sources.join(number.to_string());
                File::create(&source)?.set_len(self.file_length())?;
            }
            let path = folder.join(Self::name(number));
            if self.files == 1 {
                fs::hard_link(&source, path)?;
                continue;
            }
            fs::create_dir(&path)?;
            (0..self.files).try_for_each(|file| fs::hard_link(&source, path.join(file_name(file))))?;
        }
        Ok(())
    }

    fn file_length(&self) -> u64 {
        u64::from(PIECE_LENGTH) * u64::from(self.pieces) / u64::from(self.files)
    }

    fn file_entry(&self, file: u32) -> String {
        format!("d6:lengthi{}e4:pathl{}ee", self.file_length(), text(&file_name(file)))
    }

    fn announce(&self) -> String {
        let Some(first) = self.trackers.first() else { return String::new() };
        let tiers: String = self.trackers.iter().map(|url| format!("l{}e", text(url))).collect();
        format!("8:announce{}13:announce-listl{tiers}e", text(first))
    }
}

fn file_name(file: u32) -> String {
    format!("part-{file:02}.bin")
}

fn text(text: &str) -> String {
    format!("{}:{text}", text.len())
}

#[cfg(test)]
mod tests {
    use protocol::meta::Metainfo;

    use super::*;

    #[test]
    fn a_torrent_is_what_lies_there() {
        let folder = tempfile::tempdir().unwrap();
        let trackers =
            vec!["http://127.0.0.1:1/announce".to_owned(), "http://127.0.0.2:1/announce".to_owned()];
        for (files, pieces) in [(10, 1_000), (1, 2)] {
            let kind = Kind { files, pieces, trackers: trackers.clone() };
            let payload = folder.path().join(files.to_string());
            kind.lay_out(&payload, 3).unwrap();
            let metainfo = Metainfo::parse(&kind.metainfo(2)).unwrap();
            assert_eq!(metainfo.trackers, [[trackers[0].clone()], [trackers[1].clone()]]);
            assert_eq!(metainfo.info.geometry().piece_count(), pieces);
            assert_eq!(metainfo.info.files().len(), files as usize);
            for file in metainfo.info.files() {
                let path: PathBuf = [payload.clone(), file.path.to_string().into()].iter().collect();
                let bytes = fs::read(path).unwrap();
                assert_eq!(bytes, vec![0; usize::try_from(file.length).unwrap()]);
            }
            assert_ne!(kind.metainfo(1), kind.metainfo(2));
        }
    }
}
