//! Whether what a contender found is true: compared with hashes of the harness's own.

use std::fs::{self, File};
use std::io;
use std::path::Path;

use data_encoding::HEXLOWER;
use serde::Deserialize;
use sha1::{Digest, Sha1};

use super::{Contender, Work};
use crate::run::Run;
use crate::torrent::Torrent;

/// What is true of a payload.
#[derive(Debug)]
pub(super) struct Truth {
    /// A part of its torrent, key and value: SHA-1 of all pieces.
    pieces: Vec<u8>,
    /// Another: how it is cut.
    piece_length: Vec<u8>,
    /// SHA-1 of the whole, as openssl writes it.
    sha1: String,
}

/// What a program that verifies says on stdout, among other things.
#[derive(Debug, Deserialize)]
struct Verdict {
    complete: bool,
    pieces: Pieces,
}

#[derive(Debug, Deserialize)]
struct Pieces {
    /// Those that do not match.
    bad: Vec<u32>,
}

impl Truth {
    /// Hashes the payload of `torrent` once more, as a whole.
    ///
    /// # Errors
    /// When it cannot be read.
    pub(super) fn of(torrent: &Torrent) -> io::Result<Self> {
        let mut hasher = Sha1::new();
        io::copy(&mut File::open(&torrent.payload)?, &mut hasher)?;
        let pieces = [format!("6:pieces{}:", torrent.pieces.len()).as_bytes(), &torrent.pieces].concat();
        let piece_length = format!("12:piece lengthi{}e", torrent.geometry.piece_length()).into_bytes();
        Ok(Self { pieces, piece_length, sha1: HEXLOWER.encode(&hasher.finalize()) })
    }

    /// Checks the answer of a run that ended with success; a torrent that was made lies at `output`.
    ///
    /// # Errors
    /// When there is none, or it is wrong.
    pub(super) fn check(&self, work: Work, contender: Contender, run: &Run, output: &Path) -> io::Result<()> {
        match (contender, work) {
            (Contender::Openssl, _) => self.check_digest(&run.stdout),
            (_, Work::Create) => {
                let unreadable = |error| wrong(&format!("no torrent can be read: {error}"));
                self.check_torrent(&fs::read(output).map_err(unreadable)?)
            }
            (_, Work::Verify) => match verdict(&run.stdout)? {
                verdict if verdict.complete && verdict.pieces.bad.is_empty() => Ok(()),
                verdict => Err(wrong(&format!("what is whole is called damaged: {verdict:?}"))),
            },
        }
    }

    /// `SHA1(path)= digest`
    fn check_digest(&self, stdout: &[u8]) -> io::Result<()> {
        let text = String::from_utf8_lossy(stdout);
        match text.split_whitespace().last() {
            Some(digest) if digest == self.sha1 => Ok(()),
            _ => Err(wrong(&format!("{text:?} is not {}", self.sha1))),
        }
    }

    fn check_torrent(&self, torrent: &[u8]) -> io::Result<()> {
        for part in [&self.piece_length, &self.pieces] {
            if !torrent.windows(part.len()).any(|window| window == part) {
                let key = String::from_utf8_lossy(part).split(':').nth(1).unwrap_or_default().to_owned();
                return Err(wrong(&format!("its torrent has others: {key}")));
            }
        }
        Ok(())
    }
}

/// Checks the answer of a run that was shown a payload in which nothing but `piece` is damaged.
///
/// # Errors
/// When it found no damage, or other damage, or had nothing to say.
pub(super) fn check_refusal(run: &Run, piece: u32) -> io::Result<()> {
    let verdict = verdict(&run.stdout)?;
    if run.status.success() || verdict.complete || verdict.pieces.bad != [piece] {
        let status = run.status;
        return Err(wrong(&format!("piece {piece} is damaged, it says ({status}): {verdict:?}")));
    }
    Ok(())
}

fn verdict(stdout: &[u8]) -> io::Result<Verdict> {
    let mut lines = stdout.split(|byte| *byte == b'\n');
    lines
        .find_map(|line| serde_json::from_slice(line).ok())
        .ok_or_else(|| wrong("it does not say which pieces are bad"))
}

fn wrong(what: &str) -> io::Error {
    io::Error::other(format!("wrong answer: {what}"))
}

#[cfg(test)]
mod tests {
    use std::os::unix::process::ExitStatusExt;
    use std::process::ExitStatus;

    use super::*;
    use crate::torrent;

    fn run(code: i32, stdout: &str) -> Run {
        let status = ExitStatus::from_raw(code << 8);
        Run { wall_s: 1.0, cpu_s: 1.0, rss_anon_bytes: 0, status, stdout: stdout.into(), said: None }
    }

    #[test]
    fn only_the_digest_of_the_payload_and_its_own_torrent_are_right() {
        let folder = tempfile::tempdir().unwrap();
        let (payload, output) = (folder.path().join("payload"), folder.path().join("output"));
        fs::write(&payload, "abc").unwrap();
        let torrent = torrent::create(&payload, 2).unwrap();
        let truth = Truth::of(&torrent).unwrap();
        let check = |contender, stdout: &str| {
            truth.check(Work::Create, contender, &run(0, stdout), &output).map_err(|error| error.to_string())
        };
        check(Contender::Openssl, "SHA1(payload)= a9993e364706816aba3e25717850c26c9cd0d89d\n").unwrap();
        check(Contender::Openssl, "SHA1(payload)= a9993e364706816aba3e25717850c26c9cd0d89e\n").unwrap_err();
        check(Contender::Btd, "").unwrap_err();
        let right = fs::read(&torrent.file).unwrap();
        fs::write(&output, &right).unwrap();
        check(Contender::Btd, "").unwrap();
        let mut wrong = right.clone();
        let last = wrong.len() - 3;
        wrong[last] ^= 1;
        fs::write(&output, wrong).unwrap();
        assert!(check(Contender::Btd, "").unwrap_err().ends_with("pieces40"));
        let wrong = String::from_utf8_lossy(&right).replace("lengthi2e", "lengthi4e");
        fs::write(&output, wrong).unwrap();
        assert!(check(Contender::Btd, "").unwrap_err().ends_with("piece lengthi2e"));
    }

    #[test]
    fn what_is_whole_must_be_called_whole() {
        let truth = Truth { pieces: Vec::new(), piece_length: Vec::new(), sha1: String::new() };
        let check = |stdout: &str| {
            truth.check(Work::Verify, Contender::Btd, &run(0, stdout), Path::new("/none")).is_ok()
        };
        assert!(check("{\"complete\":true,\"pieces\":{\"total\":3,\"bad\":[]}}\n"));
        assert!(!check(r#"{"complete":false,"pieces":{"bad":[1]}}"#));
        assert!(!check("fine"));
    }

    #[test]
    fn damage_must_be_found_where_it_is() {
        let damaged = r#"{"complete":false,"pieces":{"bad":[1]}}"#;
        check_refusal(&run(1, damaged), 1).unwrap();
        check_refusal(&run(0, damaged), 1).unwrap_err();
        check_refusal(&run(1, damaged), 2).unwrap_err();
        check_refusal(&run(1, r#"{"complete":true,"pieces":{"bad":[]}}"#), 1).unwrap_err();
        check_refusal(&run(1, "error"), 1).unwrap_err();
    }
}
