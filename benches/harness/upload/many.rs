//! More than one of everything: very many connections over many torrents, very many of which few ask, two workers.

use std::io;
use std::slice;
use std::thread;
use std::time::Duration;

use super::btd::Btd;
use super::contest::{Entrant, contest, once};
use super::result::{Outcome, Round, Row};
use super::{Bench, Part, Plan, SERVER_CORE};
use crate::contender::{self, Contender};
use crate::cores::Cores;
use crate::server::Server;
use crate::torrent::{self, Torrent};
use crate::{payload, size};

/// The case of the reference: the crowd without the many torrents, which it does not tell apart.
pub(super) const ONE_TORRENT: &str = "all on one torrent";
/// The case of btd.
pub(super) const MANY_TORRENTS: &str = "over many torrents";
/// After a while, its memory.
pub(super) const MEMORY: &str = "over many torrents, a minute on";
/// Those that ask, alone.
pub(super) const BUSY: &str = "busy ones alone";
/// And with the others.
pub(super) const AMONG_IDLE: &str = "busy ones among idle ones";
/// Both cases of workers.
pub(super) const WORKERS: [(&str, u16); 2] = [("one worker", 1), ("two workers", 2)];
/// The part of all connections that the worker with the fewest has, and with the most.
pub(super) const WORKER_SHARES: [&str; 2] = ["worker_share_min", "worker_share_max"];
const WORKERS_CONNECTIONS: usize = 64;
/// When the connections of workers are counted: so far into the window, where all were made long ago.
const COUNT_AFTER: f64 = 0.5;

impl Bench<'_> {
    /// Very many connections over many torrents of btd; the reference has the same connections on one.
    pub(super) fn measure_crowd(&self, outcome: &mut Outcome) -> io::Result<()> {
        let (connections, count) = self.settings.crowd;
        let torrents = self.crowd_torrents(count)?;
        let one = slice::from_ref(&self.torrent);
        let plan = self.plan_for(&torrents, connections);
        let btd =
            self.entrant(Row::new(Part::Crowd, MANY_TORRENTS, Contender::Btd), self.btd(&torrents), plan);
        let reference = Contender::Reference.start(self.places, &self.torrent, SERVER_CORE);
        let row = Row::new(Part::Crowd, ONE_TORRENT, Contender::Reference);
        let reference = self.entrant(row, reference, self.plan_for(one, connections));
        outcome.rows.extend(contest(self.settings.rounds, vec![btd, reference]));
        let after = format!("{}s", self.settings.memory_after_s);
        let plan = Plan { warm: "0s".to_owned(), window: after, ..self.plan(&torrents, connections) };
        let row = Row::new(Part::Crowd, MEMORY, Contender::Btd);
        outcome.rows.push(once(self.entrant(row, self.btd(&torrents), plan)));
        Ok(())
    }

    /// A few connections that ask, alone and among very many that do not.
    pub(super) fn measure_idle(&self, outcome: &mut Outcome) {
        let (busy, idle) = self.settings.idle;
        let one = slice::from_ref(&self.torrent);
        let entrants = [(BUSY, 0), (AMONG_IDLE, idle)].map(|(case, idle)| {
            let plan = Plan { idle, ..self.plan(one, busy) };
            self.entrant(Row::new(Part::Idle, case, Contender::Btd), self.btd(one), plan)
        });
        outcome.rows.extend(contest(self.settings.rounds, entrants.into()));
    }

    /// One torrent, one worker and two; here seeder and load may use all cores. The load has two threads: a single one
    /// takes from either worker on whatever core it is on, and what the kernel does of the seeder's work while the load
    /// runs, and the other way round, is charged to the wrong one.
    pub(super) fn measure_workers(&self, outcome: &mut Outcome) {
        let one = slice::from_ref(&self.torrent);
        let entrants = WORKERS.map(|(case, workers)| {
            let btd = Btd::start(self.places, case, workers, Cores::All, one);
            let plan = Plan { core: None, threads: 2, ..self.timed_plan(one, WORKERS_CONNECTIONS) };
            let count_after = Duration::from_secs_f64(self.settings.window_s * COUNT_AFTER);
            let measure = btd.map(|btd| {
                move || {
                    let load = plan.start(self.places, btd.address(), btd.pid())?;
                    thread::sleep(count_after);
                    let shares = worker_shares(&btd.worker_connections()?);
                    let mut round = Round::from(load.finish()?);
                    round.figures.extend(WORKER_SHARES.into_iter().zip(shares));
                    Ok(round)
                }
            });
            Entrant::new(Row::new(Part::Workers, case, Contender::Btd), measure)
        });
        outcome.rows.extend(contest(self.settings.rounds, entrants.into()));
    }

    /// btd with `torrents`, on the core of servers.
    pub(super) fn btd(&self, torrents: &[Torrent]) -> io::Result<Server> {
        Server::start(contender::btd(self.places, torrents), SERVER_CORE, &self.places.log("btd"))
    }

    /// A seeder that does as planned.
    pub(super) fn entrant<'a>(&'a self, row: Row, server: io::Result<Server>, plan: Plan<'a>) -> Entrant<'a> {
        let measure =
            server.map(|server| move || Ok(plan.run(self.places, server.address(), server.pid())?.into()));
        Entrant::new(row, measure)
    }

    /// So many torrents, together of the size of the one.
    fn crowd_torrents(&self, count: usize) -> io::Result<Vec<Torrent>> {
        let size = (self.settings.size / count as u64).next_multiple_of(torrent::PIECE_LENGTH);
        let folder = self.places.directory.join(format!("crowd-{}", size::show(size).replace(' ', "")));
        (1..=count as u64)
            .map(|number| {
                let path = payload::prepare_number(&folder, size, number)?;
                torrent::create(&path, torrent::PIECE_LENGTH)
            })
            .collect()
    }
}

/// The least and the greatest part of all `connections` that a worker has.
fn worker_shares(connections: &[f64]) -> [f64; 2] {
    let all: f64 = connections.iter().sum();
    let share = |pick: fn(f64, f64) -> f64| connections.iter().copied().reduce(pick).unwrap_or(0.0) / all;
    [share(f64::min), share(f64::max)]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn shares_of_workers_are_parts_of_all_connections() {
        assert_eq!(worker_shares(&[1.0, 3.0]), [0.25, 0.75]);
        assert_eq!(worker_shares(&[5.0]), [1.0, 1.0]);
    }
}
