//! Opens connections that the coordinator wants.

use std::io;
use std::net::Shutdown;
use std::rc::Rc;
use std::time::{Duration, Instant};

use nix::libc;
use socket2::{Domain, Protocol, Socket, Type};
use tokio::sync::mpsc;
use tokio_uring::net::TcpStream;

use crate::bus::Dial;

use super::accept::serve;
use super::connection::Origin;
use super::ring;
use super::thread::Context;

/// How long a peer may take to answer. Whoever has not by then is behind a wall, as a rule.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(10);

/// Dials until nobody wants to any more.
pub(super) async fn run(context: Rc<Context>, mut dials: mpsc::Receiver<Dial>) {
    while let Some(dial) = dials.recv().await {
        let Some(place) = context.places.take() else {
            context.report_unreachable(dial).await;
            continue;
        };
        context.counters.add_dialled();
        let context = Rc::clone(&context);
        tokio_uring::spawn(async move {
            match connect(&context, dial).await {
                Ok(socket) => {
                    let connection = context.connect(socket, dial.address, Origin::Dialled(dial.info_hash));
                    serve(&context, &connection).await;
                }
                Err(error) => {
                    tracing::debug!(peer = %dial.address, "cannot be reached: {error}");
                    context.report_unreachable(dial).await;
                }
            }
            drop(place);
        });
    }
}

/// Connects without holding anything up: the ring tells when the socket can be written, or has failed.
async fn connect(context: &Context, dial: Dial) -> io::Result<TcpStream> {
    let domain = Domain::for_address(dial.address);
    let socket = Socket::new(domain, Type::STREAM.cloexec().nonblocking(), Some(Protocol::TCP))?;
    match socket.connect(&dial.address.into()) {
        Err(error) if error.raw_os_error() != Some(libc::EINPROGRESS) => return Err(error),
        _ => {}
    }
    let socket = Rc::new(socket);
    let key = context.dialling.borrow_mut().insert((Instant::now(), Rc::clone(&socket)));
    context.clock.wake();
    let result = ring::writable(&socket).await;
    context.dialling.borrow_mut().remove(key);
    context.left.notify_one();
    result?;
    if let Some(error) = socket.take_error()? {
        return Err(error);
    }
    // The peer's address is there only once it has answered: one that was given up has none.
    socket.peer_addr()?;
    let socket = Rc::try_unwrap(socket).map_err(|_| io::Error::other("the socket is still in use"))?;
    socket.set_nonblocking(false)?;
    socket.set_tcp_nodelay(true)?;
    Ok(TcpStream::from_std(socket.into()))
}

/// Gives up connections that take too long; their polls end.
pub(super) fn give_up_late(context: &Context, now: Instant) {
    for (_, (since, socket)) in context.dialling.borrow().iter() {
        if now.saturating_duration_since(*since) >= CONNECT_TIMEOUT {
            // Fails where it has just been made.
            let _ = socket.shutdown(Shutdown::Both);
        }
    }
}

/// Gives up all connections that are being made.
pub(super) fn give_up_all(context: &Context) {
    for (_, (_, socket)) in context.dialling.borrow().iter() {
        let _ = socket.shutdown(Shutdown::Both);
    }
}
