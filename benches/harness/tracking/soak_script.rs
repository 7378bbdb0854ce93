//! What is asked during a soak: peers that stay announce over HTTP, others come and go over UDP, and both are scraped.

use std::net::Ipv4Addr;
use std::time::Duration;

use percent_encoding::{NON_ALPHANUMERIC, percent_encode};
use protocol::announce::Event;

use super::checks::{self, Rule};
use super::http_answer::HttpAnswer;
use super::http_load;
use super::population::Population;
use super::requests::{Look, Requests, Walk};
use super::scripts::check;
use super::udp_load::{self, Op, Said};

/// Those who stay: they announce over HTTP, all of them several times in each interval.
pub(super) const STAY: Population = Population { torrents: 2_048, peers_each: 10, sources: 64, salt: 5 };
/// Those who come and go.
const COME: Population = Population { torrents: 5_000_000, peers_each: 4, sources: 1_000, salt: 6 };
/// One request over HTTP in so many is a scrape.
const SCRAPE_ONE_IN: u32 = 10;
const SCRAPE: u32 = 1 << 31;
/// After so many more have come every second peer announces again, and after twice as many one in four says that it
/// goes. The others go silently.
const STAY_FOR: u32 = 2_000;

/// Announces and scrapes over HTTP.
#[derive(Debug)]
pub(super) struct OverHttp<'a> {
    walk: Walk<'a>,
    is_kept: bool,
    asked: u32,
}

/// Peers that come and go over UDP, and scrapes of those who stay.
#[derive(Debug)]
pub(super) struct OverUdp {
    duration: Duration,
    asked: u32,
    come: u32,
}

impl<'a> OverHttp<'a> {
    pub(super) fn new(requests: &'a Requests, is_kept: bool, verify_one_in: u32) -> Self {
        let walk = Walk::new(STAY, requests, Look::Sampled(verify_one_in), Rule::STRICT);
        Self { walk, is_kept, asked: 0 }
    }
}

impl http_load::Script for OverHttp<'_> {
    fn request(&mut self, connection: usize, bytes: &mut Vec<u8>) -> Option<u32> {
        self.asked = self.asked.wrapping_add(1);
        if !self.asked.is_multiple_of(SCRAPE_ONE_IN) {
            return self.walk.request(connection, bytes);
        }
        let torrent = self.asked % STAY.torrents;
        let hash = percent_encode(STAY.info_hash(torrent).as_bytes(), NON_ALPHANUMERIC).to_string();
        let connection = if self.is_kept { "keep-alive" } else { "close" };
        let line = format!(
            "GET /scrape?info_hash={hash} HTTP/1.1\r\nHost: 127.0.0.1\r\nConnection: {connection}\r\n\r\n"
        );
        bytes.extend_from_slice(line.as_bytes());
        Some(torrent | SCRAPE)
    }

    fn check(&mut self, request: u32, answer: &HttpAnswer<'_>) -> Result<(), String> {
        match request & SCRAPE {
            0 => self.walk.check(request, answer),
            _ => checks::scrape(&STAY, answer),
        }
    }

    fn source(&self, connection: usize) -> Ipv4Addr {
        self.walk.source(connection)
    }
}

impl OverUdp {
    pub(super) fn new() -> Self {
        // Those before the first are taken as gone.
        Self { duration: Duration::ZERO, asked: 0, come: 2 * STAY_FOR }
    }

    /// Sets how long it asks in the next run.
    pub(super) fn go_on(&mut self, duration: Duration) {
        self.duration = duration;
    }
}

impl udp_load::Script for OverUdp {
    fn next(&mut self, now: Duration) -> Option<Op> {
        if now >= self.duration {
            return None;
        }
        self.asked = self.asked.wrapping_add(1);
        let announce = |peer: u32, event| Some(Op::Announce { who: COME, peer: peer % COME.peers(), event });
        match self.asked % 4 {
            0 | 1 => {
                self.come += 1;
                announce(self.come - 1, Event::Started)
            }
            2 => announce(self.come - STAY_FOR, Event::None),
            _ if (self.asked / 4).is_multiple_of(2) => announce(self.come - 2 * STAY_FOR, Event::Stopped),
            _ => Some(Op::Scrape { who: STAY, torrent: self.asked % STAY.torrents, count: 1 }),
        }
    }

    fn check(&mut self, op: &Op, said: Said, _: Duration, _: Duration) -> Result<(), String> {
        match op {
            Op::Announce { .. } => check(op, &said, Rule::LOOSE),
            Op::Scrape { .. } => check(op, &said, Rule::STRICT),
        }
    }

    fn lost(&mut self, _: Op, _: Duration) {}
}

#[cfg(test)]
mod tests {
    use super::super::http_load::Script as _;
    use super::super::udp_load::Script as _;
    use super::*;

    #[test]
    fn some_come_some_stay_and_some_say_that_they_go() {
        let mut script = OverUdp::new();
        script.go_on(Duration::from_secs(1));
        let mut events = [0_u32; 4];
        for _ in 0..40_000 {
            match script.next(Duration::ZERO).unwrap() {
                Op::Announce { event: Event::Started, .. } => events[0] += 1,
                Op::Announce { event: Event::Stopped, .. } => events[1] += 1,
                Op::Announce { .. } => events[2] += 1,
                Op::Scrape { who, torrent, count } => {
                    assert!(who == STAY && torrent + count <= STAY.torrents);
                    events[3] += 1;
                }
            }
        }
        assert!(events.iter().all(|count| *count >= 1_000), "{events:?}");
        assert_eq!(script.next(Duration::from_secs(1)), None);
    }

    #[test]
    fn a_scrape_over_http_is_of_a_torrent_whose_peers_stay() {
        let requests = Requests::write(&STAY, true, Event::None);
        let mut script = OverHttp::new(&requests, true, 1);
        let mut bytes = Vec::new();
        let scrapes = (0..50).filter(|_| {
            bytes.clear();
            let tag = script.request(3, &mut bytes).unwrap();
            assert_eq!(tag & SCRAPE != 0, bytes.starts_with(b"GET /scrape?info_hash="));
            tag & SCRAPE != 0
        });
        assert_eq!(scrapes.count(), 5);
        assert!(script.check(SCRAPE, &HttpAnswer { status: 200, body: b"d5:filesdee" }).is_err());
    }
}
