//! What the operating system has to give before anything runs: sockets, limits, io_uring.

pub mod interfaces;
pub mod limits;
pub mod listen;
pub mod memory;
pub mod probe;
