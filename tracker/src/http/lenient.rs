//! A connection that forgives clients which send bytes in a request line that should be escaped: some put info-hashes there
//! as they are, and hyper takes nothing but what RFC 3986 allows.
//!
//! Such bytes are escaped on their way to hyper. Headers stay as they are. A request that has none of them is looked at
//! once, and not copied.

use std::io;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

/// The connection.
#[derive(Debug)]
pub(super) struct Lenient<S> {
    stream: S,
    place: Place,
    /// What was escaped, and has not been taken yet.
    escaped: Vec<u8>,
    taken: usize,
}

/// Where in a request the next byte is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Place {
    /// In its line.
    Line,
    /// In its headers; so many of the bytes that end them have come.
    Headers(usize),
}

/// What headers end with, behind the last of their lines.
const END: &[u8; 4] = b"\r\n\r\n";

impl<S> Lenient<S> {
    pub(super) fn new(stream: S) -> Self {
        Self { stream, place: Place::Line, escaped: Vec::new(), taken: 0 }
    }
}

/// Whether hyper would refuse the byte in a request line, or take it for what it cannot be there. Ends of lines and blanks
/// are what they are.
fn is_odd(byte: u8) -> bool {
    byte >= 0x7f || byte < b' ' && byte != b'\r' && byte != b'\n' || matches!(byte, b'"' | b'#' | b'<' | b'>')
}

impl Place {
    /// Where the byte behind `byte` is.
    fn step(self, byte: u8) -> Self {
        match self {
            Self::Line if byte == b'\n' => Self::Headers(2),
            Self::Line => Self::Line,
            Self::Headers(matched) => match matched + 1 {
                matched if byte == END[matched - 1] && matched == END.len() => Self::Line,
                matched if byte == END[matched - 1] => Self::Headers(matched),
                // Lines may end without the first half of their end.
                _ if byte == b'\n' && matched == 2 => Self::Line,
                _ if byte == b'\n' => Self::Headers(2),
                _ => Self::Headers(usize::from(byte == END[0])),
            },
        }
    }

    /// Where the byte behind `bytes` is.
    fn walk(self, bytes: &[u8]) -> Self {
        // Most often they are one whole request.
        if self == Self::Line && bytes.ends_with(END) {
            return Self::Line;
        }
        bytes.iter().fold(self, |place, byte| place.step(*byte))
    }
}

/// Appends `bytes`, those of request lines escaped, and returns where the next byte is.
fn escape(place: Place, bytes: &[u8], out: &mut Vec<u8>) -> Place {
    const DIGITS: &[u8; 16] = b"0123456789ABCDEF";
    bytes.iter().fold(place, |place, byte| {
        if place == Place::Line && is_odd(*byte) {
            out.extend([b'%', DIGITS[usize::from(byte >> 4)], DIGITS[usize::from(byte & 15)]]);
        } else {
            out.push(*byte);
        }
        place.step(*byte)
    })
}

impl<S: AsyncRead + Unpin> AsyncRead for Lenient<S> {
    fn poll_read(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        if this.taken == this.escaped.len() {
            let before = buffer.filled().len();
            ready!(Pin::new(&mut this.stream).poll_read(context, buffer))?;
            let read = &buffer.filled()[before..];
            if !read.iter().any(|byte| is_odd(*byte)) {
                this.place = this.place.walk(read);
                return Poll::Ready(Ok(()));
            }
            (this.escaped, this.taken) = (Vec::with_capacity(2 * read.len()), 0);
            this.place = escape(this.place, read, &mut this.escaped);
            buffer.set_filled(before);
        }
        let rest = &this.escaped[this.taken..];
        let part = &rest[..rest.len().min(buffer.remaining())];
        buffer.put_slice(part);
        this.taken += part.len();
        Poll::Ready(Ok(()))
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for Lenient<S> {
    fn poll_write(self: Pin<&mut Self>, context: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.get_mut().stream).poll_write(context, bytes)
    }

    fn poll_flush(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.get_mut().stream).poll_flush(context)
    }

    fn poll_shutdown(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.get_mut().stream).poll_shutdown(context)
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
        slices: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.get_mut().stream).poll_write_vectored(context, slices)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use tokio::io::{AsyncReadExt, AsyncWriteExt, duplex};
    use tokio::runtime::Builder;

    use super::*;

    /// What comes out of `parts` that come in one after the other, read `step` bytes at a time.
    fn read(parts: &[&[u8]], step: usize) -> Vec<u8> {
        let runtime = Builder::new_current_thread().build().unwrap();
        runtime.block_on(async {
            let (mut client, server) = duplex(1 << 16);
            let (mut lenient, mut all) = (Lenient::new(server), Vec::new());
            for part in parts.iter().filter(|part| !part.is_empty()) {
                client.write_all(part).await.unwrap();
                // What was escaped is longer, and what was not is there.
                let mut bytes = vec![0; step];
                let length = lenient.read(&mut bytes).await.unwrap();
                all.extend_from_slice(&bytes[..length]);
            }
            drop(client);
            loop {
                let mut bytes = vec![0; step];
                match lenient.read(&mut bytes).await.unwrap() {
                    0 => return all,
                    length => all.extend_from_slice(&bytes[..length]),
                }
            }
        })
    }

    #[test]
    fn odd_bytes_of_a_request_line_are_escaped_and_no_others() {
        let request = b"GET /announce?info_hash=\xff\x80<\x01#+%20 HTTP/1.1\r\nHost: \"<\xff>\"\r\n\r\n";
        let escaped = b"GET /announce?info_hash=%FF%80%3C%01%23+%20 HTTP/1.1\r\nHost: \"<\xff>\"\r\n\r\n";
        for step in [1, 7, 4_096] {
            assert_eq!(read(&[request], step), escaped);
            // The next request on the same connection, in one piece with the first or not.
            assert_eq!(read(&[request, request], step), escaped.repeat(2));
            assert_eq!(read(&[&request.repeat(2)], step), escaped.repeat(2));
        }
        for at in 0..request.len() {
            assert_eq!(read(&[&request[..at], &request[at..]], 4_096), escaped, "split at {at}");
        }
    }

    #[test]
    fn lines_may_end_with_a_line_feed_alone() {
        let request = b"GET /\xff HTTP/1.1\nA: \xff\nB: c\n\nGET /\xff HTTP/1.1\r\n\r\n";
        assert_eq!(read(&[request], 4_096), b"GET /%FF HTTP/1.1\nA: \xff\nB: c\n\nGET /%FF HTTP/1.1\r\n\r\n");
    }

    proptest! {
        #[test]
        fn what_needs_no_escape_passes_as_it_is(
            lines in prop::collection::vec("[ -!$-;=?-~]{0,20}", 1..8), step in 1..64_usize,
        ) {
            let text = lines.join("\r\n");
            prop_assert_eq!(read(&[text.as_bytes()], step), text.as_bytes());
        }
    }
}
