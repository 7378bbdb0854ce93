//! One token of bencode after another: the only code that reads numbers and string lengths.
//!
//! The scanner uses it on bytes nobody has seen, the values on bytes that were scanned. It knows no nesting.

use super::BencodeError;

/// The smallest thing bencode is made of.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Token<'a> {
    /// `i42e`.
    Integer(i64),
    /// An integer in another form than its only one, or outside of 64 bits; only where such are read past.
    OddInteger,
    /// `3:abc`, without its length.
    String(&'a [u8]),
    /// `l`: what follows up to the matching `e` is a list.
    List,
    /// `d`: what follows up to the matching `e` is a dictionary.
    Dictionary,
    /// `e`: the end of a list or dictionary.
    End,
}

/// A place in bencoded bytes.
#[derive(Debug, Clone, Copy)]
pub(super) struct Cursor<'a> {
    bytes: &'a [u8],
    at: usize,
    /// Whether odd integers are tokens too.
    is_lenient: bool,
}

impl<'a> Cursor<'a> {
    /// Stands before the first byte.
    pub(super) fn new(bytes: &'a [u8]) -> Self {
        Self { bytes, at: 0, is_lenient: false }
    }

    /// As [`Cursor::new`], but reads past odd integers.
    pub(super) fn lenient(bytes: &'a [u8]) -> Self {
        Self { is_lenient: true, ..Self::new(bytes) }
    }

    /// How many bytes were read.
    pub(super) fn at(&self) -> usize {
        self.at
    }

    /// Reads the next token.
    pub(super) fn token(&mut self) -> Result<Token<'a>, BencodeError> {
        let at = self.at;
        match self.peek(at)? {
            b'i' => self.integer(at).or_else(|error| self.odd_integer(at).ok_or(error)),
            b'0'..=b'9' => self.string(at),
            b'l' => Ok(self.mark(Token::List)),
            b'd' => Ok(self.mark(Token::Dictionary)),
            b'e' => Ok(self.mark(Token::End)),
            found => Err(BencodeError::UnexpectedByte { at, found }),
        }
    }

    /// The byte at the cursor; `start` is where the value it should belong to begins.
    fn peek(&self, start: usize) -> Result<u8, BencodeError> {
        self.bytes.get(self.at).copied().ok_or(BencodeError::Truncated { at: start })
    }

    fn mark(&mut self, token: Token<'a>) -> Token<'a> {
        self.at += 1;
        token
    }

    fn integer(&mut self, start: usize) -> Result<Token<'a>, BencodeError> {
        self.at += 1;
        let negative = self.peek(start)? == b'-';
        self.at += usize::from(negative);
        let magnitude = self.number(start, b'e')?;
        let value = match (negative, magnitude) {
            (true, 0) => return Err(BencodeError::BadNumber { at: start }),
            (true, _) => 0_i64.checked_sub_unsigned(magnitude),
            (false, _) => i64::try_from(magnitude).ok(),
        };
        value.map(Token::Integer).ok_or(BencodeError::NumberTooLarge { at: start })
    }

    /// Reads past an integer of digits that is no number of ours.
    fn odd_integer(&mut self, start: usize) -> Option<Token<'a>> {
        let rest = self.bytes.get(start..)?.strip_prefix(b"i").filter(|_| self.is_lenient)?;
        let digits = rest.strip_prefix(b"-").unwrap_or(rest);
        let count = digits.iter().take_while(|byte| byte.is_ascii_digit()).count();
        let is_whole = count > 0 && digits.get(count) == Some(&b'e');
        self.at = start + 1 + (rest.len() - digits.len()) + count + 1;
        is_whole.then_some(Token::OddInteger)
    }

    fn string(&mut self, start: usize) -> Result<Token<'a>, BencodeError> {
        let length = self.number(start, b':')?;
        let rest = self.bytes.get(self.at..).unwrap_or_default();
        let string = usize::try_from(length).ok().and_then(|length| rest.get(..length));
        let string = string.ok_or(BencodeError::Truncated { at: start })?;
        self.at += string.len();
        Ok(Token::String(string))
    }

    /// Digits in their only form (no leading zero), then `end`.
    fn number(&mut self, start: usize, end: u8) -> Result<u64, BencodeError> {
        let bad = BencodeError::BadNumber { at: start };
        let first = self.at;
        let mut value = 0_u64;
        loop {
            let byte = self.peek(start)?;
            self.at += 1;
            match byte {
                b'0'..=b'9' if self.at - first > 1 && value == 0 => return Err(bad),
                b'0'..=b'9' => {
                    let digit = u64::from(byte - b'0');
                    let next = value.checked_mul(10).and_then(|value| value.checked_add(digit));
                    value = next.ok_or(BencodeError::NumberTooLarge { at: start })?;
                }
                _ if byte == end && self.at - first > 1 => return Ok(value),
                _ => return Err(bad),
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn first(bytes: &[u8]) -> Result<Token<'_>, BencodeError> {
        Cursor::new(bytes).token()
    }

    #[test]
    fn integers_reach_from_end_to_end_of_64_bits() {
        for value in [0, 1, -1, 10, i64::MAX, i64::MIN] {
            assert_eq!(first(format!("i{value}e").as_bytes()), Ok(Token::Integer(value)));
        }
    }

    #[test]
    fn integers_that_do_not_fit_are_refused() {
        for text in ["i9223372036854775808e", "i-9223372036854775809e", "i99999999999999999999999e"] {
            assert_eq!(first(text.as_bytes()), Err(BencodeError::NumberTooLarge { at: 0 }), "{text}");
        }
    }

    #[test]
    fn numbers_have_one_form_only() {
        for text in
            ["i00e", "i01e", "i-0e", "i-01e", "ie", "i-e", "i+1e", "i1.5e", "i 1e", "01:a", "00:", "1e"]
        {
            assert_eq!(first(text.as_bytes()), Err(BencodeError::BadNumber { at: 0 }), "{text}");
        }
    }

    #[test]
    fn odd_integers_are_read_past_where_that_was_asked_for() {
        for text in ["i00e", "i-0e", "i-01e", "i05e", "i99999999999999999999999e"] {
            let bytes = [text.as_bytes(), b"1:a"].concat();
            let mut cursor = Cursor::lenient(&bytes);
            assert_eq!(cursor.token(), Ok(Token::OddInteger), "{text}");
            assert_eq!(cursor.token(), Ok(Token::String(b"a")), "{text}");
        }
        assert_eq!(Cursor::lenient(b"i5e").token(), Ok(Token::Integer(5)));
        for text in ["ie", "i-e", "i+1e", "i1.5e", "i 1e", "i1", "i01"] {
            assert!(Cursor::lenient(text.as_bytes()).token().is_err(), "{text}");
        }
    }

    #[test]
    fn strings_are_cut_out_by_their_length() {
        assert_eq!(first(b"0:"), Ok(Token::String(b"")));
        assert_eq!(first(b"3:a:ccc"), Ok(Token::String(b"a:c")));
    }

    #[test]
    fn values_cut_short_are_refused() {
        for text in
            ["", "i", "i-", "i12", "3", "3:", "3:ab", "9223372036854775807:a", "18446744073709551615:"]
        {
            assert_eq!(first(text.as_bytes()), Err(BencodeError::Truncated { at: 0 }), "{text}");
        }
        assert_eq!(first(b"18446744073709551616:"), Err(BencodeError::NumberTooLarge { at: 0 }));
    }

    #[test]
    fn a_stray_byte_is_named() {
        let error = first(b"\xff").unwrap_err();
        assert_eq!(error.to_string(), "byte 0: no value begins with '\\xff'");
    }
}
