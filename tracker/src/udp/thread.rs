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
    answerer: Answerer,
    batch: Batch,
    stop: Arc<EventFd>,
}

impl Worker {
    pub(super) fn new(sockets: Vec<UdpSocket>, answerer: Answerer, stop: Arc<EventFd>) -> io::Result<Self> {
        for socket in &sockets {
            tell_asked_address(socket)?;
        }
        Ok(Self { sockets, answerer, batch: Batch::new(), stop })
    }

    /// Serves until it is told to stop.
    pub(super) fn run(mut self) {
        while let Some(readable) = self.wait() {
            for number in readable {
                if let Err(error) = self.serve(number) {
                    // What the kernel has against one datagram must not end the others'.
                    tracing::debug!("a datagram could not be received: {error}");
                }
            }
        }
    }

    /// Waits until there is something to read, and says where; `None` when it is time to stop.
    fn wait(&self) -> Option<Vec<usize>> {
        let mut fds: Vec<PollFd<'_>> =
            self.sockets.iter().map(|socket| PollFd::new(socket.as_fd(), PollFlags::POLLIN)).collect();
        fds.push(PollFd::new(self.stop.as_fd(), PollFlags::POLLIN));
        loop {
            match poll(&mut fds, PollTimeout::NONE) {
                Err(Errno::EINTR) => {}
                Err(error) => {
                    tracing::error!("cannot wait for datagrams: {error}");
                    return None;
                }
                Ok(_) => break,
            }
        }
        let is_ready = |fd: &PollFd<'_>| fd.any().unwrap_or(true);
        let stop = fds.pop();
        if stop.as_ref().is_some_and(is_ready) {
            return None;
        }
        Some((0..fds.len()).filter(|number| is_ready(&fds[*number])).collect())
    }

    /// Answers what has come in at one socket.
    fn serve(&mut self, number: usize) -> io::Result<()> {
        for _ in 0..MAX_BATCHES {
            let socket = &self.sockets[number];
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
