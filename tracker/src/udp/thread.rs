//! One thread of the UDP door.

use std::io;
use std::net::UdpSocket;
use std::os::fd::AsFd;
use std::sync::Arc;
use std::time::Instant;

use nix::errno::Errno;
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::sys::eventfd::EventFd;
use nix::sys::socket::{setsockopt, sockopt};

use super::answer::{Answerer, Moment};
use super::batch::{BATCH, Batch};
use crate::desk::Clock;

/// Batches of one socket before the others are looked at.
const MAX_BATCHES: usize = 16;

/// The thread's part.
pub(super) struct Worker {
    sockets: Vec<UdpSocket>,
    hatch: Hatch,
    stop: Arc<EventFd>,
}

/// Through which datagrams come in and answers go out.
struct Hatch {
    answerer: Answerer,
    batch: Batch,
}

impl Worker {
    pub(super) fn new(sockets: Vec<UdpSocket>, answerer: Answerer, stop: Arc<EventFd>) -> io::Result<Self> {
        for socket in &sockets {
            tell_asked_address(socket)?;
        }
        Ok(Self { sockets, hatch: Hatch { answerer, batch: Batch::new() }, stop })
    }

    /// Serves until it is told to stop.
    pub(super) fn run(self) {
        let Self { sockets, mut hatch, stop } = self;
        let fds = sockets.iter().map(AsFd::as_fd).chain([stop.as_fd()]);
        let mut fds: Vec<PollFd<'_>> = fds.map(|fd| PollFd::new(fd, PollFlags::POLLIN)).collect();
        while wait(&mut fds) && !fds.last().is_some_and(is_ready) {
            for (socket, fd) in sockets.iter().zip(&fds) {
                if is_ready(fd)
                    && let Err(error) = hatch.serve(socket)
                {
                    // What the kernel has against one datagram must not end the others'.
                    tracing::debug!("a datagram could not be received: {error}");
                }
            }
        }
    }
}

/// Waits until one of them has something to read; false when there is no waiting.
fn wait(fds: &mut [PollFd<'_>]) -> bool {
    loop {
        match poll(fds, PollTimeout::NONE) {
            Ok(_) => return true,
            Err(Errno::EINTR) => {}
            Err(error) => {
                tracing::error!("cannot wait for datagrams: {error}");
                return false;
            }
        }
    }
}

fn is_ready(fd: &PollFd<'_>) -> bool {
    fd.any().unwrap_or(true)
}

impl Hatch {
    /// Answers what has come in at a socket.
    fn serve(&mut self, socket: &UdpSocket) -> io::Result<()> {
        for _ in 0..MAX_BATCHES {
            let received = self.batch.receive(socket)?;
            if received == 0 {
                break;
            }
            let begin = Instant::now();
            let at = Moment { now: self.answerer.clerk().desk().clock().at(begin), unix_s: Clock::unix_s() };
            for request in 0..received {
                let answerer = &mut self.answerer;
                self.batch.answer(request, |packet, sender, out| answerer.answer(packet, sender, at, out));
            }
            let failed = self.batch.send(socket);
            if failed > 0 {
                tracing::debug!("{failed} answers could not be sent");
            }
            self.answerer.clerk().counters().answered(begin.elapsed(), received as u64);
            if received < BATCH {
                break;
            }
        }
        Ok(())
    }
}

/// Where a socket is bound to all addresses, has the kernel say which was asked, for the answer to come from there.
fn tell_asked_address(socket: &UdpSocket) -> io::Result<()> {
    let address = socket.local_addr()?;
    if !address.ip().is_unspecified() {
        return Ok(());
    }
    if address.is_ipv6() {
        setsockopt(socket, sockopt::Ipv6RecvPacketInfo, &true)?;
    } else {
        setsockopt(socket, sockopt::Ipv4PacketInfo, &true)?;
    }
    Ok(())
}
