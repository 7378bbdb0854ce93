//! The harness of the end-to-end tests: real processes, real clients, and a small raw peer of its own.
//!
//! Nothing here waits for time to pass: every wait is for an event, has a deadline, and fails with what the
//! process under test had said until then. Failures are panics, which the test runner catches.
#![forbid(unsafe_code)]
#![allow(clippy::expect_used, clippy::panic, clippy::unwrap_used, reason = "a failed test is a panic")]

pub mod announces;
pub mod api;
pub mod bencode;
pub mod btctl;
pub mod btd;
pub mod bttracker;
pub mod caller;
pub mod client;
pub mod compare;
pub mod daemon;
pub mod download;
pub mod folders;
pub mod get;
pub mod http;
pub mod limit;
pub mod listeners;
pub mod mount;
pub mod needs;
pub mod netns;
pub mod notify;
pub mod payload;
pub mod peers;
pub mod process;
pub mod query;
pub mod raw_seed;
pub mod sources;
pub mod torrent;
pub mod tracker;
pub mod udp;
pub mod udp_caller;
pub mod wire;
