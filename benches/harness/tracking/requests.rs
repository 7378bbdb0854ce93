//! Announces over HTTP, written before the clock runs, and the order in which connections send them.

use std::net::Ipv4Addr;

use protocol::announce::Event;

use super::checks::{self, Rule};
use super::http_answer::HttpAnswer;
use super::http_load::Script;
use super::population::{Population, source_address};

/// Peers asked for, as most clients do.
const NUM_WANT: u32 = 50;
/// Connections do not walk through one torrent after the other, but in steps of so many of their peers.
const STRIDE: u32 = 1_009;

/// How thoroughly answers are looked at.
#[derive(Debug, Clone, Copy)]
pub(super) enum Look {
    /// Not all peers have announced yet: their peers may be any of the torrent, or none.
    Warm,
    /// A glance at each and a full look at one in so many.
    Sampled(u32),
}

/// All announces of a population, each ready to be sent.
#[derive(Debug)]
pub(super) struct Requests {
    bytes: Vec<u8>,
    ends: Vec<usize>,
}

/// A walk through all peers, each from its own address.
#[derive(Debug)]
pub(super) struct Walk<'a> {
    pub(super) who: Population,
    pub(super) requests: &'a Requests,
    pub(super) look: Look,
    pub(super) rule: Rule,
    /// Bytes that are to be the body, where the answer does not depend on the request.
    pub(super) fixed: Option<&'a [u8]>,
    /// Requests of each connection.
    turns: Vec<u32>,
    checked: u32,
}

impl Requests {
    pub(super) fn write(who: &Population, is_kept: bool, event: Event) -> Self {
        let (mut bytes, mut ends) = (Vec::new(), Vec::new());
        for peer in 0..who.peers() {
            bytes.extend(request(who, peer, is_kept, event).into_bytes());
            ends.push(bytes.len());
        }
        Self { bytes, ends }
    }

    fn get(&self, peer: u32) -> &[u8] {
        let index = usize::try_from(peer).unwrap_or_default();
        let begin = index.checked_sub(1).map_or(0, |before| self.ends[before]);
        &self.bytes[begin..self.ends[index]]
    }
}

/// One announce.
pub(super) fn request(who: &Population, peer: u32, is_kept: bool, event: Event) -> String {
    let target = who.announce(peer, event, NUM_WANT).http_target("/announce");
    let connection = if is_kept { "keep-alive" } else { "close" };
    format!(
        "GET {target} HTTP/1.1\r\nHost: 127.0.0.1\r\nUser-Agent: load/1\r\nConnection: {connection}\r\n\r\n"
    )
}

impl<'a> Walk<'a> {
    pub(super) fn new(who: Population, requests: &'a Requests, look: Look, rule: Rule) -> Self {
        let turns = (0..who.sources).map(|_| 0).collect();
        Self { who, requests, look, rule, fixed: None, turns, checked: 0 }
    }

    /// Peers that announce from each address.
    fn peers_of_source(&self) -> u32 {
        self.who.peers() / self.who.sources
    }
}

impl Script for Walk<'_> {
    fn request(&mut self, connection: usize, bytes: &mut Vec<u8>) -> Option<u32> {
        let turn = self.turns.get_mut(connection)?;
        let number = *turn;
        *turn += 1;
        let rows = self.peers_of_source();
        let row = match self.look {
            Look::Warm if number >= rows => return None,
            Look::Warm => number,
            Look::Sampled(_) => {
                u32::try_from(u64::from(number) * u64::from(STRIDE) % u64::from(rows)).ok()?
            }
        };
        let peer = row * self.who.sources + u32::try_from(connection).ok()?;
        bytes.extend_from_slice(self.requests.get(peer));
        Some(peer)
    }

    fn check(&mut self, peer: u32, answer: &HttpAnswer<'_>) -> Result<(), String> {
        if let Some(fixed) = self.fixed {
            let is_right = answer.status == 200 && answer.body == fixed;
            return is_right.then_some(()).ok_or_else(|| format!("not what it always answers: {answer}"));
        }
        self.checked = self.checked.wrapping_add(1);
        match self.look {
            Look::Warm if answer.status != 200 || answer.body.starts_with(b"d14:failure") => {
                Err(format!("not an answer: {answer}"))
            }
            Look::Warm => Ok(()),
            Look::Sampled(one_in) if self.checked.is_multiple_of(one_in) => {
                checks::announce(&self.who, peer, answer, self.rule)
            }
            Look::Sampled(_) => checks::glance(answer),
        }
    }

    fn source(&self, connection: usize) -> Ipv4Addr {
        source_address(u32::try_from(connection).unwrap_or_default())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_warm_walk_meets_every_peer_once_and_from_its_own_address() {
        let who = Population { torrents: 64, peers_each: 20, sources: 64, salt: 1 };
        let requests = Requests::write(&who, true, Event::Started);
        let mut walk = Walk::new(who, &requests, Look::Warm, Rule::STRICT);
        let mut seen = Vec::new();
        for connection in 0..64 {
            let mut bytes = Vec::new();
            while let Some(peer) = walk.request(connection, &mut bytes) {
                assert_eq!(u32::try_from(connection), Ok(who.source_of(peer)));
                assert_eq!(bytes, request(&who, peer, true, Event::Started).as_bytes());
                bytes.clear();
                seen.push(peer);
            }
        }
        seen.sort_unstable();
        assert_eq!(seen, Vec::from_iter(0..who.peers()));
    }
}
