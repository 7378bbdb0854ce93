//! A torrent as the catalog knows it: what the user wants of it, and how far that is.

use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Instant;

use protocol::control::{ErrorReply, MoveRequest};
use protocol::id::InfoHash;
use protocol::swarm::picker::Priority;
use tokio::sync::watch;

use crate::bus::{RateLimits, Reply};
use crate::coordinator::Standing;
use crate::discovery::Stats;
use crate::storage::Torrent;
use crate::storage::keeper::Keeper;
use crate::storage::state::Change;
use crate::storage::task::{Meter, Task};

use super::goals::OwnGoals;

/// A torrent. Small while it is a row: there may be a hundred thousand.
#[derive(Debug)]
pub(super) struct Entry {
    pub(super) info_hash: InfoHash,
    pub(super) stage: Stage,
    pub(super) marks: Marks,
    /// What the user has asked for and is not done yet.
    pub(super) wish: Option<Box<Wish>>,
    /// What trackers are told, while they are.
    pub(super) stats: Option<Arc<Stats>>,
    /// What it may send and receive, if that is limited.
    pub(super) limits: Option<Box<RateLimits>>,
    /// When it has been seeded enough, if the user has set that for it alone.
    pub(super) goals: Option<Box<OwnGoals>>,
    /// Where its files lie until it is complete, if that is not where they belong.
    pub(super) lies_in: Option<Box<str>>,
    /// When all that was wanted was here, in seconds since 1970.
    pub(super) completed_at_s: Option<i64>,
    /// Bytes that came for nothing in earlier swarms.
    pub(super) wasted: u64,
    /// Seconds that it was seeded before `seeding_since_s`.
    pub(super) seeded_s: u64,
    pub(super) seeding_since_s: Option<i64>,
    /// When its trackers may be asked first, in seconds since 1970, as an earlier run was told.
    pub(super) next_announce_s: Option<i64>,
}

/// Facts about a torrent that are true or not.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Marks {
    /// The user has stopped it.
    pub(super) is_paused: bool,
    /// Nothing is ever fetched or written.
    pub(super) is_seed_only: bool,
    /// Files of the right size are taken for whole.
    pub(super) is_check_skipped: bool,
    /// Pieces are fetched in order.
    pub(super) is_sequential: bool,
    /// Its metadata is here.
    pub(super) has_info: bool,
    /// It is known what lies on disk.
    pub(super) is_looked_at: bool,
    /// All that is wanted is on disk.
    pub(super) is_complete: bool,
    /// Something is wrong, until the user has it tried again.
    pub(super) is_failed: bool,
    /// A peer has come for it, or may be had.
    pub(super) is_called_for: bool,
    /// Peers are let in, and trackers are told.
    pub(super) is_offered: bool,
    /// The user's command is still to be told that it is complete.
    pub(super) owes_hook: bool,
}

/// How far a torrent is.
#[derive(Debug)]
pub(super) enum Stage {
    /// A row, and nothing else.
    Row,
    /// A chore is being done.
    Busy(Box<Busy>),
    /// Its swarm runs.
    Loaded(Box<Loaded>),
    /// Its swarm is being ended.
    Leaving(Box<Loaded>),
}

/// A chore on a storage thread, as others see it.
#[derive(Debug, Clone)]
pub(super) struct Busy {
    pub(super) chore: Chore,
    pub(super) watch: Arc<Watch>,
    /// The folder at whose desk it has a place.
    pub(super) folder: Option<PathBuf>,
}

/// What may be done to a torrent on disk.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Chore {
    /// Find out what is there, reading what is not known.
    Look,
    /// Hash everything.
    Verify,
    /// Get it ready to be served.
    Load,
    /// Get its files ready to be written.
    Fetch,
    /// Have its swarm begin.
    Enroll,
    /// Move its files.
    Relocate,
    /// Delete its files.
    Delete,
}

/// How far a chore is, and whether it is still wanted.
#[derive(Debug, Default)]
pub(super) struct Watch {
    pub(super) task: Task,
    /// Bytes to do; 0 while that is not known.
    pub(super) total: AtomicU64,
}

/// A torrent whose swarm runs.
#[derive(Debug)]
pub(super) struct Loaded {
    /// The torrent, once its metadata is here.
    pub(super) torrent: Option<Arc<Torrent>>,
    pub(super) standing: watch::Receiver<Standing>,
    pub(super) keeper: Option<Keeper>,
    /// Notes that are being written.
    pub(super) notes: u32,
    /// Whether its swarm has ended, and only notes are waited for.
    pub(super) has_left: bool,
    /// Whether pieces were verified since it was reckoned what is left.
    pub(super) has_news: bool,
    /// How much each piece is wanted; empty where all are wanted alike.
    pub(super) priorities: Vec<Priority>,
    /// Bytes that are wanted and not verified.
    pub(super) left: u64,
    /// Whether it is a download, which has a place in the queue.
    pub(super) is_fetching: bool,
    /// The chore that gets its files ready, after its metadata came.
    pub(super) beginning: Option<Arc<Watch>>,
    /// What earlier swarms have moved: sent, and received.
    pub(super) moved_before: (u64, u64),
    /// What of all that was moved is written down.
    pub(super) written: (u64, u64),
    /// What trackers had been told of that when this swarm began.
    pub(super) told_before: (u64, u64),
    pub(super) pulse: Pulse,
    /// When payload came last, or the swarm began.
    pub(super) received_at: Instant,
    /// Since when no peer was connected.
    pub(super) idle_since: Option<Instant>,
}

/// What was moved at a certain time, to measure rates by.
#[derive(Debug, Clone, Copy)]
pub(super) struct Pulse {
    pub(super) at: Instant,
    pub(super) uploaded: u64,
    pub(super) downloaded: u64,
}

/// What the user has asked for.
#[derive(Debug, Default)]
pub(super) struct Wish {
    pub(super) removal: Option<Removal>,
    pub(super) relocation: Option<Relocation>,
    pub(super) is_verification: bool,
    /// It is to be loaded anew, since what the user chose has changed.
    pub(super) is_restart: bool,
}

#[derive(Debug)]
pub(super) struct Removal {
    pub(super) with_data: bool,
    pub(super) replies: Vec<Reply<()>>,
}

#[derive(Debug)]
pub(super) struct Relocation {
    pub(super) request: MoveRequest,
    pub(super) reply: Option<Reply<()>>,
}

/// What is to be done next with a torrent that is a row.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Step {
    Delete,
    Relocate,
    Verify,
    /// Nothing, and no peer is let in.
    Rest,
    /// Ask peers what it is.
    AwaitMetadata,
    Look,
    /// Have its files moved to where they belong.
    GoHome,
    /// Fetch what is missing; needs a place in the queue.
    Fetch,
    Load,
    /// Let peers come for it.
    Offer,
}

impl Entry {
    /// What is to be done next.
    pub(super) fn step(&self) -> Step {
        let marks = self.marks;
        match &self.wish {
            Some(wish) if wish.removal.is_some() => Step::Delete,
            Some(wish) if wish.relocation.is_some() => Step::Relocate,
            Some(wish) if wish.is_verification => Step::Verify,
            _ if marks.is_paused || marks.is_failed => Step::Rest,
            _ if !marks.has_info => Step::AwaitMetadata,
            _ if !marks.is_looked_at => Step::Look,
            _ if !marks.is_complete && !marks.is_seed_only => Step::Fetch,
            _ if self.lies_in.is_some() && marks.is_complete => Step::GoHome,
            _ if marks.is_called_for => Step::Load,
            _ => Step::Offer,
        }
    }

    /// What the user wishes, to be added to.
    pub(super) fn wish(&mut self) -> &mut Wish {
        self.wish.get_or_insert_default()
    }

    /// Forgets the wish when nothing is left of it.
    pub(super) fn tidy(&mut self) {
        self.wish = self.wish.take().filter(|wish| wish.is_something());
    }

    /// Whether its swarm must end for what is to be done.
    pub(super) fn must_leave(&self) -> bool {
        self.marks.is_paused
            || self.marks.is_failed
            || self.wish.as_ref().is_some_and(|wish| wish.is_something())
    }

    /// Whether `chore` is in the way of what is to be done.
    pub(super) fn is_obsolete(&self, chore: Chore) -> bool {
        match chore {
            Chore::Delete | Chore::Enroll => false,
            Chore::Relocate => self.wish.as_ref().is_some_and(|wish| wish.removal.is_some()),
            Chore::Verify => {
                self.wish.as_ref().is_none_or(|wish| !wish.is_verification || wish.is_more_than_check())
            }
            Chore::Look | Chore::Load | Chore::Fetch => self.must_leave(),
        }
    }

    /// What is to be remembered when it is stopped at `now_s`. Trackers are told that it goes: they are to hear at once
    /// when it goes on.
    pub(super) fn pausing(&self, now_s: i64) -> Change {
        Change {
            is_paused: Some(true),
            seeded_s: Some(self.seeded_s(now_s)),
            next_announce_s: Some(None),
            ..Change::default()
        }
    }

    /// Seconds that it has been seeded, as of `now_s`.
    pub(super) fn seeded_s(&self, now_s: i64) -> u64 {
        let since = self.seeding_since_s.map_or(0, |since| now_s.saturating_sub(since));
        self.seeded_s + u64::try_from(since).unwrap_or(0)
    }
}

impl Stage {
    /// Whether a swarm runs that waits for metadata, and nothing is done about that yet.
    pub(super) fn is_awaiting(&self) -> bool {
        matches!(self, Self::Loaded(loaded) if loaded.torrent.is_none() && loaded.beginning.is_none())
    }
}

impl Wish {
    fn is_something(&self) -> bool {
        self.is_restart || self.is_verification || self.is_more_than_check()
    }

    fn is_more_than_check(&self) -> bool {
        self.removal.is_some() || self.relocation.is_some()
    }
}

impl Watch {
    /// That of one who hashes.
    pub(super) fn hashing(meter: &Meter) -> Self {
        Self { task: Task::with(meter.clone()), ..Self::default() }
    }

    /// From 0 to 1, once it is known how much there is to do.
    #[allow(clippy::cast_precision_loss, reason = "a part of a bar on a screen")]
    pub(super) fn part(&self) -> Option<f32> {
        let total = self.total.load(Ordering::Relaxed);
        (total > 0).then(|| (self.task.done_bytes() as f32 / total as f32).min(1.0))
    }
}

impl Loaded {
    /// What was moved, ever: sent, and received.
    pub(super) fn moved(&self) -> (u64, u64) {
        let (uploaded, downloaded) = self.moved_before;
        let sent = self.torrent.as_ref().map_or(0, |torrent| torrent.uploaded());
        (uploaded + sent, downloaded + self.standing.borrow().tally.downloaded)
    }
}

impl Removal {
    /// Tells all who asked for it.
    pub(super) fn answer(self, result: &Result<(), ErrorReply>) {
        for reply in self.replies {
            let _ = reply.send(result.clone());
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn entry(marks: Marks) -> Entry {
        Entry {
            info_hash: InfoHash::new([1; 20]),
            stage: Stage::Row,
            marks,
            wish: None,
            stats: None,
            limits: None,
            goals: None,
            lies_in: None,
            completed_at_s: None,
            wasted: 0,
            seeded_s: 5,
            seeding_since_s: None,
            next_announce_s: None,
        }
    }

    #[test]
    fn a_row_takes_one_step_after_another() {
        let mut it = entry(Marks::default());
        assert_eq!(it.step(), Step::AwaitMetadata);
        it.marks.has_info = true;
        assert_eq!(it.step(), Step::Look);
        it.marks.is_looked_at = true;
        assert_eq!(it.step(), Step::Fetch);
        it.marks.is_seed_only = true;
        assert_eq!(it.step(), Step::Offer, "what is missing is never fetched");
        it.marks.is_called_for = true;
        assert_eq!(it.step(), Step::Load);
        (it.marks.is_complete, it.lies_in) = (true, Some("/elsewhere".into()));
        assert_eq!(it.step(), Step::GoHome);
        it.lies_in = None;
        it.marks.is_failed = true;
        assert_eq!(it.step(), Step::Rest);
        it.wish().is_verification = true;
        assert_eq!(it.step(), Step::Verify, "also of one that has failed");
        let request = MoveRequest { dir: "/".to_owned(), is_there: false };
        it.wish().relocation = Some(Relocation { request, reply: None });
        assert_eq!(it.step(), Step::Relocate);
        it.wish().removal = Some(Removal { with_data: false, replies: vec![] });
        assert_eq!(it.step(), Step::Delete);
    }

    #[test]
    fn what_is_in_the_way_of_a_wish_is_stopped() {
        let mut it = entry(Marks::default());
        assert!(!it.must_leave() && !it.is_obsolete(Chore::Look));
        it.wish().is_verification = true;
        assert!(it.must_leave() && it.is_obsolete(Chore::Fetch) && !it.is_obsolete(Chore::Verify));
        it.marks.is_paused = true;
        assert!(!it.is_obsolete(Chore::Verify), "also of one that is paused");
        it.wish().is_verification = false;
        assert!(it.is_obsolete(Chore::Verify), "nobody wants it any more");
        it.wish().removal = Some(Removal { with_data: true, replies: vec![] });
        assert!(it.is_obsolete(Chore::Verify) && it.is_obsolete(Chore::Relocate));
        assert!(!it.is_obsolete(Chore::Delete));
        it.wish = Some(Box::default());
        it.tidy();
        assert!(it.wish.is_none());
    }

    #[test]
    fn time_of_seeding_goes_on() {
        let mut it = entry(Marks::default());
        assert_eq!(it.seeded_s(100), 5);
        it.seeding_since_s = Some(90);
        assert_eq!(
            (it.seeded_s(100), it.seeded_s(80)),
            (15, 5),
            "a clock that was set back takes nothing away"
        );
    }

    #[test]
    fn a_row_is_small() {
        assert!(size_of::<Entry>() <= 168, "{}", size_of::<Entry>());
    }
}
