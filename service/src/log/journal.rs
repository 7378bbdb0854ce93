//! Records for journald, in its native protocol. They are made where something is said, and sent by the log's
//! thread: the crate for it sends at once, on a socket that blocks while journald is behind, which a ring must not.

use std::ffi::OsStr;
use std::fmt::{self, Write as _};
use std::io::{self, Write};
use std::os::fd::AsFd;
use std::os::unix::net::UnixDatagram;
use std::path::{Path, PathBuf};

use nix::sys::stat::fstat;
use tracing::field::{Field, Visit};
use tracing::{Event, Level, Subscriber};
use tracing_subscriber::Layer;
use tracing_subscriber::layer::Context;

use super::queue::Queue;

/// Where journald listens.
pub(super) const SOCKET: &str = "/run/systemd/journal/socket";
/// Longest value of a field: with the few that an event has, a record stays below what a datagram holds (208 KiB).
const MAX_VALUE_LENGTH: usize = 16 * 1024;

/// The socket of journald. Each write is a record.
#[derive(Debug)]
pub(super) struct Journal {
    socket: UnixDatagram,
    path: PathBuf,
}

impl Journal {
    /// Makes sure that somebody listens at `path`.
    pub(super) fn connect(path: &Path) -> io::Result<Self> {
        let journal = Self { socket: UnixDatagram::unbound()?, path: path.to_owned() };
        // An empty record is ignored.
        journal.socket.send_to(&[], path)?;
        Ok(journal)
    }
}

impl Write for Journal {
    fn write(&mut self, record: &[u8]) -> io::Result<usize> {
        self.socket.send_to(record, &self.path)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// Whether `output` is what systemd calls `stream`, the value of JOURNAL_STREAM: device and inode. A program whose
/// output was redirected inherits the variable all the same.
pub(super) fn is_stream(stream: &OsStr, output: impl AsFd) -> bool {
    let named = fstat(output).map(|stat| format!("{}:{}", stat.st_dev, stat.st_ino));
    named.is_ok_and(|named| stream == named.as_str())
}

/// Makes records of events.
#[derive(Debug)]
pub(super) struct JournalLayer {
    /// What the program is called.
    pub(super) program: &'static str,
    /// Where records wait to be sent.
    pub(super) queue: Queue,
}

impl<S: Subscriber> Layer<S> for JournalLayer {
    fn on_event(&self, event: &Event<'_>, _: Context<'_, S>) {
        let place = event.metadata();
        let mut fields = Fields::default();
        event.record(&mut fields);
        let mut record = record(self.program, *place.level(), &(fields.message + &fields.others));
        put(&mut record, "TARGET", place.target());
        if let (Some(file), Some(line)) = (place.file(), place.line()) {
            put(&mut record, "CODE_FILE", file);
            put(&mut record, "CODE_LINE", &line.to_string());
        }
        record.extend(fields.record);
        self.queue.say(record);
    }
}

/// The record of a line that `program` says.
pub(super) fn record(program: &str, level: Level, message: &str) -> Vec<u8> {
    let priority = match level {
        Level::ERROR => "3",
        Level::WARN => "4",
        Level::INFO => "6",
        _ => "7",
    };
    let mut record = Vec::with_capacity(256);
    put(&mut record, "PRIORITY", priority);
    put(&mut record, "SYSLOG_IDENTIFIER", program);
    put(&mut record, "MESSAGE", message);
    record
}

/// Writes a field with its length, so that its value may hold anything.
fn put(record: &mut Vec<u8>, name: &str, value: &str) {
    // Never inside a character: journald shows a value that is no UTF-8 as a row of numbers.
    let value = &value[..value.floor_char_boundary(MAX_VALUE_LENGTH)];
    record.extend(name.as_bytes());
    record.push(b'\n');
    record.extend((value.len() as u64).to_le_bytes());
    record.extend(value.as_bytes());
    record.push(b'\n');
}

/// The fields of an event: in its message as people read it, and each by itself with `F_` before its name.
#[derive(Debug, Default)]
struct Fields {
    message: String,
    others: String,
    record: Vec<u8>,
}

impl Visit for Fields {
    fn record_str(&mut self, field: &Field, value: &str) {
        if field.name() == "message" {
            value.clone_into(&mut self.message);
            return;
        }
        // A String takes everything.
        let _ = write!(self.others, " {}={value}", field.name());
        let name = field
            .name()
            .chars()
            .map(|c| if c.is_ascii_alphanumeric() { c.to_ascii_uppercase() } else { '_' });
        put(&mut self.record, &format!("F_{}", name.collect::<String>()), value);
    }

    fn record_debug(&mut self, field: &Field, value: &dyn fmt::Debug) {
        self.record_str(field, &format!("{value:?}"));
    }
}

#[cfg(test)]
mod tests {
    use tracing_subscriber::layer::SubscriberExt;
    use tracing_subscriber::registry;

    use super::super::Log;
    use super::super::queue::Sink;
    use super::*;

    /// Takes a record apart as journald does.
    fn fields(mut record: &[u8]) -> Vec<(String, String)> {
        let mut fields = Vec::new();
        while !record.is_empty() {
            let end = record.iter().position(|byte| *byte == b'\n').unwrap();
            let name = String::from_utf8(record[..end].to_vec()).unwrap();
            let (length, rest) = record[end + 1..].split_at(8);
            let length = usize::try_from(u64::from_le_bytes(length.try_into().unwrap())).unwrap();
            assert_eq!(rest[length], b'\n');
            fields.push((name, String::from_utf8_lossy(&rest[..length]).into_owned()));
            record = &rest[length + 1..];
        }
        fields
    }

    #[test]
    fn an_event_is_a_record_with_its_fields_and_so_is_the_failure() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("socket");
        let journald = UnixDatagram::bind(&path).unwrap();
        let journal = Journal::connect(&path).unwrap();
        let sink = |to: Box<dyn Write + Send>| Sink { program: "btd", to, spell: record };
        let log = Log::writing_to(sink(Box::new(journal)), sink(Box::new(io::sink())), None);
        let layer = JournalLayer { program: "btd", queue: log.queue.clone() };
        tracing::subscriber::with_default(registry().with(layer), || {
            tracing::warn!(peer.address = "1.2.3.4:5", count = 7, "gone\n{}", "MESSAGE=forged");
        });
        log.end(Some("no way".into()));
        let next = || {
            let mut buffer = vec![0; 65_536];
            let length = journald.recv(&mut buffer).unwrap();
            fields(&buffer[..length])
        };
        assert_eq!(next(), [], "the probe");
        let event = next();
        let value = |name: &str| &event.iter().find(|field| field.0 == name).unwrap().1;
        assert_eq!(value("PRIORITY"), "4");
        assert_eq!(value("SYSLOG_IDENTIFIER"), "btd");
        assert_eq!(value("MESSAGE"), "gone\nMESSAGE=forged peer.address=1.2.3.4:5 count=7");
        assert_eq!((value("F_PEER_ADDRESS").as_str(), value("F_COUNT").as_str()), ("1.2.3.4:5", "7"));
        assert_eq!(value("TARGET"), "service::log::journal::tests");
        assert!(value("CODE_FILE").ends_with("journal.rs"));
        let failure = next();
        assert_eq!(failure[0], ("PRIORITY".into(), "3".into()));
        assert_eq!(failure[2], ("MESSAGE".into(), "no way".into()));
    }

    #[test]
    fn a_long_value_is_cut() {
        let record = record("btd", Level::INFO, &"x".repeat(1 << 20));
        assert_eq!(fields(&record)[2].1.len(), MAX_VALUE_LENGTH);
    }

    #[test]
    fn a_long_value_is_cut_between_two_characters() {
        let text = format!("xy{}", "\u{20ac}".repeat(MAX_VALUE_LENGTH));
        let record = record("btd", Level::INFO, &text);
        let message = &fields(&record)[2].1;
        assert!(text.starts_with(message.as_str()), "it ends in {:?}", message.chars().last());
        assert!((MAX_VALUE_LENGTH - 2..=MAX_VALUE_LENGTH).contains(&message.len()));
    }

    #[test]
    fn a_stream_is_known_by_device_and_inode() {
        let (one, other) = (tempfile::tempfile().unwrap(), tempfile::tempfile().unwrap());
        let stat = fstat(&one).unwrap();
        let stream = format!("{}:{}", stat.st_dev, stat.st_ino);
        assert!(is_stream(stream.as_ref(), &one));
        assert!(!is_stream(stream.as_ref(), &other) && !is_stream("".as_ref(), &one));
    }

    #[test]
    fn where_nobody_listens_there_is_no_journal() {
        let folder = tempfile::tempdir().unwrap();
        assert!(Journal::connect(&folder.path().join("socket")).is_err());
    }
}
