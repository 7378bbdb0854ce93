//! Lines of JSON that come as things go on: events, and the progress of a new torrent.

use http_body_util::BodyExt;
use hyper::body::Incoming;
use protocol::control::MAX_BODY_LENGTH;
use serde::de::DeserializeOwned;

use super::{Client, ClientError, cause};

/// Longest line: the longest .torrent file in base64, and what goes with it.
const MAX_LINE_LENGTH: usize = MAX_BODY_LENGTH;

/// Lines that come over a connection of their own.
#[derive(Debug)]
pub struct Lines {
    client: Client,
    body: Incoming,
    /// What has come and not been taken.
    buffer: Vec<u8>,
    /// How much of it has been taken.
    taken: usize,
    /// How much of it has been searched for the end of a line.
    searched: usize,
}

impl Lines {
    pub(super) fn new(client: Client, body: Incoming) -> Self {
        Self { client, body, buffer: Vec::new(), taken: 0, searched: 0 }
    }

    /// The next line; `None` when the daemon has said all. Nothing is lost when the wait is given up.
    ///
    /// # Errors
    /// When the daemon hangs up in the middle, or a line is too long or no JSON.
    pub async fn next<T: DeserializeOwned>(&mut self) -> Result<Option<T>, ClientError> {
        while !self.has_line() {
            if self.buffer.len() - self.taken > MAX_LINE_LENGTH {
                return Err(self.client.not_btd(format!("a line of more than {MAX_LINE_LENGTH} bytes")));
            }
            match self.body.frame().await {
                Some(Ok(frame)) => self.append(frame.data_ref().map_or(&[][..], |data| data)),
                Some(Err(error)) => return Err(self.hung_up(cause(&error))),
                None if self.buffer.len() == self.taken => return Ok(None),
                None => return Err(self.hung_up("in the middle of a line".to_owned())),
            }
        }
        let line = self.buffer.get(self.taken..self.searched).unwrap_or_default();
        let value = self.client.parse(line)?;
        self.taken = self.searched + 1;
        self.searched = self.taken;
        Ok(Some(value))
    }

    /// Looks for the end of a line, from where it was last looked.
    fn has_line(&mut self) -> bool {
        let rest = self.buffer.get(self.searched..).unwrap_or_default();
        let end = rest.iter().position(|byte| *byte == b'\n');
        self.searched += end.unwrap_or(rest.len());
        end.is_some()
    }

    fn append(&mut self, data: &[u8]) {
        self.buffer.drain(..self.taken);
        self.searched -= self.taken;
        self.taken = 0;
        self.buffer.extend_from_slice(data);
    }

    fn hung_up(&self, reason: String) -> ClientError {
        ClientError::HungUp { socket: self.client.socket.clone(), reason }
    }
}
