//! Lists of URLs (trackers, web seeds) as strangers write them: cleaned, bounded, each once.

use std::collections::HashSet;

/// Most URLs of one kind that are looked at, usable or not; real torrents have a few dozen.
pub(super) const MAX_URL_COUNT: usize = 1024;
/// Longest URL that is kept, in bytes: what HTTP servers take is 8 KiB with all that is added to it.
const MAX_URL_LENGTH: usize = 4 * 1024;

/// Remembers the URLs of one kind, to take each only once and not too many.
#[derive(Debug, Default)]
pub(super) struct UrlFilter {
    offered: usize,
    seen: HashSet<String>,
}

impl UrlFilter {
    /// The URL in `bytes` without the white space around it, or `None` when it is empty, too long, not UTF-8, has
    /// white space or control characters inside (they would end the line of an HTTP request), was there before, or
    /// is one too many.
    pub(super) fn take(&mut self, bytes: &[u8]) -> Option<String> {
        self.offered += 1;
        let bytes = bytes.trim_ascii();
        if self.offered > MAX_URL_COUNT || bytes.is_empty() || bytes.len() > MAX_URL_LENGTH {
            return None;
        }
        let url = std::str::from_utf8(bytes).ok()?;
        let is_clean = !url.contains(|c: char| c.is_control() || c.is_whitespace());
        (is_clean && self.seen.insert(url.to_owned())).then(|| url.to_owned())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_url_is_taken_once_and_trimmed() {
        let mut filter = UrlFilter::default();
        assert_eq!(filter.take(b" http://a/\n"), Some("http://a/".to_owned()));
        assert_eq!(filter.take(b"http://a/"), None);
        assert_eq!(filter.take("http://ü/".as_bytes()), Some("http://ü/".to_owned()));
    }

    #[test]
    fn what_is_no_url_is_dropped() {
        let long = vec![b'a'; MAX_URL_LENGTH + 1];
        let bad: [&[u8]; 6] = [b"", b"  ", b"http://a/\r\nX: y", b"http://a b/", b"http://\xff/", &long];
        for bytes in bad {
            assert_eq!(UrlFilter::default().take(bytes), None, "{}", bytes.escape_ascii());
        }
    }

    #[test]
    fn a_flood_of_urls_is_cut_off() {
        let mut filter = UrlFilter::default();
        let taken = (0..2_000).filter_map(|n: u32| filter.take(format!("udp://{n}").as_bytes())).count();
        assert_eq!(taken, MAX_URL_COUNT);
    }
}
