//! Who announces what: torrents of so many peers each, all of them at addresses of loopback from which we really send.
//!
//! Everything about a peer follows from its number, and its number from its address, so that any answer can be checked
//! without a table.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};

use protocol::announce::{Announce, Event};
use protocol::id::{InfoHash, PeerId};
use sha1::{Digest, Sha1};

/// Least port of a peer.
const FIRST_PORT: u32 = 10_000;
/// Source addresses are spread over so many networks of 127.0.0.0/8.
const NETWORKS: u32 = 200;
const FIRST_NETWORK: u32 = 16;
/// One peer in so many is a seed, the first of each torrent among them.
const PEERS_PER_SEED: u32 = 4;

/// Torrents and their peers. Those of different `salt` are different torrents.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Population {
    pub(super) torrents: u32,
    pub(super) peers_each: u32,
    /// Addresses: at least as many as a torrent has peers, at most 50,000, and one for each 50,000 peers.
    pub(super) sources: u32,
    pub(super) salt: u32,
}

impl Population {
    pub(super) fn peers(&self) -> u32 {
        self.torrents * self.peers_each
    }

    pub(super) fn torrent_of(&self, peer: u32) -> u32 {
        peer / self.peers_each
    }

    pub(super) fn info_hash(&self, torrent: u32) -> InfoHash {
        let numbers = (u64::from(self.salt) << 32) | u64::from(torrent);
        InfoHash::new(Sha1::digest(numbers.to_be_bytes()).into())
    }

    pub(super) fn is_seed(&self, peer: u32) -> bool {
        (peer % self.peers_each).is_multiple_of(PEERS_PER_SEED)
    }

    /// Seeds of each torrent.
    pub(super) fn seeds_each(&self) -> u32 {
        self.peers_each.div_ceil(PEERS_PER_SEED)
    }

    /// Leechers of each torrent.
    pub(super) fn leechers_each(&self) -> u32 {
        self.peers_each - self.seeds_each()
    }

    /// Number of the address from which a peer announces.
    pub(super) fn source_of(&self, peer: u32) -> u32 {
        peer % self.sources
    }

    /// The port at which it says that it listens.
    pub(super) fn port(&self, peer: u32) -> u16 {
        u16::try_from(FIRST_PORT + peer / self.sources).unwrap_or(u16::MAX)
    }

    /// Number of the peer at `address`, if one of ours is there.
    pub(super) fn peer_at(&self, address: SocketAddr) -> Option<u32> {
        let IpAddr::V4(ip) = address.ip() else { return None };
        let [_, network, middle, _] = ip.octets();
        let source = u32::from(network).checked_sub(FIRST_NETWORK)? + u32::from(middle) * NETWORKS;
        let row = u32::from(address.port()).checked_sub(FIRST_PORT)?;
        let peer = row * self.sources + source;
        (source < self.sources && source_address(source) == ip && peer < self.peers()).then_some(peer)
    }

    /// What a peer says.
    pub(super) fn announce(&self, peer: u32, event: Event, num_want: u32) -> Announce {
        let mut id = *b"-XX0001-000000000000";
        id[8..].copy_from_slice(format!("{:04}{peer:08x}", self.salt % 10_000).as_bytes());
        Announce {
            info_hash: self.info_hash(self.torrent_of(peer)),
            peer_id: PeerId::new(id),
            port: self.port(peer),
            uploaded: 0,
            downloaded: 0,
            left: if self.is_seed(peer) { 0 } else { 1 << 30 },
            event,
            num_want: Some(num_want),
            key: Some(peer),
            tracker_id: None,
        }
    }
}

/// The address of loopback with that number.
pub(super) fn source_address(source: u32) -> Ipv4Addr {
    let byte = |number: u32| u8::try_from(number % 256).unwrap_or_default();
    Ipv4Addr::new(
        127,
        byte(FIRST_NETWORK + source % NETWORKS),
        byte(source / NETWORKS),
        byte(1 + source % 250),
    )
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::*;

    #[test]
    fn each_peer_has_an_address_of_its_own_that_leads_back_to_it() {
        let population = Population { torrents: 5_000, peers_each: 20, sources: 1_000, salt: 3 };
        let mut seen = HashSet::new();
        for peer in 0..population.peers() {
            let ip = source_address(population.source_of(peer));
            let address = SocketAddr::from((ip, population.port(peer)));
            assert!(ip.is_loopback() && seen.insert(address), "{address}");
            assert_eq!(population.peer_at(address), Some(peer));
        }
        for stranger in
            ["127.0.0.1:10000", "127.16.0.1:9999", "127.16.0.1:10100", "127.16.0.2:10000", "[::1]:10000"]
        {
            assert_eq!(population.peer_at(stranger.parse().unwrap()), None, "{stranger}");
        }
    }

    #[test]
    fn seeds_are_as_many_as_is_said() {
        for peers_each in [1, 2, 4, 5, 20] {
            let population = Population { torrents: 3, peers_each, sources: 64, salt: 0 };
            let seeds = (0..peers_each).filter(|peer| population.is_seed(peers_each + peer)).count();
            assert_eq!(u32::try_from(seeds), Ok(population.seeds_each()));
            assert_eq!(population.announce(0, Event::None, 5).left, 0);
        }
        let salted = |salt| Population { torrents: 3, peers_each: 2, sources: 64, salt };
        assert_ne!(salted(1).info_hash(2), salted(2).info_hash(2));
    }
}
