//! As much of an HTTP client as the benchmark needs: one connection that is kept, bodies of a known length.

use std::io::{self, BufRead, BufReader, Read, Write};

/// Longest body that is taken: 100,000 rows have some 50 MB.
const MAX_BODY_LENGTH: usize = 256 << 20;

/// A connection.
#[derive(Debug)]
pub(crate) struct Http<S: Read + Write> {
    stream: BufReader<S>,
}

/// An answer.
#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) status: u16,
    /// Lines of the head, as they came.
    pub(crate) headers: Vec<String>,
    pub(crate) body: Vec<u8>,
}

impl<S: Read + Write> Http<S> {
    pub(crate) fn new(stream: S) -> Self {
        Self { stream: BufReader::with_capacity(1 << 20, stream) }
    }

    /// Sends a request with the lines of `headers`, each with its end, and reads the answer.
    ///
    /// # Errors
    /// When the connection breaks, or the answer is none.
    pub(crate) fn ask(&mut self, line: &str, headers: &str, body: &[u8]) -> io::Result<Answer> {
        let length = body.len();
        let head = format!("{line} HTTP/1.1\r\nHost: here\r\nContent-Length: {length}\r\n{headers}\r\n");
        self.stream.get_mut().write_all(&[head.as_bytes(), body].concat())?;
        let status = self.line()?.split(' ').nth(1).and_then(|status| status.parse().ok());
        let status = status.ok_or_else(|| io::Error::other("no HTTP"))?;
        let mut headers = Vec::new();
        loop {
            let line = self.line()?;
            if line.is_empty() {
                break;
            }
            headers.push(line);
        }
        let length = value(&headers, "content-length").and_then(|length| length.parse().ok()).unwrap_or(0);
        let mut body = vec![0; if length <= MAX_BODY_LENGTH { length } else { 0 }];
        self.stream.read_exact(&mut body)?;
        Ok(Answer { status, headers, body })
    }

    fn line(&mut self) -> io::Result<String> {
        let mut line = String::new();
        if self.stream.read_line(&mut line)? == 0 {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        Ok(line.trim_end().to_owned())
    }
}

impl Answer {
    /// The value of a header.
    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        value(&self.headers, name)
    }

    /// The body of an answer that is no refusal.
    ///
    /// # Errors
    /// When it is one: its text.
    pub(crate) fn accepted(self) -> io::Result<Vec<u8>> {
        match self.status {
            200..300 => Ok(self.body),
            status => {
                let text = String::from_utf8_lossy(&self.body);
                Err(io::Error::other(format!("HTTP status {status}: {text}")))
            }
        }
    }
}

fn value<'a>(headers: &'a [String], name: &str) -> Option<&'a str> {
    let mut values = headers.iter().filter_map(|line| line.split_once(':'));
    values.find(|(key, _)| key.eq_ignore_ascii_case(name)).map(|(_, value)| value.trim())
}

#[cfg(test)]
mod tests {
    use std::net::{TcpListener, TcpStream};
    use std::thread;

    use super::*;

    #[test]
    fn answers_on_one_connection_are_told_apart_and_a_refusal_is_an_error() {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        let server = thread::spawn(move || {
            let (mut stream, _) = listener.accept().unwrap();
            stream.write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 3\r\n\r\none").unwrap();
            stream.write_all(b"HTTP/1.1 409 Conflict\r\nX-Id: 7\r\nContent-Length: 2\r\n\r\nno").unwrap();
            let mut asked = String::new();
            stream.read_to_string(&mut asked).unwrap();
            asked
        });
        let mut http = Http::new(TcpStream::connect(address).unwrap());
        assert_eq!(http.ask("GET /a", "", b"").unwrap().accepted().unwrap(), b"one");
        let refusal = http.ask("POST /b", "X-Id: 1\r\n", b"{}").unwrap();
        assert_eq!(refusal.header("x-id"), Some("7"));
        assert_eq!(refusal.accepted().unwrap_err().to_string(), "HTTP status 409: no");
        drop(http);
        let asked = server.join().unwrap();
        assert!(asked.starts_with("GET /a HTTP/1.1\r\n") && asked.ends_with("X-Id: 1\r\n\r\n{}"), "{asked}");
    }
}
