//! Scrapes over UDP (BEP 15): what is asked, and what is answered.

use protocol::id::InfoHash;

const ACTION_SCRAPE: u32 = 2;

/// What a tracker says of one torrent.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Counts {
    pub(super) seeds: u32,
    pub(super) leechers: u32,
}

/// A request for the counts of `hashes`.
pub(super) fn encode(connection: u64, transaction: u32, hashes: impl Iterator<Item = InfoHash>) -> Vec<u8> {
    let mut bytes = Vec::with_capacity(64);
    bytes.extend(connection.to_be_bytes());
    bytes.extend(ACTION_SCRAPE.to_be_bytes());
    bytes.extend(transaction.to_be_bytes());
    hashes.for_each(|hash| bytes.extend(hash.as_bytes()));
    bytes
}

/// The counts of an answer; `None` when it is not one to a scrape.
pub(super) fn decode(bytes: &[u8]) -> Option<Vec<Counts>> {
    let body = bytes.strip_prefix(&ACTION_SCRAPE.to_be_bytes())?.get(4..)?;
    let number = |bytes: &[u8]| bytes.first_chunk().map(|bytes| u32::from_be_bytes(*bytes));
    let counts = body.chunks(12).map(|row| {
        (row.len() == 12).then_some(())?;
        Some(Counts { seeds: number(row)?, leechers: number(&row[8..])? })
    });
    counts.collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_scrape_is_what_the_specification_says() {
        let asked = encode(0x0102_0304_0506_0708, 9, [[1; 20], [2; 20]].map(InfoHash::new).into_iter());
        assert_eq!(asked.len(), 16 + 2 * 20);
        assert_eq!(asked[..16], [1, 2, 3, 4, 5, 6, 7, 8, 0, 0, 0, 2, 0, 0, 0, 9]);
        let answer = [0, 0, 0, 2, 0, 0, 0, 9, 0, 0, 0, 5, 0, 0, 0, 6, 0, 0, 1, 7];
        assert_eq!(decode(&answer), Some(vec![Counts { seeds: 5, leechers: 0x107 }]));
        assert_eq!(decode(&answer[..19]), None);
        assert_eq!(decode(&[0, 0, 0, 1, 0, 0, 0, 9]), None);
        assert_eq!(decode(&[0, 0, 0, 2, 0]), None);
    }
}
