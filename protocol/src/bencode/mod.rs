//! Bencode (BEP 3) from outside: bytes are scanned once, strictly and within limits, before anything reads them.
//!
//! [`scan`] walks untrusted bytes without allocating and says where the first value ends; [`scan_torrent`] and
//! [`scan_info`] also find `info` and refuse keys given twice in it. [`Value`] then reads what was scanned in
//! place. serde_bencode (it recurses, and it allocates what it reads) only ever writes.

mod scan;
mod token;
mod value;

pub use scan::{scan, scan_info, scan_torrent};
pub use value::Value;

/// Longest input that is scanned, in bytes: the 80 MiB of hashes of the largest torrent, and room for its files.
pub const MAX_INPUT_LENGTH: usize = 256 * 1024 * 1024;
/// Most lists and dictionaries inside each other; libtorrent draws the line at 100 too.
pub const MAX_DEPTH: usize = 100;
/// Most keys remembered to find a key given twice. Keys in order need no memory; a dictionary of `info` that is
/// out of order may have no more than these, and its cost stays linear. Real ones have about ten.
pub const MAX_UNORDERED_KEYS: usize = 32;

/// Bytes that are not bencode, or not the bencode of a torrent. `at` counts bytes from the start of the input.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum BencodeError {
    /// The input is longer than is ever scanned.
    #[error("{0} bytes are more than the {MAX_INPUT_LENGTH} that are read")]
    TooLong(usize),
    /// The input ends inside a value.
    #[error("byte {at}: the data ends inside a value")]
    Truncated {
        /// Where the value that is cut short begins.
        at: usize,
    },
    /// A byte that begins no value.
    #[error("byte {at}: no value begins with '{}'", found.escape_ascii())]
    UnexpectedByte {
        /// Where it stands.
        at: usize,
        /// The byte.
        found: u8,
    },
    /// An integer or a string length that is not a number, or not in its only form.
    #[error("byte {at}: not a number (empty, `-0`, a leading zero or a stray byte)")]
    BadNumber {
        /// Where the integer or the string begins.
        at: usize,
    },
    /// An integer or a string length outside of 64 bits.
    #[error("byte {at}: a number that does not fit a signed 64-bit integer")]
    NumberTooLarge {
        /// Where the integer or the string begins.
        at: usize,
    },
    /// Lists and dictionaries nest too deep.
    #[error("byte {at}: more than {MAX_DEPTH} lists and dictionaries inside each other")]
    TooDeep {
        /// Where the one too many begins.
        at: usize,
    },
    /// A dictionary has something else than a string where a key should be.
    #[error("byte {at}: a key of a dictionary is not a string")]
    KeyNotAString {
        /// Where the key should begin.
        at: usize,
    },
    /// A dictionary ends after a key.
    #[error("byte {at}: a dictionary ends after a key, without its value")]
    MissingValue {
        /// Where the dictionary ends.
        at: usize,
    },
    /// The same key twice in a dictionary of `info`, or `info` twice.
    #[error("byte {at}: the same key is given twice")]
    DuplicateKey {
        /// Where the second one begins.
        at: usize,
    },
    /// A dictionary of `info` is out of order and too large to be searched for keys given twice.
    #[error("byte {at}: more than {MAX_UNORDERED_KEYS} keys of a dictionary that is out of order")]
    TooManyUnorderedKeys {
        /// Where the key begins that cannot be checked.
        at: usize,
    },
    /// More bytes follow where exactly one value was expected.
    #[error("byte {at}: more data after the end of the value")]
    TrailingBytes {
        /// The first of them.
        at: usize,
    },
    /// A torrent file that is something else than a dictionary.
    #[error("the torrent file is not a dictionary")]
    NotADictionary,
    /// A torrent file without `info`.
    #[error("`info` is missing")]
    MissingInfo,
}
