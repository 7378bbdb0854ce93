//! Datagrams in batches: one system call receives many, one sends the answers to them.
//!
//! The only file of the tracker with `unsafe`: neither std nor nix has a safe call that sends each datagram of a batch
//! from the address at which its request came in.

use std::io;
use std::mem;
use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr, SocketAddrV6, UdpSocket};
use std::os::fd::AsRawFd;
use std::ptr;

use nix::libc;

/// Datagrams in a batch: more save next to nothing, and the first of them wait for the last.
pub(super) const BATCH: usize = 64;
/// Bytes that are read of a datagram: an announce with the longest path that is read (BEP 41) is a little longer than 2 KiB.
const MAX_REQUEST: usize = 2_304;
/// Room for one control message with an address.
const CONTROL_LENGTH: usize = 64;

/// What the kernel says beside a datagram, aligned as it wants.
#[derive(Clone, Copy)]
#[repr(C, align(8))]
struct Control([u8; CONTROL_LENGTH]);

/// A batch of requests and the answers to them. Its memory is used again.
pub(super) struct Batch {
    requests: Box<[[u8; MAX_REQUEST]]>,
    /// Of each request.
    lengths: [usize; BATCH],
    names: Box<[libc::sockaddr_storage]>,
    name_lengths: [libc::socklen_t; BATCH],
    controls: Box<[Control]>,
    control_lengths: [usize; BATCH],
    count: usize,
    /// All answers, one behind the other.
    answers: Vec<u8>,
    /// Which request each answers, and where it ends.
    ends: Vec<(usize, usize)>,
}

impl Batch {
    pub(super) fn new() -> Self {
        // SAFETY: all zeros are a `sockaddr_storage` of no family.
        let name: libc::sockaddr_storage = unsafe { mem::zeroed() };
        Self {
            requests: vec![[0; MAX_REQUEST]; BATCH].into(),
            lengths: [0; BATCH],
            names: vec![name; BATCH].into(),
            name_lengths: [0; BATCH],
            controls: vec![Control([0; CONTROL_LENGTH]); BATCH].into(),
            control_lengths: [0; BATCH],
            count: 0,
            answers: Vec::new(),
            ends: Vec::with_capacity(BATCH),
        }
    }

    /// Receives what is there, and forgets what was. Returns how many; none is no error.
    pub(super) fn receive(&mut self, socket: &UdpSocket) -> io::Result<usize> {
        self.answers.clear();
        self.ends.clear();
        self.count = 0;
        // SAFETY: all zeros are an `iovec` of nothing and an `mmsghdr` without any part.
        let (mut slices, mut headers): ([libc::iovec; BATCH], [libc::mmsghdr; BATCH]) =
            unsafe { (mem::zeroed(), mem::zeroed()) };
        for at in 0..BATCH {
            slices[at].iov_base = self.requests[at].as_mut_ptr().cast();
            slices[at].iov_len = MAX_REQUEST;
            let header = &mut headers[at].msg_hdr;
            header.msg_name = ptr::from_mut(&mut self.names[at]).cast();
            header.msg_namelen = length_of::<libc::sockaddr_storage>();
            header.msg_iov = &raw mut slices[at];
            header.msg_iovlen = 1;
            header.msg_control = self.controls[at].0.as_mut_ptr().cast();
            header.msg_controllen = CONTROL_LENGTH;
        }
        // SAFETY: every pointer is to memory of `self` or of this function that lives and is borrowed mutably until the
        // call returns, and is as long as it is said to be. `BATCH` headers are there.
        let received = unsafe {
            let count = libc::c_uint::try_from(BATCH).unwrap_or(1);
            libc::recvmmsg(
                socket.as_raw_fd(),
                headers.as_mut_ptr(),
                count,
                libc::MSG_DONTWAIT,
                ptr::null_mut(),
            )
        };
        let Ok(count) = usize::try_from(received) else {
            return match io::Error::last_os_error() {
                error if error.kind() == io::ErrorKind::WouldBlock => Ok(0),
                error => Err(error),
            };
        };
        for (at, header) in headers.iter().enumerate().take(count) {
            self.lengths[at] = usize::try_from(header.msg_len).unwrap_or(0).min(MAX_REQUEST);
            self.name_lengths[at] = header.msg_hdr.msg_namelen;
            self.control_lengths[at] = header.msg_hdr.msg_controllen.min(CONTROL_LENGTH);
        }
        self.count = count;
        Ok(count)
    }

    /// Answers the request at `at` with what `write` appends; with nothing if that is nothing.
    pub(super) fn answer(&mut self, at: usize, write: impl FnOnce(&[u8], SocketAddr, &mut Vec<u8>)) {
        let Some(sender) = address(&self.names[at], self.name_lengths[at]) else { return };
        let begin = self.answers.len();
        write(&self.requests[at][..self.lengths[at]], sender, &mut self.answers);
        if self.answers.len() > begin {
            self.ends.push((at, self.answers.len()));
        }
    }

    /// Sends all answers, each from the address that was asked. Returns how many could not be sent.
    pub(super) fn send(&mut self, socket: &UdpSocket) -> usize {
        // SAFETY: as in `receive`.
        let (mut slices, mut headers): ([libc::iovec; BATCH], [libc::mmsghdr; BATCH]) =
            unsafe { (mem::zeroed(), mem::zeroed()) };
        let count = self.ends.len();
        let mut begin = 0;
        for (number, (at, end)) in self.ends.iter().enumerate() {
            let (at, end) = (*at, *end);
            self.control_lengths[at] = turn(&mut self.controls[at], self.control_lengths[at]);
            slices[number].iov_base = self.answers[begin..end].as_mut_ptr().cast();
            slices[number].iov_len = end - begin;
            let header = &mut headers[number].msg_hdr;
            header.msg_name = ptr::from_mut(&mut self.names[at]).cast();
            header.msg_namelen = self.name_lengths[at];
            header.msg_iov = &raw mut slices[number];
            header.msg_iovlen = 1;
            if self.control_lengths[at] > 0 {
                header.msg_control = self.controls[at].0.as_mut_ptr().cast();
                header.msg_controllen = self.control_lengths[at];
            }
            begin = end;
        }
        let (mut sent, mut failed) = (0, 0);
        while sent + failed < count {
            let rest = &mut headers[sent + failed..count];
            // SAFETY: every pointer is to memory of `self` or of this function that lives and is not written until the
            // call returns, and is as long as it is said to be. `rest` has as many headers as are told.
            let result = unsafe {
                let count = libc::c_uint::try_from(rest.len()).unwrap_or(1);
                libc::sendmmsg(socket.as_raw_fd(), rest.as_mut_ptr(), count, 0)
            };
            match usize::try_from(result) {
                Ok(more) => sent += more.max(1),
                // It is about the first: an address that cannot be reached, most often.
                Err(_) if io::Error::last_os_error().kind() == io::ErrorKind::Interrupted => {}
                Err(_) => failed += 1,
            }
        }
        failed
    }
}

/// Makes what the kernel said of the address that was asked into what it is to send from, and returns its length; 0 where
/// it said nothing of that.
fn turn(control: &mut Control, length: usize) -> usize {
    let header_length = size_of::<libc::cmsghdr>();
    if length < header_length {
        return 0;
    }
    // SAFETY: the bytes are initialised, aligned for it, and enough; every bit pattern is a `cmsghdr`.
    let header: libc::cmsghdr = unsafe { ptr::read(control.0.as_ptr().cast()) };
    // The interface is the kernel's to choose; for an address of a link the sender's has it.
    let interface = match (header.cmsg_level, header.cmsg_type) {
        (libc::IPPROTO_IP, libc::IP_PKTINFO) => mem::offset_of!(libc::in_pktinfo, ipi_ifindex),
        (libc::IPPROTO_IPV6, libc::IPV6_PKTINFO) => mem::offset_of!(libc::in6_pktinfo, ipi6_ifindex),
        _ => return 0,
    };
    let at = header_length + interface;
    control.0[at..at + size_of::<libc::c_int>()].fill(0);
    length
}

/// The address in `name`.
fn address(name: &libc::sockaddr_storage, length: libc::socklen_t) -> Option<SocketAddr> {
    match libc::c_int::from(name.ss_family) {
        libc::AF_INET if length >= length_of::<libc::sockaddr_in>() => {
            // SAFETY: the family says that this is what it is; a `sockaddr_storage` is as long and aligned for it.
            let name: libc::sockaddr_in = unsafe { ptr::read(ptr::from_ref(name).cast()) };
            let ip = Ipv4Addr::from(name.sin_addr.s_addr.to_ne_bytes());
            Some(SocketAddr::new(ip.into(), u16::from_be(name.sin_port)))
        }
        libc::AF_INET6 if length >= length_of::<libc::sockaddr_in6>() => {
            // SAFETY: as above.
            let name: libc::sockaddr_in6 = unsafe { ptr::read(ptr::from_ref(name).cast()) };
            let ip = Ipv6Addr::from(name.sin6_addr.s6_addr);
            let port = u16::from_be(name.sin6_port);
            Some(SocketAddrV6::new(ip, port, name.sin6_flowinfo, name.sin6_scope_id).into())
        }
        _ => None,
    }
}

fn length_of<T>() -> libc::socklen_t {
    libc::socklen_t::try_from(size_of::<T>()).unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use nix::sys::socket::{setsockopt, sockopt};

    use super::*;

    fn socket(address: &str) -> UdpSocket {
        let socket = UdpSocket::bind(address).unwrap();
        socket.set_read_timeout(Some(Duration::from_secs(10))).unwrap();
        socket
    }

    /// Receives until there were `count`, and answers each with its bytes turned round.
    fn turn_round(batch: &mut Batch, server: &UdpSocket, count: usize) {
        let mut done = 0;
        while done < count {
            let received = batch.receive(server).unwrap();
            for at in 0..received {
                batch.answer(at, |request, _, out| out.extend(request.iter().rev()));
            }
            assert_eq!(batch.send(server), 0);
            done += received;
        }
    }

    #[test]
    fn every_request_has_its_own_answer() {
        for address in ["127.0.0.1:0", "[::1]:0"] {
            let (server, clients) = (socket(address), [socket(address), socket(address)]);
            for number in 0..BATCH + 10 {
                for (client, name) in clients.iter().zip(["a", "b"]) {
                    let request = format!("{name}{number:03}");
                    client.send_to(request.as_bytes(), server.local_addr().unwrap()).unwrap();
                }
            }
            turn_round(&mut Batch::new(), &server, 2 * (BATCH + 10));
            for (client, name) in clients.iter().zip(["a", "b"]) {
                for number in 0..BATCH + 10 {
                    let mut bytes = [0; 10];
                    let (length, from) = client.recv_from(&mut bytes).unwrap();
                    let expected: Vec<u8> = format!("{name}{number:03}").bytes().rev().collect();
                    assert_eq!((&bytes[..length], from), (&expected[..], server.local_addr().unwrap()));
                }
            }
        }
    }

    #[test]
    fn an_answer_comes_from_the_address_that_was_asked() {
        let server = socket("0.0.0.0:0");
        setsockopt(&server, sockopt::Ipv4PacketInfo, &true).unwrap();
        let client = socket("127.0.0.1:0");
        for asked in ["127.0.0.2", "127.0.0.3"] {
            let asked = SocketAddr::new(asked.parse().unwrap(), server.local_addr().unwrap().port());
            client.send_to(b"who are you", asked).unwrap();
            turn_round(&mut Batch::new(), &server, 1);
            assert_eq!(client.recv_from(&mut [0; 20]).unwrap().1, asked);
        }
        let server = socket("[::]:0");
        setsockopt(&server, sockopt::Ipv6RecvPacketInfo, &true).unwrap();
        let (client, port) = (socket("[::1]:0"), server.local_addr().unwrap().port());
        let asked = SocketAddr::new(Ipv6Addr::LOCALHOST.into(), port);
        client.send_to(b"and you", asked).unwrap();
        turn_round(&mut Batch::new(), &server, 1);
        assert_eq!(client.recv_from(&mut [0; 20]).unwrap().1, asked);
    }

    #[test]
    fn nothing_is_no_error_and_what_is_too_long_is_cut() {
        let (server, client) = (socket("127.0.0.1:0"), socket("127.0.0.1:0"));
        let mut batch = Batch::new();
        assert_eq!(batch.receive(&server).unwrap(), 0);
        client.send_to(&[7; MAX_REQUEST + 100], server.local_addr().unwrap()).unwrap();
        client.send_to(b"", server.local_addr().unwrap()).unwrap();
        while batch.receive(&server).unwrap() == 0 {}
        let mut seen = None;
        batch.answer(0, |request, sender, _| seen = Some((request.len(), sender)));
        assert_eq!(seen, Some((MAX_REQUEST, client.local_addr().unwrap())));
    }

    #[test]
    fn one_that_cannot_be_sent_holds_up_no_other() {
        let (server, client) = (socket("127.0.0.1:0"), socket("127.0.0.1:0"));
        for _ in 0..3 {
            client.send_to(b"x", server.local_addr().unwrap()).unwrap();
        }
        let mut batch = Batch::new();
        let received = batch.receive(&server).unwrap();
        for at in 0..received {
            // The second is longer than any datagram.
            let length = if at == 1 { 70_000 } else { 1 };
            batch.answer(at, |_, _, out| out.resize(out.len() + length, 0));
        }
        assert_eq!((received, batch.send(&server)), (3, 1));
        for _ in 0..2 {
            client.recv_from(&mut [0; 10]).unwrap();
        }
    }
}
