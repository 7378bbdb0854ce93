//! `btctl create`: the daemon hashes, btctl shows how far it is and writes the .torrent file.

use std::path::{Path, PathBuf};

use data_encoding::BASE64;
use hyper::Method;
use protocol::control::{API_PREFIX, CreateEvent, CreateRequest};
use protocol::id::InfoHash;
use serde::Serialize;

use crate::args::CreateArgs;
use crate::client::ClientError;
use crate::failure::Failure;
use crate::render::Bar;
use crate::torrent_file::Destination;

use super::Session;

/// What `--json` prints.
#[derive(Debug, Serialize)]
struct Report {
    info_hash: InfoHash,
    name: String,
    length: u64,
    piece_length: u32,
    piece_count: u32,
    magnet: String,
    /// The file that was written.
    torrent: Option<PathBuf>,
}

/// Has a torrent made, and writes it.
pub(super) async fn run(session: &mut Session<'_>, args: CreateArgs) -> Result<(), Failure> {
    let output = output(&args);
    let is_stdout = output.as_deref() == Some(Path::new("-"));
    if is_stdout && (session.output.is_json || session.output.is_terminal) {
        return Err(Failure::Usage("`-o -` writes the torrent to stdout: send that to a file".to_owned()));
    }
    let file = output.as_deref().filter(|_| !is_stdout);
    // Before hours are spent on hashing.
    let destination = file.map(Destination::new).transpose()?;
    let (report, metainfo) = make(session, &request(args), file).await?;
    destination.map_or(Ok(()), |destination| destination.write(&metainfo))?;
    if session.output.is_json {
        session.output.json(&report)?;
    } else if is_stdout {
        session.output.bytes(&metainfo)?;
    } else {
        let file = report.torrent.map(|path| format!("  {}", path.display())).unwrap_or_default();
        session.output.line(&format!("{}  {}{file}", report.info_hash, report.name))?;
    }
    Ok(())
}

/// Where the torrent goes.
fn output(args: &CreateArgs) -> Option<PathBuf> {
    let usual = || {
        let name = Path::new(&args.path).file_name().unwrap_or("root".as_ref());
        let mut file = name.to_owned();
        file.push(".torrent");
        PathBuf::from(file)
    };
    args.output.clone().or_else(|| (!args.seed).then(usual))
}

fn request(args: CreateArgs) -> CreateRequest {
    CreateRequest {
        path: args.path,
        trackers: args.trackers,
        piece_length: args.piece_length,
        private: args.private,
        comment: args.comment,
        seed: args.seed,
        label: args.label,
    }
}

/// Waits for the torrent under a progress bar.
async fn make(
    session: &Session<'_>,
    request: &CreateRequest,
    file: Option<&Path>,
) -> Result<(Report, Vec<u8>), Failure> {
    let client = session.client.another().await?;
    let mut events = client.lines(Method::POST, &format!("{API_PREFIX}/create"), Some(request)).await?;
    let bar = Bar::new();
    let not_btd = |reason: &str| ClientError::NotBtd {
        socket: session.client.socket().into(),
        reason: reason.to_owned(),
    };
    while let Some(event) = events.next().await? {
        match event {
            CreateEvent::Progress { done, total } => bar.show(&request.path, done, total),
            CreateEvent::Failed(reply) => return Err(ClientError::Refused(reply).into()),
            CreateEvent::Done { info_hash, name, length, piece_length, piece_count, magnet, metainfo } => {
                let bytes = BASE64.decode(metainfo.as_bytes());
                let bytes = bytes.map_err(|_| not_btd("the torrent is not in base64"))?;
                let torrent = file.map(PathBuf::from);
                let report = Report { info_hash, name, length, piece_length, piece_count, magnet, torrent };
                return Ok((report, bytes));
            }
        }
    }
    Err(not_btd("it ended without a torrent").into())
}

#[cfg(test)]
mod tests {
    use clap::Parser;
    use serde_json::{Value, json};

    use super::*;
    use crate::args::{Args, Command};

    fn args(options: &[&str]) -> CreateArgs {
        let args = Args::try_parse_from(["btctl", "create", "/srv/a"].iter().chain(options)).unwrap();
        let Command::Create(args) = args.command else { panic!("{args:?}") };
        args
    }

    #[test]
    fn every_option_is_sent() {
        let sent = |options: &[&str]| serde_json::to_value(request(args(options))).unwrap();
        let plain = sent(&[]);
        assert_eq!(plain["path"], "/srv/a");
        let options: [(&[&str], &str, Value); 5] = [
            (&["--tracker", "http://a", "-t", "udp://b"], "trackers", json!(["http://a", "udp://b"])),
            (&["--piece-length", "1MiB"], "piece_length", json!(1 << 20)),
            (&["--private"], "private", json!(true)),
            (&["--comment", "hello"], "comment", json!("hello")),
            (&["--seed"], "seed", json!(true)),
        ];
        for (option, field, value) in options {
            let mut expected = plain.clone();
            expected[field] = value;
            assert_eq!(sent(option), expected, "{option:?}");
        }
        assert_eq!(sent(&["--seed", "--label", "x"])["label"], "x");
    }

    #[test]
    fn the_torrent_is_called_like_its_payload_unless_it_is_only_seeded() {
        assert_eq!(output(&args(&[])), Some("a.torrent".into()));
        assert_eq!(output(&args(&["--seed"])), None);
        assert_eq!(output(&args(&["--seed", "-o", "b"])), Some("b".into()));
    }
}
