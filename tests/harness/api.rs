//! HTTP/1.1 by hand, over a Unix socket or TCP: what a program in any language would send to btd, and what it gets back.

use std::fmt::Debug;
use std::io::{self, BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::time::Duration;

use serde_json::Value;

use crate::limit::within;

/// Longest that a reply may take.
const REPLY_LIMIT: Duration = Duration::from_secs(60);

/// A reply that has come in full.
#[derive(Debug)]
pub struct Reply {
    /// Its status, as 200.
    pub status: u16,
    /// Its head, in lower case.
    pub head: String,
    /// Its body.
    pub body: Vec<u8>,
}

impl Reply {
    /// The body as text.
    pub fn text(&self) -> String {
        String::from_utf8_lossy(&self.body).into_owned()
    }

    /// The body as JSON.
    pub fn json(&self) -> Value {
        serde_json::from_slice(&self.body).unwrap_or_else(|error| panic!("{error} in {self:?}"))
    }
}

/// Asks for `path` over the Unix socket `socket`, with `body` where there is one.
pub fn ask(socket: &Path, method: &str, path: &str, body: Option<&Value>) -> Reply {
    let stream = UnixStream::connect(socket).unwrap_or_else(|error| panic!("{}: {error}", socket.display()));
    stream.set_read_timeout(Some(REPLY_LIMIT)).expect("a limit is set");
    let body = body.map(ToString::to_string).unwrap_or_default();
    let reply = exchange(stream, method, path, &body);
    reply.unwrap_or_else(|error| panic!("{method} {path}: {error}"))
}

/// Asks for `path` of whoever listens at `address`.
pub fn ask_at(address: SocketAddr, path: &str) -> Reply {
    let stream = TcpStream::connect(address).unwrap_or_else(|error| panic!("{address}: {error}"));
    stream.set_read_timeout(Some(REPLY_LIMIT)).expect("a limit is set");
    exchange(stream, "GET", path, "").unwrap_or_else(|error| panic!("{address}{path}: {error}"))
}

fn exchange(mut stream: impl Read + Write, method: &str, path: &str, body: &str) -> io::Result<Reply> {
    let length = body.len();
    write!(
        stream,
        "{method} {path} HTTP/1.1\r\nHost: btd\r\nConnection: close\r\n\
         Content-Type: application/json\r\nContent-Length: {length}\r\n\r\n{body}"
    )?;
    let mut bytes = Vec::new();
    within(REPLY_LIMIT, stream.read_to_end(&mut bytes))?;
    let end = bytes.windows(4).position(|window| window == b"\r\n\r\n");
    let end = end.ok_or_else(|| io::Error::other("a reply without a head"))?;
    let head = String::from_utf8_lossy(&bytes[..end]).to_lowercase();
    let status = head.split(' ').nth(1).and_then(|status| status.parse().ok());
    let status = status.ok_or_else(|| io::Error::other("a reply without a status"))?;
    let body = bytes.split_off(end + 4);
    let body = if head.contains("transfer-encoding: chunked") { unchunked(&body)? } else { body };
    Ok(Reply { status, head, body })
}

/// What chunks come to.
fn unchunked(mut chunks: &[u8]) -> io::Result<Vec<u8>> {
    let mut body = Vec::new();
    loop {
        let mut line = String::new();
        chunks.read_line(&mut line)?;
        let length = usize::from_str_radix(line.trim(), 16).map_err(io::Error::other)?;
        if length == 0 {
            return Ok(body);
        }
        let chunk = chunks.get(..length).ok_or(io::ErrorKind::UnexpectedEof)?;
        body.extend_from_slice(chunk);
        chunks = &chunks[length..];
        chunks.read_line(&mut String::new())?;
    }
}

/// A stream of events that wakes whoever waits for something to happen.
#[derive(Debug)]
pub struct Wakes(BufReader<UnixStream>);

impl Wakes {
    /// Listens to the events that the daemon at `socket` tells, from now on.
    pub fn listen(socket: &Path) -> Self {
        let stream = UnixStream::connect(socket);
        let mut stream = stream.unwrap_or_else(|error| panic!("{}: {error}", socket.display()));
        stream.write_all(b"GET /v1/events HTTP/1.1\r\nHost: btd\r\n\r\n").expect("a request is sent");
        stream.set_read_timeout(Some(REPLY_LIMIT)).expect("a limit is set");
        let mut reader = BufReader::new(stream);
        let mut line = String::new();
        while !line.contains("hello") {
            line.clear();
            let length = within(REPLY_LIMIT, reader.read_line(&mut line));
            let length = length.unwrap_or_else(|error| panic!("events: {error}"));
            assert!(length > 0, "the events end before they begin");
        }
        Self(reader)
    }

    /// All that is told until the daemon hangs up.
    pub fn rest(mut self) -> String {
        let mut rest = String::new();
        let told = within(REPLY_LIMIT, self.0.read_to_string(&mut rest));
        told.unwrap_or_else(|error| panic!("{error} after the events {rest}"));
        rest
    }

    /// Waits for an event, or for `limit`: figures change without one.
    pub fn wait(&mut self, limit: Duration) {
        self.0.get_ref().set_read_timeout(Some(limit)).expect("a limit is set");
        match self.0.read_line(&mut String::new()) {
            Ok(0) => panic!("the events have ended"),
            Ok(_) => {}
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
            Err(error) => panic!("events: {error}"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn chunks_are_put_together() {
        assert_eq!(unchunked(b"3\r\nabc\r\nA\r\n0123456789\r\n0\r\n\r\n").unwrap(), b"abc0123456789");
        assert!(unchunked(b"9\r\nabc").is_err());
    }
}
