//! As much of an HTTP client as the benchmark needs: one connection that is kept, bodies of a known length.

use std::io::{self, BufRead, BufReader, Read, Write};

/// Longest body that is taken: 100,000 rows have some 50 MB.
const MAX_BODY_LENGTH: usize = 256 << 20;

/// A connection.
#[derive(Debug)]
pub(super) struct Http<S: Read + Write> {
    stream: BufReader<S>,
}

/// An answer.
#[derive(Debug)]
pub(super) struct Answer {
    pub(super) status: u16,
    /// Lines of the head, as they came.
    pub(super) headers: Vec<String>,
    pub(super) body: Vec<u8>,
}

impl<S: Read + Write> Http<S> {
    pub(super) fn new(stream: S) -> Self {
        Self { stream: BufReader::with_capacity(1 << 20, stream) }
    }

    /// Sends a request with the lines of `headers`, each with its end, and reads the answer.
    ///
    /// # Errors
    /// When the connection breaks, or the answer is none.
    pub(super) fn ask(&mut self, line: &str, headers: &str, body: &[u8]) -> io::Result<Answer> {
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
    pub(super) fn header(&self, name: &str) -> Option<&str> {
        value(&self.headers, name)
    }

    /// The body of an answer that is no refusal.
    ///
    /// # Errors
    /// When it is one: its text.
    pub(super) fn accepted(self) -> io::Result<Vec<u8>> {
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
