//! Takes connections off a listener, as many as are allowed.

use std::io;
use std::rc::Rc;
use std::time::Duration;

use nix::libc;
use tokio_uring::net::TcpListener;

use super::connection::{Connection, Ended, Origin};
use super::thread::Context;
use super::{reader, writer};

/// How long to wait when the machine has no descriptor or memory left for another connection.
const EXHAUSTED_PAUSE: Duration = Duration::from_millis(100);

/// Accepts until the listener is shut down.
pub(super) async fn run(context: Rc<Context>, listener: TcpListener) {
    let mut is_exhaustion_told = false;
    loop {
        match listener.accept().await {
            // The place is taken before the task runs, so that a burst cannot overshoot.
            Ok((socket, address)) => match context.places.take() {
                Some(place) => {
                    context.counters.add_accepted();
                    let connection = context.connect(socket, address, Origin::Accepted);
                    let context = Rc::clone(&context);
                    tokio_uring::spawn(async move {
                        serve(&context, &connection).await;
                        drop(place);
                    });
                }
                None => {
                    context.counters.add_refused();
                    tracing::debug!(peer = %address, "turned away: there are as many connections as allowed");
                }
            },
            Err(error) if context.is_stopping.get() => {
                tracing::trace!("listener closed: {error}");
                return;
            }
            Err(error) if is_exhausted(&error) => {
                if !std::mem::replace(&mut is_exhaustion_told, true) {
                    tracing::warn!("cannot accept for the moment: {error}");
                }
                tokio::time::sleep(EXHAUSTED_PAUSE).await;
            }
            // The peer was gone before we got to it.
            Err(error) => tracing::debug!("accept: {error}"),
        }
    }
}

fn is_exhausted(error: &io::Error) -> bool {
    matches!(error.raw_os_error(), Some(libc::EMFILE | libc::ENFILE | libc::ENOBUFS | libc::ENOMEM))
}

/// Runs a connection to its end: when either task ends the other is woken, and both are waited for.
pub(super) async fn serve(context: &Rc<Context>, connection: &Rc<Connection>) {
    let listed = Listed::new(context, connection);
    let reading = async { connection.close(&reader::run(context, connection).await) };
    let writing = async { connection.close(&writer::run(context, connection).await) };
    tokio::join!(reading, writing);
    drop(listed);
    context.report_end(connection).await;
}

/// A connection in the worker's list, until this is dropped: also when its task panics.
struct Listed<'a> {
    context: &'a Context,
    key: usize,
}

impl<'a> Listed<'a> {
    fn new(context: &'a Context, connection: &Rc<Connection>) -> Self {
        let key = context.connections.borrow_mut().insert(Rc::clone(connection));
        context.clock.wake();
        context.counters.set_connections(context.connections.borrow().len());
        Self { context, key }
    }
}

impl Drop for Listed<'_> {
    fn drop(&mut self) {
        let connection = self.context.connections.borrow_mut().try_remove(self.key);
        self.context.counters.set_connections(self.context.connections.borrow().len());
        if let Some(connection) = connection {
            connection.close(&Ended::Stopping);
            if std::thread::panicking() {
                self.context.report_panic(&connection);
            }
        }
        self.context.left.notify_one();
    }
}
