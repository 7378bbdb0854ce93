//! Where a btd that runs as a service keeps what it has: one folder, and in it the socket of its control API. Used by the
//! benchmarks that talk to that.

use std::fs;
use std::io;
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::process::Command;

use data_encoding::BASE64;
use serde_json::{Map, Value};

use crate::http::Http;
use crate::places::Places;

/// The folder, and who lives there.
#[derive(Debug)]
pub(crate) struct Site {
    btd: PathBuf,
    folder: PathBuf,
}

impl Site {
    /// Lays `folder` out, with `config` as its configuration; its payload may be there already.
    ///
    /// # Errors
    /// When it cannot be laid out, or is one already.
    pub(crate) fn new(places: &Places, folder: &Path, config: &str) -> io::Result<Self> {
        fs::create_dir_all(folder)?;
        fs::create_dir(folder.join("state"))?;
        fs::write(folder.join("btd.toml"), config)?;
        Ok(Self { btd: places.binaries.join("btd"), folder: folder.to_owned() })
    }

    /// Where torrents lie that name no other folder.
    pub(crate) fn payload(&self) -> PathBuf {
        self.folder.join("payload")
    }

    /// The command that runs btd there, at a port that it chooses.
    pub(crate) fn command(&self) -> Command {
        let mut command = Command::new(&self.btd);
        command.args(["run", "--listen", "127.0.0.1:0", "--config"]).arg(self.folder.join("btd.toml"));
        command.arg("--data-dir").arg(self.payload());
        command.arg("--state-dir").arg(self.folder.join("state"));
        command.arg("--socket").arg(self.socket());
        command
    }

    /// The socket of its control API.
    pub(crate) fn socket(&self) -> PathBuf {
        self.folder.join("btd.sock")
    }

    /// A connection to that.
    ///
    /// # Errors
    /// When nobody listens.
    pub(crate) fn connect(&self) -> io::Result<Http<UnixStream>> {
        Ok(Http::new(UnixStream::connect(self.socket())?))
    }
}

/// Adds the torrent of the bytes `metainfo`, to be seeded and never fetched; `more` is what else is said of it.
///
/// # Errors
/// When it is refused.
pub(crate) fn add(http: &mut Http<UnixStream>, metainfo: &[u8], more: &[(&str, Value)]) -> io::Result<()> {
    let mut request = Map::from_iter([
        ("metainfo".to_owned(), BASE64.encode(metainfo).into()),
        ("seed_only".to_owned(), true.into()),
    ]);
    request.extend(more.iter().map(|(key, value)| ((*key).to_owned(), value.clone())));
    let request = Value::Object(request).to_string();
    http.ask("POST /v1/torrents", "", request.as_bytes())?.accepted()?;
    Ok(())
}
