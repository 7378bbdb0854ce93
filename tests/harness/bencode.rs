//! Bencoding written for the tests alone, so that they do not check btd's scanner with itself. It writes whatever
//! a test wants, malformed too, and reads only what is well-formed.

/// A bencoded value. Dictionaries keep the order they are given.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Value {
    /// An integer.
    Integer(i64),
    /// A byte string.
    Bytes(Vec<u8>),
    /// A list.
    List(Vec<Value>),
    /// A dictionary.
    Dictionary(Vec<(Vec<u8>, Value)>),
    /// Bytes that are written as they are.
    Raw(Vec<u8>),
}

/// A byte string.
pub fn bytes(value: impl AsRef<[u8]>) -> Value {
    Value::Bytes(value.as_ref().to_vec())
}

/// A dictionary of `entries`, in that order.
pub fn dictionary<const N: usize>(entries: [(&str, Value); N]) -> Value {
    Value::Dictionary(entries.into_iter().map(|(key, value)| (key.into(), value)).collect())
}

impl Value {
    /// Its bencoding.
    pub fn encode(&self) -> Vec<u8> {
        let mut out = Vec::new();
        self.write(&mut out);
        out
    }

    fn write(&self, out: &mut Vec<u8>) {
        match self {
            Self::Integer(value) => out.extend(format!("i{value}e").bytes()),
            Self::Bytes(value) => write_bytes(value, out),
            Self::Raw(value) => out.extend(value),
            Self::List(values) => {
                out.push(b'l');
                values.iter().for_each(|value| value.write(out));
                out.push(b'e');
            }
            Self::Dictionary(entries) => {
                out.push(b'd');
                for (key, value) in entries {
                    write_bytes(key, out);
                    value.write(out);
                }
                out.push(b'e');
            }
        }
    }

    /// Reads one value from the start of `input`; returns it and the bytes after it.
    pub fn decode(input: &[u8]) -> (Self, &[u8]) {
        match input.first() {
            Some(b'i') => {
                let end = input.iter().position(|byte| *byte == b'e').expect("an integer ends");
                let digits = std::str::from_utf8(&input[1..end]).expect("an integer is digits");
                (Self::Integer(digits.parse().expect("an integer fits")), &input[end + 1..])
            }
            Some(b'l') => {
                let mut values = Vec::new();
                let mut rest = &input[1..];
                while rest[0] != b'e' {
                    let (value, after) = Self::decode(rest);
                    values.push(value);
                    rest = after;
                }
                (Self::List(values), &rest[1..])
            }
            Some(b'd') => {
                let mut entries = Vec::new();
                let mut rest = &input[1..];
                while rest[0] != b'e' {
                    let (key, after) = read_bytes(rest);
                    let (value, after) = Self::decode(after);
                    entries.push((key.to_vec(), value));
                    rest = after;
                }
                (Self::Dictionary(entries), &rest[1..])
            }
            _ => {
                let (value, rest) = read_bytes(input);
                (Self::Bytes(value.to_vec()), rest)
            }
        }
    }

    fn entries(&self) -> &[(Vec<u8>, Value)] {
        match self {
            Self::Dictionary(entries) => entries,
            other => panic!("a dictionary was expected, not {other:?}"),
        }
    }

    fn entries_mut(&mut self) -> &mut Vec<(Vec<u8>, Value)> {
        match self {
            Self::Dictionary(entries) => entries,
            other => panic!("a dictionary was expected, not {other:?}"),
        }
    }

    /// The value of `key`, if the dictionary has it.
    pub fn find(&self, key: &str) -> Option<&Self> {
        self.entries().iter().find(|(name, _)| name == key.as_bytes()).map(|(_, value)| value)
    }

    /// The value of `key`, which must be there.
    pub fn get(&self, key: &str) -> &Self {
        self.find(key).unwrap_or_else(|| panic!("no {key:?} in {self:?}"))
    }

    /// Mutable access to the value of `key`, which must be there.
    pub fn get_mut(&mut self, key: &str) -> &mut Self {
        let entry = self.entries_mut().iter_mut().find(|(name, _)| name == key.as_bytes());
        entry.map(|(_, value)| value).unwrap_or_else(|| panic!("no {key:?}"))
    }

    /// Sets `key` where it stands, or where it belongs in order.
    pub fn set(&mut self, key: &str, value: Self) {
        let entries = self.entries_mut();
        match entries.binary_search_by(|(name, _)| name.as_slice().cmp(key.as_bytes())) {
            Ok(index) => entries[index].1 = value,
            Err(index) => entries.insert(index, (key.into(), value)),
        }
    }

    /// Removes `key`.
    pub fn remove(&mut self, key: &str) {
        self.entries_mut().retain(|(name, _)| name != key.as_bytes());
    }

    /// The number that this is.
    pub fn integer(&self) -> u64 {
        match self {
            Self::Integer(value) => u64::try_from(*value).expect("a length is not negative"),
            other => panic!("an integer was expected, not {other:?}"),
        }
    }

    /// The bytes that this is.
    pub fn bytes(&self) -> &[u8] {
        match self {
            Self::Bytes(value) => value,
            other => panic!("bytes were expected, not {other:?}"),
        }
    }

    /// The dictionary that this is.
    pub fn dictionary(&self) -> &[(Vec<u8>, Self)] {
        self.entries()
    }

    /// The keys of the dictionary that this is, as text.
    pub fn keys(&self) -> Vec<String> {
        self.entries().iter().map(|(key, _)| String::from_utf8_lossy(key).into_owned()).collect()
    }

    /// Whether each dictionary in it has its keys in order, and none twice.
    pub fn is_sorted(&self) -> bool {
        match self {
            Self::List(values) => values.iter().all(Self::is_sorted),
            Self::Dictionary(entries) => {
                entries.is_sorted_by(|one, next| one.0 < next.0)
                    && entries.iter().all(|(_, value)| value.is_sorted())
            }
            _ => true,
        }
    }

    /// The list that this is.
    pub fn list(&self) -> &[Self] {
        match self {
            Self::List(values) => values,
            other => panic!("a list was expected, not {other:?}"),
        }
    }
}

fn write_bytes(value: &[u8], out: &mut Vec<u8>) {
    out.extend(format!("{}:", value.len()).bytes());
    out.extend(value);
}

fn read_bytes(input: &[u8]) -> (&[u8], &[u8]) {
    let colon = input.iter().position(|byte| *byte == b':').expect("a string has a length");
    let length = std::str::from_utf8(&input[..colon]).ok().and_then(|digits| digits.parse().ok());
    input[colon + 1..].split_at(length.expect("a length is a number"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_written_is_read() {
        let value = dictionary([
            ("a", Value::Integer(-3)),
            ("b", Value::List(vec![bytes("x"), Value::List(vec![])])),
            ("c", bytes([0, 255])),
        ]);
        let encoded = value.encode();
        assert_eq!(encoded, b"d1:ai-3e1:bl1:xlee1:c2:\x00\xffe");
        assert_eq!(Value::decode(&[encoded.as_slice(), b"rest"].concat()), (value, b"rest".as_slice()));
    }

    #[test]
    fn keys_out_of_order_are_seen() {
        let value = |text: &[u8]| Value::decode(text).0;
        assert!(value(b"d1:ai1e1:bld1:x0:1:y0:eee").is_sorted());
        for text in [b"d1:bi1e1:ai1ee".as_slice(), b"d1:ai1e1:ai1ee", b"ld1:y0:1:x0:ee"] {
            assert!(!value(text).is_sorted(), "{}", String::from_utf8_lossy(text));
        }
    }

    #[test]
    fn a_key_is_set_in_order_and_removed() {
        let mut value = dictionary([("a", Value::Integer(1)), ("c", Value::Integer(3))]);
        value.set("b", Value::Integer(2));
        value.set("c", Value::Integer(4));
        value.remove("a");
        assert_eq!(value.encode(), b"d1:bi2e1:ci4ee");
    }
}
