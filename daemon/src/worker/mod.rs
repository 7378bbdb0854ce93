//! The workers: one thread a core, each with its own ring, its own listeners and its own connections.
//!
//! Bytes go from the socket to the [`protocol::peer::Machine`] and from what it wants served to one gathered send
//! straight from the mapping. While payload is in memory, nothing on that way takes a lock, sends a message or waits for
//! a disk.

mod accept;
mod batch;
mod buffers;
mod clock;
mod connection;
mod counters;
mod dial;
mod gather;
mod pace;
mod reader;
mod ring;
mod thread;
mod turn;
mod writer;

pub use counters::Counters;
pub use thread::{Shared, Worker, WorkerError, start};
