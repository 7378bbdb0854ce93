//! Payload that is verified while other payload is seeded: what the seeding suffers.

use std::io;
use std::slice;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::Instant;

use super::btd::Btd;
use super::contest::{Entrant, contest};
use super::result::{Outcome, Round, Row};
use super::{Bench, HOT_CONNECTIONS, Part, SERVER_CORE};
use crate::contender::Contender;
use crate::payload;
use crate::torrent::{self, Torrent};

/// The cases.
pub(super) const CASES: [(&str, bool); 2] =
    [("seeding alone", false), ("seeding, another is verified", true)];
/// What is verified meanwhile, in GB a second.
pub(super) const VERIFIED: &str = "verified_gb_per_s";

impl Bench<'_> {
    /// A torrent is seeded, alone and while another is verified, over and over.
    pub(super) fn measure_verify(&self, outcome: &mut Outcome) -> io::Result<()> {
        let path = payload::prepare_number(&self.places.directory, self.settings.size, 1)?;
        let other = torrent::create(&path, torrent::PIECE_LENGTH)?;
        let both = [self.torrent.clone(), other];
        let btd = Btd::start(self.places, "verify", 1, SERVER_CORE, &both);
        let entrants = CASES.map(|(case, is_verifying)| {
            let btd = btd.as_ref().map_err(|error| io::Error::other(error.to_string()));
            let [_, other] = &both;
            let measure = btd.map(|btd| move || self.measure_verifying(btd, is_verifying.then_some(other)));
            Entrant::new(Row::new(Part::Verify, case, Contender::Btd), measure)
        });
        outcome.rows.extend(contest(self.pair_rounds(), entrants.into()));
        Ok(())
    }

    fn measure_verifying(&self, btd: &Btd, other: Option<&Torrent>) -> io::Result<Round> {
        let plan = self.timed_plan(slice::from_ref(&self.torrent), HOT_CONNECTIONS);
        let is_over = AtomicBool::new(false);
        thread::scope(|scope| {
            let verifying = other.map(|other| {
                scope.spawn(|| -> io::Result<()> {
                    while !is_over.load(Ordering::Relaxed) {
                        btd.verify(other)?;
                    }
                    Ok(())
                })
            });
            let (begin, hashed) = (Instant::now(), btd.hashed_bytes());
            let report = plan.run(self.places, btd.address(), btd.pid());
            let rate =
                btd.hashed_bytes().and_then(|now| Ok((now - hashed?) / 1e9 / begin.elapsed().as_secs_f64()));
            is_over.store(true, Ordering::Relaxed);
            if let Some(thread) = verifying {
                thread.join().map_err(|_| io::Error::other("the thread that verifies panicked"))??;
            }
            let mut round = Round::from(report?);
            round.figures.insert(VERIFIED, rate?);
            Ok(round)
        })
    }
}
