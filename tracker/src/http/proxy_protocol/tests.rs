//! Preambles over real sockets, however they are cut.

use std::io::{Read, Write};
use std::net::{Shutdown, TcpStream as Blocking};

use tokio::net::TcpListener;

use super::*;

/// What comes behind a preamble.
const REQUEST: &[u8] = b"GET /announce HTTP/1.1\r\n\r\n";

/// Version 2: the two bytes of command and family, then what the length counts.
fn binary(command: u8, family: u8, rest: &[u8]) -> Vec<u8> {
    let mut bytes = SIGNATURE.to_vec();
    bytes.extend([command, family]);
    bytes.extend(u16::try_from(rest.len()).unwrap().to_be_bytes());
    bytes.extend(rest);
    bytes
}

fn v4_addresses() -> Vec<u8> {
    vec![198, 51, 100, 7, 10, 0, 0, 1, 0xc8, 0xd5, 0, 80]
}

fn v6_addresses(source: &str) -> Vec<u8> {
    let mut bytes = source.parse::<Ipv6Addr>().unwrap().octets().to_vec();
    bytes.extend(Ipv6Addr::LOCALHOST.octets());
    bytes.extend([0xc8, 0xd5, 0, 80]);
    bytes
}

/// Sends `first`, and `second` when `first` has been taken; then what `read_preamble` makes of it, and what
/// it left in the socket.
async fn exchange(first: &[u8], second: &[u8]) -> (Result<Option<SocketAddr>, PreambleError>, Vec<u8>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let mut client = Blocking::connect(listener.local_addr().unwrap()).unwrap();
    client.set_nodelay(true).unwrap();
    let (mut server, _) = listener.accept().await.unwrap();
    client.write_all(first).unwrap();
    let mut reading = Box::pin(read_preamble(&mut server));
    let mut early = None;
    if !first.is_empty() && !second.is_empty() {
        // As far as it goes with the first part alone, which is in the socket: each turn lets the reactor look.
        tokio::select! {
            biased;
            result = &mut reading => early = Some(result),
            () = turns(8) => {}
        }
    }
    client.write_all(second).unwrap();
    client.shutdown(Shutdown::Write).unwrap();
    let result = match early {
        Some(result) => result,
        None => reading.as_mut().await,
    };
    drop(reading);
    let mut server = server.into_std().unwrap();
    server.set_nonblocking(false).unwrap();
    let mut left = Vec::new();
    server.read_to_end(&mut left).unwrap();
    (result, left)
}

async fn turns(count: usize) {
    for _ in 0..count {
        tokio::task::yield_now().await;
    }
}

/// The source that `preamble` names, whether it comes at once or cut anywhere, and that the request is left.
async fn source(preamble: &[u8]) -> Option<String> {
    let whole = [preamble, REQUEST].concat();
    let mut sources = Vec::new();
    for cut in 0..=whole.len() {
        let (result, left) = exchange(&whole[..cut], &whole[cut..]).await;
        assert_eq!(left.escape_ascii().to_string(), REQUEST.escape_ascii().to_string(), "cut at {cut}");
        sources.push(result.unwrap());
    }
    sources.dedup();
    assert_eq!(sources.len(), 1, "{sources:?}");
    sources[0].map(|source| source.to_string())
}

/// What `preamble` is refused with.
async fn refusal(preamble: &[u8]) -> String {
    let (result, _) = exchange(preamble, b"").await;
    result.unwrap_err().to_string().replace("PROXY protocol: ", "")
}

#[tokio::test]
async fn lines_of_version_1_are_read_however_they_are_cut() {
    let some = |text: &str| Some(text.to_owned());
    assert_eq!(source(b"PROXY TCP4 198.51.100.7 10.0.0.1 51413 80\r\n").await, some("198.51.100.7:51413"));
    assert_eq!(source(b"PROXY TCP6 2001:db8::7 ::1 51413 80\r\n").await, some("[2001:db8::7]:51413"));
    assert_eq!(source(b"PROXY TCP6 ::ffff:198.51.100.7 ::1 0 80\r\n").await, some("198.51.100.7:0"));
    assert_eq!(source(b"PROXY UNKNOWN\r\n").await, None);
    let longest = "PROXY UNKNOWN ffff:f...f:ffff ffff:f...f:ffff 65535 65535\r\n";
    assert_eq!(source(longest.as_bytes()).await, None);
}

#[tokio::test]
async fn version_2_is_read_however_it_is_cut() {
    let some = |text: &str| Some(text.to_owned());
    assert_eq!(source(&binary(0x21, 0x11, &v4_addresses())).await, some("198.51.100.7:51413"));
    assert_eq!(source(&binary(0x21, 0x21, &v6_addresses("2001:db8::7"))).await, some("[2001:db8::7]:51413"));
    let mapped = v6_addresses("::ffff:198.51.100.7");
    assert_eq!(source(&binary(0x21, 0x21, &mapped)).await, some("198.51.100.7:51413"));
    let mut with_more = v4_addresses();
    with_more.extend([0x04, 0, 3, b'\r', b'\n', b'x']);
    assert_eq!(source(&binary(0x21, 0x11, &with_more)).await, some("198.51.100.7:51413"));
    assert_eq!(source(&binary(0x20, 0x00, &[])).await, None, "LOCAL");
    assert_eq!(source(&binary(0x20, 0xff, &[1, 2, 3])).await, None, "LOCAL, of whatever");
    assert_eq!(source(&binary(0x21, 0x00, &[1, 2])).await, None, "UNSPEC");
    assert_eq!(source(&binary(0x21, 0x31, &[b'/'; UNIX_LENGTH])).await, None, "Unix sockets");
}

#[tokio::test]
async fn the_longest_are_read_and_longer_ones_are_not() {
    let mut rest = v4_addresses();
    rest.resize(MAX_LENGTH - HEADER_LENGTH, 0);
    let (result, left) = exchange(&binary(0x21, 0x11, &rest), REQUEST).await;
    assert_eq!(result.unwrap().unwrap().port(), 51_413);
    assert_eq!(left, REQUEST);
    rest.push(0);
    assert_eq!(refusal(&binary(0x21, 0x11, &rest)).await, "the preamble is longer than 536 bytes");
    let line = |length: usize| format!("PROXY UNKNOWN {}\r\n", "x".repeat(length - 16));
    let (result, left) = exchange(line(MAX_LINE_LENGTH).as_bytes(), REQUEST).await;
    assert_eq!((result.unwrap(), left.as_slice()), (None, REQUEST));
    assert_eq!(refusal(line(MAX_LINE_LENGTH + 1).as_bytes()).await, "the preamble is longer than 107 bytes");
}

#[tokio::test]
async fn what_is_no_preamble_is_refused_without_waiting_for_more() {
    for start in ["G", "GET / HTTP", "PROXX", "PROXYTCP4", "\r\n\r\n\0\r\nQUIX", "\r\nPROXY "] {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let mut client = Blocking::connect(listener.local_addr().unwrap()).unwrap();
        let (mut server, _) = listener.accept().await.unwrap();
        client.write_all(start.as_bytes()).unwrap();
        // The client is still there.
        let error = read_preamble(&mut server).await.unwrap_err();
        assert!(matches!(error, PreambleError::Missing), "{start:?}: {error}");
    }
}

#[tokio::test]
async fn malformed_preambles_are_refused() {
    for (line, fault) in [
        ("PROXY TCP4 198.51.100.7 10.0.0.1 51413\r\n", "malformed line"),
        ("PROXY TCP4 198.51.100.7 10.0.0.1 51413 80 1\r\n", "malformed line"),
        ("PROXY TCP4  198.51.100.7 10.0.0.1 51413 80\r\n", "malformed line"),
        ("PROXY TCP4 198.51.100.7 10.0.0.1 51413 80\n", "malformed line"),
        ("PROXY UDP4 198.51.100.7 10.0.0.1 51413 80\r\n", "malformed line"),
        ("PROXY UNKNOWNS\r\n", "malformed line"),
        ("PROXY  UNKNOWN\n", "malformed line"),
        ("PROXY TCP4 2001:db8::7 10.0.0.1 51413 80\r\n", "malformed address"),
        ("PROXY TCP6 2001:db8::7 10.0.0.1 51413 80\r\n", "malformed address"),
        ("PROXY TCP4 198.51.100.256 10.0.0.1 51413 80\r\n", "malformed address"),
        ("PROXY TCP4 198.51.100.7 10.0.0.1 +513 80\r\n", "malformed port"),
        ("PROXY TCP4 198.51.100.7 10.0.0.1 051413 80\r\n", "malformed port"),
        ("PROXY TCP4 198.51.100.7 10.0.0.1 51413 65536\r\n", "malformed port"),
    ] {
        assert_eq!(refusal(line.as_bytes()).await, fault, "{line:?}");
    }
    let short = "malformed addresses: too short";
    assert_eq!(refusal(&binary(0x21, 0x11, &v4_addresses()[..11])).await, short);
    assert_eq!(refusal(&binary(0x21, 0x21, &v6_addresses("::1")[..35])).await, short);
    assert_eq!(refusal(&binary(0x21, 0x31, &[0; 215])).await, short);
    assert_eq!(refusal(&binary(0x21, 0x12, &v4_addresses())).await, "malformed family or transport");
    assert_eq!(refusal(&binary(0x22, 0x11, &v4_addresses())).await, "malformed version or command");
    assert_eq!(refusal(&binary(0x11, 0x11, &v4_addresses())).await, "malformed version or command");
}

#[tokio::test]
async fn one_that_ends_too_early_is_an_error_wherever_it_ends() {
    for preamble in [
        b"PROXY TCP4 198.51.100.7 10.0.0.1 51413 80\r\n".to_vec(),
        binary(0x21, 0x21, &v6_addresses("2001:db8::7")),
    ] {
        for end in 0..preamble.len() {
            let (result, _) = exchange(&preamble[..end], b"").await;
            assert!(matches!(result, Err(PreambleError::Ended)), "{end}: {result:?}");
        }
    }
}
