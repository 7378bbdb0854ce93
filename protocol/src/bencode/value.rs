//! Values read in place, out of bytes that were scanned.
//!
//! A torrent's dictionaries are walked with this rather than given to serde_bencode whole: its derived types
//! refuse keys that are not UTF-8, and it copies every string (80 MiB of hashes among them) without saying where
//! it stood. Nothing here allocates.

use super::scan::scan_leniently;
use super::token::{Cursor, Token};
use super::{BencodeError, scan};

/// The raw bytes of one bencoded value, borrowed from whoever holds the file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Value<'a>(&'a [u8]);

impl<'a> Value<'a> {
    /// Scans the first value of `bytes`; what follows it is left out.
    ///
    /// # Errors
    /// As [`scan`].
    pub fn scan(bytes: &'a [u8]) -> Result<Self, BencodeError> {
        scan(bytes).map(|length| Self(&bytes[..length]))
    }

    /// As [`Value::scan`], but an integer with leading zeros or outside of 64 bits is a value too, of no type.
    ///
    /// # Errors
    /// As [`scan`], but for those.
    pub(crate) fn scan_leniently(bytes: &'a [u8]) -> Result<Self, BencodeError> {
        scan_leniently(bytes).map(|length| Self(&bytes[..length]))
    }

    /// Takes bytes that another scan has passed. On others the readers below end early, and do no harm.
    pub(crate) fn scanned(bytes: &'a [u8]) -> Self {
        Self(bytes)
    }

    /// The bytes of the value, with its marks and lengths.
    pub fn raw(self) -> &'a [u8] {
        self.0
    }

    /// The integer, if it is one.
    pub fn integer(self) -> Option<i64> {
        match Cursor::new(self.0).token() {
            Ok(Token::Integer(value)) => Some(value),
            _ => None,
        }
    }

    /// The bytes of the string, if it is one.
    pub fn string(self) -> Option<&'a [u8]> {
        match Cursor::new(self.0).token() {
            Ok(Token::String(string)) => Some(string),
            _ => None,
        }
    }

    /// The items in their order, if it is a list.
    pub fn list(self) -> Option<impl Iterator<Item = Value<'a>>> {
        let mut cursor = Cursor::lenient(self.0);
        matches!(cursor.token(), Ok(Token::List))
            .then(|| std::iter::from_fn(move || self.value_at(&mut cursor)))
    }

    /// The keys and values in their order, if it is a dictionary.
    pub fn dictionary(self) -> Option<impl Iterator<Item = (&'a [u8], Value<'a>)>> {
        let mut cursor = Cursor::lenient(self.0);
        let is_dictionary = matches!(cursor.token(), Ok(Token::Dictionary));
        is_dictionary.then(|| {
            std::iter::from_fn(move || match cursor.token() {
                Ok(Token::String(key)) => self.value_at(&mut cursor).map(|value| (key, value)),
                _ => None,
            })
        })
    }

    /// The value that begins at the cursor, which is moved behind it; `None` at the end.
    fn value_at(self, cursor: &mut Cursor<'a>) -> Option<Value<'a>> {
        let start = cursor.at();
        let mut depth = 0_usize;
        loop {
            match cursor.token().ok()? {
                Token::List | Token::Dictionary => depth += 1,
                Token::End => depth = depth.checked_sub(1)?,
                Token::Integer(_) | Token::OddInteger | Token::String(_) => {}
            }
            if depth == 0 {
                return self.0.get(start..cursor.at()).map(Value);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn a_value_is_read_as_what_it_is_and_as_nothing_else() {
        let kinds = |text: &'static str| {
            let value = Value::scan(text.as_bytes()).unwrap();
            (value.integer(), value.string(), value.list().is_some(), value.dictionary().is_some())
        };
        assert_eq!(kinds("i-7e..."), (Some(-7), None, false, false));
        assert_eq!(kinds("2:ab..."), (None, Some(b"ab".as_slice()), false, false));
        assert_eq!(kinds("le"), (None, None, true, false));
        assert_eq!(kinds("de"), (None, None, false, true));
    }

    #[test]
    fn lists_and_dictionaries_give_their_parts_in_order() {
        let value = Value::scan(b"d1:bl1:xd1:yi1eeli2eee2:\xff\xfei3ee").unwrap();
        let entries: Vec<_> = value.dictionary().unwrap().collect();
        assert_eq!(entries.iter().map(|(key, _)| *key).collect::<Vec<_>>(), [b"b".as_slice(), b"\xff\xfe"]);
        assert_eq!(entries[1].1.integer(), Some(3));
        let items: Vec<_> = entries[0].1.list().unwrap().map(Value::raw).collect();
        assert_eq!(items, [b"1:x".as_slice(), b"d1:yi1ee", b"li2ee"]);
    }

    #[test]
    fn an_odd_integer_is_of_no_type_and_hides_nothing_behind_it() {
        let bytes = b"d1:ai05e1:bl3:oddi-0ei7ee1:ci99999999999999999999e1:di1eerest";
        assert!(Value::scan(bytes).is_err());
        let value = Value::scan_leniently(bytes).unwrap();
        assert_eq!(value.raw().len(), bytes.len() - "rest".len());
        let entries: Vec<_> = value.dictionary().unwrap().map(|(_, value)| value).collect();
        assert_eq!(
            entries.iter().map(|value| value.integer()).collect::<Vec<_>>(),
            [None, None, None, Some(1)]
        );
        let items: Vec<_> = entries[1].list().unwrap().map(Value::raw).collect();
        assert_eq!(items, [b"3:odd".as_slice(), b"i-0e", b"i7e"]);
        assert!(Value::scan_leniently(b"d1:ai05").is_err() && Value::scan_leniently(b"hello").is_err());
    }

    proptest! {
        #[test]
        fn bytes_that_were_never_scanned_do_no_harm(bytes in prop::collection::vec(any::<u8>(), 0..100)) {
            for prefix in ["", "l", "d", "d1:a", "lll"] {
                let bytes = [prefix.as_bytes(), &bytes].concat();
                let _ = Value::scan_leniently(&bytes);
                let value = Value::scanned(&bytes);
                let _ = (value.integer(), value.string());
                let _ = (value.list().map(Iterator::count), value.dictionary().map(Iterator::count));
            }
        }
    }
}
