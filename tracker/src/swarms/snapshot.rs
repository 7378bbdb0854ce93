//! All torrents and peers as a stream of bytes, and back.
//!
//! A magic, then blocks: length and CRC-32 of what follows (4 bytes each, little endian as all numbers here), then records
//! of swarms. A swarm with many peers has several records. The last block is empty, and nothing follows it. A stream that
//! was cut off, or changed anywhere, is refused as a whole.

use std::io::{self, Read, Write};

use protocol::id::InfoHash;

use super::peer::{Identity, Peer, State};
use super::peers::Peers;
use super::shard::Shard;
use super::swarm::Swarm;
use super::{Swarms, lock};

/// What a snapshot begins with: a name, and the version of the format.
const MAGIC: &[u8; 8] = b"bttrkr\0\x01";
/// A block ends when it is as long: what is copied while a shard is locked.
const BLOCK_LENGTH: usize = 128 * 1024;
/// Longest block that is read: one record is longer than [`BLOCK_LENGTH`] at most by itself.
const MAX_BLOCK_LENGTH: usize = 2 * BLOCK_LENGTH;
/// Most peers of one family in one record.
const MAX_RECORD_PEERS: usize = 1_024;

/// Why a snapshot cannot be read.
#[derive(Debug, thiserror::Error)]
pub enum SnapshotError {
    /// It could not be read at all.
    #[error(transparent)]
    Io(#[from] io::Error),
    /// It is something else, or of another version.
    #[error("not a snapshot of this version of bttracker")]
    Magic,
    /// What is there is not what was written.
    #[error("damaged at byte {0}")]
    Damaged(u64),
}

/// A moment, by the clock of the tracker and by the calendar.
#[derive(Debug, Clone, Copy)]
pub struct Moment {
    /// Seconds, as announces are stamped.
    pub now_s: u32,
    /// Seconds since 1970.
    pub unix_s: u64,
}

/// How far a snapshot has come in a shard.
#[derive(Debug, Clone, Copy, Default)]
struct Cursor {
    swarm: usize,
    v4: usize,
    v6: usize,
}

impl Swarms {
    /// Writes everything. Calls `rest` between slices, in which nothing is locked. What announces meanwhile may be in it or
    /// not.
    ///
    /// # Errors
    /// Those of `to`.
    pub fn write_snapshot(&self, to: &mut impl Write, at: Moment, mut rest: impl FnMut()) -> io::Result<()> {
        to.write_all(MAGIC)?;
        to.write_all(&at.unix_s.to_le_bytes())?;
        let mut block = Vec::with_capacity(MAX_BLOCK_LENGTH);
        for shard in &self.shards {
            let mut cursor = Cursor::default();
            let mut is_done = false;
            while !is_done {
                block.clear();
                is_done = encode(&lock(shard), &mut cursor, at.now_s, &mut block);
                rest();
                if !block.is_empty() {
                    write_block(to, &block)?;
                }
            }
        }
        write_block(to, &[])
    }

    /// Takes in everything from a snapshot, but peers that are silent for longer than `timeout_s` by now. To be called
    /// before anybody announces.
    ///
    /// # Errors
    /// When it cannot be read, or is damaged. What came before the damage is here then: the caller begins anew.
    pub fn read_snapshot(
        &self,
        from: &mut impl Read,
        at: Moment,
        timeout_s: u32,
    ) -> Result<(), SnapshotError> {
        let mut magic = [0; MAGIC.len()];
        from.read_exact(&mut magic).map_err(|error| eof(error, SnapshotError::Magic))?;
        if magic != *MAGIC {
            return Err(SnapshotError::Magic);
        }
        let mut offset = MAGIC.len() as u64;
        let unix_s = u64::from_le_bytes(read_array(from, offset)?);
        offset += 8;
        // A clock that was set back makes nobody younger.
        let elapsed_s = u32::try_from(at.unix_s.saturating_sub(unix_s)).unwrap_or(u32::MAX);
        let restore = Restore { now_s: at.now_s, elapsed_s, timeout_s };
        let mut block = Vec::new();
        loop {
            let length = u32::from_le_bytes(read_array(from, offset)?) as usize;
            let checksum = u32::from_le_bytes(read_array(from, offset)?);
            if length > MAX_BLOCK_LENGTH {
                return Err(SnapshotError::Damaged(offset));
            }
            block.resize(length, 0);
            from.read_exact(&mut block).map_err(|error| eof(error, SnapshotError::Damaged(offset)))?;
            if crc32fast::hash(&block) != checksum {
                return Err(SnapshotError::Damaged(offset));
            }
            if length == 0 {
                let is_end = from.read(&mut [0])? == 0;
                return if is_end { Ok(()) } else { Err(SnapshotError::Damaged(offset + 8)) };
            }
            self.decode(&block, restore).ok_or(SnapshotError::Damaged(offset))?;
            offset += 8 + length as u64;
        }
    }

    fn decode(&self, mut block: &[u8], restore: Restore) -> Option<()> {
        while !block.is_empty() {
            let info_hash = InfoHash::new(take(&mut block)?);
            let downloaded = number(&mut block)?;
            let announced_s = restore.time(number(&mut block)?);
            let (v4, v6) = (number(&mut block)?, number(&mut block)?);
            let hash = self.hash(&info_hash);
            let mut shard = self.shard(hash);
            let before = (shard.len(), shard.bytes());
            let make = || Some(Swarm::new(info_hash, downloaded, announced_s));
            shard.with(&|it| self.hash(it), &info_hash, make, |swarm| {
                self.take_in(swarm.v4_mut(), v4, &mut block, restore)?;
                match swarm.v6_mut(v6 > 0) {
                    Some(peers) => self.take_in(peers, v6, &mut block, restore),
                    None => Some(()),
                }
            })??;
            self.capacity.change(before, (shard.len(), shard.bytes()));
        }
        Some(())
    }

    fn take_in<const N: usize>(
        &self,
        peers: &mut Peers<N>,
        count: u32,
        block: &mut &[u8],
        restore: Restore,
    ) -> Option<()> {
        for _ in 0..count {
            let (endpoint, id, key) = (take(block)?, take(block)?, take(block)?);
            let idle_s = number(block)?;
            let [flags] = take(block)?;
            let identity = Identity { id, key };
            let (state, has_completed) = from_flags(flags)?;
            let is_known = peers.find(&endpoint).is_some()
                || identity.has_key() && peers.find_identity(&identity).is_some();
            if is_known || restore.is_silent(idle_s) {
                continue;
            }
            let mut peer = Peer::new(endpoint, identity, state, restore.time(idle_s));
            if has_completed {
                peer.set_completed();
            }
            // A limit that is lower now is obeyed.
            if peers.at_home(&peer.home()) > 0 || self.homes.enter(&peer.home()).is_ok() {
                peers.insert(peer);
            }
        }
        Some(())
    }
}

/// How times of a snapshot become times of now.
#[derive(Debug, Clone, Copy)]
struct Restore {
    now_s: u32,
    elapsed_s: u32,
    timeout_s: u32,
}

impl Restore {
    fn time(self, idle_s: u32) -> u32 {
        self.now_s.saturating_sub(idle_s).saturating_sub(self.elapsed_s)
    }

    fn is_silent(self, idle_s: u32) -> bool {
        idle_s.saturating_add(self.elapsed_s) > self.timeout_s
    }
}

/// Appends swarms from the cursor on, until the block is full; true when the shard is done with.
fn encode(shard: &Shard, cursor: &mut Cursor, now_s: u32, block: &mut Vec<u8>) -> bool {
    while let Some(swarm) = shard.swarms().get(cursor.swarm) {
        if block.len() >= BLOCK_LENGTH {
            return false;
        }
        let v4 = rest_of(swarm.v4().list(), cursor.v4);
        let v6 = rest_of(swarm.v6().map_or(&[], |peers| peers.list()), cursor.v6);
        block.extend_from_slice(swarm.info_hash().as_bytes());
        for number in [
            swarm.downloaded(),
            now_s.saturating_sub(swarm.announced_s()),
            u32::try_from(v4.len()).unwrap_or(0),
            u32::try_from(v6.len()).unwrap_or(0),
        ] {
            block.extend_from_slice(&number.to_le_bytes());
        }
        v4.iter().for_each(|peer| encode_peer(peer, now_s, block));
        v6.iter().for_each(|peer| encode_peer(peer, now_s, block));
        cursor.v4 += v4.len();
        cursor.v6 += v6.len();
        let len_v6 = swarm.v6().map_or(0, Peers::len);
        if cursor.v4 >= swarm.v4().len() && cursor.v6 >= len_v6 {
            *cursor = Cursor { swarm: cursor.swarm + 1, ..Cursor::default() };
        }
    }
    true
}

/// The next part of a list. It may have become shorter than what was written of it.
fn rest_of<T>(list: &[T], from: usize) -> &[T] {
    let rest = list.get(from..).unwrap_or_default();
    &rest[..rest.len().min(MAX_RECORD_PEERS)]
}

fn encode_peer<const N: usize>(peer: &Peer<N>, now_s: u32, block: &mut Vec<u8>) {
    block.extend_from_slice(peer.endpoint());
    block.extend_from_slice(&peer.identity().id);
    block.extend_from_slice(&peer.identity().key);
    block.extend_from_slice(&now_s.saturating_sub(peer.seen_s()).to_le_bytes());
    block.push(flags(peer.state(), peer.has_completed()));
}

fn flags(state: State, has_completed: bool) -> u8 {
    let state = match state {
        State::Leecher => 0,
        State::Seed => 1,
        State::Paused => 2,
    };
    state | u8::from(has_completed) << 2
}

fn from_flags(flags: u8) -> Option<(State, bool)> {
    let state = match flags & 3 {
        0 => State::Leecher,
        1 => State::Seed,
        2 => State::Paused,
        _ => return None,
    };
    (flags < 8).then_some((state, flags & 4 != 0))
}

fn write_block(to: &mut impl Write, block: &[u8]) -> io::Result<()> {
    let length = u32::try_from(block.len()).map_err(io::Error::other)?;
    to.write_all(&length.to_le_bytes())?;
    to.write_all(&crc32fast::hash(block).to_le_bytes())?;
    to.write_all(block)
}

fn read_array<const N: usize>(from: &mut impl Read, offset: u64) -> Result<[u8; N], SnapshotError> {
    let mut bytes = [0; N];
    from.read_exact(&mut bytes).map_err(|error| eof(error, SnapshotError::Damaged(offset)))?;
    Ok(bytes)
}

/// An end that comes too early is damage, not a failure to read.
fn eof(error: io::Error, damage: SnapshotError) -> SnapshotError {
    if error.kind() == io::ErrorKind::UnexpectedEof { damage } else { error.into() }
}

fn take<const N: usize>(block: &mut &[u8]) -> Option<[u8; N]> {
    let (bytes, rest) = block.split_first_chunk()?;
    *block = rest;
    Some(*bytes)
}

fn number(block: &mut &[u8]) -> Option<u32> {
    take(block).map(u32::from_le_bytes)
}

#[cfg(test)]
mod tests;
