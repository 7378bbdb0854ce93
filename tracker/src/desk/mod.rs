//! What both doors do with a request: is it from somebody who may ask, about something that is tracked, and not too often?
//! Then the swarms are asked. The doors read and write; the desk decides.
//!
//! One [`Desk`] is shared by all threads; each thread has a [`Clerk`] with what it needs for itself.

mod clerk;
mod clock;
mod refusal;

use std::sync::Arc;
use std::time::Duration;

use arc_swap::ArcSwap;

use crate::access::Access;
use crate::figures::{Counters, Door, Figures, Reading};
use crate::limits::{Rate, RateTable};
use crate::swarms::{Capacity, Rules, Swarms};

pub use clerk::{Clerk, Form, Told, Visitor};
pub use clock::{Clock, Now};
pub use refusal::Refusal;

/// Buckets of rates: for as many addresses that ask at the same time, in 2 MiB.
const RATE_SLOTS: usize = 1 << 18;
/// Intervals are so much longer or shorter, in percent: whoever starts together is spread by and by.
const JITTER_PERCENT: u32 = 10;
/// How much longer than two of the longest intervals a peer may be silent, beside a tenth of an interval: announces take a
/// while, and clients count in seconds.
const SILENCE_MARGIN: Duration = Duration::from_secs(2);

/// What answers go by. It can be changed while the tracker runs.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Terms {
    /// When to announce again, before jitter.
    pub interval: Duration,
    /// How long to wait at least.
    pub min_interval: Duration,
    /// Peers in an answer where the asker does not say.
    pub numwant: usize,
    /// Most peers in an answer.
    pub numwant_max: usize,
    /// What the tracker calls itself; empty where it does not.
    pub tracker_id: String,
    /// Announces and scrapes of one address, or one /64.
    pub rate: Rate,
    /// Peers of one address in one torrent; 0 is no limit.
    pub peers_per_address: u32,
    /// How much there may be in all.
    pub capacity: Capacity,
}

impl Terms {
    /// After how long a peer that is silent is taken for gone: two of the longest intervals, and a margin.
    pub fn peer_timeout(&self) -> Duration {
        let longest = self.interval * (100 + JITTER_PERCENT) / 100;
        longest * 2 + self.interval / 10 + SILENCE_MARGIN
    }

    /// What swarms go by.
    pub fn rules(&self) -> Rules {
        let seconds = |time: Duration| u32::try_from(time.as_secs()).unwrap_or(u32::MAX);
        Rules { min_interval_s: seconds(self.min_interval), peers_per_home: self.peers_per_address }
    }
}

/// All that threads share.
#[derive(Debug)]
pub struct Desk {
    swarms: Swarms,
    access: Access,
    rates: RateTable,
    terms: ArcSwap<Terms>,
    clock: Clock,
    figures: Figures,
}

impl Desk {
    /// A desk at which `swarms` are asked, and the time is that of `clock`.
    pub fn new(terms: Terms, swarms: Swarms, access: Access, clock: Clock) -> Arc<Self> {
        Arc::new(Self {
            swarms,
            access,
            rates: RateTable::new(RATE_SLOTS, rand::random()),
            terms: ArcSwap::from_pointee(terms),
            clock,
            figures: Figures::default(),
        })
    }

    /// A clerk for one more thread.
    pub fn clerk(self: &Arc<Self>, door: Door) -> Clerk {
        Clerk::new(Arc::clone(self), self.figures.counters(door))
    }

    /// Counters for what no clerk sees.
    pub fn counters(&self, door: Door) -> Arc<Counters> {
        self.figures.counters(door)
    }

    /// Goes by other terms from now on.
    pub fn set_terms(&self, terms: Terms) {
        self.swarms.set_rules(terms.rules(), terms.capacity);
        self.terms.store(Arc::new(terms));
    }

    /// What answers go by.
    pub fn terms(&self) -> Arc<Terms> {
        self.terms.load_full()
    }

    /// The torrents.
    pub fn swarms(&self) -> &Swarms {
        &self.swarms
    }

    /// What is tracked, and for whom.
    pub fn access(&self) -> &Access {
        &self.access
    }

    /// The time.
    pub fn clock(&self) -> &Clock {
        &self.clock
    }

    /// All figures of this moment.
    pub fn figures(&self) -> Reading {
        Reading {
            totals: self.swarms.totals(),
            evicted: self.swarms.evicted(),
            sums: self.figures.sums(),
            uptime: self.clock.uptime(),
        }
    }
}

#[cfg(test)]
pub(crate) mod tests;
