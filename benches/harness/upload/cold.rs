//! Payload that is not in memory, and is kept from it: what is read from disk for what is sent, and what a torrent that
//! is in memory suffers from one that is not.

use std::cell::RefCell;
use std::io;
use std::slice;

use super::contest::{Entrant, contest};
use super::result::{Outcome, Round, Row};
use super::{Bench, HOT_CONNECTIONS, Part, Plan};
use crate::contender::Contender;
use crate::load::Order;
use crate::memory_limit::MemoryLimit;
use crate::payload;
use crate::server::Server;
use crate::torrent::{self, Torrent};

/// The cases of cold payload.
pub(super) const ORDERS: [(&str, Order); 2] =
    [("cold, in order", Order::InOrder), ("cold, at random", Order::Random)];
/// A torrent in memory, alone and beside one that is not.
pub(super) const HOT: [(&str, bool); 2] = [("hot, alone", false), ("hot, beside a cold one", true)];
const COLD_CONNECTIONS: usize = 4;
/// What the cold torrent is asked for while the hot one is measured: some 16 MB a second from all over it.
const COLD_RATE: f64 = 1_000.0;
/// What the seeder may have in memory of cold payload: a part of it.
const LIMIT_PER_SIZE: u64 = 4;
/// The least that it may have in memory: for itself, and for what is on the way.
const MIN_LIMIT: u64 = 160 << 20;

/// Less was read from disk for what was sent: the payload was not cold.
const MIN_DISK_SHARE: f64 = 0.9;

/// btd with little memory for what it reads. Its fields are dropped in this order: the limit goes after the process.
#[derive(Debug)]
struct Limited {
    server: Server,
    limit: MemoryLimit,
}

impl Limited {
    /// Has the kernel forget the payload of `cold`.
    fn cool(&self, cold: &Torrent) -> io::Result<()> {
        self.limit.reclaim();
        payload::cool(&cold.payload)
    }
}

impl Bench<'_> {
    /// All blocks once, in order and at random; then a hot torrent without a cold one and with it. Each round has a seeder
    /// of its own: what another has mapped is not forgotten. But the hot torrent has the same both times, for seeders differ
    /// in speed by more than what is looked for.
    pub(super) fn measure_cold(&self, outcome: &mut Outcome) -> io::Result<()> {
        let path = payload::prepare_number(&self.places.directory, self.settings.size, 1)?;
        let cold = torrent::create(&path, torrent::PIECE_LENGTH)?;
        let both = &[self.torrent.clone(), cold];
        let orders = ORDERS.map(|(case, order)| {
            let measure = Ok(move || self.measure_order(&both[1], order));
            Entrant::new(Row::new(Part::Cold, case, Contender::Btd), measure)
        });
        outcome.rows.extend(contest(self.settings.rounds, orders.into()));
        let started = &RefCell::new(None);
        let hot = HOT.map(|(case, is_beside)| {
            let measure = move || match (is_beside, started.take()) {
                (false, _) => {
                    let limited = self.limited(both)?;
                    let round = self.measure_hot(&limited.server, &both[0])?;
                    started.replace(Some(limited));
                    Ok(round)
                }
                (true, Some(limited)) => {
                    limited.cool(&both[1])?;
                    self.measure_beside_cold(&limited.server, both)
                }
                (true, None) => Err(io::Error::other("btd was not measured alone")),
            };
            Entrant::new(Row::new(Part::Cold, case, Contender::Btd), Ok(measure))
        });
        outcome.rows.extend(contest(self.pair_rounds(), hot.into()));
        Ok(())
    }

    fn measure_order(&self, cold: &Torrent, order: Order) -> io::Result<Round> {
        let limited = self.limited(slice::from_ref(cold))?;
        let plan = Plan {
            order,
            warm: "0s".to_owned(),
            window: self.settings.size.to_string(),
            ..self.plan(slice::from_ref(cold), COLD_CONNECTIONS)
        };
        limited.cool(cold)?;
        let Limited { server, .. } = &limited;
        let round = Round::from(plan.run(self.places, server.address(), server.pid())?);
        match round.disk_share() {
            Some(share) if share < MIN_DISK_SHARE => Err(io::Error::other(format!(
                "the payload was not cold: {share:.2} of it was read from disk"
            ))),
            _ => Ok(round),
        }
    }

    fn measure_hot(&self, server: &Server, hot: &Torrent) -> io::Result<Round> {
        let plan = self.timed_plan(slice::from_ref(hot), HOT_CONNECTIONS);
        Ok(plan.run(self.places, server.address(), server.pid())?.into())
    }

    fn measure_beside_cold(&self, server: &Server, [hot, cold]: &[Torrent; 2]) -> io::Result<Round> {
        let beside = Plan {
            order: Order::Random,
            rate: Some(COLD_RATE),
            warm: "0s".to_owned(),
            window: "60s".to_owned(),
            ..self.plan(slice::from_ref(cold), COLD_CONNECTIONS)
        };
        let mut beside = beside.start(self.places, server.address(), server.pid())?;
        let round = self.measure_hot(server, hot)?;
        if !beside.is_running()? {
            return Err(io::Error::other("the load on the cold torrent has ended"));
        }
        Ok(round)
    }

    /// btd with `torrents`, from here on with little memory for what it reads.
    fn limited(&self, torrents: &[Torrent]) -> io::Result<Limited> {
        let server = self.btd(torrents)?;
        let bytes = (self.settings.size / LIMIT_PER_SIZE).max(MIN_LIMIT);
        let limit = MemoryLimit::new(&format!("btd-bench-{}", server.pid()), bytes)?;
        limit.add(server.pid())?;
        Ok(Limited { server, limit })
    }
}
