//! A tracker that knows no peers and answers at once: it counts who asks.

use std::io::{self, BufRead, BufReader, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::thread;
use std::time::{Duration, Instant};

/// No contender asks again while it is measured.
const BODY: &str = "d8:completei1e10:incompletei0e8:intervali1800e5:peers0:e";
/// Nobody has asked for so long: whoever comes one after the other comes more often.
const QUIET: Duration = Duration::from_secs(3);
const POLL_PERIOD: Duration = Duration::from_millis(100);

/// The trackers of a run, at two addresses.
#[derive(Debug)]
pub(super) struct Trackers {
    /// Where to announce.
    pub(super) urls: Vec<String>,
    announces: Arc<AtomicU64>,
}

impl Trackers {
    /// Answers until the process ends.
    ///
    /// # Errors
    /// When there is no port to listen on.
    pub(super) fn start() -> io::Result<Self> {
        let announces = Arc::<AtomicU64>::default();
        let start = |address: &str| {
            let listener = TcpListener::bind(address)?;
            let url = format!("http://{}/announce", listener.local_addr()?);
            let counter = Arc::clone(&announces);
            thread::spawn(move || accept(&listener, &counter));
            Ok(url)
        };
        let urls = ["127.0.0.1:0", "127.0.0.2:0"].into_iter().map(start).collect::<io::Result<_>>()?;
        Ok(Self { urls, announces })
    }

    /// Announces so far.
    pub(super) fn announces(&self) -> u64 {
        self.announces.load(Ordering::Relaxed)
    }

    /// Returns when nobody has asked for a while.
    ///
    /// # Errors
    /// When that takes longer than `limit`.
    pub(super) fn await_quiet(&self, limit: Duration) -> io::Result<()> {
        let (begin, mut since, mut before) = (Instant::now(), Instant::now(), self.announces());
        while since.elapsed() < QUIET {
            thread::sleep(POLL_PERIOD);
            let now = self.announces();
            if now != before {
                (before, since) = (now, Instant::now());
            }
            if begin.elapsed() > limit {
                return Err(io::Error::other(format!("it announces still, after {} s", limit.as_secs())));
            }
        }
        Ok(())
    }
}

fn accept(listener: &TcpListener, announces: &Arc<AtomicU64>) {
    for stream in listener.incoming().flatten() {
        let announces = Arc::clone(announces);
        // A client that goes away may ask again.
        thread::spawn(move || drop(serve(&stream, &announces)));
    }
}

/// Answers whatever is asked on a connection, until it is closed.
fn serve(mut stream: &TcpStream, announces: &AtomicU64) -> io::Result<()> {
    let answer = format!("HTTP/1.1 200 OK\r\nContent-Length: {}\r\n\r\n{BODY}", BODY.len());
    for line in BufReader::new(stream).lines() {
        if line?.is_empty() {
            announces.fetch_add(1, Ordering::Relaxed);
            stream.write_all(answer.as_bytes())?;
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use std::io::Read;

    use super::*;

    #[test]
    fn announces_on_one_connection_are_answered_and_counted() {
        let trackers = Trackers::start().unwrap();
        let host = trackers.urls[1].strip_prefix("http://").and_then(|rest| rest.strip_suffix("/announce"));
        let mut stream = TcpStream::connect(host.unwrap()).unwrap();
        let request = "GET /announce?left=0 HTTP/1.1\r\nHost: here\r\n\r\n";
        stream.write_all([request, request].concat().as_bytes()).unwrap();
        stream.shutdown(std::net::Shutdown::Write).unwrap();
        let mut answers = String::new();
        stream.read_to_string(&mut answers).unwrap();
        assert_eq!(answers.matches(BODY).count(), 2);
        assert_eq!(trackers.announces(), 2);
    }
}
