//! The workshop: everything btd does. The thinking is in `protocol`.
//!
//! `main -> app -> {coordinator, worker, control, discovery} -> {bus, storage, sys} -> service -> protocol`, and nothing
//! back.

pub mod app;
pub mod args;
pub mod bus;
pub mod catalog;
pub mod config;
pub mod control;
pub mod coordinator;
pub mod discovery;
pub mod engine;
pub mod storage;
pub mod sys;
pub mod worker;

/// What the program is called: in its log, and in the folders that it has.
pub const PROGRAM: &str = "btd";
