//! Addresses that are neither dialled nor let in.
//!
//! Owned by the candidates of a torrent. Forgets the oldest when there are too many.

use std::collections::{BTreeSet, VecDeque};
use std::net::{IpAddr, Ipv4Addr, SocketAddr};

/// Bans that are kept: more come only of an attack with whole networks, and then the oldest matter least.
pub(super) const MAX_BANS: usize = 10_000;

/// What is banned.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Ban {
    /// Every port of a host.
    Host(IpAddr),
    /// One port of it.
    Addr(SocketAddr),
}

impl Ban {
    /// The ban that stops whoever is at `addr`: its host, unless others are likely to share the address.
    pub(super) fn of(addr: SocketAddr) -> Self {
        if is_shared(addr.ip()) { Self::Addr(addr) } else { Self::Host(addr.ip()) }
    }
}

/// All bans of a torrent.
#[derive(Debug, Default)]
pub(super) struct Bans {
    set: BTreeSet<Ban>,
    /// The oldest first.
    order: VecDeque<Ban>,
}

impl Bans {
    pub(super) fn insert(&mut self, ban: Ban) {
        if self.set.insert(ban) {
            self.order.push_back(ban);
        }
        if self.order.len() > MAX_BANS
            && let Some(oldest) = self.order.pop_front()
        {
            self.set.remove(&oldest);
        }
    }

    pub(super) fn contains(&self, addr: SocketAddr) -> bool {
        self.set.contains(&Ban::Host(addr.ip())) || self.set.contains(&Ban::Addr(addr))
    }
}

/// Whether many peers may stand behind one address of this kind: processes of this machine, or a network behind one
/// router (RFC 1918, RFC 6598, RFC 4193).
fn is_shared(ip: IpAddr) -> bool {
    match ip {
        IpAddr::V4(ip) => ip.is_loopback() || ip.is_private() || ip.is_link_local() || is_carrier_grade(ip),
        IpAddr::V6(ip) => ip.is_loopback() || ip.is_unique_local() || ip.is_unicast_link_local(),
    }
}

/// Whether a provider shares the address among its customers: 100.64.0.0/10.
fn is_carrier_grade(ip: Ipv4Addr) -> bool {
    let [first, second, ..] = ip.octets();
    first == 100 && second & 0b1100_0000 == 64
}
