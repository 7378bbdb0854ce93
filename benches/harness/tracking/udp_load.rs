//! The load over UDP: one socket, many source addresses, a connection id for each.
//!
//! What is asked and what is right is said by a [`Script`], as over HTTP. A wrong answer ends the run; one that does not
//! come is lost, which the caller judges.

use std::io;
use std::net::SocketAddrV4;
use std::time::{Duration, Instant};

use protocol::announce::{Event, Family, UdpRequest, UdpResponse};

use super::population::{Population, source_address};
use super::scrape::{self, Counts};
use super::udp_ids::Ids;
use super::udp_slots::{Slot, Slots};
use super::udp_socket::Door;
use crate::latencies::Latencies;

/// Peers asked for.
const NUM_WANT: u32 = 50;
/// An answer that has not come after so long does not come any more.
pub(super) const LOST_AFTER: Duration = Duration::from_secs(2);
/// Packets taken before more are sent.
const TAKEN_AT_A_TIME: usize = 32;
/// How long a polite load sleeps at most.
const NAP: Duration = Duration::from_micros(200);
const PACKET_LENGTH: usize = 4 * 1024;

/// One question.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Op {
    /// A peer announces itself.
    Announce { who: Population, peer: u32, event: Event },
    /// The counts of some torrents are asked for, the first of them and how many, as a peer of the first.
    Scrape { who: Population, torrent: u32, count: u32 },
}

/// One answer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Said {
    /// To an announce.
    Answer(protocol::announce::Answer),
    /// To a scrape.
    Counts(Vec<Counts>),
}

/// What is asked.
pub(super) trait Script {
    /// The next question, so long after the beginning; `None` when there is none any more.
    fn next(&mut self, now: Duration) -> Option<Op>;

    /// Looks at the answer to `op`, which was due at `due` after the beginning.
    ///
    /// # Errors
    /// What is wrong with it.
    fn check(&mut self, op: &Op, said: Said, due: Duration, latency: Duration) -> Result<(), String>;

    /// The answer to `op` did not come.
    fn lost(&mut self, op: Op, due: Duration);
}

/// When the next question goes out.
#[derive(Debug, Clone, Copy)]
pub(super) enum Pace {
    /// So many open at a time.
    Window(usize),
    /// So many a second, however many are open, and latencies from when each was due. The load does not sleep.
    Rate(f64),
    /// The same, but it sleeps in between.
    Polite(f64),
}

/// What came of it.
#[derive(Debug, Clone, Default)]
pub(super) struct Run {
    /// Of all answers, each of them right.
    pub(super) latencies: Latencies,
    pub(super) lost: u64,
    /// The longest that a question went out later than it was due.
    pub(super) lag: Duration,
    pub(super) wall: Duration,
}

/// The load. Connection ids are kept from run to run.
#[derive(Debug)]
pub(super) struct Udp {
    door: Door,
    ids: Ids,
}

impl Udp {
    /// A load for a server, from as many addresses as `sources`.
    ///
    /// # Errors
    /// When the system has no socket for us.
    pub(super) fn open(server: SocketAddrV4, sources: u32) -> io::Result<Self> {
        Ok(Self { door: Door::open(server)?, ids: Ids::new(sources) })
    }

    /// Asks until the script has no more questions, and waits for the answers.
    ///
    /// # Errors
    /// When an answer is wrong, or the tracker gives no connection ids.
    pub(super) fn run(&mut self, pace: Pace, script: &mut dyn Script) -> io::Result<Run> {
        self.ids.fetch_all(&self.door)?;
        let (begin, slots) = (Instant::now(), Slots::default());
        let mut load =
            Load { udp: self, script, pace, begin, slots, waiting: None, begun: 0, run: Run::default() };
        load.work()?;
        Ok(Run { wall: begin.elapsed(), ..load.run })
    }
}

struct Load<'a> {
    udp: &'a mut Udp,
    script: &'a mut dyn Script,
    pace: Pace,
    begin: Instant,
    slots: Slots,
    /// A question that there was no room for.
    waiting: Option<Op>,
    begun: u64,
    run: Run,
}

impl Load<'_> {
    fn work(&mut self) -> io::Result<()> {
        loop {
            // Before it is asked for more: what is lost may be asked again.
            let (script, run) = (&mut *self.script, &mut self.run);
            self.slots.expire(LOST_AFTER, |slot| {
                run.lost += 1;
                script.lost(slot.op, slot.due);
            });
            let mut is_over = false;
            while !is_over && self.is_due() {
                match self.waiting.take().or_else(|| self.script.next(self.begin.elapsed())) {
                    None => is_over = true,
                    Some(op) if !self.ask(op)? => break,
                    Some(_) => {}
                }
            }
            let taken = self.take()?;
            if is_over && self.slots.open() == 0 {
                return Ok(());
            }
            if taken == 0 && !matches!(self.pace, Pace::Rate(_)) {
                self.udp.door.wait(NAP)?;
            }
        }
    }

    /// When the next question is due, for one that is paced.
    fn due(&self) -> Option<Duration> {
        match self.pace {
            Pace::Window(_) => None,
            #[allow(clippy::cast_precision_loss, reason = "far less than 2^52 questions")]
            Pace::Rate(rate) | Pace::Polite(rate) => Some(Duration::from_secs_f64(self.begun as f64 / rate)),
        }
    }

    fn is_due(&self) -> bool {
        match (self.pace, self.due()) {
            (Pace::Window(open), _) => self.slots.open() < open,
            (_, Some(due)) => due <= self.begin.elapsed() && !self.slots.is_full(),
            (_, None) => false,
        }
    }

    /// Sends a question; false when there is no room for it now.
    fn ask(&mut self, op: Op) -> io::Result<bool> {
        let due = self.due();
        let transaction = self.slots.next();
        let source = match op {
            Op::Announce { who, peer, .. } => who.source_of(peer),
            Op::Scrape { who, torrent, .. } => who.source_of(torrent * who.peers_each),
        };
        let packet = write(op, self.udp.ids.get(source, &self.udp.door)?, transaction);
        if !self.udp.door.send(source_address(source), &packet)? {
            self.waiting = Some(op);
            return Ok(false);
        }
        let now = self.begin.elapsed();
        let due = due.unwrap_or(now);
        self.run.lag = self.run.lag.max(now.saturating_sub(due));
        self.begun += 1;
        self.slots.put(Slot { op, due, sent: Instant::now() });
        Ok(true)
    }

    /// Takes the packets that are there, up to some; returns how many.
    fn take(&mut self) -> io::Result<usize> {
        let mut buffer = [0; PACKET_LENGTH];
        for count in 0..TAKEN_AT_A_TIME {
            let Some(packet) = self.udp.door.receive(&mut buffer)? else { return Ok(count) };
            if self.udp.ids.take(packet) {
                continue;
            }
            let transaction =
                packet.get(4..).and_then(|rest| rest.first_chunk()).map(|it| u32::from_be_bytes(*it));
            let transaction = transaction.ok_or_else(|| io::Error::other("a packet that is too short"))?;
            // One that came too late is lost already.
            let Some(slot) = self.slots.take(transaction) else { continue };
            let latency = self.begin.elapsed().saturating_sub(slot.due);
            let said = read(&slot.op, packet).map_err(io::Error::other)?;
            self.script.check(&slot.op, said, slot.due, latency).map_err(io::Error::other)?;
            self.run.latencies.add(latency);
        }
        Ok(TAKEN_AT_A_TIME)
    }
}

fn write(op: Op, connection: u64, transaction: u32) -> Vec<u8> {
    match op {
        Op::Announce { who, peer, event } => {
            let announce = who.announce(peer, event, NUM_WANT);
            UdpRequest::Announce { connection, transaction, announce, target: Vec::new() }.encode()
        }
        Op::Scrape { who, torrent, count } => {
            let hashes = (torrent..torrent + count).map(|torrent| who.info_hash(torrent));
            scrape::encode(connection, transaction, hashes)
        }
    }
}

fn read(op: &Op, packet: &[u8]) -> Result<Said, String> {
    if let (Op::Scrape { .. }, Some(counts)) = (op, scrape::decode(packet)) {
        return Ok(Said::Counts(counts));
    }
    match (op, UdpResponse::decode(packet, Family::V4)) {
        (Op::Announce { .. }, Ok(UdpResponse::Announce { answer, .. })) => Ok(Said::Answer(answer)),
        (_, Ok(UdpResponse::Error { message, .. })) => Err(format!("refused: {message:?}")),
        (_, other) => Err(format!("not an answer to what was asked: {other:?}")),
    }
}

#[cfg(test)]
mod tests;
