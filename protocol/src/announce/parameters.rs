//! The parameters of a tracker's URL, read from raw bytes: what announces and scrapes have in common.
//!
//! Info-hashes and peer ids are arbitrary bytes, so nothing here passes through UTF-8: `+` is a plus, `;` separates
//! nothing, bytes that need no escape need not have one. What was not escaped is not copied.

use std::borrow::Cow;

use super::scrape::MAX_SCRAPE_HASHES;

/// Longest query that is read, in bytes: what HTTP servers take as a request line.
pub const MAX_QUERY_LENGTH: usize = 8 * 1024;
/// Most parameters, the info-hashes of a scrape not counted; clients send about fifteen.
pub(super) const MAX_PAIRS: usize = 64;

/// A query that is no announce, or no scrape. Worded for the `failure reason` of the answer.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum QueryError {
    /// Longer than is read.
    #[error("the query has more than {MAX_QUERY_LENGTH} bytes")]
    TooLong,
    /// More pairs than are read.
    #[error("the query has more than {MAX_PAIRS} parameters")]
    TooManyPairs,
    /// Something that an announce must have.
    #[error("{0} is missing")]
    Missing(&'static str),
    /// More than one torrent.
    #[error("an announce is for one info_hash")]
    TwoInfoHashes,
    /// An id that is not 20 bytes long.
    #[error("{key} must be 20 bytes, not {length}{}", if *length == 40 { " (did you send hex?)" } else { "" })]
    WrongLength {
        /// The parameter.
        key: &'static str,
        /// Its length in bytes, after decoding.
        length: usize,
    },
    /// A port that nobody listens on.
    #[error("port must be a number from 1 to 65535")]
    Port,
    /// `%` without two hex digits behind it.
    #[error("a bad % escape in {0}")]
    Escape(&'static str),
    /// A scrape of everything.
    #[error("full scrape is disabled: name an info_hash")]
    FullScrape,
    /// A scrape of more torrents than are looked up at once.
    #[error("a scrape is for at most {MAX_SCRAPE_HASHES} torrents")]
    TooManyHashes,
}

/// Keys and values as they stand, still escaped. Of a parameter that is named twice both are there; one without `=`
/// is left out.
pub(super) fn pairs(query: &[u8]) -> impl Iterator<Item = (&[u8], &[u8])> {
    query.split(|byte| *byte == b'&').filter_map(|pair| {
        let equals = pair.iter().position(|byte| *byte == b'=')?;
        Some((&pair[..equals], &pair[equals + 1..]))
    })
}

/// The first `passkey` of a query that may be no announce at all, as behind the path of a UDP tracker (BEP 41).
pub(super) fn find_passkey(query: &[u8]) -> Option<Cow<'_, [u8]>> {
    let (_, value) = pairs(query).find(|(key, _)| *key == b"passkey")?;
    unescape("passkey", value).ok()
}

/// An info-hash or a peer id.
pub(super) fn twenty(key: &'static str, value: &[u8]) -> Result<[u8; 20], QueryError> {
    let mut bytes = [0; 20];
    let length = unescape_into(&mut bytes, value).ok_or(QueryError::Escape(key))?;
    if length == bytes.len() { Ok(bytes) } else { Err(QueryError::WrongLength { key, length }) }
}

/// Replaces every `%XX` by its byte; all else stays as it is.
pub(super) fn unescape<'a>(key: &'static str, value: &'a [u8]) -> Result<Cow<'a, [u8]>, QueryError> {
    if !value.contains(&b'%') {
        return Ok(Cow::Borrowed(value));
    }
    let mut bytes = vec![0; value.len()];
    let length = unescape_into(&mut bytes, value).ok_or(QueryError::Escape(key))?;
    bytes.truncate(length);
    Ok(Cow::Owned(bytes))
}

/// Writes the unescaped `value` into `bytes` as far as it fits. Returns how long it is, or `None` when an escape is
/// cut off or not of hex digits.
pub(super) fn unescape_into(bytes: &mut [u8], value: &[u8]) -> Option<usize> {
    let mut rest = value;
    let mut length = 0;
    while let Some((&first, behind)) = rest.split_first() {
        let byte = if first == b'%' {
            let (&[high, low], behind) = behind.split_first_chunk()?;
            rest = behind;
            hex_digit(high)? << 4 | hex_digit(low)?
        } else {
            rest = behind;
            first
        };
        if let Some(slot) = bytes.get_mut(length) {
            *slot = byte;
        }
        length += 1;
    }
    Some(length)
}

fn hex_digit(digit: u8) -> Option<u8> {
    match digit {
        b'0'..=b'9' => Some(digit - b'0'),
        b'a'..=b'f' => Some(digit - b'a' + 10),
        b'A'..=b'F' => Some(digit - b'A' + 10),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn only_ampersands_and_the_first_equals_sign_separate() {
        let all: Vec<(&[u8], &[u8])> = pairs(b"&a=b=c;d=e&lonely&&=x&y=&").collect();
        let expected: [(&[u8], &[u8]); 3] = [(b"a", b"b=c;d=e"), (b"", b"x"), (b"y", b"")];
        assert_eq!(all, expected);
    }

    #[test]
    fn escapes_are_replaced_and_nothing_else() {
        let of = |value| unescape("x", value).map(Cow::into_owned);
        assert!(matches!(unescape("x", b"a+b\xff"), Ok(Cow::Borrowed(b"a+b\xff"))));
        assert_eq!(of(b"%2b%2B%00%fFa%25"), Ok(b"++\x00\xffa%".to_vec()));
        for bad in ["%", "%4", "%g0", "%0g", "a%+1"] {
            assert_eq!(of(bad.as_bytes()), Err(QueryError::Escape("x")), "{bad}");
        }
    }

    #[test]
    fn a_passkey_is_found_in_any_query() {
        assert_eq!(find_passkey(b"a=%zz&passkey=a%62&passkey=c").as_deref(), Some(&b"ab"[..]));
        assert_eq!(find_passkey(b"passkey"), None);
        assert_eq!(find_passkey(b"passkey=%"), None);
    }

    proptest! {
        #[test]
        fn unescaping_turns_escaping_back(bytes: Vec<u8>) {
            let escaped = percent_encoding::percent_encode(&bytes, percent_encoding::NON_ALPHANUMERIC).to_string();
            let unescaped = unescape("x", escaped.as_bytes()).map(Cow::into_owned);
            prop_assert_eq!(unescaped, Ok(bytes));
        }
    }
}
