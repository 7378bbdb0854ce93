//! The load over HTTP: one thread, many connections that do not block, one request open on each.
//!
//! What is asked and what is right is said by a [`Script`]. Whatever goes wrong ends the run: a figure stands only when
//! every answer did.

use std::collections::VecDeque;
use std::io;
use std::net::{Ipv4Addr, SocketAddrV4};
use std::time::{Duration, Instant};

use nix::errno::Errno;
use nix::sys::epoll::{Epoll, EpollCreateFlags, EpollEvent};

use super::http_answer::HttpAnswer;
use super::http_connection::{Connection, Progress};
use crate::latencies::Latencies;

/// A run in which nothing is answered for so long has failed.
const PATIENCE: Duration = Duration::from_secs(10);
/// How long it waits at most until it looks at the clock again.
const TICK_MS: u8 = 1;
/// Events taken at a time.
const EVENTS: usize = 256;

/// What is asked.
pub(super) trait Script {
    /// Appends the next request of that connection to `bytes`, and returns what it is; `None` when it has no more.
    fn request(&mut self, connection: usize, bytes: &mut Vec<u8>) -> Option<u32>;

    /// Looks at the answer to `request`.
    ///
    /// # Errors
    /// What is wrong with it.
    fn check(&mut self, request: u32, answer: &HttpAnswer<'_>) -> Result<(), String>;

    /// The address from which a connection is made.
    fn source(&self, connection: usize) -> Ipv4Addr;
}

/// How it is asked.
#[derive(Debug, Clone, Copy)]
pub(super) struct Plan {
    pub(super) server: SocketAddrV4,
    pub(super) connections: usize,
    /// One connection for all requests, or for each one that the server closes.
    pub(super) is_kept: bool,
    /// Requests a second; as many as are answered otherwise.
    pub(super) rate: Option<f64>,
    /// No request is begun after so long.
    pub(super) duration: Duration,
}

/// Asks until the time is over or the script is. Returns how long each answer took, all of them right: from the request,
/// or from before its connection was made, to the last byte, or to the end of the connection.
///
/// # Errors
/// When a connection fails, an answer is wrong, or none comes.
pub(super) fn run(plan: &Plan, script: &mut dyn Script) -> io::Result<Latencies> {
    let epoll = Epoll::new(EpollCreateFlags::EPOLL_CLOEXEC)?;
    let connections = (0..plan.connections).map(|index| Connection::new(script.source(index))).collect();
    let begin = Instant::now();
    let idle = (0..plan.connections).collect();
    let mut load = Load {
        plan,
        script,
        epoll,
        connections,
        idle,
        begun: 0,
        busy: 0,
        begin,
        latencies: Latencies::default(),
    };
    load.work()?;
    Ok(load.latencies)
}

struct Load<'a> {
    plan: &'a Plan,
    script: &'a mut dyn Script,
    epoll: Epoll,
    connections: Vec<Connection>,
    /// Connections without a request, in the order in which they have their turn: under a rate that a few could carry, all
    /// are used.
    idle: VecDeque<usize>,
    /// Requests begun.
    begun: u64,
    /// Connections with a request.
    busy: usize,
    begin: Instant,
    latencies: Latencies,
}

impl Load<'_> {
    fn work(&mut self) -> io::Result<()> {
        let mut events = [EpollEvent::empty(); EVENTS];
        let mut last_answer = Instant::now();
        loop {
            let is_over = self.begin.elapsed() >= self.plan.duration;
            let mut is_waiting = false;
            while !is_over && let Some(index) = self.idle.pop_front() {
                if !self.is_due() {
                    self.idle.push_front(index);
                    is_waiting = true;
                    break;
                }
                self.ask(index)?;
            }
            if self.busy == 0 && !is_waiting {
                return Ok(());
            }
            let count = match self.epoll.wait(&mut events, TICK_MS) {
                Ok(count) => count,
                Err(Errno::EINTR) => 0,
                Err(error) => return Err(error.into()),
            };
            for event in &events[..count] {
                self.go_on(usize::try_from(event.data()).unwrap_or_default())?;
            }
            if count > 0 || self.busy == 0 {
                last_answer = Instant::now();
            } else if last_answer.elapsed() > PATIENCE {
                let waited = PATIENCE.as_secs();
                return Err(io::Error::other(format!(
                    "{} requests without an answer for {waited} s",
                    self.busy
                )));
            }
        }
    }

    /// Whether the next request may go out.
    fn is_due(&self) -> bool {
        #[allow(clippy::cast_precision_loss, reason = "far less than 2^52 requests")]
        self.plan.rate.is_none_or(|rate| self.begun as f64 / rate <= self.begin.elapsed().as_secs_f64())
    }

    fn ask(&mut self, index: usize) -> io::Result<()> {
        let connection = &mut self.connections[index];
        let Some(request) = self.script.request(index, connection.begin()) else {
            // It stays out of the idle ones.
            return Ok(());
        };
        self.begun += 1;
        self.busy += 1;
        connection.ask(request, self.plan.server, &self.epoll, index).map_err(|error| explain(index, &error))
    }

    /// Something has happened on a connection.
    fn go_on(&mut self, index: usize) -> io::Result<()> {
        let connection = &mut self.connections[index];
        let progress = connection.go_on(&self.epoll, index).map_err(|error| explain(index, &error))?;
        let is_ended = match (progress, self.plan.is_kept) {
            (Progress::Waiting, _) => return Ok(()),
            (Progress::Received, is_kept) => {
                if !is_kept {
                    return Ok(());
                }
                false
            }
            (Progress::Ended, false) => true,
            (Progress::Ended, true) => {
                return Err(io::Error::other("it closed a connection that was to be kept"));
            }
        };
        let answer = HttpAnswer::read(connection.received(), is_ended).map_err(io::Error::other)?;
        match answer {
            Some(answer) => self.script.check(connection.request(), &answer).map_err(io::Error::other)?,
            None if is_ended => {
                let length = connection.received().len();
                return Err(io::Error::other(format!(
                    "it closed a connection after {length} bytes of an answer"
                )));
            }
            None => return Ok(()),
        }
        self.latencies.add(connection.age());
        if is_ended {
            connection.close()?;
        }
        self.busy -= 1;
        self.idle.push_back(index);
        Ok(())
    }
}

fn explain(index: usize, error: &io::Error) -> io::Error {
    io::Error::other(format!("connection {index}: {error}"))
}

#[cfg(test)]
mod tests {
    use std::io::{BufRead, BufReader, Write};
    use std::net::{SocketAddr, TcpListener};
    use std::thread;

    use super::*;

    /// So many requests of each connection; each answer must be the request's own.
    struct Echo {
        left: Vec<u32>,
    }

    impl Script for Echo {
        fn request(&mut self, connection: usize, bytes: &mut Vec<u8>) -> Option<u32> {
            self.left[connection] = self.left[connection].checked_sub(1)?;
            let tag = self.left[connection] * 100 + u32::try_from(connection).unwrap();
            bytes.extend_from_slice(format!("GET /{tag} HTTP/1.1\r\n\r\n").as_bytes());
            Some(tag)
        }

        fn check(&mut self, request: u32, answer: &HttpAnswer<'_>) -> Result<(), String> {
            let is_right = answer.body == format!("/{request}").as_bytes();
            is_right.then_some(()).ok_or_else(|| format!("{answer} to {request}"))
        }

        fn source(&self, connection: usize) -> Ipv4Addr {
            Ipv4Addr::new(127, 3, 0, u8::try_from(connection).unwrap() + 1)
        }
    }

    /// Answers each request with its own path, `broken` with something else; closes after each unless `is_kept`.
    fn serve(is_kept: bool, broken: &'static str) -> SocketAddrV4 {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let SocketAddr::V4(address) = listener.local_addr().unwrap() else { unreachable!() };
        let answer = move |stream: std::net::TcpStream| {
            for line in BufReader::new(&stream).lines().map_while(Result::ok) {
                let Some(path) = line.strip_prefix("GET ").and_then(|rest| rest.split(' ').next()) else {
                    continue;
                };
                let body = if path == broken { "no" } else { path };
                let answer = format!("HTTP/1.1 200 OK\r\nContent-Length: {}\r\n\r\n{body}", body.len());
                (&stream).write_all(answer.as_bytes()).unwrap();
                if !is_kept && !body.is_empty() {
                    break;
                }
            }
        };
        thread::spawn(move || {
            listener.incoming().flatten().for_each(|stream| drop(thread::spawn(move || answer(stream))))
        });
        address
    }

    fn load(server: SocketAddrV4, is_kept: bool) -> io::Result<usize> {
        let plan = Plan { server, connections: 5, is_kept, rate: None, duration: Duration::from_secs(60) };
        run(&plan, &mut Echo { left: vec![20; 5] }).map(|latencies| latencies.len())
    }

    #[test]
    fn all_is_answered_over_connections_that_are_kept_and_that_are_not() {
        assert_eq!(load(serve(true, ""), true).unwrap(), 100);
        assert_eq!(load(serve(false, ""), false).unwrap(), 100);
    }

    #[test]
    fn a_wrong_answer_and_a_connection_that_is_not_kept_end_the_run() {
        let error = load(serve(true, "/703"), true).unwrap_err().to_string();
        assert!(error.contains("to 703"), "{error}");
        let error = load(serve(false, ""), true).unwrap_err().to_string();
        assert!(error.contains("kept") || error.contains("connection "), "{error}");
    }
}
