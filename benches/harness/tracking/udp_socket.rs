//! A socket that sends from any address of loopback: one for a thousand clients.

use std::io::{self, IoSlice};
use std::net::{Ipv4Addr, SocketAddr, SocketAddrV4, UdpSocket};
use std::os::fd::{AsFd, AsRawFd};
use std::time::Duration;

use nix::errno::Errno;
use nix::libc;
use nix::poll::{PollFd, PollFlags, ppoll};
use nix::sys::socket::{ControlMessage, MsgFlags, SockaddrIn, sendmsg};
use socket2::{Domain, SockAddr, Socket, Type};

/// What the kernel keeps for us at most, as far as it lets us.
const RECEIVE_BUFFER_LENGTH: usize = 4 << 20;

/// The socket, and the server that it talks to.
#[derive(Debug)]
pub(super) struct Door {
    socket: UdpSocket,
    server: SockaddrIn,
}

impl Door {
    /// A socket at a port of its own.
    ///
    /// # Errors
    /// When the system has none.
    pub(super) fn open(server: SocketAddrV4) -> io::Result<Self> {
        let socket = Socket::new(Domain::IPV4, Type::DGRAM.nonblocking(), None)?;
        socket.set_recv_buffer_size(RECEIVE_BUFFER_LENGTH)?;
        socket.bind(&SockAddr::from(SocketAddr::from((Ipv4Addr::UNSPECIFIED, 0))))?;
        Ok(Self { socket: socket.into(), server: server.into() })
    }

    /// Sends a packet from `source`; false when there is no room for it.
    ///
    /// # Errors
    /// When that fails otherwise.
    pub(super) fn send(&self, source: Ipv4Addr, packet: &[u8]) -> io::Result<bool> {
        let address = libc::in_addr { s_addr: u32::from_ne_bytes(source.octets()) };
        let nowhere = libc::in_addr { s_addr: 0 };
        let info = libc::in_pktinfo { ipi_ifindex: 0, ipi_spec_dst: address, ipi_addr: nowhere };
        let control = [ControlMessage::Ipv4PacketInfo(&info)];
        let (fd, data) = (self.socket.as_raw_fd(), [IoSlice::new(packet)]);
        match sendmsg(fd, &data, &control, MsgFlags::empty(), Some(&self.server)) {
            Ok(_) => Ok(true),
            Err(Errno::EAGAIN | Errno::ENOBUFS) => Ok(false),
            Err(error) => Err(io::Error::other(format!("cannot send from {source}: {error}"))),
        }
    }

    /// The next packet, if one is there.
    ///
    /// # Errors
    /// When that fails otherwise.
    pub(super) fn receive<'a>(&self, buffer: &'a mut [u8]) -> io::Result<Option<&'a [u8]>> {
        match self.socket.recv(buffer) {
            Ok(length) => Ok(Some(&buffer[..length])),
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// Waits for a packet, but not longer than `limit`.
    ///
    /// # Errors
    /// When the system does not let us.
    pub(super) fn wait(&self, limit: Duration) -> io::Result<()> {
        let mut fds = [PollFd::new(self.socket.as_fd(), PollFlags::POLLIN)];
        match ppoll(&mut fds, Some(limit.into()), None) {
            Ok(_) | Err(Errno::EINTR) => Ok(()),
            Err(error) => Err(error.into()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_packet_comes_from_the_address_that_is_named_and_its_answer_arrives() {
        let server = UdpSocket::bind("127.0.0.1:0").unwrap();
        let SocketAddr::V4(address) = server.local_addr().unwrap() else { unreachable!() };
        let door = Door::open(address).unwrap();
        let mut buffer = [0; 16];
        for source in [Ipv4Addr::new(127, 9, 8, 7), Ipv4Addr::new(127, 200, 1, 2)] {
            assert!(door.send(source, b"hello").unwrap());
            let (length, from) = server.recv_from(&mut buffer).unwrap();
            assert_eq!((&buffer[..length], from.ip()), (&b"hello"[..], source.into()));
            server.send_to(b"there", from).unwrap();
            door.wait(Duration::from_secs(60)).unwrap();
            assert_eq!(door.receive(&mut buffer).unwrap(), Some(&b"there"[..]));
            assert_eq!(door.receive(&mut buffer).unwrap(), None);
        }
    }
}
