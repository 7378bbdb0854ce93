//! One thread's part of the desk: it asks the swarms, with chance and memory of its own.

use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use arc_swap::Guard;
use protocol::announce::{Announce, Event, Family, ScrapeEntry};
use protocol::id::InfoHash;
use rand::rngs::SmallRng;
use rand::{RngExt, SeedableRng};

use super::{Desk, JITTER_PERCENT, Now, Refusal, Terms};
use crate::figures::Counters;
use crate::swarms::{Asked, Chosen, State};

/// Works for one thread.
#[derive(Debug)]
pub struct Clerk {
    desk: Arc<Desk>,
    counters: Arc<Counters>,
    rng: SmallRng,
    chosen: Chosen,
}

/// Who asks, and how.
#[derive(Debug, Clone, Copy)]
pub struct Visitor<'a> {
    /// Where the request came from; an IPv4 address as such.
    pub ip: IpAddr,
    /// What it was asked with.
    pub passkey: Option<&'a [u8]>,
    /// When.
    pub now: Now,
}

/// How peers are to be told.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Form {
    /// Of which family; `None` for both.
    pub family: Option<Family>,
    /// With their ids.
    pub has_ids: bool,
    /// No more than the answer has room for.
    pub most: usize,
}

/// An answer to an announce.
#[derive(Debug)]
pub struct Told<'a> {
    /// How many peers there are.
    pub numbers: ScrapeEntry,
    /// When to announce again.
    pub interval: Duration,
    /// What else answers go by.
    pub terms: Guard<Arc<Terms>>,
    /// Some of the peers.
    pub chosen: &'a Chosen,
}

impl Clerk {
    pub(super) fn new(desk: Arc<Desk>, counters: Arc<Counters>) -> Self {
        let rng = SmallRng::from_rng(&mut rand::rng());
        Self { desk, counters, rng, chosen: Chosen::default() }
    }

    /// What is shared.
    pub fn desk(&self) -> &Arc<Desk> {
        &self.desk
    }

    /// What this thread counts.
    pub fn counters(&self) -> &Arc<Counters> {
        &self.counters
    }

    /// Takes note of an announce and answers it.
    ///
    /// # Errors
    /// When the visitor may not ask that, or not now. It is counted.
    pub fn announce(
        &mut self,
        visitor: Visitor<'_>,
        announce: &Announce,
        form: Form,
    ) -> Result<Told<'_>, Refusal> {
        // Not an `Arc` of our own, whose count all threads would write to.
        let terms = self.desk.terms.load();
        let result = self.try_announce(visitor, announce, form, &terms);
        match result {
            Ok(numbers) => {
                let chosen = &self.chosen;
                self.counters.announced(Family::of(visitor.ip), chosen.v4.len() / 6 + chosen.v6.len() / 18);
                let interval = jitter(terms.interval, &mut self.rng);
                Ok(Told { numbers, interval, terms, chosen })
            }
            Err(refusal) => {
                self.counters.refused(refusal.reason());
                Err(refusal)
            }
        }
    }

    fn try_announce(
        &mut self,
        visitor: Visitor<'_>,
        announce: &Announce,
        form: Form,
        terms: &Terms,
    ) -> Result<ScrapeEntry, Refusal> {
        self.admit(visitor, terms)?;
        self.desk.access.check_torrent(&announce.info_hash)?;
        let wanted = announce.num_want.map_or(terms.numwant, |wanted| wanted as usize);
        let asked = Asked {
            info_hash: announce.info_hash,
            address: SocketAddr::new(visitor.ip, announce.port),
            peer_id: announce.peer_id,
            key: announce.key,
            state: state(announce),
            event: announce.event,
            wanted: wanted.min(terms.numwant_max).min(form.most),
            family: form.family,
        };
        self.chosen.clear();
        self.chosen.ids = form.has_ids.then(Vec::new);
        Ok(self.desk.swarms.announce(&asked, visitor.now.s, &mut self.rng, &mut self.chosen)?)
    }

    /// Tells how many peers torrents have; zeros for those that are not known or not tracked.
    ///
    /// # Errors
    /// When the visitor may not ask, or not now. It is counted.
    pub fn scrape(
        &mut self,
        visitor: Visitor<'_>,
        hashes: &[InfoHash],
    ) -> Result<impl Iterator<Item = ScrapeEntry>, Refusal> {
        let terms = self.desk.terms.load();
        self.admit(visitor, &terms).inspect_err(|refusal| self.counters.refused(refusal.reason()))?;
        self.counters.scraped();
        Ok(hashes.iter().map(|info_hash| match self.desk.access.check_torrent(info_hash) {
            Ok(()) => self.desk.swarms.scrape(info_hash),
            Err(_) => ScrapeEntry { downloaders: Some(0), ..ScrapeEntry::default() },
        }))
    }

    /// Whether the visitor may ask at all, and now. Whoever asks too often is told so before anything is looked up.
    fn admit(&self, visitor: Visitor<'_>, terms: &Terms) -> Result<(), Refusal> {
        let rates = &self.desk.rates;
        rates.admit_address(visitor.ip, visitor.now.ms, terms.rate)?;
        Ok(self.desk.access.check_passkey(visitor.passkey)?)
    }
}

/// What a peer has that says so.
fn state(announce: &Announce) -> State {
    match announce.left {
        0 => State::Seed,
        _ if announce.event == Event::Paused => State::Paused,
        _ => State::Leecher,
    }
}

/// An interval about as long, in whole seconds, as it is told; never none.
fn jitter(interval: Duration, rng: &mut SmallRng) -> Duration {
    let tenth = interval * JITTER_PERCENT / 100;
    let exact = rng.random_range(interval.saturating_sub(tenth)..=interval + tenth);
    let half_second = Duration::from_millis(500);
    Duration::from_secs((exact + half_second).as_secs().max(1))
}
