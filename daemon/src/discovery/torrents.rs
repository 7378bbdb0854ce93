//! The torrents that are announced, and a timetable of when each is to be looked at. They may be many: what one costs
//! while it waits is a few hundred bytes and nothing else.

use std::collections::{BTreeSet, HashMap};
use std::sync::Arc;
use std::time::Instant;

use protocol::announce::Schedule;
use protocol::id::InfoHash;

use super::Stats;

#[derive(Debug)]
pub(super) struct Torrent {
    /// Tells it from one that was removed and added again.
    pub(super) number: u64,
    pub(super) schedule: Schedule,
    pub(super) stats: Arc<Stats>,
    /// Its entry in the timetable.
    wake: Option<Instant>,
}

#[derive(Debug, Default)]
pub(super) struct Torrents {
    // Boxed, since a map keeps room for up to twice as many.
    torrents: HashMap<InfoHash, Box<Torrent>>,
    timetable: BTreeSet<(Instant, InfoHash)>,
    added: u64,
}

impl Torrents {
    /// Adds one. Whoever adds it has taken one of the same name out.
    pub(super) fn add(&mut self, info_hash: InfoHash, schedule: Schedule, stats: Arc<Stats>) {
        self.added += 1;
        let torrent = Torrent { number: self.added, schedule, stats, wake: None };
        self.torrents.insert(info_hash, Box::new(torrent));
        self.note(info_hash);
    }

    /// Takes one out, with its entry in the timetable.
    pub(super) fn take(&mut self, info_hash: InfoHash) -> Option<Box<Torrent>> {
        let torrent = self.torrents.remove(&info_hash)?;
        if let Some(at) = torrent.wake {
            self.timetable.remove(&(at, info_hash));
        }
        Some(torrent)
    }

    /// Takes all out.
    pub(super) fn take_all(&mut self) -> impl Iterator<Item = (InfoHash, Box<Torrent>)> + use<> {
        self.timetable.clear();
        std::mem::take(&mut self.torrents).into_iter()
    }

    pub(super) fn get(&self, info_hash: InfoHash) -> Option<&Torrent> {
        self.torrents.get(&info_hash).map(Box::as_ref)
    }

    pub(super) fn get_mut(&mut self, info_hash: InfoHash) -> Option<&mut Torrent> {
        self.torrents.get_mut(&info_hash).map(Box::as_mut)
    }

    /// Notes when a torrent is to be looked at again, after its schedule has changed.
    pub(super) fn note(&mut self, info_hash: InfoHash) {
        let Some(torrent) = self.torrents.get_mut(&info_hash) else { return };
        let wake = torrent.schedule.next_due();
        if torrent.wake != wake {
            if let Some(at) = std::mem::replace(&mut torrent.wake, wake) {
                self.timetable.remove(&(at, info_hash));
            }
            self.timetable.extend(wake.map(|at| (at, info_hash)));
        }
    }

    /// When one is to be looked at next.
    pub(super) fn next_due(&self) -> Option<Instant> {
        self.timetable.first().map(|(at, _)| *at)
    }

    /// One that is to be looked at now; whoever does notes when it is again.
    pub(super) fn pop_due(&mut self, now: Instant) -> Option<InfoHash> {
        let (_, info_hash) = *self.timetable.first().filter(|(at, _)| *at <= now)?;
        self.timetable.pop_first();
        if let Some(torrent) = self.get_mut(info_hash) {
            torrent.wake = None;
        }
        Some(info_hash)
    }
}
