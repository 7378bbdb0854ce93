//! What `btd get` says on its way: lines of JSON for programs, a status line and a few words for people.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

use crossbeam_channel::{Receiver, Sender, bounded};
use protocol::meta::Info;
use serde::Serialize;
use service::output::{print_line, write_line};

use super::super::report::Summary;
use super::super::terminal::{self, Frame, StatusLine};

/// Lines on their way to stdout. Whoever reads them too slowly misses progress, and nothing else.
const MAX_LINES: usize = 64 * 1024;
/// How long the end waits for stdout to take the last lines.
const END_TIMEOUT: Duration = Duration::from_secs(2);

/// Something that happened.
#[derive(Debug, Serialize)]
#[serde(tag = "event", rename_all = "snake_case")]
pub(super) enum Event<'a> {
    /// Peers can connect.
    Listening { addresses: Vec<String> },
    /// It is known what the torrent is.
    Metadata {
        #[serde(flatten)]
        summary: Summary<'a>,
        files: usize,
    },
    /// What was found on disk at the start was checked.
    Checked { have: u32, pieces: u32 },
    /// Once a second.
    Progress(Progress),
    /// A piece was verified and written.
    Verified { piece: u32 },
    /// A piece failed its hash.
    FailedPiece { piece: u32 },
    /// A peer is not let in again.
    Banned { peer: String, reason: String },
    /// All is here.
    Done(&'a Done),
    /// It came to nothing.
    Error { message: &'a str },
}

/// How far it is.
#[derive(Debug, Clone, Copy, Default, Serialize)]
pub(super) struct Progress {
    /// Pieces that are verified, and how many there are.
    pub(super) have: u32,
    pub(super) pieces: u32,
    /// Bytes of wanted pieces that are missing, and of all wanted pieces.
    pub(super) left: u64,
    pub(super) wanted: u64,
    /// Payload bytes since the start, and in the last second.
    pub(super) downloaded: u64,
    pub(super) uploaded: u64,
    pub(super) download_rate: u64,
    pub(super) upload_rate: u64,
    pub(super) peers: usize,
    pub(super) seeds: usize,
    pub(super) is_disk_full: bool,
}

/// What there is in the end.
#[derive(Debug, Clone, Serialize)]
pub(super) struct Done {
    pub(super) info_hash: String,
    pub(super) name: String,
    pub(super) path: PathBuf,
    pub(super) length: u64,
    pub(super) downloaded: u64,
    pub(super) uploaded: u64,
    pub(super) wasted: u64,
}

/// Where it is said.
#[derive(Debug)]
pub(super) struct Events {
    /// The lines of JSON, if they are wanted; a thread of its own writes them.
    lines: Option<Lines>,
    status: StatusLine,
    is_quiet: bool,
}

#[derive(Debug)]
struct Lines {
    queue: Sender<String>,
    is_over: Receiver<()>,
}

impl Events {
    pub(super) fn new(is_json: bool, is_quiet: bool) -> Self {
        Self {
            lines: is_json.then(Lines::start).flatten(),
            status: StatusLine::new(is_quiet || is_json),
            is_quiet,
        }
    }

    /// Whether nothing but results is to be printed.
    pub(super) fn is_quiet(&self) -> bool {
        self.is_quiet || self.lines.is_some()
    }

    /// Says that something happened, to programs.
    pub(super) fn tell(&self, event: &Event<'_>) {
        if let (Some(lines), Ok(line)) = (&self.lines, serde_json::to_string(event)) {
            // Only progress may be lost, and only when thousands of lines wait to be read.
            let _ = lines.queue.try_send(line);
        }
    }

    pub(super) fn listening(&self, addresses: &[SocketAddr]) {
        let shown: Vec<String> = addresses.iter().map(ToString::to_string).collect();
        tracing::info!("listening on {}", shown.join(" and "));
        self.tell(&Event::Listening { addresses: shown });
    }

    pub(super) fn metadata(&self, info: &Info) {
        self.tell(&Event::Metadata { summary: Summary::new(info), files: info.files().len() });
    }

    /// Shows how far it is.
    pub(super) fn progress(&self, name: &str, progress: Progress) {
        self.tell(&Event::Progress(progress));
        if self.status.is_shown() {
            self.status.show(frame(name, &progress));
        }
    }

    /// Says that all is here. People get the path.
    pub(super) fn done(&self, done: &Done) {
        self.tell(&Event::Done(done));
        if self.lines.is_none() && !self.is_quiet {
            let _ = print_line(&done.path.display().to_string());
        }
    }

    /// Says why it came to nothing. People are told by the log.
    pub(super) fn error(&self, message: &str) {
        self.tell(&Event::Error { message });
    }
}

impl Drop for Events {
    fn drop(&mut self) {
        if let Some(Lines { queue, is_over }) = self.lines.take() {
            drop(queue);
            let _ = is_over.recv_timeout(END_TIMEOUT);
        }
    }
}

impl Lines {
    fn start() -> Option<Self> {
        let (queue, lines) = bounded::<String>(MAX_LINES);
        let (over, is_over) = bounded(0);
        let thread = std::thread::Builder::new().name("btd-events".into()).spawn(move || {
            // JSON needs no escapes: it has brought its own.
            let _ = lines.iter().try_for_each(|line| write_line(&line));
            drop::<Sender<()>>(over);
        });
        thread.ok().map(|_| Self { queue, is_over })
    }
}

/// What the status line shows.
fn frame(name: &str, progress: &Progress) -> Frame {
    let Progress { left, wanted, download_rate, upload_rate, peers, seeds, .. } = *progress;
    let (down, up) = (terminal::bytes(download_rate), terminal::bytes(upload_rate));
    let eta = match left.checked_div(download_rate) {
        Some(seconds) if left > 0 => {
            format!("  {} left", humantime::format_duration(Duration::from_secs(seconds)))
        }
        _ => String::new(),
    };
    let full = if progress.is_disk_full { "  DISK FULL" } else { "" };
    let text = format!("{name}  ↓ {down}/s  ↑ {up}/s  {peers} peers ({seeds} seeds){eta}{full}");
    Frame { progress: (wanted > 0).then(|| (wanted.saturating_sub(left), wanted)), text }
}
