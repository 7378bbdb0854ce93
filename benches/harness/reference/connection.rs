//! One connection of the reference: requests in, gathered blocks out, nothing allocated per block.

use std::collections::VecDeque;
use std::io::{self, IoSlice, Read, Write};
use std::net::TcpStream;

use protocol::geometry::{Block, Geometry};

use crate::wire;

/// Most blocks in one `writev`, of 64 that the load keeps outstanding by default. With 24 or with all of them it is slower,
/// with 32 or 48 as fast or a little slower.
const BLOCKS_PER_WRITE: usize = 40;
/// Blocks in the first `writev`; each next one has twice as many. The windows of a thousand that are all answered in full at
/// once may not grow, where the machine's congestion control is bbr.
const FIRST_BLOCKS: usize = 2;
/// Most requests that wait; a peer that asks for more is cut off.
const MAX_WAITING: usize = 4096;
/// Bytes of requests in one read: 120 of them, twice what the load keeps outstanding by default.
const INBOX_LENGTH: usize = 2 * 1024;
const PEER_ID: &[u8; 20] = b"-RF0000-reference000";

#[derive(Debug)]
pub(super) struct Connection {
    stream: TcpStream,
    inbox: Box<[u8]>,
    filled: usize,
    shaken: bool,
    waiting: VecDeque<Answer>,
    /// Bytes of the first answer that are sent already.
    sent: usize,
    /// Whether the socket took less than it was given: it will tell when it has room for more than a little.
    is_full: bool,
    /// Most blocks in the next `writev`.
    blocks: usize,
}

#[derive(Debug)]
struct Answer {
    header: [u8; wire::PIECE_HEADER_LENGTH],
    start: usize,
    end: usize,
}

impl Answer {
    fn length(&self) -> usize {
        wire::PIECE_HEADER_LENGTH + self.end - self.start
    }
}

impl Connection {
    pub(super) fn new(stream: TcpStream) -> Self {
        let inbox = vec![0; INBOX_LENGTH].into_boxed_slice();
        // It grows as it must and no further: it goes round, and all of its memory with it.
        let waiting = VecDeque::new();
        Self {
            stream,
            inbox,
            filled: 0,
            shaken: false,
            waiting,
            sent: 0,
            is_full: false,
            blocks: FIRST_BLOCKS,
        }
    }

    /// Takes what has come and sends what can be sent; an error ends the connection.
    pub(super) fn serve(&mut self, has_room: bool, payload: &[u8], geometry: &Geometry) -> io::Result<()> {
        self.is_full &= !has_room;
        loop {
            let room = self.inbox.len() - self.filled;
            let count = match self.stream.read(&mut self.inbox[self.filled..]) {
                Ok(0) => return Err(io::ErrorKind::UnexpectedEof.into()),
                Ok(count) => count,
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => return self.send(payload),
                Err(error) => return Err(error),
            };
            self.filled += count;
            self.take_frames(geometry)?;
            self.send(payload)?;
            if count < room {
                return Ok(());
            }
        }
    }

    fn take_frames(&mut self, geometry: &Geometry) -> io::Result<()> {
        let mut at = 0;
        if !self.shaken {
            let Some(handshake) = self.inbox[..self.filled].first_chunk() else { return Ok(()) };
            let info_hash = wire::handshake_info_hash(handshake).ok_or(io::ErrorKind::InvalidData)?;
            self.greet(&info_hash, geometry)?;
            at = wire::HANDSHAKE_LENGTH;
            self.shaken = true;
        }
        while self.filled - at >= 4 {
            let length = wire::number(&self.inbox, at) as usize;
            if 4 + length > self.inbox.len() {
                return Err(io::ErrorKind::InvalidData.into());
            }
            if self.filled - at < 4 + length {
                break;
            }
            if length == wire::REQUEST_LENGTH - 4 && self.inbox[at + 4] == wire::REQUEST {
                self.take_request(at + wire::MESSAGE_HEADER_LENGTH, geometry)?;
            }
            at += 4 + length;
        }
        self.inbox.copy_within(at..self.filled, 0);
        self.filled -= at;
        Ok(())
    }

    /// Handshake, a BITFIELD of ones, UNCHOKE: they fit the empty send buffer of a new connection.
    fn greet(&mut self, info_hash: &[u8; 20], geometry: &Geometry) -> io::Result<()> {
        let pieces = geometry.piece_count();
        let mut bits = vec![0xff_u8; pieces.div_ceil(8) as usize];
        if let (Some(last), spare @ 1..) = (bits.last_mut(), pieces.next_multiple_of(8) - pieces) {
            *last <<= spare;
        }
        let mut greeting = wire::handshake(info_hash, PEER_ID).to_vec();
        greeting.extend((1 + pieces.div_ceil(8)).to_be_bytes());
        greeting.push(wire::BITFIELD);
        greeting.extend(bits);
        greeting.extend(wire::UNCHOKE_FRAME);
        self.stream.write_all(&greeting)
    }

    fn take_request(&mut self, at: usize, geometry: &Geometry) -> io::Result<()> {
        let number = |offset| wire::number(&self.inbox, at + offset);
        let block = Block { piece: number(0), begin: number(4), length: number(8) };
        let range = geometry.block_range(block).filter(|_| self.waiting.len() < MAX_WAITING);
        let range = range.ok_or(io::ErrorKind::InvalidData)?;
        let place = |offset| usize::try_from(offset).map_err(io::Error::other);
        let (start, end) = (place(range.start)?, place(range.end)?);
        self.waiting.push_back(Answer { header: wire::piece_header(block), start, end });
        Ok(())
    }

    /// Sends until nothing waits or the socket is full: then there will be an edge when it has room. To look before
    /// that, whenever a request comes, would send little by little.
    fn send(&mut self, payload: &[u8]) -> io::Result<()> {
        while !self.waiting.is_empty() && !self.is_full {
            let mut slices = [IoSlice::new(&[]); 2 * BLOCKS_PER_WRITE];
            let most = self.waiting.len().min(self.blocks);
            let batch = self.waiting.iter().take(most);
            for (pair, answer) in slices.chunks_exact_mut(2).zip(batch) {
                pair[0] = IoSlice::new(&answer.header);
                pair[1] = IoSlice::new(&payload[answer.start..answer.end]);
            }
            let mut unsent = &mut slices[..2 * most];
            IoSlice::advance_slices(&mut unsent, self.sent);
            let length: usize = unsent.iter().map(|slice| slice.len()).sum();
            let count = match self.stream.write_vectored(unsent) {
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => 0,
                other => other?,
            };
            self.is_full = count < length;
            self.blocks = (2 * self.blocks).min(BLOCKS_PER_WRITE);
            self.forget(count);
        }
        Ok(())
    }

    /// Drops the answers that the next `count` bytes complete.
    fn forget(&mut self, count: usize) {
        self.sent += count;
        while let Some(first) = self.waiting.front().filter(|first| first.length() <= self.sent) {
            self.sent -= first.length();
            self.waiting.pop_front();
        }
    }
}
