//! A `btd get` that runs: what it prints with `--json` is read as events, and waited for.

use std::ffi::OsStr;
use std::net::SocketAddr;
use std::path::Path;
use std::process::Command;
use std::time::Duration;

use nix::sys::signal::Signal;
use serde::Deserialize;

use crate::btd::{END_LIMIT, binary};
use crate::netns::Namespace;
use crate::process::{Output, Running};

/// Longest that a download of a test may take, on a machine busy with other tests.
pub const GET_LIMIT: Duration = Duration::from_secs(180);

/// Exit codes that the command promises.
pub mod exit {
    #![allow(missing_docs, reason = "the names say it")]
    pub const FAILED: i32 = 1;
    pub const USAGE: i32 = 2;
    pub const TIMED_OUT: i32 = 5;
    pub const INTERRUPTED: i32 = 130;
}

/// One line of `btd get --json`; fields that no test looks at are left out.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(tag = "event", rename_all = "snake_case")]
pub enum Event {
    /// Peers can connect.
    Listening {
        /// Where.
        addresses: Vec<SocketAddr>,
    },
    /// The info dictionary is known.
    Metadata {
        /// 40 hex digits.
        info_hash: String,
        /// Of the file or folder.
        name: String,
        /// Bytes in all.
        length: u64,
        /// How many pieces.
        piece_count: u32,
    },
    /// What was there at the start was looked at.
    Checked {
        /// Pieces that were right.
        have: u32,
    },
    /// How far it is.
    Progress(Progress),
    /// A piece is on disk and right.
    Verified {
        /// Its index.
        piece: u32,
    },
    /// A piece came wrong.
    FailedPiece {
        /// Its index.
        piece: u32,
    },
    /// A peer is no longer spoken to.
    Banned {
        /// Its address.
        peer: SocketAddr,
        /// What it did.
        reason: String,
    },
    /// Everything that was wanted is there.
    Done(Done),
    /// Something is wrong, though not always for good.
    Error {
        /// What.
        message: String,
    },
    /// What a later btd may say.
    #[serde(other)]
    Other,
}

/// How far a download is.
#[derive(Debug, Clone, Copy, PartialEq, Deserialize)]
pub struct Progress {
    /// Pieces that are verified.
    pub have: u32,
    /// Pieces in all.
    pub pieces: u32,
    /// Bytes that are wanted and missing.
    pub left: u64,
    /// Bytes that peers sent.
    pub downloaded: u64,
    /// Bytes that peers got.
    pub uploaded: u64,
    /// Connections.
    pub peers: u32,
    /// Those of them that have everything.
    pub seeds: u32,
    /// Whether it waits for room on the disk.
    pub is_disk_full: bool,
}

/// What a download came to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
pub struct Done {
    /// Bytes in all.
    pub length: u64,
    /// Bytes of payload that peers sent.
    pub downloaded: u64,
    /// Bytes of payload that peers got.
    pub uploaded: u64,
}

/// A `btd get` that runs; it is killed when this is dropped.
#[derive(Debug)]
pub struct Getter {
    process: Running,
    /// Bytes of standard output that are events already.
    read: usize,
    /// How many events were waited for or passed over.
    seen: usize,
    events: Vec<Event>,
}

/// A `btd get` that has ended.
#[derive(Debug)]
pub struct Ended {
    /// All that it wrote, and how it ended.
    pub output: Output,
    /// What it said on standard output.
    pub events: Vec<Event>,
}

/// The command for `btd get` of `source` into `folder`, with `options`.
fn fill<S: AsRef<OsStr>>(command: &mut Command, source: impl AsRef<OsStr>, folder: &Path, options: &[S]) {
    command.args(["get", "--json", "--dir"]).arg(folder).args(options).arg(source);
}

impl Getter {
    /// Downloads `source` into `folder`, listening at a port of its own on loopback.
    pub fn start<S: AsRef<OsStr>>(source: impl AsRef<OsStr>, folder: &Path, options: &[S]) -> Self {
        let mut command = Command::new(binary());
        fill(&mut command, source, folder, options);
        command.args(["--listen", "127.0.0.1:0"]);
        Self::spawn(command)
    }

    /// Downloads `source` into `folder`, listening where `options` say.
    pub fn start_at<S: AsRef<OsStr>>(source: impl AsRef<OsStr>, folder: &Path, options: &[S]) -> Self {
        let mut command = Command::new(binary());
        fill(&mut command, source, folder, options);
        Self::spawn(command)
    }

    /// Downloads `source` into `folder` inside `namespace`, with no more than the options given.
    pub fn start_in<S: AsRef<OsStr>>(
        namespace: &Namespace,
        source: impl AsRef<OsStr>,
        folder: &Path,
        options: &[S],
    ) -> Self {
        let mut command = namespace.command(binary());
        fill(&mut command, source, folder, options);
        Self::spawn(command)
    }

    fn spawn(command: Command) -> Self {
        Self { process: Running::spawn(command), read: 0, seen: 0, events: Vec::new() }
    }

    /// Waits for the next event in which `wanted` finds something; those before it are passed over.
    pub fn expect<T>(&mut self, what: &str, wanted: impl FnMut(&Event) -> Option<T>) -> T {
        self.expect_within(what, GET_LIMIT, wanted)
    }

    /// The same, but for `limit` at most.
    pub fn expect_within<T>(
        &mut self,
        what: &str,
        limit: Duration,
        mut wanted: impl FnMut(&Event) -> Option<T>,
    ) -> T {
        let Self { process, read, seen, events } = self;
        process.wait_for(what, limit, |output| {
            take(output, read, events);
            while let Some(event) = events.get(*seen) {
                *seen += 1;
                if let Some(found) = wanted(event) {
                    return Some(found);
                }
            }
            None
        })
    }

    /// The first address at which it listens.
    pub fn address(&mut self) -> SocketAddr {
        self.expect("addresses", |event| match event {
            Event::Listening { addresses } => addresses.first().copied(),
            _ => None,
        })
    }

    /// Waits for the next verified piece; returns its index.
    pub fn verified(&mut self) -> u32 {
        self.expect("verified piece", |event| match event {
            Event::Verified { piece } => Some(*piece),
            _ => None,
        })
    }

    /// Waits for the count of pieces that were there at the start.
    pub fn checked(&mut self) -> u32 {
        self.expect("check", |event| match event {
            Event::Checked { have } => Some(*have),
            _ => None,
        })
    }

    /// Waits until the download is complete.
    pub fn done(&mut self) {
        self.expect("end of the download", |event| matches!(event, Event::Done(_)).then_some(()));
    }

    /// Waits for the next progress.
    pub fn progress(&mut self) -> Progress {
        self.expect("progress", |event| match event {
            Event::Progress(progress) => Some(*progress),
            _ => None,
        })
    }

    /// Waits until standard error contains `text`.
    pub fn wait_for_error(&self, text: &str, limit: Duration) {
        self.process.wait_for(&format!("{text:?} on stderr"), limit, |output| {
            output.stderr().contains(text).then_some(())
        });
    }

    /// The process id.
    pub fn id(&self) -> i32 {
        self.process.id()
    }

    /// Sends `signal` and waits for the process to end.
    pub fn end(self, signal: Signal) -> Ended {
        self.process.signal(signal);
        self.wait(END_LIMIT)
    }

    /// Waits until the process ends by itself.
    pub fn wait(self, limit: Duration) -> Ended {
        let Self { process, mut read, mut events, .. } = self;
        let output = process.wait(limit);
        take(&output, &mut read, &mut events);
        let told = output.describe();
        assert!(!output.stderr().contains("panicked"), "{told}");
        Ended { output, events }
    }

    /// Waits until the download is complete and the process has ended well.
    pub fn finish(self) -> Ended {
        let ended = self.wait(GET_LIMIT);
        ended.assert_code(0);
        ended.done();
        ended
    }
}

impl Ended {
    /// Checks how it ended.
    pub fn assert_code(&self, code: i32) {
        assert_eq!(self.output.code(), Some(code), "{}", self.output.describe());
    }

    /// What it came to.
    pub fn done(&self) -> Done {
        let done = self.events.iter().find_map(|event| match event {
            Event::Done(done) => Some(*done),
            _ => None,
        });
        done.unwrap_or_else(|| panic!("no end was told: {}", self.output.describe()))
    }

    /// The pieces that were verified, in order.
    pub fn verified(&self) -> Vec<u32> {
        let piece = |event: &Event| match event {
            Event::Verified { piece } => Some(*piece),
            _ => None,
        };
        self.events.iter().filter_map(piece).collect()
    }

    /// What is said to be banned.
    pub fn banned(&self) -> Vec<SocketAddr> {
        let peer = |event: &Event| match event {
            Event::Banned { peer, .. } => Some(*peer),
            _ => None,
        };
        self.events.iter().filter_map(peer).collect()
    }

    /// Pieces that were there at the start, if it came to that.
    pub fn checked(&self) -> Option<u32> {
        self.events.iter().find_map(|event| match event {
            Event::Checked { have } => Some(*have),
            _ => None,
        })
    }

    /// The last progress.
    pub fn progress(&self) -> Progress {
        let last = self.events.iter().rev().find_map(|event| match event {
            Event::Progress(progress) => Some(*progress),
            _ => None,
        });
        last.unwrap_or_else(|| panic!("no progress was told: {}", self.output.describe()))
    }

    /// Checks that a message on standard error or among the events contains each of `words`.
    pub fn assert_says(&self, words: &[&str]) {
        let told = format!("{}{}", self.output.stdout(), self.output.stderr());
        for word in words {
            assert!(told.contains(word), "{word:?} should be said: {}", self.output.describe());
        }
    }
}

/// Reads the events on the whole lines of `output` that are beyond `read`.
fn take(output: &Output, read: &mut usize, events: &mut Vec<Event>) {
    let fresh = &output.stdout[*read..];
    let Some(end) = fresh.iter().rposition(|byte| *byte == b'\n') else { return };
    for line in fresh[..end].split(|byte| *byte == b'\n') {
        let event = serde_json::from_slice(line)
            .unwrap_or_else(|error| panic!("{error} in {:?}", String::from_utf8_lossy(line)));
        events.push(event);
    }
    *read += end + 1;
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn whole_lines_are_events_and_a_part_of_one_waits() {
        let line = br#"{"event":"verified","piece":7}"#;
        let mut output = Output::default();
        output.stdout = line.to_vec();
        let (mut read, mut events) = (0, Vec::new());
        take(&output, &mut read, &mut events);
        assert_eq!(events, []);
        output.stdout.extend(
            b"\n{\"event\":\"done\",\"length\":3,\"downloaded\":2,\"uploaded\":1}\n{\"event\":\"later\"}\n{",
        );
        take(&output, &mut read, &mut events);
        let done = Done { length: 3, downloaded: 2, uploaded: 1 };
        assert_eq!(events, [Event::Verified { piece: 7 }, Event::Done(done), Event::Other]);
        assert_eq!(&output.stdout[read..], b"{");
    }
}
