//! One connection of the load: requests out, answers in.
//!
//! It reads no further than the 13 bytes before a block's payload; the payload is dropped in the kernel, but for the
//! blocks that the judge wants to see.

use std::collections::VecDeque;
use std::io::{self, Read, Write};
use std::net::TcpStream;
use std::os::fd::AsRawFd;
use std::time::{Duration, Instant};

use nix::sys::socket::{MsgFlags, recv};
use protocol::geometry::Block;

use super::cursor::Cursor;
use super::judge::Judge;
use crate::latencies::Latencies;
use crate::wire;

/// Steps of the state machine in one turn, two for a block: then the others have theirs.
const STEPS_PER_TURN: usize = 128;

/// What ends a connection.
#[derive(Debug)]
pub(super) enum Fault {
    Closed,
    Wrong(String),
    Io(io::Error),
}

impl From<io::Error> for Fault {
    fn from(error: io::Error) -> Self {
        match error.kind() {
            io::ErrorKind::ConnectionReset | io::ErrorKind::BrokenPipe => Self::Closed,
            _ => Self::Io(error),
        }
    }
}

/// What the next bytes are.
#[derive(Debug, Clone, Copy)]
enum Part {
    Handshake,
    Header,
    /// Payload to drop, of a block that was asked for then.
    Payload {
        left: usize,
        asked_at: Instant,
    },
    /// Payload of a block that is to be compared.
    Exhibit {
        block: Block,
        asked_at: Instant,
    },
    /// The body of a message that says nothing to us.
    Other {
        left: usize,
    },
}

#[derive(Debug)]
pub(super) struct Connection {
    pub(super) stream: TcpStream,
    part: Part,
    head: [u8; wire::HANDSHAKE_LENGTH],
    body: Vec<u8>,
    /// Bytes of `head`, or of `body` while it takes an exhibit.
    filled: usize,
    cursor: Cursor,
    open: VecDeque<(Block, Instant)>,
    unsent: Vec<u8>,
    blocks: u64,
    pub(super) bytes: u64,
    pub(super) is_unchoked: bool,
    pub(super) chokes: u64,
    first_asked_at: Option<Instant>,
    /// From the first request to the first byte of payload.
    pub(super) first_byte: Option<Duration>,
}

impl Connection {
    pub(super) fn new(stream: TcpStream, cursor: Cursor, info_hash: &[u8; 20], peer_id: &[u8; 20]) -> Self {
        let mut unsent = wire::handshake(info_hash, peer_id).to_vec();
        unsent.extend(wire::INTERESTED_FRAME);
        Self {
            stream,
            part: Part::Handshake,
            head: [0; wire::HANDSHAKE_LENGTH],
            body: Vec::new(),
            filled: 0,
            cursor,
            open: VecDeque::new(),
            unsent,
            blocks: 0,
            bytes: 0,
            is_unchoked: false,
            chokes: 0,
            first_asked_at: None,
            first_byte: None,
        }
    }

    /// Requests blocks until `outstanding` are open, if we may.
    pub(super) fn ask(&mut self, outstanding: usize) {
        let missing = outstanding.saturating_sub(self.open.len());
        if missing == 0 || !self.is_unchoked {
            return;
        }
        let now = Instant::now();
        self.first_asked_at.get_or_insert(now);
        for _ in 0..missing {
            let block = self.cursor.next();
            self.unsent.extend(wire::request(block));
            self.open.push_back((block, now));
        }
    }

    /// Requests one more block, if we may.
    pub(super) fn ask_one(&mut self) {
        self.ask(self.open.len() + 1);
    }

    /// Sends what there is; whether something is left.
    pub(super) fn send(&mut self) -> Result<bool, Fault> {
        while !self.unsent.is_empty() {
            match self.stream.write(&self.unsent) {
                Ok(count) => drop(self.unsent.drain(..count)),
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => return Ok(true),
                Err(error) => return Err(error.into()),
            }
        }
        Ok(false)
    }

    /// Takes what has come, but no more than a turn's worth, and notes how long blocks took.
    pub(super) fn receive(
        &mut self,
        judge: &mut Judge,
        scratch: &mut [u8],
        latencies: &mut Latencies,
    ) -> Result<(), Fault> {
        for _ in 0..STEPS_PER_TURN {
            let is_complete = match self.part {
                Part::Handshake => self.take_handshake()?,
                Part::Header => self.take_header(judge)?,
                Part::Payload { left, asked_at } => self.drop_payload(left, asked_at, scratch, latencies)?,
                Part::Exhibit { block, asked_at } => self.take_exhibit(block, asked_at, judge, latencies)?,
                Part::Other { left } => self.skip(left, scratch)?,
            };
            if !is_complete {
                break;
            }
        }
        Ok(())
    }

    fn take_handshake(&mut self) -> Result<bool, Fault> {
        let is_complete = self.fill_head(wire::HANDSHAKE_LENGTH)?;
        if is_complete {
            if wire::handshake_info_hash(&self.head).is_none() {
                return Err(Fault::Wrong("the answer to the handshake is not a handshake".to_owned()));
            }
            self.expect_header(wire::HANDSHAKE_LENGTH);
        }
        Ok(is_complete)
    }

    /// Reads up to the length of a PIECE's header. A shorter message ends inside: what follows it is kept.
    fn take_header(&mut self, judge: &Judge) -> Result<bool, Fault> {
        let is_full = self.fill_head(wire::PIECE_HEADER_LENGTH)?;
        while self.filled >= wire::MESSAGE_HEADER_LENGTH - 1 {
            let length = wire::number(&self.head, 0);
            if length == 0 {
                self.expect_header(4);
                continue;
            }
            if length > wire::MAX_MESSAGE_LENGTH {
                return Err(Fault::Wrong(format!("a message of {length} bytes")));
            }
            if self.filled < wire::MESSAGE_HEADER_LENGTH {
                break;
            }
            if self.head[4] == wire::PIECE {
                if self.filled < wire::PIECE_HEADER_LENGTH {
                    break;
                }
                self.begin_piece(length, judge)?;
                return Ok(true);
            }
            self.take_message(self.head[4]);
            let rest = 4 + length as usize;
            if rest > self.filled {
                self.part = Part::Other { left: rest - self.filled };
                return Ok(true);
            }
            self.expect_header(rest);
        }
        Ok(is_full)
    }

    fn take_message(&mut self, id: u8) {
        match id {
            wire::CHOKE => {
                self.is_unchoked = false;
                self.chokes += 1;
                // Without the fast extension a choke answers all open requests.
                self.open.clear();
            }
            wire::UNCHOKE => self.is_unchoked = true,
            _ => {}
        }
    }

    fn begin_piece(&mut self, length: u32, judge: &Judge) -> Result<(), Fault> {
        let (piece, begin) = (wire::number(&self.head, 5), wire::number(&self.head, 9));
        let is_answer = |(block, _): &(Block, Instant)| {
            block.piece == piece && block.begin == begin && block.length + 9 == length
        };
        let place = self.open.iter().position(is_answer);
        let Some((block, asked_at)) = place.and_then(|place| self.open.remove(place)) else {
            return Err(Fault::Wrong(format!(
                "piece {piece}, begin {begin}, message length {length}: not asked for"
            )));
        };
        if self.first_byte.is_none() {
            self.first_byte = self.first_asked_at.map(|asked_at| asked_at.elapsed());
        }
        self.filled = 0;
        let length = block.length as usize;
        if judge.wants(self.blocks) {
            self.body.resize(length, 0);
            self.part = Part::Exhibit { block, asked_at };
        } else {
            self.part = Part::Payload { left: length, asked_at };
        }
        self.blocks += 1;
        Ok(())
    }

    fn drop_payload(
        &mut self,
        left: usize,
        asked_at: Instant,
        scratch: &mut [u8],
        latencies: &mut Latencies,
    ) -> Result<bool, Fault> {
        let count = self.discard(&mut scratch[..left])?;
        self.bytes += count as u64;
        if count < left {
            self.part = Part::Payload { left: left - count, asked_at };
            return Ok(false);
        }
        latencies.add(asked_at.elapsed());
        self.part = Part::Header;
        Ok(true)
    }

    fn take_exhibit(
        &mut self,
        block: Block,
        asked_at: Instant,
        judge: &mut Judge,
        latencies: &mut Latencies,
    ) -> Result<bool, Fault> {
        let count = taken(self.stream.read(&mut self.body[self.filled..]))?;
        self.bytes += count as u64;
        self.filled += count;
        if self.filled < self.body.len() {
            return Ok(false);
        }
        latencies.add(asked_at.elapsed());
        if !judge.is_right(block, &self.body)? {
            return Err(Fault::Wrong(format!("{block:?} has other bytes than the payload")));
        }
        self.expect_header(self.filled);
        Ok(true)
    }

    fn skip(&mut self, left: usize, scratch: &mut [u8]) -> Result<bool, Fault> {
        let wanted = left.min(scratch.len());
        let count = self.discard(&mut scratch[..wanted])?;
        if count == left {
            self.expect_header(self.filled);
        } else {
            self.part = Part::Other { left: left - count };
        }
        Ok(count == wanted)
    }

    /// Reads into `head` until it holds `wanted` bytes; whether it does.
    fn fill_head(&mut self, wanted: usize) -> Result<bool, Fault> {
        let count = taken(self.stream.read(&mut self.head[self.filled..wanted]))?;
        self.filled += count;
        Ok(self.filled == wanted)
    }

    /// The first `done` bytes read are done with; what follows them is the start of a message.
    fn expect_header(&mut self, done: usize) {
        let done = done.min(self.filled);
        if done < self.filled {
            self.head.copy_within(done..self.filled, 0);
        }
        self.filled -= done;
        self.part = Part::Header;
    }

    /// Drops up to `room.len()` bytes in the kernel; `room` itself is not touched (tcp(7)).
    fn discard(&self, room: &mut [u8]) -> Result<usize, Fault> {
        taken(recv(self.stream.as_raw_fd(), room, MsgFlags::MSG_TRUNC).map_err(io::Error::from))
    }
}

/// The count of a read: zero when there is nothing yet.
fn taken(result: io::Result<usize>) -> Result<usize, Fault> {
    match result {
        Ok(0) => Err(Fault::Closed),
        Ok(count) => Ok(count),
        Err(error) if error.kind() == io::ErrorKind::WouldBlock => Ok(0),
        Err(error) => Err(error.into()),
    }
}

#[cfg(test)]
mod tests;
