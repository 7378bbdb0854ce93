//! `btctl export`: the .torrent file of a torrent, back.

use data_encoding::BASE64;
use serde_json::json;

use crate::args::ExportArgs;
use crate::client::of_torrent;
use crate::failure::Failure;
use crate::torrent_file::Destination;

use super::Session;

/// Writes the .torrent file to a file, or to stdout unless that is a terminal.
pub(super) async fn run(session: &mut Session<'_>, args: &ExportArgs) -> Result<(), Failure> {
    if args.output.is_none() && session.output.is_terminal && !session.output.is_json {
        return Err(Failure::Usage(
            "a .torrent file is not for a terminal: use -o FILE, or send it to one".to_owned(),
        ));
    }
    let destination = args.output.as_deref().map(Destination::new).transpose()?;
    let bytes = session.client.get_bytes(&of_torrent(&args.id, "/metainfo")).await?;
    match destination {
        Some(destination) => {
            destination.write(&bytes)?;
            if session.output.is_json {
                session.output.json(&json!({"torrent": args.output, "length": bytes.len()}))?;
            }
        }
        None if session.output.is_json => session.output.json(&json!({"metainfo": BASE64.encode(&bytes)}))?,
        None => session.output.bytes(&bytes)?,
    }
    Ok(())
}
