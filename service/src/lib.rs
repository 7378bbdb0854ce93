//! What a program needs to run as a service, whatever it serves: btd and bttracker are built on it.
//!
//! It knows sockets, files, the service manager and the log. It knows nothing of torrents, peers or trackers, and no
//! part of it starts by itself: programs call it.

pub mod config;
pub mod control;
pub mod heartbeats;
pub mod inherit;
pub mod life;
pub mod limits;
pub mod listen;
pub mod log;
pub mod manual;
pub mod memory;
pub mod notify;
pub mod openmetrics;
pub mod output;
pub mod places;
pub mod priority;
