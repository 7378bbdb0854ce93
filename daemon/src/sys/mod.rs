//! What the operating system has to give before anything runs: sockets, limits, io_uring; and what the service manager
//! is told.

pub mod heartbeats;
pub mod inherit;
pub mod interfaces;
pub mod limits;
pub mod listen;
pub mod memory;
pub mod notify;
pub mod probe;
