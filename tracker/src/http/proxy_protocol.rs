//! The preamble that a proxy sends before anything else: PROXY protocol, versions 1 and 2 (HAProxy,
//! doc/proxy-protocol.txt). The HTTP door reads it from connections of trusted proxies, and gives it a time; what comes
//! behind it stays in the socket.
//!
//! Not by the crate `ppp`: it refuses `LOCAL` of families that the specification tells to ignore, takes ports with a
//! sign, and leaves the reading to its callers; what is left is little.

use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::str::FromStr;

use tokio::net::TcpStream;

/// What version 1 begins with.
const PREFIX: &[u8] = b"PROXY ";
/// What version 2 begins with. No preamble is as short, so this much can be read before the version is known.
const SIGNATURE: &[u8; 12] = b"\r\n\r\n\0\r\nQUIT\n";
/// Longest line of version 1, its end included (section 2.1).
const MAX_LINE_LENGTH: usize = 107;
/// Longest of version 2: what every sender keeps to (section 2.2), with its addresses and all it adds to them.
const MAX_LENGTH: usize = 536;
/// Version 2 before the addresses.
const HEADER_LENGTH: usize = 16;
/// Two addresses of Unix sockets.
const UNIX_LENGTH: usize = 216;

/// Why a connection cannot be used.
#[derive(Debug, thiserror::Error)]
pub(super) enum PreambleError {
    /// The socket failed.
    #[error("PROXY protocol: {0}")]
    Io(#[from] io::Error),
    /// It ended before the preamble did.
    #[error("PROXY protocol: the connection ended within the preamble")]
    Ended,
    /// It begins with something else.
    #[error("PROXY protocol: the connection does not begin with a preamble")]
    Missing,
    /// It is too long.
    #[error("PROXY protocol: the preamble is longer than {0} bytes")]
    TooLong(usize),
    /// It breaks the rules.
    #[error("PROXY protocol: malformed {0}")]
    Malformed(&'static str),
}

/// Reads the preamble of `stream`, and not a byte behind it. Returns who connected to the proxy; `None` if that was the
/// proxy itself (`LOCAL`), or the proxy does not know (`UNKNOWN`, `UNSPEC`, Unix sockets).
///
/// # Errors
/// When there is none, or it is malformed. The connection is of no use then.
pub(super) async fn read_preamble(stream: &mut TcpStream) -> Result<Option<SocketAddr>, PreambleError> {
    let mut start = [0; SIGNATURE.len()];
    let mut length = 0;
    while length < start.len() {
        length += read(stream, &mut start[length..]).await?;
        let start = &start[..length];
        // Each alike as far as it goes: whoever speaks otherwise is not waited for.
        if !SIGNATURE.starts_with(start) && !start.iter().zip(PREFIX).all(|(ours, theirs)| ours == theirs) {
            return Err(PreambleError::Missing);
        }
    }
    if start == *SIGNATURE { read_binary(stream).await } else { read_line(stream, start).await }
}

/// Version 1, which began with `start`.
async fn read_line(
    stream: &TcpStream,
    start: [u8; SIGNATURE.len()],
) -> Result<Option<SocketAddr>, PreambleError> {
    let mut line = [0; MAX_LINE_LENGTH];
    line[..start.len()].copy_from_slice(&start);
    let mut length = start.len();
    while line[length - 1] != b'\n' {
        if length == line.len() {
            return Err(PreambleError::TooLong(MAX_LINE_LENGTH));
        }
        // Looked at before it is taken: what is behind the line is not ours.
        let there = stream.peek(&mut line[length..]).await?;
        let end = line[length..length + there].iter().position(|byte| *byte == b'\n');
        let take = end.map_or(there, |end| end + 1);
        length += read(stream, &mut line[length..length + take]).await?;
    }
    parse_line(&line[..length])
}

/// Version 2, behind the signature.
async fn read_binary(stream: &TcpStream) -> Result<Option<SocketAddr>, PreambleError> {
    let mut header = [0; HEADER_LENGTH - SIGNATURE.len()];
    read_exact(stream, &mut header).await?;
    let [command, family, high, low] = header;
    let length = usize::from(u16::from_be_bytes([high, low]));
    let mut rest = [0; MAX_LENGTH - HEADER_LENGTH];
    let Some(rest) = rest.get_mut(..length) else { return Err(PreambleError::TooLong(MAX_LENGTH)) };
    read_exact(stream, rest).await?;
    match command {
        0x20 => Ok(None),
        0x21 => parse_addresses(family, rest),
        _ => Err(PreambleError::Malformed("version or command")),
    }
}

/// The source in the line of version 1, which ends with a line feed.
fn parse_line(line: &[u8]) -> Result<Option<SocketAddr>, PreambleError> {
    let malformed = PreambleError::Malformed;
    let line = line.strip_prefix(PREFIX).and_then(|line| line.strip_suffix(b"\r\n"));
    let line = line.and_then(|line| str::from_utf8(line).ok()).ok_or(malformed("line"))?;
    let fields: Vec<&str> = line.split(' ').collect();
    let (source, port) = match fields[..] {
        // Whatever follows is to be ignored.
        ["UNKNOWN", ..] => return Ok(None),
        ["TCP4", source, target, port, target_port] => {
            (addresses::<Ipv4Addr>(source, target), ports(port, target_port))
        }
        ["TCP6", source, target, port, target_port] => {
            (addresses::<Ipv6Addr>(source, target), ports(port, target_port))
        }
        _ => return Err(malformed("line")),
    };
    let source = source.ok_or(malformed("address"))?;
    Ok(Some(SocketAddr::new(source.to_canonical(), port.ok_or(malformed("port"))?)))
}

/// The first of two addresses, if both are some.
fn addresses<T: FromStr + Into<IpAddr>>(source: &str, target: &str) -> Option<IpAddr> {
    target.parse::<T>().ok()?;
    source.parse::<T>().ok().map(Into::into)
}

/// The first of two ports, if both are some.
fn ports(source: &str, target: &str) -> Option<u16> {
    // Neither sign nor zeros before it, which `parse` would take.
    let port = |text: &str| text.parse::<u16>().ok().filter(|port| port.to_string() == text);
    port(target)?;
    port(source)
}

/// The source in what follows the header of version 2.
fn parse_addresses(family: u8, rest: &[u8]) -> Result<Option<SocketAddr>, PreambleError> {
    let short = PreambleError::Malformed("addresses: too short");
    match family {
        // UNSPEC.
        0x00 => Ok(None),
        // TCP over IPv4: both addresses, then both ports.
        0x11 => match rest.first_chunk::<12>() {
            Some(&[a, b, c, d, _, _, _, _, high, low, _, _]) => {
                let source = Ipv4Addr::new(a, b, c, d);
                Ok(Some(SocketAddr::new(source.into(), u16::from_be_bytes([high, low]))))
            }
            None => Err(short),
        },
        // TCP over IPv6, likewise.
        0x21 => match (rest.first_chunk::<16>(), rest.get(32..36)) {
            (Some(source), Some(&[high, low, _, _])) => {
                let source = Ipv6Addr::from(*source);
                Ok(Some(SocketAddr::new(source.to_canonical(), u16::from_be_bytes([high, low]))))
            }
            _ => Err(short),
        },
        // A stream between Unix sockets.
        0x31 if rest.len() >= UNIX_LENGTH => Ok(None),
        0x31 => Err(short),
        _ => Err(PreambleError::Malformed("family or transport")),
    }
}

async fn read_exact(stream: &TcpStream, buffer: &mut [u8]) -> Result<(), PreambleError> {
    let mut length = 0;
    while length < buffer.len() {
        length += read(stream, &mut buffer[length..]).await?;
    }
    Ok(())
}

/// Reads what is there into `buffer`, which is not empty: one byte at least.
async fn read(stream: &TcpStream, buffer: &mut [u8]) -> Result<usize, PreambleError> {
    loop {
        stream.readable().await?;
        match stream.try_read(buffer) {
            Ok(0) => return Err(PreambleError::Ended),
            Ok(length) => return Ok(length),
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
            Err(error) => return Err(error.into()),
        }
    }
}

#[cfg(test)]
mod tests;
