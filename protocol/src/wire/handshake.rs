//! The 68 bytes that open a connection (BEP 3), and the extension bits in them.

use crate::id::{InfoHash, PeerId};

/// Bytes in a handshake.
pub const HANDSHAKE_LENGTH: usize = 68;

const PROTOCOL: &[u8; 20] = b"\x13BitTorrent protocol";

/// The 8 reserved bytes: which extensions a peer speaks.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Reserved(pub [u8; 8]);

impl Reserved {
    /// Byte and mask of the extension protocol (BEP 10).
    const EXTENDED: (usize, u8) = (5, 0x10);
    /// Byte and mask of the fast extension (BEP 6).
    const FAST: (usize, u8) = (7, 0x04);

    /// What btd speaks: BEP 6 and BEP 10.
    pub const fn ours() -> Self {
        let mut bits = [0; 8];
        bits[Self::EXTENDED.0] |= Self::EXTENDED.1;
        bits[Self::FAST.0] |= Self::FAST.1;
        Self(bits)
    }

    /// Whether the peer speaks the extension protocol (BEP 10).
    pub const fn has_extended(self) -> bool {
        self.0[Self::EXTENDED.0] & Self::EXTENDED.1 != 0
    }

    /// Whether the peer speaks the fast extension (BEP 6).
    pub const fn has_fast(self) -> bool {
        self.0[Self::FAST.0] & Self::FAST.1 != 0
    }
}

/// What a peer says first.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Handshake {
    /// The extensions it speaks.
    pub reserved: Reserved,
    /// The torrent it came for.
    pub info_hash: InfoHash,
    /// Its name for itself.
    pub peer_id: PeerId,
}

/// Bytes that do not open a BitTorrent connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("does not begin with the BitTorrent protocol name")]
pub struct HandshakeError;

impl Handshake {
    /// The bytes on the wire.
    pub fn encode(&self) -> [u8; HANDSHAKE_LENGTH] {
        let mut bytes = [0; HANDSHAKE_LENGTH];
        bytes[..20].copy_from_slice(PROTOCOL);
        bytes[20..28].copy_from_slice(&self.reserved.0);
        bytes[28..48].copy_from_slice(self.info_hash.as_bytes());
        bytes[48..].copy_from_slice(self.peer_id.as_bytes());
        bytes
    }

    /// Reads a handshake from the start of `bytes`; `None` while it is not there as a whole.
    ///
    /// # Errors
    /// As soon as the bytes that are there cannot become a handshake.
    pub fn decode(bytes: &[u8]) -> Result<Option<Self>, HandshakeError> {
        let seen = bytes.len().min(PROTOCOL.len());
        if bytes[..seen] != PROTOCOL[..seen] {
            return Err(HandshakeError);
        }
        let Some((bytes, _)) = bytes.split_first_chunk::<HANDSHAKE_LENGTH>() else { return Ok(None) };
        Ok(Some(Self {
            reserved: Reserved(array(&bytes[20..28])),
            info_hash: InfoHash::new(array(&bytes[28..48])),
            peer_id: PeerId::new(array(&bytes[48..])),
        }))
    }
}

/// Copies a slice whose length the caller knows to be `N`.
fn array<const N: usize>(bytes: &[u8]) -> [u8; N] {
    let mut array = [0; N];
    array.copy_from_slice(bytes);
    array
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn garbage_is_refused_at_its_first_byte() {
        assert_eq!(Handshake::decode(b"G"), Err(HandshakeError));
        assert_eq!(Handshake::decode(b"\x13BitTorrent protocoL"), Err(HandshakeError));
        assert_eq!(Handshake::decode(b"\x13BitTor"), Ok(None));
        assert_eq!(Handshake::decode(b""), Ok(None));
    }

    #[test]
    fn our_extension_bits_stand_where_the_beps_put_them() {
        assert_eq!(Reserved::ours().0, [0, 0, 0, 0, 0, 0x10, 0, 0x04]);
        assert!(Reserved::ours().has_fast() && Reserved::ours().has_extended());
        assert!(!Reserved::default().has_fast() && !Reserved::default().has_extended());
    }

    proptest! {
        #[test]
        fn encode_then_decode_is_identity(reserved: [u8; 8], hash: [u8; 20], id: [u8; 20], cut in 0..HANDSHAKE_LENGTH) {
            let handshake = Handshake {
                reserved: Reserved(reserved),
                info_hash: InfoHash::new(hash),
                peer_id: PeerId::new(id),
            };
            let bytes = handshake.encode();
            prop_assert_eq!(Handshake::decode(&bytes), Ok(Some(handshake)));
            prop_assert_eq!(Handshake::decode(&bytes[..cut]), Ok(None));
        }
    }
}
