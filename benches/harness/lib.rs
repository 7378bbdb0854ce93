//! The harness of the benchmarks: what is claimed, measured.
//!
//! `upload` starts one contender after the other on one core, `load` asks it for blocks from another core, and the
//! CPU time that the kernel charged to the contender is the result. Nothing here is linked into btd, and but for the
//! arithmetic of pieces nothing here is taken from it, so that a bug cannot hide on both sides.

pub mod contender;
pub mod cores;
pub mod load;
pub mod mapping;
pub mod payload;
pub mod process;
pub mod reference;
pub mod server;
pub mod size;
pub mod torrent;
pub mod upload;
pub mod wire;
