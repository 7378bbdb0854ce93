//! A tracker that names one peer to all who ask: aria2 takes peers from nowhere else.
//!
//! It speaks no more HTTP than one announce needs: whatever the request says, the answer is the same.

use std::io::{self, BufRead, BufReader, Read, Write};
use std::net::{SocketAddrV4, TcpListener, TcpStream};
use std::thread;
use std::time::Duration;

/// Longest request that is read.
const MAX_REQUEST_LENGTH: u64 = 8 * 1024;
const READ_WAIT: Duration = Duration::from_secs(5);

/// Answers every announce with `peer`, until the process ends; returns the URL to announce to.
///
/// # Errors
/// When there is no port to listen on.
pub fn start(peer: SocketAddrV4) -> io::Result<String> {
    let listener = TcpListener::bind("127.0.0.1:0")?;
    let url = format!("http://{}/announce", listener.local_addr()?);
    let answer = answer(peer);
    thread::spawn(move || {
        for stream in listener.incoming().flatten() {
            // A client that goes away early may ask again.
            let _ = serve(&stream, &answer);
        }
    });
    Ok(url)
}

/// A response of BEP 3 with the compact peers of BEP 23. No client of a benchmark runs until the next announce.
fn answer(peer: SocketAddrV4) -> Vec<u8> {
    let mut body = b"d8:intervali3600e5:peers6:".to_vec();
    body.extend(peer.ip().octets());
    body.extend(peer.port().to_be_bytes());
    body.push(b'e');
    let head = format!("HTTP/1.1 200 OK\r\nContent-Length: {}\r\nConnection: close\r\n\r\n", body.len());
    [head.into_bytes(), body].concat()
}

fn serve(mut stream: &TcpStream, answer: &[u8]) -> io::Result<()> {
    stream.set_read_timeout(Some(READ_WAIT))?;
    for line in BufReader::new(stream.take(MAX_REQUEST_LENGTH)).lines() {
        if line?.is_empty() {
            break;
        }
    }
    stream.write_all(answer)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_announce_is_answered_with_the_peer() {
        let url = start("127.0.0.1:258".parse().unwrap()).unwrap();
        let host = url.strip_prefix("http://").and_then(|rest| rest.strip_suffix("/announce")).unwrap();
        let mut stream = TcpStream::connect(host).unwrap();
        stream.write_all(b"GET /announce?left=1 HTTP/1.1\r\nHost: here\r\n\r\n").unwrap();
        let mut response = Vec::new();
        stream.read_to_end(&mut response).unwrap();
        assert!(response.starts_with(b"HTTP/1.1 200 OK\r\nContent-Length: 33\r\n"));
        assert!(response.ends_with(b"\r\n\r\nd8:intervali3600e5:peers6:\x7f\0\0\x01\x01\x02e"));
    }
}
