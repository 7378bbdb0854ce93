//! Limits of rate by address, in memory that does not grow: a table of fixed size, where of each address that asked
//! lately stands only when it will have paid for what it was given. Threads of both doors ask it before they do anything
//! else; nobody waits for a lock, and time is an argument.
//!
//! The rule is the generic cell rate algorithm (ITU-T I.371), a token bucket told as one number: the theoretical arrival
//! time. A number that has passed means as much as no number at all, so the slot with the oldest can always be given away:
//! addresses that ask once only push out each other, and not one that has used up its burst.

use std::hash::Hasher;
use std::net::{IpAddr, Ipv6Addr};
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use siphasher::sip::SipHasher13;

/// Slots of a set: a key may stand in any of them. 32 bytes, so that a set never lies in two cache lines.
const WAYS: usize = 4;
/// Low bits of a slot, the arrival time in microseconds since the start. It wraps after twelve days, when what is older
/// than [`MAX_AHEAD_US`] is not taken for what is to come.
const TIME_BITS: u32 = 40;
const TIME_MASK: u64 = (1 << TIME_BITS) - 1;
/// Furthest arrival time: a quarter of what 40 bits hold, three days. A burst that takes longer to be paid is cut.
const MAX_AHEAD_US: u64 = 1 << (TIME_BITS - 2);
/// How far the times of two threads may be apart: each reads the clock when it wakes, and may be kept from going on.
const MAX_SKEW_US: u64 = 10_000_000;
/// How often a slot is tried that others change meanwhile, before the request is let through uncounted.
const ATTEMPTS: usize = 4;
const US_PER_S: u64 = 1_000_000;

/// What an address may ask. None a second means as much as it likes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Rate {
    /// Requests a second, for as long as it likes. Over a million count as a million.
    pub per_s: u32,
    /// Requests at once, by who has not asked for long. None count as one.
    pub burst: u32,
}

/// Whose requests are counted together: one address, or a network.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct RateKey {
    bits: u128,
    prefix: u8,
}

/// An address has asked too much.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("too many requests from this address")]
pub struct RetryAfter(
    /// When the next request will be let through, if none comes before.
    pub Duration,
);

/// Who has asked how much lately.
#[derive(Debug)]
pub struct RateTable {
    sets: Box<[Set]>,
    key: [u8; 16],
}

/// Fingerprint and arrival time of each: 24 and 40 bits. All zeros is nobody.
#[derive(Debug, Default)]
#[repr(align(32))]
struct Set([AtomicU64; WAYS]);

/// A [`Rate`] as the algorithm takes it.
#[derive(Debug, Clone, Copy)]
struct Spacing {
    /// Time that a request costs.
    each_us: u64,
    /// Most time that may be owed.
    most_us: u64,
}

impl RateKey {
    /// The keys of `ip`: itself, and for IPv6 its /64 too, which is what one customer has at least.
    pub fn of(ip: IpAddr) -> (Self, Option<Self>) {
        match ip.to_canonical() {
            IpAddr::V4(ip) => (Self::of_prefix(ip.to_ipv6_mapped(), 128), None),
            IpAddr::V6(ip) => (Self::of_prefix(ip, 128), Some(Self::of_prefix(ip, 64))),
        }
    }

    fn of_prefix(ip: Ipv6Addr, prefix: u8) -> Self {
        let bits = u128::from(ip);
        let host_bits = 128 - u32::from(prefix);
        Self { bits: bits >> host_bits << host_bits, prefix }
    }
}

impl Spacing {
    /// `None` for no limit.
    fn of(rate: Rate) -> Option<Self> {
        // Rounded in favour of who asks.
        let each_us = US_PER_S.checked_div(rate.per_s.into())?.max(1);
        let most_us = (u64::from(rate.burst.max(1)) * each_us).min(MAX_AHEAD_US);
        Some(Self { each_us, most_us })
    }
}

impl RateTable {
    /// A table of at least `slots` addresses, rounded up to a power of two, 8 bytes each. `key` is drawn at random: who
    /// knew it could choose addresses that share a set.
    pub fn new(slots: usize, key: [u8; 16]) -> Self {
        let sets = slots.next_power_of_two().div_ceil(WAYS);
        Self { sets: (0..sets).map(|_| Set::default()).collect(), key }
    }

    /// How many addresses it can tell apart at a time.
    pub fn slots(&self) -> usize {
        self.sets.len() * WAYS
    }

    /// Counts a request of `ip` at `now_ms`, by all its keys. One that is refused for its network is still counted for
    /// its address.
    ///
    /// # Errors
    /// When one of its keys is over `limit`.
    pub fn admit_address(&self, ip: IpAddr, now_ms: u64, limit: Rate) -> Result<(), RetryAfter> {
        let (address, network) = RateKey::of(ip);
        // The address first: one that is refused does not use up what its neighbours have.
        self.admit(address, now_ms, limit)?;
        network.map_or(Ok(()), |network| self.admit(network, now_ms, limit))
    }

    /// Counts a request of `key` at `now_ms`, milliseconds since some start. If threads race for a slot, one more
    /// request may be let through than `limit` says.
    ///
    /// # Errors
    /// When it is over `limit`; the request is not counted.
    pub fn admit(&self, key: RateKey, now_ms: u64, limit: Rate) -> Result<(), RetryAfter> {
        let Some(Spacing { each_us, most_us }) = Spacing::of(limit) else { return Ok(()) };
        let now_us = now_ms.wrapping_mul(1_000);
        let (set, fingerprint) = self.place(key);
        for _ in 0..ATTEMPTS {
            let (slot, word, ahead_us) = set.find(fingerprint, now_us, most_us);
            let next_us = ahead_us + each_us;
            if next_us > most_us {
                return Err(RetryAfter(Duration::from_micros(next_us - most_us)));
            }
            let next = (fingerprint << TIME_BITS) | (now_us.wrapping_add(next_us) & TIME_MASK);
            if slot.compare_exchange(word, next, Ordering::Relaxed, Ordering::Relaxed).is_ok() {
                return Ok(());
            }
        }
        Ok(())
    }

    /// The set that `key` stands in, and what it is known by there: never 0.
    fn place(&self, key: RateKey) -> (&Set, u64) {
        let mut hasher = SipHasher13::new_with_key(&self.key);
        hasher.write(&key.bits.to_ne_bytes());
        hasher.write_u8(key.prefix);
        let hash = hasher.finish();
        // The fingerprint is the high bits; there are never so many sets that the index meets them.
        let index = usize::try_from(hash & TIME_MASK).unwrap_or(0) & (self.sets.len() - 1);
        (&self.sets[index], (hash >> TIME_BITS).max(1))
    }
}

impl Set {
    /// The slot of `fingerprint`, what stands in it, and how far its arrival time is ahead; or the slot that means least.
    fn find(&self, fingerprint: u64, now_us: u64, most_us: u64) -> (&AtomicU64, u64, u64) {
        let [first, ..] = &self.0;
        let mut least = (first, 0, u64::MAX);
        for slot in &self.0 {
            let word = slot.load(Ordering::Relaxed);
            let ahead_us = ahead_us(word, now_us, most_us);
            if word >> TIME_BITS == fingerprint {
                return (slot, word, ahead_us);
            }
            if ahead_us < least.2 {
                least = (slot, word, ahead_us);
            }
        }
        (least.0, least.1, 0)
    }
}

/// How far the arrival time of `word` is ahead of `now_us`. What is further than this limit lets anyone get, and than
/// clocks differ, is long past, or was another limit's: 0.
fn ahead_us(word: u64, now_us: u64, most_us: u64) -> u64 {
    let ahead_us = word.wrapping_sub(now_us) & TIME_MASK;
    if ahead_us <= most_us + MAX_SKEW_US { ahead_us } else { 0 }
}

#[cfg(test)]
mod tests;
