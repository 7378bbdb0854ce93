//! HTTP/1.1 by hand, over a Unix socket or TCP: what a program in any language would send to btd, and what it gets back.

use std::fmt::Debug;
use std::io::{self, BufRead, BufReader, ErrorKind, Read, Write};
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

/// The connection broke off before there was a reply.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Broken;

/// A connection to the control socket that is kept open.
#[derive(Debug)]
pub struct Client(BufReader<UnixStream>);

impl Client {
    /// Connects to `socket`.
    ///
    /// # Errors
    /// When nobody listens.
    pub fn connect(socket: &Path) -> io::Result<Self> {
        let stream = UnixStream::connect(socket)?;
        stream.set_read_timeout(Some(REPLY_LIMIT))?;
        stream.set_write_timeout(Some(REPLY_LIMIT))?;
        Ok(Self(BufReader::new(stream)))
    }

    /// Asks for `path`, with `body` where there is one.
    ///
    /// # Errors
    /// When the daemon went before it had answered.
    pub fn ask(&mut self, method: &str, path: &str, body: Option<&Value>) -> Result<Reply, Broken> {
        self.send(method, path, &body.map(ToString::to_string).unwrap_or_default())
    }

    /// Asks for `path` with a body that may be nonsense.
    ///
    /// # Errors
    /// When the daemon went before it had answered.
    pub fn send(&mut self, method: &str, path: &str, body: &str) -> Result<Reply, Broken> {
        exchange(&mut self.0, method, path, body).map_err(|error| match error.kind() {
            ErrorKind::UnexpectedEof | ErrorKind::BrokenPipe | ErrorKind::ConnectionReset => Broken,
            _ => panic!("{method} {path}: {error}"),
        })
    }

    /// Asks for `path`, which is to be answered with `status`; the body of the reply.
    pub fn expect(&mut self, status: u16, method: &str, path: &str, body: Option<&Value>) -> Value {
        let reply = self.ask(method, path, body);
        let reply = reply.unwrap_or_else(|Broken| panic!("the daemon went away at {method} {path}"));
        assert_eq!(reply.status, status, "{method} {path}: {}", reply.text());
        reply.json()
    }

    /// All torrents, as they are now.
    pub fn list(&mut self) -> Vec<Value> {
        let mut page = self.expect(200, "GET", "/v1/torrents?limit=10000", None);
        assert_eq!(page["next"], Value::Null, "a test has less than a page of torrents");
        match page["torrents"].take() {
            Value::Array(torrents) => torrents,
            other => panic!("a list was expected, not {other}"),
        }
    }
}

/// Asks for `path` of whoever listens at `address`.
pub fn ask_at(address: SocketAddr, path: &str) -> Reply {
    let stream = TcpStream::connect(address).unwrap_or_else(|error| panic!("{address}: {error}"));
    stream.set_read_timeout(Some(REPLY_LIMIT)).expect("a limit is set");
    let reply = exchange(&mut BufReader::new(stream), "GET", path, "");
    reply.unwrap_or_else(|error| panic!("{address}{path}: {error}"))
}

fn exchange<S: Read + Write>(
    stream: &mut BufReader<S>,
    method: &str,
    path: &str,
    body: &str,
) -> io::Result<Reply> {
    let length = body.len();
    let request = format!(
        "{method} {path} HTTP/1.1\r\nHost: btd\r\nContent-Type: application/json\r\n\
         Content-Length: {length}\r\n\r\n{body}"
    );
    within(REPLY_LIMIT, stream.get_mut().write_all(request.as_bytes()))?;
    receive(stream)
}

/// Reads one reply, and nothing of what follows it.
fn receive(stream: &mut impl BufRead) -> io::Result<Reply> {
    let mut head = String::new();
    while !head.ends_with("\r\n\r\n") {
        head.push_str(&next_line(stream)?.to_lowercase());
    }
    let status = head.split(' ').nth(1).and_then(|status| status.parse().ok());
    let status = status.ok_or_else(|| io::Error::other("a reply without a status"))?;
    let body = if head.contains("transfer-encoding: chunked") {
        unchunked(stream)?
    } else {
        let length = head.lines().find_map(|line| line.strip_prefix("content-length: "));
        bytes(stream, length.map_or(Ok(0), str::parse).map_err(io::Error::other)?)?
    };
    Ok(Reply { status, head, body })
}

/// The next line: there has to be one.
fn next_line(stream: &mut impl BufRead) -> io::Result<String> {
    let mut line = String::new();
    within(REPLY_LIMIT, stream.read_line(&mut line))?;
    if line.ends_with('\n') { Ok(line) } else { Err(ErrorKind::UnexpectedEof.into()) }
}

/// The next `length` bytes.
fn bytes(stream: &mut impl Read, length: usize) -> io::Result<Vec<u8>> {
    let mut bytes = vec![0; length];
    within(REPLY_LIMIT, stream.read_exact(&mut bytes))?;
    Ok(bytes)
}

/// What chunks come to.
fn unchunked(stream: &mut impl BufRead) -> io::Result<Vec<u8>> {
    let mut body = Vec::new();
    loop {
        let length = usize::from_str_radix(next_line(stream)?.trim(), 16).map_err(io::Error::other)?;
        body.extend(bytes(stream, length)?);
        next_line(stream)?;
        if length == 0 {
            return Ok(body);
        }
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
        let mut hear = || next_line(&mut reader).unwrap_or_else(|error| panic!("events: {error}"));
        while !hear().contains("hello") {}
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
            Err(error) if error.kind() == ErrorKind::WouldBlock => {}
            Err(error) => panic!("events: {error}"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn chunks_are_put_together() {
        let mut chunks = &b"3\r\nabc\r\nA\r\n0123456789\r\n0\r\n\r\nnext"[..];
        assert_eq!(unchunked(&mut chunks).unwrap(), b"abc0123456789");
        assert_eq!(chunks, b"next");
    }

    #[test]
    fn replies_come_one_after_the_other() {
        let mut stream =
            &b"HTTP/1.1 204 No Content\r\n\r\nHTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n{}"[..];
        assert_eq!(receive(&mut stream).unwrap().status, 204);
        assert_eq!(receive(&mut stream).unwrap().text(), "{}");
    }

    #[test]
    fn a_reply_that_breaks_off_is_none() {
        for text in ["", "HTTP/1.1 20", "HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\n{"] {
            assert_eq!(receive(&mut text.as_bytes()).unwrap_err().kind(), ErrorKind::UnexpectedEof, "{text}");
        }
        for text in ["", "9", "9\r\nabc", "3\r\nabc\r\n"] {
            assert_eq!(
                unchunked(&mut text.as_bytes()).unwrap_err().kind(),
                ErrorKind::UnexpectedEof,
                "{text}"
            );
        }
    }
}
