//! The addresses at which a peer can reach a listener.

use std::net::{IpAddr, SocketAddr};

use nix::ifaddrs::getifaddrs;

/// Spells wildcard addresses out as those of the interfaces; the others stay as they are.
///
/// Link-local IPv6 addresses are left out: without an interface name they mean nothing to a peer.
pub fn reachable(listening: &[SocketAddr]) -> Vec<SocketAddr> {
    let interfaces = interface_addresses();
    let mut reachable = Vec::new();
    for address in listening {
        if !address.ip().is_unspecified() {
            reachable.push(*address);
            continue;
        }
        let same_family = interfaces.iter().filter(|ip| ip.is_ipv4() == address.is_ipv4());
        reachable.extend(same_family.map(|ip| SocketAddr::new(*ip, address.port())));
    }
    reachable.dedup();
    reachable
}

/// The addresses of all interfaces, those of other machines' interest first and loopback last.
fn interface_addresses() -> Vec<IpAddr> {
    let interfaces = getifaddrs().into_iter().flatten();
    let mut addresses: Vec<IpAddr> = interfaces
        .filter_map(|interface| {
            let address = interface.address?;
            let v4 = address.as_sockaddr_in().map(|v4| IpAddr::V4(v4.ip()));
            v4.or_else(|| address.as_sockaddr_in6().map(|v6| IpAddr::V6(v6.ip())))
        })
        .filter(|ip| !matches!(ip, IpAddr::V6(v6) if v6.is_unicast_link_local()))
        .collect();
    addresses.sort_by_key(IpAddr::is_loopback);
    addresses
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_wildcard_is_spelled_out_and_an_address_is_kept() {
        let fixed: SocketAddr = "192.0.2.1:6881".parse().unwrap();
        let wildcard: SocketAddr = "0.0.0.0:6882".parse().unwrap();
        let reachable = reachable(&[fixed, wildcard]);
        assert_eq!(reachable[0], fixed);
        assert!(reachable.contains(&"127.0.0.1:6882".parse().unwrap()), "{reachable:?}");
        assert!(reachable.iter().all(|address| !address.ip().is_unspecified()));
    }
}
