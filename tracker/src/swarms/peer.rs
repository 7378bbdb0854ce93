//! A peer of a torrent, packed: no padding, no pointer, and its address as it goes over the wire, so that naming it to
//! another peer is copying bytes.

use std::net::{IpAddr, SocketAddr};

/// Bytes of an IPv4 address and a port.
pub(super) const V4: usize = 6;
/// Bytes of an IPv6 address and a port.
pub(super) const V6: usize = 18;
/// Of an IPv6 address: the network that one customer has, as a household or a host.
const HOME_V6: usize = 8;

/// Bits of a stamp below its time.
const FLAG_BITS: u32 = 3;
const IS_SEED: u32 = 1;
const IS_PAUSED: u32 = 2;
const HAS_COMPLETED: u32 = 4;

/// Address and port, in network byte order: [`V4`] or [`V6`] bytes.
pub(super) type Endpoint<const N: usize> = [u8; N];

/// Where peers come from that are counted together: an IPv4 address, or the /64 of an IPv6 address.
pub(super) type Home = [u8; HOME_V6];

/// What a peer has of its torrent.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum State {
    /// All of it.
    Seed,
    /// Not all of it, and it wants more.
    Leecher,
    /// All that it wants, but not all there is (BEP 21).
    Paused,
}

/// Who a peer says that it is: what stays the same when its address changes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(super) struct Identity {
    /// Its name for itself (BEP 20).
    pub(super) id: [u8; 20],
    /// What only it and the tracker know; all zeros where it says none.
    pub(super) key: [u8; 4],
}

impl Identity {
    /// Whether it can be told from another that calls itself the same.
    pub(super) fn has_key(&self) -> bool {
        self.key != [0; 4]
    }
}

/// A peer whose endpoint has `N` bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Peer<const N: usize> {
    endpoint: Endpoint<N>,
    identity: Identity,
    /// When it announced last, in seconds, and flags below that. Bytes, since a number would be aligned.
    stamp: [u8; 4],
}

impl<const N: usize> Peer<N> {
    pub(super) fn new(endpoint: Endpoint<N>, identity: Identity, state: State, seen_s: u32) -> Self {
        let mut peer = Self { endpoint, identity, stamp: [0; 4] };
        peer.set_stamp(seen_s << FLAG_BITS);
        peer.set_state(state);
        peer
    }

    pub(super) fn endpoint(&self) -> &Endpoint<N> {
        &self.endpoint
    }

    pub(super) fn identity(&self) -> &Identity {
        &self.identity
    }

    pub(super) fn home(&self) -> Home {
        home_of(&self.endpoint)
    }

    /// When it announced last.
    pub(super) fn seen_s(&self) -> u32 {
        self.stamp() >> FLAG_BITS
    }

    pub(super) fn state(&self) -> State {
        match self.stamp() {
            stamp if stamp & IS_SEED != 0 => State::Seed,
            stamp if stamp & IS_PAUSED != 0 => State::Paused,
            _ => State::Leecher,
        }
    }

    /// Whether it was counted as a download.
    pub(super) fn has_completed(&self) -> bool {
        self.stamp() & HAS_COMPLETED != 0
    }

    /// It announced again.
    pub(super) fn renew(&mut self, identity: Identity, seen_s: u32) {
        self.identity = identity;
        self.set_stamp(seen_s << FLAG_BITS | self.stamp() & ((1 << FLAG_BITS) - 1));
    }

    pub(super) fn set_completed(&mut self) {
        self.set_stamp(self.stamp() | HAS_COMPLETED);
    }

    pub(super) fn set_state(&mut self, state: State) {
        let flag = match state {
            State::Seed => IS_SEED,
            State::Paused => IS_PAUSED,
            State::Leecher => 0,
        };
        self.set_stamp(self.stamp() & !(IS_SEED | IS_PAUSED) | flag);
    }

    fn stamp(&self) -> u32 {
        u32::from_ne_bytes(self.stamp)
    }

    fn set_stamp(&mut self, stamp: u32) {
        self.stamp = stamp.to_ne_bytes();
    }
}

/// The home of an endpoint.
pub(super) fn home_of<const N: usize>(endpoint: &Endpoint<N>) -> Home {
    let mut home = [0; HOME_V6];
    // Of an IPv4 endpoint the address alone.
    let length = if N == V4 { 4 } else { HOME_V6 };
    home[..length].copy_from_slice(&endpoint[..length]);
    home
}

/// An address as an endpoint of its family.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum AnyEndpoint {
    V4(Endpoint<V4>),
    V6(Endpoint<V6>),
}

impl From<SocketAddr> for AnyEndpoint {
    fn from(address: SocketAddr) -> Self {
        let port = address.port().to_be_bytes();
        match address.ip() {
            IpAddr::V4(ip) => {
                let mut bytes = [0; V4];
                bytes[..4].copy_from_slice(&ip.octets());
                bytes[4..].copy_from_slice(&port);
                Self::V4(bytes)
            }
            IpAddr::V6(ip) => {
                let mut bytes = [0; V6];
                bytes[..16].copy_from_slice(&ip.octets());
                bytes[16..].copy_from_slice(&port);
                Self::V6(bytes)
            }
        }
    }
}

/// The address that an endpoint stands for.
pub(super) fn address_of<const N: usize>(endpoint: &Endpoint<N>) -> SocketAddr {
    let (ip, port) = endpoint.split_at(N - 2);
    let ip = match <[u8; 4]>::try_from(ip) {
        Ok(v4) => IpAddr::from(v4),
        Err(_) => IpAddr::from(<[u8; 16]>::try_from(ip).unwrap_or_default()),
    };
    SocketAddr::new(ip, u16::from_be_bytes([port[0], port[1]]))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_peer_is_packed() {
        assert_eq!((size_of::<Peer<V4>>(), align_of::<Peer<V4>>()), (34, 1));
        assert_eq!((size_of::<Peer<V6>>(), align_of::<Peer<V6>>()), (46, 1));
    }

    #[test]
    fn what_is_packed_comes_out_again() {
        let identity = Identity { id: [7; 20], key: [1, 2, 3, 4] };
        let mut peer = Peer::new([10, 0, 0, 1, 0x1a, 0xe1], identity, State::Paused, 123_456_789);
        assert_eq!((peer.state(), peer.seen_s(), peer.has_completed()), (State::Paused, 123_456_789, false));
        for state in [State::Seed, State::Leecher, State::Paused] {
            peer.set_state(state);
            assert_eq!(peer.state(), state);
        }
        peer.set_completed();
        let other = Identity { id: [8; 20], ..identity };
        peer.renew(other, 200_000_000);
        assert_eq!((peer.state(), peer.seen_s(), peer.has_completed()), (State::Paused, 200_000_000, true));
        assert_eq!(*peer.identity(), other);
        assert_eq!(address_of(peer.endpoint()).to_string(), "10.0.0.1:6881");
    }

    #[test]
    fn endpoints_are_addresses_as_on_the_wire() {
        for text in ["1.2.3.4:5", "[2001:db8::1]:65535"] {
            let address: SocketAddr = text.parse().unwrap();
            let back = match AnyEndpoint::from(address) {
                AnyEndpoint::V4(endpoint) => address_of(&endpoint),
                AnyEndpoint::V6(endpoint) => address_of(&endpoint),
            };
            assert_eq!(back, address);
        }
    }

    #[test]
    fn a_home_is_an_address_or_a_network_of_one_customer() {
        let home = |text: &str| match AnyEndpoint::from(text.parse::<SocketAddr>().unwrap()) {
            AnyEndpoint::V4(endpoint) => home_of(&endpoint),
            AnyEndpoint::V6(endpoint) => home_of(&endpoint),
        };
        assert_eq!(home("1.2.3.4:5"), home("1.2.3.4:6"));
        assert_ne!(home("1.2.3.4:5"), home("1.2.3.5:5"));
        assert_eq!(home("[2001:db8:0:1::1]:5"), home("[2001:db8:0:1:ffff::2]:6"));
        assert_ne!(home("[2001:db8:0:1::1]:5"), home("[2001:db8:0:2::1]:5"));
    }
}
