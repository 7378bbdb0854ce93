//! Payload on disk: hashed, mapped, lent to the workers, and watched for changes.
//!
//! Nothing here knows a socket. A worker asks a [`Torrent`] for a [`Lease`] on a block; what is not known to be in
//! memory goes through the [`lanes`](lane::Lanes), so that no ring thread ever waits for a disk.

pub mod buffer;
pub mod create;
mod fetch;
pub mod file;
mod folder;
pub mod guard;
pub mod hash;
mod hint;
pub mod keeper;
pub mod lane;
pub mod lease;
pub mod load;
pub mod mapping;
pub mod open;
mod proof;
pub mod registry;
pub mod relocate;
mod run;
pub mod scan;
pub mod selection;
pub mod sha1;
pub mod state;
pub mod task;
pub mod torrent;
pub mod torrent_file;
pub mod verify;
pub mod watch;
pub mod window;
pub mod write;

pub use lease::Lease;
pub use registry::{Leave, Lookup, Registry};
pub use task::{Cancelled, Meter, Task};
pub use torrent::{Lent, Torrent, TorrentError};
