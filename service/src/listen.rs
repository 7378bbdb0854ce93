//! Every listening socket: one for each worker and address, spread over by SO_REUSEPORT.

use std::io::{self, ErrorKind};
use std::net::{SocketAddr, TcpListener};

use nix::libc;
use socket2::{Domain, Protocol, Socket, Type};

/// Connections that the kernel holds for us while we are busy accepting others.
const BACKLOG: i32 = 4_096;

/// Listeners for a number of workers.
#[derive(Debug)]
pub struct Listeners {
    /// For each worker its own sockets, one for each address.
    pub by_worker: Vec<Vec<TcpListener>>,
    /// The addresses as bound, in the order asked for: port 0 has become a real one.
    pub addresses: Vec<SocketAddr>,
}

/// An address that cannot be listened on.
#[derive(Debug, thiserror::Error)]
pub enum ListenError {
    /// Somebody else has it.
    #[error("port {} at {} is in use by another program; choose another with --listen", .0.port(), .0.ip())]
    InUse(SocketAddr),
    /// The kernel refused for another reason.
    #[error("cannot listen on {address}: {source}")]
    Refused {
        /// The address asked for.
        address: SocketAddr,
        /// What the kernel said.
        source: io::Error,
    },
}

impl ListenError {
    /// Whether the machine has no such address, or nothing of its family.
    fn is_of_missing_address(&self) -> bool {
        matches!(self, Self::Refused { source, .. } if source.kind() == ErrorKind::AddrNotAvailable
            || source.raw_os_error() == Some(libc::EAFNOSUPPORT))
    }
}

/// Tries each of `addresses` and lets go of it again, so that what is refused is known before any work is done.
/// Returns those to listen on: all, but for those that the machine does not have if `may_skip_missing`, unless it has
/// none.
///
/// # Errors
/// As [`bind`] has.
pub fn usable(addresses: &[SocketAddr], may_skip_missing: bool) -> Result<Vec<SocketAddr>, ListenError> {
    let mut usable = Vec::new();
    let mut missing = Vec::new();
    for address in addresses {
        match probe(*address) {
            Ok(_) => usable.push(*address),
            Err(error) if may_skip_missing && error.is_of_missing_address() => missing.push(error),
            Err(error) => return Err(error),
        }
    }
    if usable.is_empty()
        && let Some(error) = missing.pop()
    {
        return Err(error);
    }
    missing.iter().for_each(|error| tracing::warn!("{error}; going on without it"));
    Ok(usable)
}

/// Binds each of `addresses` once for each of `workers`.
///
/// # Errors
/// When an address is in use, even by a program that would share it: sharing is for our own workers.
pub fn bind(addresses: &[SocketAddr], workers: usize) -> Result<Listeners, ListenError> {
    let mut listeners =
        Listeners { by_worker: (0..workers).map(|_| Vec::new()).collect(), addresses: Vec::new() };
    for address in addresses {
        let address = probe(*address)?;
        for sockets in &mut listeners.by_worker {
            let socket = bind_one(address, true).map_err(|source| explain(address, source))?;
            sockets.push(socket);
        }
        listeners.addresses.push(address);
    }
    Ok(listeners)
}

/// Binds once without SO_REUSEPORT, which fails where another program holds the port. Tells the real port.
fn probe(address: SocketAddr) -> Result<SocketAddr, ListenError> {
    bind_one(address, false).and_then(|socket| socket.local_addr()).map_err(|source| explain(address, source))
}

fn explain(address: SocketAddr, source: io::Error) -> ListenError {
    match source.kind() {
        ErrorKind::AddrInUse => ListenError::InUse(address),
        _ => ListenError::Refused { address, source },
    }
}

fn bind_one(address: SocketAddr, is_shared: bool) -> io::Result<TcpListener> {
    let socket = Socket::new(Domain::for_address(address), Type::STREAM, Some(Protocol::TCP))?;
    if address.is_ipv6() {
        socket.set_only_v6(true)?;
    }
    socket.set_reuse_address(true)?;
    socket.set_reuse_port(is_shared)?;
    // Inherited by the connections: a batch is handed over whole, and its tail must not wait for an ACK.
    socket.set_tcp_nodelay(true)?;
    socket.bind(&address.into())?;
    socket.listen(BACKLOG)?;
    Ok(socket.into())
}

#[cfg(test)]
mod tests {
    use super::*;

    const LOOPBACK: SocketAddr =
        SocketAddr::V4(std::net::SocketAddrV4::new(std::net::Ipv4Addr::LOCALHOST, 0));

    #[test]
    fn all_workers_share_one_port() {
        let listeners = bind(&[LOOPBACK], 3).unwrap();
        let port = listeners.addresses[0].port();
        assert_ne!(port, 0);
        let ports = listeners.by_worker.iter().flatten().map(|socket| socket.local_addr().unwrap().port());
        assert_eq!(ports.collect::<Vec<_>>(), [port; 3]);
    }

    #[test]
    fn a_port_of_another_program_is_an_error_even_where_it_would_be_shared() {
        let other = bind_one(LOOPBACK, true).unwrap();
        let address = other.local_addr().unwrap();
        let error = bind(&[address], 1).unwrap_err();
        assert!(matches!(error, ListenError::InUse(taken) if taken == address), "{error}");
    }

    #[test]
    fn what_is_tried_is_let_go_of_and_what_is_taken_is_told() {
        let other = bind_one(LOOPBACK, true).unwrap();
        let address = other.local_addr().unwrap();
        assert!(matches!(usable(&[LOOPBACK, address], true), Err(ListenError::InUse(_))));
        drop(other);
        assert_eq!(usable(&[address, LOOPBACK], false).unwrap(), [address, LOOPBACK]);
        bind(&[address], 1).unwrap();
    }

    #[test]
    fn an_address_that_the_machine_lacks_may_be_left_out_but_not_the_last() {
        let nowhere: SocketAddr = "192.0.2.1:0".parse().unwrap();
        assert_eq!(usable(&[nowhere, LOOPBACK], true).unwrap(), [LOOPBACK]);
        assert!(matches!(usable(&[nowhere, LOOPBACK], false), Err(ListenError::Refused { .. })));
        assert!(matches!(usable(&[nowhere], true), Err(ListenError::Refused { .. })));
    }

    #[test]
    fn an_address_of_no_interface_is_refused_by_name() {
        let error = bind(&["192.0.2.1:0".parse().unwrap()], 1).unwrap_err();
        assert!(error.to_string().contains("192.0.2.1"), "{error}");
    }
}
