//! Amounts as people write them, on a command line or in a configuration: the same for btd and btctl.

use bytesize::ByteSize;

use crate::geometry::{BLOCK_LENGTH, MAX_PIECE_LENGTH};

/// Shortest piece of a new torrent: a block. Other clients read shorter ones badly or not at all.
const MIN_PIECE_LENGTH: u32 = BLOCK_LENGTH;

/// Lowest rate that can be set: less than a block in four seconds looks dead to peers.
const MIN_RATE: u64 = 4096;

/// Reads a piece length: bytes, or with KiB, MiB, GiB; a power of two from a block up.
///
/// # Errors
/// A text that says what is allowed.
pub fn piece_length(text: &str) -> Result<u32, String> {
    let allowed = || "a piece length is a power of two from 16KiB to 512MiB".to_owned();
    let size: ByteSize = text.parse().map_err(|_| allowed())?;
    let length = u32::try_from(size.as_u64()).map_err(|_| allowed())?;
    let is_allowed = length.is_power_of_two() && (MIN_PIECE_LENGTH..=MAX_PIECE_LENGTH).contains(&length);
    if is_allowed { Ok(length) } else { Err(allowed()) }
}

/// Reads a rate: bytes a second, or with k, M, G (thousands) or KiB, MiB, GiB.
///
/// # Errors
/// A text that says what is allowed.
pub fn rate(text: &str) -> Result<u64, String> {
    let allowed = || format!("a rate is bytes a second from {MIN_RATE}, as 500k, 2M or 1.5MiB");
    let size: ByteSize = text.parse().map_err(|_| allowed())?;
    Some(size.as_u64()).filter(|rate| *rate >= MIN_RATE).ok_or_else(allowed)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_rate_is_bytes_with_or_without_a_unit() {
        assert_eq!(rate("5000"), Ok(5_000));
        assert_eq!(rate("500k"), Ok(500_000));
        assert_eq!(rate("2M"), Ok(2_000_000));
        assert_eq!(rate("1.5MiB"), Ok(1_572_864));
        assert_eq!(rate("1G"), Ok(1_000_000_000));
        for text in ["", "x", "0", "10", "-5M", "M"] {
            assert!(rate(text).is_err(), "{text}");
        }
    }

    #[test]
    fn a_piece_length_is_a_power_of_two_with_or_without_a_unit() {
        assert_eq!(piece_length("16384"), Ok(16_384));
        assert_eq!(piece_length("1MiB"), Ok(1 << 20));
        assert_eq!(piece_length("512 MiB"), Ok(512 << 20));
        for text in ["", "x", "0", "8KiB", "24KiB", "1GiB", "-1", "1MB"] {
            assert!(piece_length(text).is_err(), "{text}");
        }
    }
}
