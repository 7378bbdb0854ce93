//! The loads of a soak, each a thread on the load's core, until they are told to stop or one of them fails.

use std::io::{self, Read, Write};
use std::net::{SocketAddrV4, TcpStream, UdpSocket};
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::Duration;

use super::http_load::{self, Plan};
use super::requests::Requests;
use super::soak_script::{OverHttp, OverUdp, STAY};
use super::udp_load::{Pace, Udp};

/// A load runs for so long until it looks whether it is to stop.
const STINT: Duration = Duration::from_secs(5);
/// Connections that are open at a time of those that serve for one request.
const NEW_CONNECTIONS: usize = 16;
/// Source addresses over UDP.
const SOURCES: u32 = 1_000;
/// Between two requests that are none.
const MALFORMED_PERIOD: Duration = Duration::from_millis(100);
/// Every answer, and the end of a connection, must come within.
const PATIENCE: Duration = Duration::from_secs(10);

/// What is no request, or no announce.
const MALFORMED: [&[u8]; 8] = [
    b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03\r\n\r\n",
    b"GET\r\n\r\n",
    b"GET /announce?info_hash=short&peer_id=x&port=99999 HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n",
    b"GET /announce?%zz=%0&&&=&info_hash HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n",
    b"POST /announce HTTP/1.1\r\nHost: x\r\nContent-Length: 5\r\nConnection: close\r\n\r\nhello",
    b"GET /nothing HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n",
    b"GET /scrape?info_hash=1 HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n",
    b"GET /announce HTTP/9.9\r\nno colon\r\n\r\n",
];

/// What all loads have done so far.
#[derive(Debug, Default, Clone)]
pub(super) struct Tally {
    pub(super) kept: u64,
    pub(super) new: u64,
    pub(super) udp: u64,
    pub(super) udp_lost: u64,
    pub(super) malformed: u64,
    pub(super) failure: Option<String>,
}

/// What the loads share.
#[derive(Debug)]
pub(super) struct Shared {
    pub(super) server: SocketAddrV4,
    /// Requests a second, of all.
    pub(super) rate: f64,
    pub(super) verify_one_in: u32,
    pub(super) is_over: AtomicBool,
    pub(super) tally: Mutex<Tally>,
}

impl Shared {
    fn goes_on(&self) -> bool {
        !self.is_over.load(Ordering::Relaxed)
    }

    /// Changes the tally; that of a thread that panicked is as good as another.
    pub(super) fn note(&self, change: impl FnOnce(&mut Tally)) {
        change(&mut self.tally.lock().unwrap_or_else(std::sync::PoisonError::into_inner));
    }

    /// Ends all loads when one has failed, and notes the first that did.
    pub(super) fn end(&self, name: &str, result: io::Result<()>) {
        if let Err(error) = result {
            self.note(|tally| {
                tally.failure.get_or_insert(format!("{name}: {error}"));
            });
        }
        self.is_over.store(true, Ordering::Relaxed);
    }
}

/// Announces and scrapes over HTTP: half of all requests over connections that are kept, a sixth over new ones.
pub(super) fn http(shared: &Shared, requests: &Requests, is_kept: bool) -> io::Result<()> {
    let kept = usize::try_from(STAY.sources).unwrap_or_default();
    let (connections, share) = if is_kept { (kept, 0.5) } else { (NEW_CONNECTIONS, 1.0 / 6.0) };
    let rate = Some(shared.rate * share);
    let plan = Plan { server: shared.server, connections, is_kept, rate, duration: STINT };
    let mut script = OverHttp::new(requests, is_kept, shared.verify_one_in);
    while shared.goes_on() {
        let answers = u64::try_from(http_load::run(&plan, &mut script)?.len()).unwrap_or_default();
        shared.note(|tally| *(if is_kept { &mut tally.kept } else { &mut tally.new }) += answers);
    }
    Ok(())
}

/// A third of all requests: over UDP.
pub(super) fn udp(shared: &Shared) -> io::Result<()> {
    let mut udp = Udp::open(shared.server, SOURCES)?;
    let mut script = OverUdp::new();
    while shared.goes_on() {
        script.go_on(STINT);
        let run = udp.run(Pace::Polite(shared.rate / 3.0), &mut script)?;
        shared.note(|tally| {
            tally.udp += u64::try_from(run.latencies.len()).unwrap_or_default();
            tally.udp_lost += run.lost;
        });
    }
    Ok(())
}

/// What is no request, over HTTP and UDP. Each must be refused, or its connection closed.
pub(super) fn malformed(shared: &Shared) -> io::Result<()> {
    let socket = UdpSocket::bind("127.0.0.1:0")?;
    for bytes in MALFORMED.iter().cycle() {
        if !shared.goes_on() {
            break;
        }
        // Whatever it answers is dropped with the socket's buffer.
        socket.send_to(bytes, shared.server)?;
        let mut stream = TcpStream::connect(shared.server)?;
        stream.set_read_timeout(Some(PATIENCE))?;
        stream.write_all(bytes)?;
        let mut answer = Vec::new();
        match stream.read_to_end(&mut answer) {
            Err(error) if error.kind() != io::ErrorKind::ConnectionReset => {
                let shown = String::from_utf8_lossy(bytes);
                return Err(io::Error::other(format!("neither answered nor closed: {shown:?} ({error})")));
            }
            _ => judge(&answer).map_err(io::Error::other)?,
        }
        shared.note(|tally| tally.malformed += 1);
        thread::sleep(MALFORMED_PERIOD);
    }
    Ok(())
}

/// Whether an answer is a refusal, or none.
fn judge(answer: &[u8]) -> Result<(), String> {
    let text = String::from_utf8_lossy(answer);
    let status = text.split(' ').nth(1).and_then(|status| status.parse::<u16>().ok());
    let is_refused = match status {
        None => answer.is_empty(),
        Some(200) => text.contains("14:failure reason"),
        Some(status) => (400..500).contains(&status) || status == 505,
    };
    is_refused.then_some(()).ok_or_else(|| format!("what is no request was not refused: {text:?}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_refusal_is_told_from_an_answer() {
        for refusal in
            ["", "HTTP/1.1 400 Bad Request\r\n\r\n", "HTTP/1.1 200 OK\r\n\r\nd14:failure reason2:noe"]
        {
            assert_eq!(judge(refusal.as_bytes()), Ok(()), "{refusal}");
        }
        for answer in
            ["HTTP/1.1 200 OK\r\n\r\nd5:peers0:e", "HTTP/1.1 500 Oops\r\n\r\n", "d14:failure reason2:noe"]
        {
            assert!(judge(answer.as_bytes()).is_err(), "{answer}");
        }
    }
}
