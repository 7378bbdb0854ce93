//! How long torrents are seeded, and the end of those that have been seeded enough.

use std::time::Duration;

use crate::bus::TorrentId;
use crate::bus::board::now_unix_s;
use crate::storage::state::Change;

use super::actor::Actor;
use super::entry::Entry;

/// Rounds in which how long they are seeded is written down once of each torrent, a part of them in each round: there
/// may be a hundred thousand.
const WRITING_ROUNDS: u64 = 60;

impl Actor {
    /// Whether time alone may bring a torrent to its goal.
    fn has_seed_times(&self) -> bool {
        self.settings.goals.seed_time.is_some()
            || self
                .entries
                .values()
                .any(|it| it.goals.as_ref().is_some_and(|goals| goals.seed_time_s > Some(0)))
    }

    pub(super) fn check_seed_times(&mut self) {
        if self.has_seed_times() {
            self.check_goals();
        }
    }

    /// Pauses those that have been seeded enough.
    pub(super) fn check_goals(&mut self) {
        for id in self.entries.keys().copied().collect::<Vec<_>>() {
            self.pause_at_goal(id);
        }
    }

    /// Why a torrent has been seeded enough, if it has.
    fn seeded_enough(&self, id: TorrentId) -> Option<&'static str> {
        let is_seeding = |entry: &&Entry| entry.seeding_since_s.is_some() && !entry.marks.is_paused;
        let entry = self.entries.get(&id).filter(is_seeding)?;
        let goals = entry.goals.as_deref().copied().unwrap_or_default().over(self.settings.goals);
        if goals.is_empty() {
            return None;
        }
        let seeded = Duration::from_secs(entry.seeded_s(now_unix_s()));
        self.board.with(id, |row| goals.reached(row.ratio(), seeded)).flatten()
    }

    /// Pauses a torrent that has been seeded enough; whether it has.
    pub(super) fn pause_at_goal(&mut self, id: TorrentId) -> bool {
        let Some(reason) = self.seeded_enough(id) else { return false };
        let name = self.board.with(id, |row| row.name.to_string()).unwrap_or_default();
        tracing::info!("{name}: paused, since {reason}");
        self.pause_unasked(id);
        true
    }

    /// Writes down how long torrents have been seeded, of those whose turn it is in this round.
    pub(super) fn write_some_seed_times(&mut self, round: u64) {
        let turn = round % WRITING_ROUNDS;
        self.write_seed_times(|id| id.0.unsigned_abs() % WRITING_ROUNDS == turn);
    }

    /// Writes down how long torrents have been seeded.
    pub(super) fn write_seed_times(&mut self, is_its_turn: impl Fn(&TorrentId) -> bool) {
        let now_s = now_unix_s();
        let is_seeding =
            |(id, entry): &(&TorrentId, &Entry)| entry.seeding_since_s.is_some() && is_its_turn(id);
        let change = |seeded_s| Change { seeded_s: Some(seeded_s), ..Change::default() };
        let changes: Vec<(i64, Change)> = self
            .entries
            .iter()
            .filter(is_seeding)
            .map(|(id, entry)| (id.0, change(entry.seeded_s(now_s))))
            .collect();
        self.write_all(&changes);
    }
}
