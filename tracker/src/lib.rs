//! bttracker as a library: the rooms of the tracker, for its binary and for tests.

pub mod access;
pub mod admin;
pub mod app;
pub mod args;
pub mod config;
pub mod desk;
pub mod figures;
pub mod http;
pub mod limits;
pub mod swarms;
pub mod udp;

/// What the program is called: by the log, by the service manager, and as the name of its folders.
pub const PROGRAM: &str = "bttracker";
