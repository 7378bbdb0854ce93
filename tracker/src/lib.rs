//! bttracker as a library: the rooms of the tracker, for its binary and for tests.

pub mod figures;
pub mod swarms;
