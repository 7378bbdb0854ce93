//! Which addresses are listened on.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

use super::ConfigError;

/// The port of BitTorrent since its first client.
const DEFAULT_PORT: u16 = 6881;

/// Each address once: said twice it is the same. Port 0 is another port each time.
pub(super) fn distinct(addresses: Vec<SocketAddr>) -> Result<Vec<SocketAddr>, ConfigError> {
    let mut distinct: Vec<SocketAddr> = Vec::new();
    for address in addresses {
        if address.port() != 0 {
            if distinct.contains(&address) {
                continue;
            }
            let same_port =
                |other: &&SocketAddr| other.port() == address.port() && other.is_ipv4() == address.is_ipv4();
            let is_wildcard = |address: &SocketAddr| address.ip().is_unspecified();
            for other in distinct.iter().filter(same_port) {
                if is_wildcard(other) {
                    return Err(ConfigError::Overlap { wildcard: *other, address });
                }
                if is_wildcard(&address) {
                    return Err(ConfigError::Overlap { wildcard: address, address: *other });
                }
            }
        }
        distinct.push(address);
    }
    Ok(distinct)
}

/// All addresses of both families.
pub(super) fn default_listen() -> Vec<SocketAddr> {
    let any: [IpAddr; 2] = [Ipv4Addr::UNSPECIFIED.into(), Ipv6Addr::UNSPECIFIED.into()];
    any.map(|ip| SocketAddr::new(ip, DEFAULT_PORT)).to_vec()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_is_listened_on_once() {
        let listen =
            |addresses: &[&str]| distinct(addresses.iter().map(|address| address.parse().unwrap()).collect());
        assert_eq!(listen(&["127.0.0.1:6881", "127.0.0.1:6881"]).unwrap().len(), 1);
        assert_eq!(listen(&["127.0.0.1:0", "127.0.0.1:0"]).unwrap().len(), 2, "two ports");
        assert_eq!(listen(&["0.0.0.0:6881", "[::1]:6881", "127.0.0.1:6882"]).unwrap().len(), 3);
        for both in [["0.0.0.0:6881", "127.0.0.1:6881"], ["127.0.0.1:6881", "0.0.0.0:6881"]] {
            let error = listen(&both).unwrap_err();
            assert_eq!(
                error.to_string(),
                "--listen 0.0.0.0:6881 is 127.0.0.1:6881 too: leave one of them out"
            );
        }
    }
}
