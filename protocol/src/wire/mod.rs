//! The peer wire: what goes over a connection between two peers, as types and back.
//!
//! Framing and messages of BEP 3, the fast extension of BEP 6, the extension protocol of BEP 10 and the metadata
//! messages of BEP 9. Bytes become trusted types here; nothing behind this door parses again.

mod decoder;
mod dictionary;
mod extended;
mod handshake;
mod message;
mod metadata;

pub use decoder::{Decoder, MAX_FRAME_LENGTH, MAX_SKIPPED_LENGTH, WireError};
pub use extended::{EXTENDED_HANDSHAKE_ID, ExtendedError, ExtendedHandshake};
pub use handshake::{HANDSHAKE_LENGTH, Handshake, HandshakeError, Reserved};
pub use message::{Message, PIECE_HEADER_LENGTH, piece_header};
pub use metadata::{METADATA_PIECE_LENGTH, MetadataMessage};
