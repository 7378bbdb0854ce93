//! The scanner: one pass over untrusted bytes, no allocation, no recursion.
//!
//! It accepts what real files have (keys out of order, bytes after the end) and refuses what two readers could
//! understand differently, above all a key given twice inside `info`, whose bytes are the torrent's identity.

use std::ops::Range;

use super::token::{Cursor, Token};
use super::{BencodeError, MAX_DEPTH, MAX_INPUT_LENGTH, MAX_UNORDERED_KEYS};

/// Scans the first value of `bytes` and returns its length; what follows it is not looked at. (The messages of
/// BEP 9 are a dictionary with raw bytes behind it.)
///
/// # Errors
/// When the bytes do not begin with a valid value, or it exceeds a limit.
pub fn scan(bytes: &[u8]) -> Result<usize, BencodeError> {
    Ok(Scanner::new(bytes)?.value(Keys::Any)?.end)
}

/// As [`scan`], but integers with leading zeros or outside of 64 bits are let pass; nobody will read them.
///
/// # Errors
/// As [`scan`], but for those.
pub(super) fn scan_leniently(bytes: &[u8]) -> Result<usize, BencodeError> {
    let scanner = Scanner::new(bytes)?;
    Ok(Scanner { cursor: Cursor::lenient(bytes), ..scanner }.value(Keys::Any)?.end)
}

/// Scans `bytes` as the raw bytes of an `info` dictionary: exactly one value, no key given twice in any
/// dictionary of it.
///
/// # Errors
/// When the bytes are not exactly one valid value, a key is given twice, or a limit is exceeded.
pub fn scan_info(bytes: &[u8]) -> Result<(), BencodeError> {
    let end = Scanner::new(bytes)?.value(Keys::Unique)?.end;
    if end < bytes.len() { Err(BencodeError::TrailingBytes { at: end }) } else { Ok(()) }
}

/// Scans `bytes` as a torrent file and returns where the raw value of `info` stands, whose SHA-1 is the
/// info-hash (BEP 3). Inside `info` no key may be given twice; bytes after the dictionary are not looked at.
///
/// # Errors
/// When the bytes do not begin with a valid dictionary, `info` is missing or given twice, or a limit is exceeded.
pub fn scan_torrent(bytes: &[u8]) -> Result<Range<usize>, BencodeError> {
    let mut scanner = Scanner::new(bytes)?;
    if scanner.cursor.token()? != Token::Dictionary {
        return Err(BencodeError::NotADictionary);
    }
    let mut info = None;
    loop {
        let at = scanner.cursor.at();
        match scanner.cursor.token()? {
            Token::End => return info.ok_or(BencodeError::MissingInfo),
            Token::String(b"info") if info.is_some() => return Err(BencodeError::DuplicateKey { at }),
            Token::String(b"info") => info = Some(scanner.value(Keys::Unique)?),
            Token::String(_) => {
                scanner.value(Keys::Any)?;
            }
            _ => return Err(BencodeError::KeyNotAString { at }),
        }
    }
}

/// Whether the keys of a dictionary are checked to be different.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Keys {
    Any,
    Unique,
}

/// What an open list or dictionary takes next.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Expect {
    Item,
    Key,
    Value,
}

/// An open list or dictionary.
#[derive(Debug, Clone, Copy)]
struct Level<'a> {
    expect: Expect,
    /// The largest key so far: a larger one is new without a search.
    largest: Option<&'a [u8]>,
    /// Where its keys begin in the scanner's stack of remembered keys.
    first_key: usize,
    /// Whether a key found no room there.
    forgot: bool,
}

struct Scanner<'a> {
    cursor: Cursor<'a>,
    levels: [Level<'a>; MAX_DEPTH],
    depth: usize,
    keys: [&'a [u8]; MAX_UNORDERED_KEYS],
    key_count: usize,
}

impl<'a> Scanner<'a> {
    fn new(bytes: &'a [u8]) -> Result<Self, BencodeError> {
        if bytes.len() > MAX_INPUT_LENGTH {
            return Err(BencodeError::TooLong(bytes.len()));
        }
        let level = Level { expect: Expect::Item, largest: None, first_key: 0, forgot: false };
        let (cursor, keys) = (Cursor::new(bytes), [[].as_slice(); MAX_UNORDERED_KEYS]);
        Ok(Self { cursor, levels: [level; MAX_DEPTH], depth: 0, keys, key_count: 0 })
    }

    /// Scans one value from the cursor on and returns where it stands.
    fn value(&mut self, keys: Keys) -> Result<Range<usize>, BencodeError> {
        let start = self.cursor.at();
        loop {
            self.step(keys)?;
            if self.depth == 0 {
                return Ok(start..self.cursor.at());
            }
        }
    }

    /// Takes one token and opens, fills or closes a level with it.
    fn step(&mut self, keys: Keys) -> Result<(), BencodeError> {
        let at = self.cursor.at();
        let token = self.cursor.token()?;
        let expect = self.depth.checked_sub(1).map(|index| self.levels[index].expect);
        match (expect, token) {
            (None, Token::End) => return Err(BencodeError::UnexpectedByte { at, found: b'e' }),
            (Some(Expect::Value), Token::End) => return Err(BencodeError::MissingValue { at }),
            (Some(Expect::Item | Expect::Key), Token::End) => {
                self.depth -= 1;
                self.key_count = self.levels[self.depth].first_key;
                return Ok(());
            }
            (Some(Expect::Key), Token::String(key)) => {
                self.levels[self.depth - 1].expect = Expect::Value;
                return if keys == Keys::Unique { self.remember(key, at) } else { Ok(()) };
            }
            (Some(Expect::Key), _) => return Err(BencodeError::KeyNotAString { at }),
            (Some(Expect::Value), _) => self.levels[self.depth - 1].expect = Expect::Key,
            (Some(Expect::Item) | None, _) => {}
        }
        match token {
            Token::List => self.open(Expect::Item, at),
            Token::Dictionary => self.open(Expect::Key, at),
            Token::Integer(_) | Token::OddInteger | Token::String(_) | Token::End => Ok(()),
        }
    }

    fn open(&mut self, expect: Expect, at: usize) -> Result<(), BencodeError> {
        let level = self.levels.get_mut(self.depth).ok_or(BencodeError::TooDeep { at })?;
        *level = Level { expect, largest: None, first_key: self.key_count, forgot: false };
        self.depth += 1;
        Ok(())
    }

    /// Checks that `key` is new to the innermost dictionary.
    fn remember(&mut self, key: &'a [u8], at: usize) -> Result<(), BencodeError> {
        let level = &mut self.levels[self.depth - 1];
        match level.largest {
            Some(largest) if key <= largest => {
                if key == largest || self.keys[level.first_key..self.key_count].contains(&key) {
                    return Err(BencodeError::DuplicateKey { at });
                }
                if level.forgot {
                    return Err(BencodeError::TooManyUnorderedKeys { at });
                }
            }
            _ => level.largest = Some(key),
        }
        match self.keys.get_mut(self.key_count) {
            Some(slot) => {
                *slot = key;
                self.key_count += 1;
            }
            None => level.forgot = true,
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn the_first_value_is_measured_and_the_rest_left_alone() {
        for (text, length) in
            [("i1etail", 3), ("0:", 2), ("le", 2), ("d1:ai1ee\0raw", 8), ("ll0:ed0:leeexe", 12)]
        {
            assert_eq!(scan(text.as_bytes()), Ok(length), "{text}");
        }
    }

    #[test]
    fn keys_may_be_out_of_order() {
        assert_eq!(scan(b"d1:bi1e1:ai2ee"), Ok(14));
        assert_eq!(scan_info(b"d1:bi1e1:ai2e1:cd1:z0:1:y0:ee"), Ok(()));
    }

    #[test]
    fn dictionaries_of_the_wrong_shape_are_refused() {
        assert_eq!(scan(b"di1ei2ee"), Err(BencodeError::KeyNotAString { at: 1 }));
        assert_eq!(scan(b"dle1:ae"), Err(BencodeError::KeyNotAString { at: 1 }));
        assert_eq!(scan(b"d1:ae"), Err(BencodeError::MissingValue { at: 4 }));
        assert_eq!(scan(b"e"), Err(BencodeError::UnexpectedByte { at: 0, found: b'e' }));
        assert_eq!(scan(b"l-e"), Err(BencodeError::UnexpectedByte { at: 1, found: b'-' }));
        assert_eq!(scan(b"d1:al"), Err(BencodeError::Truncated { at: 5 }));
    }

    #[test]
    fn values_nest_to_the_limit_and_no_deeper() {
        let nest = |depth| [vec![b'l'; depth], vec![b'e'; depth]].concat();
        assert_eq!(scan(&nest(MAX_DEPTH)), Ok(2 * MAX_DEPTH));
        assert_eq!(scan(&nest(MAX_DEPTH + 1)), Err(BencodeError::TooDeep { at: MAX_DEPTH }));
        assert_eq!(scan(&vec![b'd'; 10_000_000]), Err(BencodeError::KeyNotAString { at: 1 }));
        assert_eq!(scan(&vec![b'l'; 10_000_000]), Err(BencodeError::TooDeep { at: MAX_DEPTH }));
    }

    #[test]
    fn an_input_beyond_the_limit_is_not_read() {
        let bytes = vec![b'l'; MAX_INPUT_LENGTH + 1];
        assert_eq!(scan(&bytes), Err(BencodeError::TooLong(MAX_INPUT_LENGTH + 1)));
    }

    #[test]
    fn info_is_found_with_its_exact_bytes() {
        let bytes = b"d8:announce1:x4:infod4:name1:aee trailing";
        let span = scan_torrent(bytes).unwrap();
        assert_eq!(&bytes[span], b"d4:name1:ae");
    }

    #[test]
    fn info_must_be_there_once() {
        assert_eq!(scan_torrent(b"de"), Err(BencodeError::MissingInfo));
        assert_eq!(scan_torrent(b"d1:ad4:infodeee"), Err(BencodeError::MissingInfo), "only deeper");
        assert_eq!(scan_torrent(b"d4:infode4:infodee"), Err(BencodeError::DuplicateKey { at: 9 }));
        assert_eq!(scan_torrent(b"d4:infoe"), Err(BencodeError::UnexpectedByte { at: 7, found: b'e' }));
        assert_eq!(scan_torrent(b"l4:infodee"), Err(BencodeError::NotADictionary));
        assert_eq!(scan_torrent(b"di1e4:infodee"), Err(BencodeError::KeyNotAString { at: 1 }));
        assert_eq!(scan_torrent(b"d4:infode"), Err(BencodeError::Truncated { at: 9 }));
    }

    #[test]
    fn a_key_given_twice_is_refused_anywhere_in_info_and_only_there() {
        let twice = |at| Err(BencodeError::DuplicateKey { at });
        assert_eq!(scan_info(b"d1:a0:1:a0:e"), twice(6));
        assert_eq!(scan_info(b"d1:b0:1:a0:1:b0:e"), twice(11), "the largest, not the last");
        assert_eq!(scan_info(b"d1:c0:1:a0:1:b0:1:a0:e"), twice(16), "neither");
        assert_eq!(scan_info(b"d1:ald1:x0:1:x0:eee"), twice(11), "deeper");
        assert_eq!(scan_info(b"d1:ad1:b0:e1:bd1:a0:ee"), Ok(()), "in different dictionaries");
        assert_eq!(scan_torrent(b"d4:infod1:a0:1:a0:ee"), Err(BencodeError::DuplicateKey { at: 13 }));
        assert_eq!(scan(b"d1:a0:1:a0:e"), Ok(12));
    }

    #[test]
    fn a_large_dictionary_in_order_is_no_trouble_but_out_of_order_it_is() {
        let keys: String = (0..1_000).map(|key| format!("4:{key:04}0:")).collect();
        assert_eq!(scan_info(format!("d{keys}e").as_bytes()), Ok(()));
        let late = format!("d{keys}4:000a0:e");
        assert_eq!(scan_info(late.as_bytes()), Err(BencodeError::TooManyUnorderedKeys { at: 8_001 }));
        let early = format!("d1:z0:{keys}e");
        assert!(matches!(scan_info(early.as_bytes()), Err(BencodeError::TooManyUnorderedKeys { .. })));
    }

    #[test]
    fn a_raw_info_is_exactly_one_value() {
        assert_eq!(scan_info(b"de"), Ok(()));
        assert_eq!(scan_info(b"dee"), Err(BencodeError::TrailingBytes { at: 2 }));
    }

    /// Bencode-like bytes: what random bytes almost never are.
    fn soup() -> impl Strategy<Value = Vec<u8>> {
        let piece =
            prop::sample::select(vec!["d", "l", "e", "i1e", "1:a", "4:info", "0:", "i-0e", "2:b", "d0:"]);
        prop::collection::vec(piece, 0..40).prop_map(|pieces| pieces.concat().into_bytes())
    }

    proptest! {
        #[test]
        fn any_bytes_are_scanned_without_a_panic(bytes in prop::collection::vec(any::<u8>(), 0..300)) {
            let _ = (scan(&bytes), scan_torrent(&bytes), scan_info(&bytes));
        }

        #[test]
        fn what_is_scanned_is_a_value_of_its_own(bytes in soup()) {
            let _ = (scan_torrent(&bytes), scan_info(&bytes));
            if let Ok(length) = scan(&bytes) {
                prop_assert_eq!(scan(&bytes[..length]), Ok(length));
                prop_assert!(scan(&bytes[..length - 1]).is_err(), "a truncation is no value");
                prop_assert!(serde_bencode::from_bytes::<serde::de::IgnoredAny>(&bytes[..length]).is_ok());
            }
        }
    }
}
