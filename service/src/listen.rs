//! Every socket that is listened on: one for each worker and address, spread over by SO_REUSEPORT.

use std::fmt;
use std::io::{self, ErrorKind};
use std::net::{SocketAddr, TcpListener, UdpSocket};

use nix::libc;
use socket2::{Domain, Protocol, SockRef, Socket, Type};

/// Connections that the kernel holds for us while we are busy accepting others.
const BACKLOG: i32 = 4_096;

/// Which of those it is that share an address.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Turn {
    /// Nobody else may have the address, not even who would share it. From then on others of ours may.
    First,
    /// It shares the address with the first.
    Next,
}

/// A socket that is listened on: a [`TcpListener`], or a [`UdpSocket`]. It blocks.
pub trait Listening: fmt::Debug + Sized {
    /// Binds `address`: one of IPv6 for IPv6 alone.
    ///
    /// # Errors
    /// As the kernel says.
    fn open(address: SocketAddr, turn: Turn) -> io::Result<Self>;

    /// The address as bound.
    ///
    /// # Errors
    /// As the kernel says.
    fn address(&self) -> io::Result<SocketAddr>;
}

impl Listening for TcpListener {
    fn open(address: SocketAddr, turn: Turn) -> io::Result<Self> {
        let socket = unbound(address, Type::STREAM, Protocol::TCP)?;
        socket.set_reuse_address(true)?;
        // Inherited by the connections: a batch is handed over whole, and its tail must not wait for an ACK.
        socket.set_tcp_nodelay(true)?;
        take(&socket, address, turn)?;
        socket.listen(BACKLOG)?;
        Ok(socket.into())
    }

    fn address(&self) -> io::Result<SocketAddr> {
        self.local_addr()
    }
}

impl Listening for UdpSocket {
    fn open(address: SocketAddr, turn: Turn) -> io::Result<Self> {
        // Without SO_REUSEADDR, which would share the port with any program that has it too.
        let socket = unbound(address, Type::DGRAM, Protocol::UDP)?;
        take(&socket, address, turn)?;
        Ok(socket.into())
    }

    fn address(&self) -> io::Result<SocketAddr> {
        self.local_addr()
    }
}

/// Sockets for a number of workers.
#[derive(Debug)]
pub struct Listeners<S = TcpListener> {
    /// For each worker its own sockets, one for each address.
    pub by_worker: Vec<Vec<S>>,
    /// The addresses as bound, in the order asked for: port 0 has become a real one.
    pub addresses: Vec<SocketAddr>,
}

/// An address that cannot be listened on.
#[derive(Debug, thiserror::Error)]
pub enum ListenError {
    /// Somebody else has it.
    #[error(
        "port {} at {} is in use by another program; choose another with {option}", address.port(), address.ip()
    )]
    InUse {
        /// The address asked for.
        address: SocketAddr,
        /// What it was asked for with, as `--listen`.
        option: &'static str,
    },
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

/// An address that includes another.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("{wildcard} is {address} too: leave one of them out")]
pub struct Overlap {
    /// All addresses of a family.
    pub wildcard: SocketAddr,
    /// One of them.
    pub address: SocketAddr,
}

/// Each of `addresses` once: said twice it is the same. Port 0 is another port each time.
///
/// # Errors
/// Where one is all addresses of its family, and another of these is named too.
pub fn distinct(addresses: Vec<SocketAddr>) -> Result<Vec<SocketAddr>, Overlap> {
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
                    return Err(Overlap { wildcard: *other, address });
                }
                if is_wildcard(&address) {
                    return Err(Overlap { wildcard: address, address: *other });
                }
            }
        }
        distinct.push(address);
    }
    Ok(distinct)
}

/// Tries each of `addresses` and lets go of it again, so that what is refused is known before any work is done.
/// Returns those to listen on: all, but for those that the machine does not have if `may_skip_missing`, unless it has
/// none. `option` is what they are chosen with.
///
/// # Errors
/// As [`bind`] has.
pub fn usable<S: Listening>(
    addresses: &[SocketAddr],
    may_skip_missing: bool,
    option: &'static str,
) -> Result<Vec<SocketAddr>, ListenError> {
    let mut usable = Vec::new();
    let mut missing = Vec::new();
    for address in addresses {
        match S::open(*address, Turn::First).map_err(|source| explain(*address, option, source)) {
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

/// Binds each of `addresses` once for each of `workers`. `option` is what they are chosen with.
///
/// # Errors
/// When an address is in use, even by a program that would share it: sharing is for our own workers.
pub fn bind<S: Listening>(
    addresses: &[SocketAddr],
    workers: usize,
    option: &'static str,
) -> Result<Listeners<S>, ListenError> {
    let mut listeners =
        Listeners { by_worker: (0..workers).map(|_| Vec::new()).collect(), addresses: Vec::new() };
    for address in addresses {
        let explain = |source| explain(*address, option, source);
        // Kept for the first worker: a port that is let go of may be somebody else's a moment later.
        let first = S::open(*address, Turn::First).map_err(explain)?;
        let bound = first.address().map_err(explain)?;
        let next = std::iter::repeat_with(|| S::open(bound, Turn::Next).map_err(explain));
        for (sockets, socket) in listeners.by_worker.iter_mut().zip(std::iter::once(Ok(first)).chain(next)) {
            sockets.push(socket?);
        }
        listeners.addresses.push(bound);
    }
    Ok(listeners)
}

/// Has the kernel hold datagrams for `socket` in `bytes` of memory, or in as much as `net.core.rmem_max` allows, and
/// tells in how much.
///
/// # Errors
/// As the kernel says.
pub fn grow_receive_buffer(socket: &UdpSocket, bytes: usize) -> io::Result<usize> {
    let socket = SockRef::from(socket);
    socket.set_recv_buffer_size(bytes)?;
    // The kernel doubles what is asked for, for what it needs beside the datagrams (socket(7)).
    socket.recv_buffer_size().map(|doubled| doubled / 2)
}

fn explain(address: SocketAddr, option: &'static str, source: io::Error) -> ListenError {
    match source.kind() {
        ErrorKind::AddrInUse => ListenError::InUse { address, option },
        _ => ListenError::Refused { address, source },
    }
}

fn unbound(address: SocketAddr, kind: Type, protocol: Protocol) -> io::Result<Socket> {
    let socket = Socket::new(Domain::for_address(address), kind, Some(protocol))?;
    if address.is_ipv6() {
        socket.set_only_v6(true)?;
    }
    Ok(socket)
}

/// Binds a socket. The first must not be shared when the kernel looks whether somebody else has the port.
fn take(socket: &Socket, address: SocketAddr, turn: Turn) -> io::Result<()> {
    socket.set_reuse_port(turn == Turn::Next)?;
    socket.bind(&address.into())?;
    socket.set_reuse_port(true)
}

#[cfg(test)]
mod tests {
    use std::net::{Ipv4Addr, Ipv6Addr, SocketAddrV4, TcpStream};

    use super::*;

    const LOOPBACK: SocketAddr = SocketAddr::V4(SocketAddrV4::new(Ipv4Addr::LOCALHOST, 0));

    fn bind<S: Listening>(addresses: &[SocketAddr], workers: usize) -> Result<Listeners<S>, ListenError> {
        super::bind(addresses, workers, "--listen")
    }

    fn usable(addresses: &[SocketAddr], may_skip_missing: bool) -> Result<Vec<SocketAddr>, ListenError> {
        super::usable::<TcpListener>(addresses, may_skip_missing, "--listen")
    }

    fn all_workers_share_one_port<S: Listening>() {
        let listeners = bind::<S>(&[LOOPBACK], 3).unwrap();
        let port = listeners.addresses[0].port();
        assert_ne!(port, 0);
        let ports = listeners.by_worker.iter().flatten().map(|socket| socket.address().unwrap().port());
        assert_eq!(ports.collect::<Vec<_>>(), [port; 3]);
    }

    #[test]
    fn all_workers_share_one_port_of_tcp_and_one_of_udp() {
        all_workers_share_one_port::<TcpListener>();
        all_workers_share_one_port::<UdpSocket>();
    }

    #[test]
    fn datagrams_are_spread_over_all_workers() {
        let listeners = bind::<UdpSocket>(&[LOOPBACK], 2).unwrap();
        let clients: Vec<_> = (0..64).map(|_| UdpSocket::bind("127.0.0.1:0").unwrap()).collect();
        for client in &clients {
            client.send_to(b"x", listeners.addresses[0]).unwrap();
        }
        let counts = listeners.by_worker.iter().map(|sockets| {
            sockets[0].set_nonblocking(true).unwrap();
            std::iter::from_fn(|| sockets[0].recv(&mut [0]).ok()).count()
        });
        let counts: Vec<_> = counts.collect();
        assert!(counts.iter().sum::<usize>() == 64 && !counts.contains(&0), "{counts:?}");
    }

    #[test]
    fn connections_are_spread_over_all_workers() {
        let listeners = bind::<TcpListener>(&[LOOPBACK], 2).unwrap();
        let address = listeners.addresses[0];
        let clients: Vec<_> = (0..64).map(|_| TcpStream::connect(address).unwrap()).collect();
        let sockets: Vec<_> = listeners.by_worker.iter().flatten().collect();
        sockets.iter().for_each(|socket| socket.set_nonblocking(true).unwrap());
        let mut counts = [0; 2];
        while counts.iter().sum::<usize>() < clients.len() {
            for (count, socket) in counts.iter_mut().zip(&sockets) {
                *count += usize::from(socket.accept().is_ok());
            }
            std::thread::yield_now();
        }
        assert!(!counts.contains(&0), "{counts:?}");
    }

    fn a_port_of_another_program_is_an_error<S: Listening>() {
        let other = S::open(LOOPBACK, Turn::First).unwrap();
        let taken = other.address().unwrap();
        let error = bind::<S>(&[taken], 1).unwrap_err();
        assert!(matches!(error, ListenError::InUse { address, .. } if address == taken), "{error}");
        assert!(error.to_string().ends_with("choose another with --listen"), "{error}");
    }

    #[test]
    fn a_port_of_another_program_is_an_error_even_where_it_would_be_shared() {
        a_port_of_another_program_is_an_error::<TcpListener>();
        a_port_of_another_program_is_an_error::<UdpSocket>();
    }

    #[test]
    fn all_addresses_of_one_family_leave_the_other_alone() {
        let v4 = UdpSocket::open(LOOPBACK, Turn::First).unwrap();
        let port = v4.local_addr().unwrap().port();
        let v6 = SocketAddr::new(Ipv6Addr::UNSPECIFIED.into(), port);
        match bind::<UdpSocket>(&[v6], 1) {
            Ok(listeners) => assert_eq!(listeners.addresses, [v6]),
            Err(error) => assert!(error.is_of_missing_address(), "{error}"),
        }
    }

    #[test]
    fn datagrams_are_held_in_as_much_memory_as_is_allowed() {
        let socket = UdpSocket::open(LOOPBACK, Turn::First).unwrap();
        assert_eq!(grow_receive_buffer(&socket, 32 * 1_024).unwrap(), 32 * 1_024);
        let most = grow_receive_buffer(&socket, 1 << 30).unwrap();
        assert!((32 * 1_024..=1 << 30).contains(&most), "{most}");
    }

    #[test]
    fn what_is_tried_is_let_go_of_and_what_is_taken_is_told() {
        // An address at which no other test takes a port.
        let own = "127.77.0.1:0".parse().unwrap();
        let other = TcpListener::open(own, Turn::First).unwrap();
        let address = other.local_addr().unwrap();
        assert!(matches!(usable(&[LOOPBACK, address], true), Err(ListenError::InUse { .. })));
        drop(other);
        assert_eq!(usable(&[address, LOOPBACK], false).unwrap(), [address, LOOPBACK]);
        assert_eq!(bind::<TcpListener>(&[address], 1).unwrap().addresses, [address]);
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
        let error = bind::<TcpListener>(&["192.0.2.1:0".parse().unwrap()], 1).unwrap_err();
        assert!(error.to_string().contains("192.0.2.1"), "{error}");
    }

    #[test]
    fn an_address_is_listened_on_once() {
        let listen =
            |addresses: &[&str]| distinct(addresses.iter().map(|address| address.parse().unwrap()).collect());
        assert_eq!(listen(&["127.0.0.1:6881", "127.0.0.1:6881"]).unwrap().len(), 1);
        assert_eq!(listen(&["127.0.0.1:0", "127.0.0.1:0"]).unwrap().len(), 2, "two ports");
        assert_eq!(listen(&["0.0.0.0:6881", "[::1]:6881", "127.0.0.1:6882"]).unwrap().len(), 3);
        for both in [["0.0.0.0:6881", "127.0.0.1:6881"], ["127.0.0.1:6881", "0.0.0.0:6881"]] {
            let error = listen(&both).unwrap_err();
            assert_eq!(error.to_string(), "0.0.0.0:6881 is 127.0.0.1:6881 too: leave one of them out");
        }
    }
}
