//! HTTP/1.1 to a tracker, byte by byte: whatever a test wants is sent, and each answer is read to its end and no
//! further.

use std::io::{self, BufRead, BufReader, ErrorKind, Read, Write};
use std::net::{IpAddr, Shutdown, SocketAddr, TcpStream};
use std::time::Duration;

use socket2::{Domain, Socket, Type};

use crate::bencode::Value;
use crate::limit::within;
use crate::query::Hash;

/// Longest that an answer may take.
const ANSWER_LIMIT: Duration = Duration::from_secs(30);

/// A connection to a tracker.
#[derive(Debug)]
pub struct Connection(BufReader<TcpStream>);

/// What an answer begins with.
#[derive(Debug, Clone)]
struct Head {
    status: u16,
    headers: Vec<(String, String)>,
}

/// An answer that has come in full.
#[derive(Debug, Clone)]
pub struct Answer {
    /// Its status, as 200.
    pub status: u16,
    /// Names, in lower case, and values of its headers.
    pub headers: Vec<(String, String)>,
    /// Its body.
    pub body: Vec<u8>,
}

/// What a GET of `target` at `to` is answered with, on a connection of its own.
pub fn fetch(to: SocketAddr, target: &str) -> Answer {
    Connection::open(to).get(target)
}

impl Connection {
    /// Connects.
    pub fn open(to: SocketAddr) -> Self {
        Self::of(TcpStream::connect(to).unwrap_or_else(|error| panic!("{to}: {error}")))
    }

    /// Connects from the address `from` of this machine.
    pub fn open_from(from: IpAddr, to: SocketAddr) -> Self {
        let connect = || {
            let socket = Socket::new(Domain::for_address(to), Type::STREAM, None)?;
            socket.bind(&SocketAddr::new(from, 0).into())?;
            socket.connect(&to.into())?;
            Ok::<_, io::Error>(socket)
        };
        Self::of(connect().unwrap_or_else(|error| panic!("{from} to {to}: {error}")).into())
    }

    fn of(stream: TcpStream) -> Self {
        stream.set_read_timeout(Some(ANSWER_LIMIT)).expect("a limit is set");
        stream.set_write_timeout(Some(ANSWER_LIMIT)).expect("a limit is set");
        stream.set_nodelay(true).expect("a socket sends at once");
        Self(BufReader::new(stream))
    }

    /// Sends `bytes`.
    pub fn send(&mut self, bytes: &[u8]) {
        self.try_send(bytes).unwrap_or_else(|error| panic!("{error} at {}", String::from_utf8_lossy(bytes)));
    }

    /// Sends `bytes`, if the tracker listens still.
    ///
    /// # Errors
    /// When it does not.
    pub fn try_send(&mut self, bytes: &[u8]) -> io::Result<()> {
        within(ANSWER_LIMIT, self.0.get_mut().write_all(bytes))
    }

    /// Says that nothing more is sent.
    pub fn shut(&mut self) {
        self.0.get_ref().shutdown(Shutdown::Write).ok();
    }

    /// Reads one answer.
    pub fn answer(&mut self) -> Answer {
        self.try_answer().unwrap_or_else(|error| panic!("no answer: {error}"))
    }

    /// Reads one answer, if one comes.
    ///
    /// # Errors
    /// `UnexpectedEof` when the connection ends first; `TimedOut` when neither happens.
    pub fn try_answer(&mut self) -> io::Result<Answer> {
        let Head { status, headers } = self.head()?;
        let answer = Answer { status, headers, body: Vec::new() };
        assert_eq!(answer.header("transfer-encoding"), None, "answers are whole: {answer:?}");
        let mut body = Vec::new();
        match answer.header("content-length") {
            Some(length) => {
                body.resize(length.parse().expect("a length is a number"), 0);
                within(ANSWER_LIMIT, self.0.read_exact(&mut body))?;
            }
            None => {
                within(ANSWER_LIMIT, self.0.read_to_end(&mut body))?;
            }
        }
        Ok(Answer { body, ..answer })
    }

    /// Reads the answer to a HEAD, which has no body.
    pub fn answer_to_head(&mut self) -> Answer {
        let head = self.head().unwrap_or_else(|error| panic!("no answer: {error}"));
        Answer { status: head.status, headers: head.headers, body: Vec::new() }
    }

    fn head(&mut self) -> io::Result<Head> {
        let first = self.line()?;
        let status = first.strip_prefix("HTTP/1.").and_then(|rest| rest.get(2..5)?.parse().ok());
        let status = status.unwrap_or_else(|| panic!("{first:?} is no status line"));
        let mut headers = Vec::new();
        loop {
            let line = self.line()?;
            if line.is_empty() {
                return Ok(Head { status, headers });
            }
            let (name, value) = line.split_once(':').unwrap_or_else(|| panic!("{line:?} is no header"));
            headers.push((name.to_ascii_lowercase(), value.trim().to_owned()));
        }
    }

    fn line(&mut self) -> io::Result<String> {
        let mut line = Vec::new();
        within(ANSWER_LIMIT, self.0.read_until(b'\n', &mut line))?;
        let line = line.strip_suffix(b"\r\n").ok_or(ErrorKind::UnexpectedEof)?;
        Ok(String::from_utf8_lossy(line).into_owned())
    }

    /// Asks for `target`, and reads the answer.
    pub fn get(&mut self, target: &str) -> Answer {
        self.get_with(target, "")
    }

    /// Asks for `target` with more headers, each with its line end.
    pub fn get_with(&mut self, target: &str, headers: &str) -> Answer {
        self.send(request(target, headers).as_bytes());
        self.answer()
    }

    /// Fails unless the tracker closes the connection, and sends nothing more.
    pub fn assert_closed(&mut self) {
        let mut rest = Vec::new();
        match within(ANSWER_LIMIT, self.0.read_to_end(&mut rest)) {
            Ok(_) => assert!(rest.is_empty(), "more came: {}", String::from_utf8_lossy(&rest)),
            Err(error) if error.kind() == ErrorKind::ConnectionReset => {}
            Err(error) => panic!("the connection stays open: {error}"),
        }
    }

    /// All that comes until the tracker closes the connection, as it must.
    pub fn rest(&mut self) -> Vec<u8> {
        let mut rest = Vec::new();
        match within(ANSWER_LIMIT, self.0.read_to_end(&mut rest)) {
            Err(error) if error.kind() != ErrorKind::ConnectionReset => {
                panic!("the connection stays open: {error}")
            }
            _ => rest,
        }
    }
}

/// A GET of `target`, with more headers, each with its line end.
pub fn request(target: &str, headers: &str) -> String {
    format!("GET {target} HTTP/1.1\r\nHost: tracker.example:6969\r\n{headers}\r\n")
}

impl Answer {
    /// The value of the header `name`, which is in lower case; there must not be two.
    pub fn header(&self, name: &str) -> Option<&str> {
        let mut values = self.headers.iter().filter(|(it, _)| it == name).map(|(_, value)| value.as_str());
        let first = values.next();
        assert_eq!(values.next(), None, "two headers {name}: {self:?}");
        first
    }

    /// The body as text.
    pub fn text(&self) -> String {
        String::from_utf8_lossy(&self.body).into_owned()
    }

    /// The dictionary that a tracker answers with, whatever it says: its form is checked.
    pub fn bencode(&self) -> Value {
        assert_eq!(self.status, 200, "a tracker's word has the status 200: {self:?} {}", self.text());
        assert_eq!(self.header("content-length"), Some(self.body.len().to_string().as_str()), "{self:?}");
        let kind = self.header("content-type").unwrap_or_default();
        assert_eq!(kind.split(';').next(), Some("text/plain"), "{self:?}");
        assert_eq!(self.header("content-encoding"), None, "{self:?}");
        let (value, rest) = Value::decode(&self.body);
        assert!(rest.is_empty(), "more than a dictionary: {}", self.text());
        assert!(value.is_sorted(), "keys are out of order: {value:?}");
        value
    }

    /// The same answer, which must be no failure.
    pub fn well(self) -> Self {
        let value = self.bencode();
        assert_eq!(value.find("failure reason"), None, "{}", self.text());
        self
    }

    /// The reason of a failure, which this must be; nothing else may be in it that belongs to an answer.
    pub fn failure(&self) -> String {
        let value = self.bencode();
        assert_eq!((value.find("peers"), value.find("files")), (None, None), "{}", self.text());
        String::from_utf8_lossy(value.get("failure reason").bytes()).into_owned()
    }

    /// The number of `key`.
    pub fn number(&self, key: &str) -> u64 {
        self.bencode().get(key).integer()
    }

    /// The peers of `peers` and `peers6` in their compact form, in order.
    pub fn peers(&self) -> Vec<SocketAddr> {
        let value = self.bencode();
        let mut peers = compact4(value.get("peers").bytes());
        peers.extend(value.find("peers6").map(|it| compact6(it.bytes())).unwrap_or_default());
        peers.sort_unstable();
        peers
    }

    /// What a scrape tells of `hash`: seeds, downloads, leechers.
    pub fn row(&self, hash: Hash) -> (u64, u64, u64) {
        let row = self.file(hash);
        let number = |key: &str| row.get(key).integer();
        (number("complete"), number("downloaded"), number("incomplete"))
    }

    /// The dictionary of a scrape for `hash`.
    pub fn file(&self, hash: Hash) -> Value {
        let value = self.bencode();
        let files = value.get("files").dictionary();
        let found = files.iter().find(|(name, _)| *name == hash);
        found.unwrap_or_else(|| panic!("{hash:?} is not among {files:?}")).1.clone()
    }
}

/// Addresses of six bytes each (BEP 23).
pub fn compact4(bytes: &[u8]) -> Vec<SocketAddr> {
    assert_eq!(bytes.len() % 6, 0, "six bytes a peer: {bytes:?}");
    let peer = |peer: &[u8]| -> SocketAddr {
        let ip: [u8; 4] = peer[..4].try_into().expect("four bytes");
        (ip, u16::from_be_bytes([peer[4], peer[5]])).into()
    };
    bytes.chunks(6).map(peer).collect()
}

/// Addresses of eighteen bytes each (BEP 7).
pub fn compact6(bytes: &[u8]) -> Vec<SocketAddr> {
    assert_eq!(bytes.len() % 18, 0, "eighteen bytes a peer: {bytes:?}");
    let peer = |peer: &[u8]| -> SocketAddr {
        let ip: [u8; 16] = peer[..16].try_into().expect("sixteen bytes");
        (ip, u16::from_be_bytes([peer[16], peer[17]])).into()
    };
    let peers: Vec<SocketAddr> = bytes.chunks(18).map(peer).collect();
    let is_mapped =
        |peer: &SocketAddr| matches!(peer, SocketAddr::V6(it) if it.ip().to_ipv4_mapped().is_some());
    assert!(!peers.iter().any(is_mapped), "an address of IPv4 among those of IPv6: {peers:?}");
    peers
}

#[cfg(test)]
mod tests {
    use std::net::TcpListener;
    use std::thread;

    use super::*;

    #[test]
    fn answers_are_read_one_by_one() {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        let server = thread::spawn(move || {
            let (mut stream, _) = listener.accept().unwrap();
            let text = "HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\nContent-Length: 23\r\n\r\n\
                        d14:failure reason2:noeHTTP/1.1 404 Not Found\r\nContent-Length: 0\r\n\r\n";
            stream.write_all(text.as_bytes()).unwrap();
        });
        let mut connection = Connection::open(address);
        assert_eq!(connection.answer().failure(), "no");
        assert_eq!(connection.answer().status, 404);
        connection.assert_closed();
        server.join().unwrap();
    }

    #[test]
    fn addresses_are_read() {
        assert_eq!(compact4(&[127, 0, 0, 1, 1, 2]), ["127.0.0.1:258".parse().unwrap()]);
        let ipv6 = [[0; 15].as_slice(), &[1, 0, 80]].concat();
        assert_eq!(compact6(&ipv6), ["[::1]:80".parse().unwrap()]);
    }
}
