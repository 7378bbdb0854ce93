//! What the user sees. `Output` is the one door to stdout: lines, JSON and tables go through it, and nothing that a
//! stranger wrote reaches a terminal unescaped. Commands decide what to say; how it looks is decided here.

mod detail;
mod event;
mod output;
mod pieces;
mod progress;
mod rows;
mod table;
#[cfg(test)]
mod tests;
pub mod units;

pub use detail::{detail, stats};
pub use event::event;
pub use output::Output;
pub use pieces::pieces;
pub use progress::Bar;
pub use rows::{files, peers, torrents, trackers};
pub use table::{Column, Table};
#[cfg(test)]
pub(crate) use tests::example;
