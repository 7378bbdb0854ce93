//! The door for UDP (BEP 15): threads that receive batches of datagrams, answer them and send the answers.
//!
//! Started and stopped by the application. Each thread has sockets of its own, one for each address, over which the kernel
//! spreads what comes; it waits for nothing but them.

mod answer;
mod batch;
mod connection_id;
mod key;
mod thread;

use std::io;
use std::net::UdpSocket;
use std::sync::Arc;
use std::thread::JoinHandle;

use nix::sys::eventfd::{EfdFlags, EventFd};

use crate::desk::Desk;
use crate::figures::Door;

use answer::{Answerer, Shared};
use thread::Worker;

pub use connection_id::ConnectionIds;
pub use key::{Key, KeyError, keep_key, load_key, new_key};

/// The threads.
#[derive(Debug)]
pub struct UdpServer {
    threads: Vec<JoinHandle<()>>,
    stop: Arc<EventFd>,
}

impl UdpServer {
    /// Starts a thread for each set of sockets.
    ///
    /// # Errors
    /// When there is no thread or descriptor to be had.
    pub fn start(by_worker: Vec<Vec<UdpSocket>>, desk: &Arc<Desk>, ids: ConnectionIds) -> io::Result<Self> {
        let stop = Arc::new(EventFd::from_flags(EfdFlags::EFD_CLOEXEC | EfdFlags::EFD_NONBLOCK)?);
        let shared = Shared::new(ids);
        let mut server = Self { threads: Vec::new(), stop };
        for (number, sockets) in by_worker.into_iter().enumerate() {
            let answerer = Answerer::new(desk.clerk(Door::Udp), Arc::clone(&shared));
            let worker = Worker::new(sockets, answerer, Arc::clone(&server.stop))?;
            let thread = std::thread::Builder::new().name(format!("udp-{number}"));
            server.threads.push(thread.spawn(move || worker.run())?);
        }
        Ok(server)
    }

    /// Whether a thread has ended on its own: our own mistake.
    pub fn is_lost(&self) -> bool {
        self.threads.iter().any(JoinHandle::is_finished)
    }

    /// Ends the threads, when they have answered what they have received.
    pub fn stop(self) {
        if self.stop.write(1).is_ok() {
            for thread in self.threads {
                // A panic was logged where it happened.
                let _ = thread.join();
            }
        }
    }
}
