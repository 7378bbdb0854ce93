//! `btctl add`.

use data_encoding::BASE64;
use hyper::Method;
use protocol::control::{API_PREFIX, AddRequest, ErrorReply, Torrent};

use crate::args::{AddArgs, Source};
use crate::client::ClientError;
use crate::failure::Failure;
use crate::torrent_file;

use super::Session;
use super::several::Refusals;
use super::verdict::Goal;
use super::wait::Waiting;

/// Adds torrents, one after another, and waits for them if that is wanted.
pub(super) async fn run(session: &mut Session<'_>, args: AddArgs) -> Result<(), Failure> {
    let mut refusals = Refusals::default();
    let mut added = Vec::new();
    for source in &args.sources {
        let result = add(session, source, &args).await;
        if let Some(torrent) = refusals.note(result)? {
            session.output.torrent("added", &torrent)?;
            added.push(torrent.info_hash.to_string());
        }
    }
    if args.wait && !added.is_empty() {
        let waiting = Waiting::begin(&session.client).await?;
        waiting.finish(session, &added, Goal::Complete, args.timeout, false).await?;
    }
    refusals.end()
}

async fn add(session: &mut Session<'_>, source: &Source, args: &AddArgs) -> Result<Torrent, Failure> {
    let request = request(source, args)?;
    let added = session.client.call(Method::POST, &format!("{API_PREFIX}/torrents"), Some(&request)).await;
    Ok(added.map_err(|error| of_source(error, source))?)
}

/// A refusal that names the file: the daemon got its bytes alone.
fn of_source(error: ClientError, source: &Source) -> ClientError {
    match (error, source) {
        (ClientError::Refused(reply), Source::File(path)) => {
            let message = format!("{}: {}", path.display(), reply.message);
            ClientError::Refused(ErrorReply { message, ..reply })
        }
        (error, _) => error,
    }
}

/// What the daemon is asked for.
fn request(source: &Source, args: &AddArgs) -> Result<AddRequest, Failure> {
    let mut request = AddRequest {
        dir: args.dir.clone(),
        label: args.label.clone(),
        paused: args.paused,
        seed_only: args.seed_only,
        skip_check: args.skip_check,
        select: args.select.clone(),
        sequential: args.sequential,
        file_paths: args.file_paths.clone(),
        upload_limit: args.upload_limit,
        download_limit: args.download_limit,
        ratio_limit: args.ratio_limit,
        seed_time_limit_s: args.seed_time_limit,
        ..AddRequest::default()
    };
    match source {
        Source::Magnet(link) => request.magnet = Some(link.clone()),
        Source::Url(url) => request.url = Some(url.clone()),
        Source::File(path) => request.metainfo = Some(BASE64.encode(&torrent_file::read(path)?)),
        Source::Stdin => request.metainfo = Some(BASE64.encode(&torrent_file::read_stdin()?)),
    }
    Ok(request)
}

#[cfg(test)]
mod tests {
    use clap::Parser;
    use serde_json::{Value, json};

    use super::*;
    use crate::args::{Args, Command};

    /// What is sent for `btctl add` with `options`.
    fn sent(options: &[&str]) -> Value {
        let url = "http://t.example/a.torrent";
        let args = Args::try_parse_from(["btctl", "add", url].iter().chain(options)).unwrap();
        let Command::Add(args) = args.command else { panic!("{args:?}") };
        serde_json::to_value(request(&args.sources[0], &args).unwrap()).unwrap()
    }

    #[test]
    fn every_option_is_sent() {
        let plain = sent(&[]);
        assert_eq!(plain["url"], "http://t.example/a.torrent");
        let options: [(&[&str], &str, Value); 12] = [
            (&["--dir", "/srv"], "dir", json!("/srv")),
            (&["--label", "iso"], "label", json!("iso")),
            (&["--paused"], "paused", json!(true)),
            (&["--seed-only"], "seed_only", json!(true)),
            (&["--skip-check"], "skip_check", json!(true)),
            (&["--select", "0,2", "--select", "*.iso"], "select", json!(["0,2", "*.iso"])),
            (&["--sequential"], "sequential", json!(true)),
            (&["--file-path", "1=a/b"], "file_paths", json!([{"index": 1, "path": "a/b"}])),
            (&["--upload-limit", "5k"], "upload_limit", json!(5_000)),
            (&["--download-limit", "6k"], "download_limit", json!(6_000)),
            (&["--ratio-limit", "1.5"], "ratio_limit", json!(1.5)),
            (&["--seed-time-limit", "2h"], "seed_time_limit_s", json!(7_200)),
        ];
        for (option, field, value) in options {
            let mut expected = plain.clone();
            expected[field] = value;
            assert_eq!(sent(option), expected, "{option:?}");
        }
    }

    #[test]
    fn a_relative_folder_is_made_absolute() {
        let here = std::env::current_dir().unwrap();
        assert_eq!(sent(&["--dir", "x/y"])["dir"], json!(here.join("x/y")));
    }

    #[test]
    fn a_file_goes_in_base64() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("a.torrent");
        std::fs::write(&path, "d4:infodee").unwrap();
        let args = Args::try_parse_from(["btctl".as_ref(), "add".as_ref(), path.as_os_str()]).unwrap();
        let Command::Add(args) = args.command else { panic!("{args:?}") };
        let request = request(&args.sources[0], &args).unwrap();
        assert_eq!(
            request,
            AddRequest { metainfo: Some("ZDQ6aW5mb2RlZQ==".to_owned()), ..AddRequest::default() }
        );
    }
}
