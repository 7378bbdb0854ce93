//! Connection ids of all source addresses: fetched before a run, and again before they are too old.

use std::io;
use std::time::{Duration, Instant};

use protocol::announce::{Family, UdpRequest, UdpResponse};

use super::population::source_address;
use super::udp_socket::Door;

/// One that is older is replaced; meanwhile it is still good, for another fifteen seconds (BEP 15).
const RENEW_AFTER: Duration = Duration::from_secs(45);
/// A request for one is repeated after so long.
const REPEAT_AFTER: Duration = Duration::from_millis(500);
/// How long all may take.
const PATIENCE: Duration = Duration::from_secs(20);
/// Requests open at a time.
const WINDOW: usize = 64;
/// Marks transactions that are requests for an id: the number of the source is in the other bits.
pub(super) const MARK: u32 = 1 << 31;

#[derive(Debug, Clone, Copy, Default)]
struct Entry {
    id: Option<(u64, Instant)>,
    asked: Option<Instant>,
}

/// The ids.
#[derive(Debug)]
pub(super) struct Ids {
    entries: Vec<Entry>,
}

impl Ids {
    pub(super) fn new(sources: u32) -> Self {
        Self { entries: (0..sources).map(|_| Entry::default()).collect() }
    }

    /// Returns when each source has an id that is good for a while.
    ///
    /// # Errors
    /// When the tracker does not give them.
    pub(super) fn fetch_all(&mut self, door: &Door) -> io::Result<()> {
        let begin = Instant::now();
        let mut buffer = [0; 4096];
        loop {
            let missing = (0..self.entries.len()).filter(|index| self.entries[*index].is_old());
            let missing = Vec::from_iter(missing.take(WINDOW));
            if missing.is_empty() {
                return Ok(());
            }
            for index in missing {
                self.ask(u32::try_from(index).unwrap_or_default(), door)?;
            }
            door.wait(REPEAT_AFTER)?;
            while let Some(packet) = door.receive(&mut buffer)? {
                self.take(packet);
            }
            if begin.elapsed() > PATIENCE {
                return Err(io::Error::other("the tracker gives no connection ids"));
            }
        }
    }

    /// The id of a source. One that grows old is renewed beside.
    ///
    /// # Errors
    /// When there is none.
    pub(super) fn get(&mut self, source: u32, door: &Door) -> io::Result<u64> {
        let entry = usize::try_from(source).ok().and_then(|index| self.entries.get(index)).copied();
        let entry = entry.unwrap_or_default();
        if entry.is_old() {
            self.ask(source, door)?;
        }
        entry.id.map(|(id, _)| id).ok_or_else(|| io::Error::other("a source without a connection id"))
    }

    /// Takes a packet if it gives an id; whether it was one.
    pub(super) fn take(&mut self, packet: &[u8]) -> bool {
        let Ok(UdpResponse::Connect { transaction, connection }) = UdpResponse::decode(packet, Family::V4)
        else {
            return false;
        };
        let index = usize::try_from(transaction & !MARK).unwrap_or(usize::MAX);
        if let Some(entry) = self.entries.get_mut(index) {
            *entry = Entry { id: Some((connection, Instant::now())), asked: None };
        }
        true
    }

    fn ask(&mut self, source: u32, door: &Door) -> io::Result<()> {
        let index = usize::try_from(source).unwrap_or(usize::MAX);
        let Some(entry) = self.entries.get_mut(index) else { return Ok(()) };
        if entry.asked.is_some_and(|asked| asked.elapsed() < REPEAT_AFTER) {
            return Ok(());
        }
        entry.asked = Some(Instant::now());
        let packet = UdpRequest::Connect { transaction: MARK | source }.encode();
        door.send(source_address(source), &packet).map(drop)
    }
}

impl Entry {
    fn is_old(&self) -> bool {
        self.id.is_none_or(|(_, since)| since.elapsed() > RENEW_AFTER)
    }
}
