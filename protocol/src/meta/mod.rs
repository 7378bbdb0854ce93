//! What describes a torrent: the .torrent file, its `info` dictionary, the magnet link, and making new ones.
//!
//! Everything here is read from strangers. It comes out as types whose paths are safe to join to a folder, whose
//! sizes add up and whose hashes are as many as there are pieces; or it does not come out.

mod create;
mod distinct;
mod files;
mod info;
mod magnet;
mod metainfo;
mod path;
mod rename;
#[cfg(test)]
mod tests;
mod url;

pub use create::{CreateError, NewFile, NewTorrent, Payload, default_piece_length, unusable_tracker};
pub use files::{FileEntry, FileKind, MAX_FILE_COUNT};
pub use info::{Info, InfoError};
pub use magnet::{Magnet, MagnetError, MagnetPeer};
pub use metainfo::{Metainfo, MetainfoError, wrap_info};
pub use path::{FilePath, MAX_COMPONENT_LENGTH, MAX_PATH_DEPTH, MAX_PATH_LENGTH};
pub use rename::RenameError;
