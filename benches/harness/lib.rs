//! The harness of the benchmarks: what is claimed, measured.
//!
//! `upload` starts one seeder after the other on one core, and `load` asks it for blocks from another core.
//! `download` starts one leecher after the other on one core, and `reference` serves it from another core. The CPU
//! time that the kernel charged to the program under test is the result. `scale` loads a daemon with many torrents,
//! and measures what it takes to start it, to list them, and to leave it alone. `tracking` asks trackers over HTTP and UDP.
//! `hashing` runs programs that make torrents and check payload, one after the other on all cores.
//! Nothing here is linked into btd or bttracker, and but for the arithmetic of pieces and the messages of trackers nothing
//! here is taken from them, so that a bug cannot hide on both sides.

pub mod common;
pub mod contender;
pub mod cores;
mod daemon;
pub mod download;
pub mod goal;
mod greeting;
pub mod hashing;
mod http;
pub mod latencies;
pub mod load;
pub mod mapping;
mod memory_limit;
pub mod network;
pub mod payload;
pub mod places;
pub mod process;
pub mod reference;
mod run;
pub mod scale;
pub mod server;
mod site;
pub mod size;
mod slow_folder;
pub mod spread;
pub mod torrent;
pub mod tracker;
pub mod tracking;
pub mod upload;
pub mod wire;
