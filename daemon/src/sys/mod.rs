//! What this machine has to give before anything runs: addresses, descriptors, io_uring.

pub mod interfaces;
pub mod limits;
pub mod probe;
