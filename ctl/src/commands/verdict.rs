//! When a torrent that is waited for is done: judged by its row, and by what happens to it. Nothing here waits.

use protocol::control::{EventKind, State, Torrent};

use crate::render::units::percent;

/// What torrents are waited for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Goal {
    /// All that is wanted is here.
    Complete,
    /// Its payload has been hashed.
    Checked,
}

/// How things stand.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Verdict {
    /// Not yet.
    Waiting,
    /// It is done.
    Done,
    /// It will not be done, and why.
    Failed(String),
    /// It is not there any more.
    Gone,
    /// What has happened says nothing: its row does.
    Look,
}

impl Goal {
    /// What a row says. A check that was asked for shows from then on until it is over.
    pub(super) fn of_row(self, torrent: &Torrent) -> Verdict {
        let error = || Verdict::Failed(torrent.error.clone().unwrap_or_else(|| "it failed".to_owned()));
        match (self, torrent.state) {
            (Self::Complete, State::Error) => error(),
            (Self::Complete, State::Seeding | State::Paused) if is_whole(torrent) => Verdict::Done,
            (Self::Complete, State::Seeding) => Verdict::Failed(format!(
                "{} of it is there, and it is only to be seeded",
                percent(torrent.progress)
            )),
            (Self::Checked, state) if state != State::Checking => Verdict::Done,
            _ => Verdict::Waiting,
        }
    }

    /// What an event says.
    pub(super) fn of_event(self, event: &EventKind) -> Verdict {
        match (self, event) {
            (_, EventKind::Removed) => Verdict::Gone,
            // An end that one was told of late may be that of an earlier check. A failure ends none but its own.
            (Self::Checked, EventKind::Error { .. } | EventKind::State { from: State::Checking, .. }) => {
                Verdict::Look
            }
            (Self::Checked, _) => Verdict::Waiting,
            (Self::Complete, EventKind::Error { message }) => Verdict::Failed(message.clone()),
            (Self::Complete, EventKind::Completed) => Verdict::Done,
            // A change of what is wanted may have made it complete.
            (Self::Complete, EventKind::State { .. } | EventKind::Changed) => Verdict::Look,
            (Self::Complete, _) => Verdict::Waiting,
        }
    }
}

/// Whether all that is wanted is here. A row that failed tells what was here before.
pub(super) fn is_whole(torrent: &Torrent) -> bool {
    // Nothing is known of the size of one whose metadata is not here.
    let is_known = torrent.size > 0 || torrent.state == State::Seeding;
    is_known && torrent.have >= torrent.size && torrent.state != State::Error
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::render::example;

    #[test]
    fn a_row_says_whether_all_is_here() {
        let row = |state, have| Torrent { state, have, size: 10, ..example() };
        let judge = |state, have| Goal::Complete.of_row(&row(state, have));
        assert_eq!(judge(State::Seeding, 10), Verdict::Done);
        assert!(
            matches!(judge(State::Seeding, 9), Verdict::Failed(_)),
            "what is only seeded is never complete"
        );
        assert_eq!(judge(State::Paused, 10), Verdict::Done);
        assert_eq!(judge(State::Paused, 9), Verdict::Waiting);
        assert_eq!(judge(State::Checking, 10), Verdict::Waiting, "what it had is in doubt");
        let unknown = Torrent { size: 0, have: 0, ..row(State::Paused, 0) };
        assert_eq!(Goal::Complete.of_row(&unknown), Verdict::Waiting);
        let broken = Torrent { error: Some("disk full".to_owned()), ..row(State::Error, 5) };
        assert_eq!(Goal::Complete.of_row(&broken), Verdict::Failed("disk full".to_owned()));
        assert!(!is_whole(&row(State::Error, 10)) && is_whole(&row(State::Paused, 10)));
        assert_eq!(Goal::Checked.of_row(&row(State::Checking, 10)), Verdict::Waiting);
        assert_eq!(Goal::Checked.of_row(&row(State::Seeding, 10)), Verdict::Done);
        assert_eq!(
            Goal::Checked.of_row(&broken),
            Verdict::Done,
            "it has been looked at, and others are still"
        );
    }

    #[test]
    fn an_event_says_what_has_come_to_an_end() {
        let state = |from, to| EventKind::State { from, to };
        let complete = |event: EventKind| Goal::Complete.of_event(&event);
        assert_eq!(complete(EventKind::Completed), Verdict::Done);
        for to in [State::Seeding, State::Downloading] {
            assert_eq!(complete(state(State::Checking, to)), Verdict::Look);
        }
        assert_eq!(complete(EventKind::Removed), Verdict::Gone);
        assert_eq!(complete(EventKind::Error { message: "no".into() }), Verdict::Failed("no".into()));
        assert_eq!(complete(state(State::Downloading, State::Error)), Verdict::Look);
        let checked = |event: EventKind| Goal::Checked.of_event(&event);
        assert_eq!(checked(state(State::Checking, State::Paused)), Verdict::Look);
        assert_eq!(checked(state(State::Seeding, State::Checking)), Verdict::Waiting);
        assert_eq!(checked(EventKind::Completed), Verdict::Waiting);
        assert_eq!(checked(EventKind::Error { message: "no".into() }), Verdict::Look);
    }
}
