//! An answer over HTTP as it stands in a buffer, if all of it is there.

use std::fmt;

/// Header lines that are looked at.
const MAX_HEADERS: usize = 32;
/// Longest head that is taken.
const MAX_HEAD_LENGTH: usize = 8 * 1024;
/// So much of a wrong body is shown.
const SHOWN_LENGTH: usize = 200;

/// A whole answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct HttpAnswer<'a> {
    pub(super) status: u16,
    pub(super) body: &'a [u8],
}

impl<'a> HttpAnswer<'a> {
    /// Reads the answer at the beginning of `buffer`, and how long it is in all; `None` while some of it is missing.
    /// Without `Content-Length` the end of the connection ends it.
    ///
    /// # Errors
    /// When it is no HTTP, or more than `Content-Length` says.
    pub(super) fn read(buffer: &'a [u8], is_ended: bool) -> Result<Option<Self>, String> {
        let mut headers = [httparse::EMPTY_HEADER; MAX_HEADERS];
        let mut response = httparse::Response::new(&mut headers);
        let head = response.parse(buffer).map_err(|error| format!("no HTTP: {error}"))?;
        let httparse::Status::Complete(head_length) = head else {
            return match buffer.len() > MAX_HEAD_LENGTH {
                true => Err("a head without an end".to_owned()),
                false => Ok(None),
            };
        };
        let status = response.code.unwrap_or_default();
        let mut lengths =
            response.headers.iter().filter(|header| header.name.eq_ignore_ascii_case("content-length"));
        let rest = &buffer[head_length..];
        let Some(header) = lengths.next() else {
            return Ok(is_ended.then_some(Self { status, body: rest }));
        };
        let length =
            std::str::from_utf8(header.value).ok().and_then(|text| text.trim().parse::<usize>().ok());
        let length = length.ok_or_else(|| "a Content-Length that is no number".to_owned())?;
        if rest.len() > length {
            return Err(format!("{} bytes of a body of {length}", rest.len()));
        }
        Ok((rest.len() == length).then_some(Self { status, body: rest }))
    }
}

impl fmt::Display for HttpAnswer<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let shown = &self.body[..self.body.len().min(SHOWN_LENGTH)];
        write!(f, "status {}, {} bytes, {:?}", self.status, self.body.len(), String::from_utf8_lossy(shown))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_answer_is_there_when_its_last_byte_is() {
        let whole = b"HTTP/1.1 200 OK\r\nDate: x\r\ncontent-length: 3\r\n\r\ndee";
        for length in 0..whole.len() {
            assert_eq!(HttpAnswer::read(&whole[..length], false).unwrap(), None, "{length}");
        }
        let answer = HttpAnswer { status: 200, body: b"dee" };
        assert_eq!(HttpAnswer::read(whole, false).unwrap(), Some(answer));
        assert!(HttpAnswer::read(&[whole, &b"x"[..]].concat(), false).is_err());
        assert!(HttpAnswer::read(b"d8:completei0e", false).is_err());
        let unbound = b"HTTP/1.0 404 Not Found\r\n\r\nno";
        assert_eq!(HttpAnswer::read(unbound, false).unwrap(), None);
        assert_eq!(HttpAnswer::read(unbound, true).unwrap(), Some(HttpAnswer { status: 404, body: b"no" }));
        assert!(HttpAnswer::read(b"HTTP/1.1 200 OK\r\nContent-Length: x\r\n\r\n", false).is_err());
    }
}
