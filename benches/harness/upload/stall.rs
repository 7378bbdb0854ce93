//! Payload on a file system that stalls: what other torrents suffer, and how soon the control API answers.

use std::io;
use std::slice;
use std::thread;
use std::time::Duration;

use super::btd::Btd;
use super::contest::{Entrant, contest};
use super::result::{Outcome, Round, Row};
use super::{Bench, HOT_CONNECTIONS, Part, Plan, SERVER_CORE};
use crate::contender::Contender;
use crate::latencies::Latencies;
use crate::load::Order;
use crate::payload;
use crate::slow_folder::SlowFolder;
use crate::torrent::{self, Torrent};

/// The cases.
pub(super) const CASES: [(&str, bool); 2] = [("hot, alone", false), ("hot, beside one that stalls", true)];
/// How long an answer of the control API took, at most and half of them.
pub(super) const API: [&str; 2] = ["api_max_ms", "api_p50_ms"];
const STALLED_CONNECTIONS: usize = 16;
const API_PERIOD: Duration = Duration::from_millis(50);

impl Bench<'_> {
    /// A hot torrent, alone and beside one whose reads each take half a second.
    pub(super) fn measure_stall(&self, outcome: &mut Outcome) -> io::Result<()> {
        let path = payload::prepare_number(&self.places.directory, self.settings.size, 1)?;
        let behind = torrent::create(&path, torrent::PIECE_LENGTH)?;
        let started = SlowFolder::mount(&self.places.directory.join("slow"), &path).and_then(|folder| {
            let stalled = Torrent { payload: folder.path(), ..behind.clone() };
            let btd = Btd::start(self.places, "stall", 1, SERVER_CORE, &[self.torrent.clone(), stalled])?;
            folder.set_slow(true);
            // In this order: a folder of which a file is open is not unmounted.
            Ok((btd, folder))
        });
        let entrants = CASES.map(|(case, is_beside)| {
            let started = started.as_ref().map_err(|error| io::Error::other(error.to_string()));
            let behind = &behind;
            let measure =
                started.map(|(btd, _)| move || self.measure_beside(btd, is_beside.then_some(behind)));
            Entrant::new(Row::new(Part::Stall, case, Contender::Btd), measure)
        });
        outcome.rows.extend(contest(self.pair_rounds(), entrants.into()));
        Ok(())
    }

    /// One round: the hot torrent is measured while `behind` is asked for, too.
    fn measure_beside(&self, btd: &Btd, behind: Option<&Torrent>) -> io::Result<Round> {
        let (address, pid) = (btd.address(), btd.pid());
        let beside = behind.map(|torrent| Plan {
            order: Order::Random,
            warm: "0s".to_owned(),
            window: "60s".to_owned(),
            ..self.plan(slice::from_ref(torrent), STALLED_CONNECTIONS)
        });
        let mut beside = beside.map(|plan| plan.start(self.places, address, pid)).transpose()?;
        let mut load = self.timed_plan(slice::from_ref(&self.torrent), HOT_CONNECTIONS).start(
            self.places,
            address,
            pid,
        )?;
        let mut times = Latencies::default();
        while load.is_running()? {
            times.add(btd.answer_time()?);
            thread::sleep(API_PERIOD);
        }
        if let Some(load) = &mut beside
            && !load.is_running()?
        {
            return Err(io::Error::other("the load on the torrent that stalls has ended"));
        }
        let mut round = Round::from(load.finish()?);
        let times = times.quantiles();
        round.figures.extend(API.into_iter().zip([times.max_us / 1e3, times.p50_us / 1e3]));
        Ok(round)
    }
}
