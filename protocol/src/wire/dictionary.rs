//! Writes the small dictionaries of extended messages: integers, strings, and dictionaries in them.
//!
//! Reading is [`crate::bencode::Value`]'s.

/// A dictionary that is being written. Its keys must come in order, as bencode wants them (BEP 3).
#[derive(Debug)]
pub(super) struct Dictionary {
    bytes: Vec<u8>,
}

impl Dictionary {
    pub(super) fn new() -> Self {
        Self { bytes: vec![b'd'] }
    }

    pub(super) fn integer(mut self, key: &str, value: impl Into<i64>) -> Self {
        self.string_value(key.as_bytes());
        self.bytes.extend_from_slice(format!("i{}e", value.into()).as_bytes());
        self
    }

    /// As [`Dictionary::integer`], or nothing at all.
    pub(super) fn integer_if(self, key: &str, value: Option<impl Into<i64>>) -> Self {
        match value {
            Some(value) => self.integer(key, value),
            None => self,
        }
    }

    pub(super) fn string_if(mut self, key: &str, value: Option<&str>) -> Self {
        if let Some(value) = value {
            self.string_value(key.as_bytes());
            self.string_value(value.as_bytes());
        }
        self
    }

    pub(super) fn dictionary(mut self, key: &str, value: Self) -> Self {
        self.string_value(key.as_bytes());
        self.bytes.extend(value.finish());
        self
    }

    /// The bytes of the whole.
    pub(super) fn finish(mut self) -> Vec<u8> {
        self.bytes.push(b'e');
        self.bytes
    }

    fn string_value(&mut self, value: &[u8]) {
        self.bytes.extend_from_slice(format!("{}:", value.len()).as_bytes());
        self.bytes.extend_from_slice(value);
    }
}
