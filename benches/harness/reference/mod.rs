//! The bound: a server that does nothing but gathered writes from a mapping.
//!
//! One thread and one epoll. It takes any info-hash, unchokes at once, checks no more than that a request lies in the
//! payload, and answers all requests of one read with one `writev`. No seeder that keeps TCP and its payload
//! in the page cache can be much cheaper.

mod connection;

use std::io;
use std::net::TcpListener;

use nix::errno::Errno;
use nix::sys::epoll::{Epoll, EpollCreateFlags, EpollEvent, EpollFlags, EpollTimeout};
use protocol::geometry::Geometry;

use connection::Connection;

const EVENTS_PER_WAIT: usize = 256;
/// Event data of the listener; a connection's is its place in the table.
const LISTENER: u64 = u64::MAX;

/// Serves `payload`, cut as `geometry` says, to all who connect to `listener`, until the process is ended.
///
/// # Errors
/// When the listener or the epoll fails; what a peer does only ends its connection.
pub fn serve(listener: &TcpListener, payload: &[u8], geometry: &Geometry) -> io::Result<()> {
    listener.set_nonblocking(true)?;
    let epoll = Epoll::new(EpollCreateFlags::EPOLL_CLOEXEC)?;
    epoll.add(listener, EpollEvent::new(EpollFlags::EPOLLIN, LISTENER))?;
    let mut table: Vec<Option<Connection>> = Vec::new();
    let mut events = [EpollEvent::empty(); EVENTS_PER_WAIT];
    loop {
        let count = match epoll.wait(&mut events, EpollTimeout::NONE) {
            Err(Errno::EINTR) => continue,
            other => other?,
        };
        for event in &events[..count] {
            if event.data() == LISTENER {
                accept(listener, &epoll, &mut table)?;
                continue;
            }
            let slot = usize::try_from(event.data()).ok().and_then(|index| table.get_mut(index));
            let Some(slot) = slot else { continue };
            let has_room = event.events().contains(EpollFlags::EPOLLOUT);
            if slot.as_mut().is_some_and(|peer| peer.serve(has_room, payload, geometry).is_err()) {
                *slot = None;
            }
        }
    }
}

/// Edge-triggered both ways and registered once: a connection reads until a short read and writes until it would block.
fn accept(listener: &TcpListener, epoll: &Epoll, table: &mut Vec<Option<Connection>>) -> io::Result<()> {
    loop {
        let stream = match listener.accept() {
            Ok((stream, _)) => stream,
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => return Ok(()),
            Err(error) if error.kind() == io::ErrorKind::ConnectionAborted => continue,
            Err(error) => return Err(error),
        };
        stream.set_nonblocking(true)?;
        stream.set_nodelay(true)?;
        let index = table.iter().position(Option::is_none).unwrap_or(table.len());
        let interest = EpollFlags::EPOLLIN | EpollFlags::EPOLLOUT | EpollFlags::EPOLLET;
        epoll.add(&stream, EpollEvent::new(interest, index as u64))?;
        if index == table.len() {
            table.push(None);
        }
        table[index] = Some(Connection::new(stream));
    }
}
