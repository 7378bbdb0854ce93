//! The study: everything btd, btctl and bttracker think, and nothing they do.
//!
//! No socket, file, clock or thread lives here. Bytes, time and randomness come in as arguments, so the whole
//! protocol runs in a test from one seed. The workshop (`daemon`) moves the bytes that this crate decides about.

#![forbid(unsafe_code)]
#![warn(missing_docs)]

pub mod amount;
pub mod announce;
pub mod bencode;
pub mod bitfield;
pub mod control;
pub mod geometry;
pub mod id;
pub mod meta;
pub mod peer;
pub mod piece_set;
pub mod printable;
pub mod swarm;
pub mod wire;
