//! Lists of URLs (trackers, web seeds) as strangers write them: cleaned, bounded, each once.

use std::collections::HashSet;

/// Most URLs of one kind that are looked at, usable or not; real torrents have a few dozen.
pub(super) const MAX_URL_COUNT: usize = 1024;
/// Longest URL that is kept, in bytes: what HTTP servers take is 8 KiB with all that is added to it.
const MAX_URL_LENGTH: usize = 4 * 1024;

/// How the URL of a tracker that can be asked begins: BEP 3, BEP 15, and WebTorrent's.
const TRACKER_SCHEMES: [&str; 5] = ["http", "https", "udp", "ws", "wss"];

/// Remembers the URLs of one kind, to take each only once and not too many.
#[derive(Debug)]
pub(super) struct UrlFilter {
    kind: Kind,
    offered: usize,
    seen: HashSet<String>,
}

/// What the URLs are for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    Tracker,
    WebSeed,
}

impl UrlFilter {
    pub(super) fn trackers() -> Self {
        Self { kind: Kind::Tracker, offered: 0, seen: HashSet::new() }
    }

    pub(super) fn web_seeds() -> Self {
        Self { kind: Kind::WebSeed, ..Self::trackers() }
    }

    /// The URL in `bytes` without the white space around it, or `None` when it is empty, too long, not UTF-8, has
    /// white space or control characters inside (they would end the line of an HTTP request), is a tracker's without
    /// a usable scheme, was there before, or is one too many. In a web seed, which often is a path that somebody
    /// typed, spaces are escaped.
    pub(super) fn take(&mut self, bytes: &[u8]) -> Option<String> {
        self.offered += 1;
        let bytes = bytes.trim_ascii();
        if self.offered > MAX_URL_COUNT || bytes.is_empty() || bytes.len() > MAX_URL_LENGTH {
            return None;
        }
        let url = std::str::from_utf8(bytes).ok()?;
        let url = match self.kind {
            Kind::WebSeed => url.replace(' ', "%20"),
            Kind::Tracker if has_tracker_scheme(url) => url.to_owned(),
            Kind::Tracker => return None,
        };
        let is_clean = !url.contains(|c: char| c.is_control() || c.is_whitespace());
        let is_usable = is_clean && url.len() <= MAX_URL_LENGTH;
        (is_usable && self.seen.insert(url.clone())).then_some(url)
    }
}

fn has_tracker_scheme(url: &str) -> bool {
    let is_known = |scheme: &str| TRACKER_SCHEMES.iter().any(|known| scheme.eq_ignore_ascii_case(known));
    url.split_once("://").is_some_and(|(scheme, rest)| is_known(scheme) && !rest.is_empty())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_url_is_taken_once_and_trimmed() {
        for mut filter in [UrlFilter::trackers(), UrlFilter::web_seeds()] {
            assert_eq!(filter.take(b" http://a/\n"), Some("http://a/".to_owned()));
            assert_eq!(filter.take(b"http://a/"), None);
            assert_eq!(filter.take("http://ü/".as_bytes()), Some("http://ü/".to_owned()));
        }
    }

    #[test]
    fn what_is_no_url_is_dropped() {
        let long = [b"http://".as_slice(), &[b'a'; MAX_URL_LENGTH]].concat();
        let bad: [&[u8]; 8] = [
            b"",
            b"  ",
            b"http://a/\r\nX: y",
            b"http://a\tb",
            b"http://a\0b",
            "http://a\u{2003}b".as_bytes(),
            b"http://\xff/",
            &long,
        ];
        for bytes in bad {
            assert_eq!(UrlFilter::trackers().take(bytes), None, "{}", bytes.escape_ascii());
            assert_eq!(UrlFilter::web_seeds().take(bytes), None, "{}", bytes.escape_ascii());
        }
    }

    #[test]
    fn a_space_is_escaped_in_a_web_seed_and_drops_a_tracker() {
        let mut filter = UrlFilter::web_seeds();
        assert_eq!(filter.take(b" http://a/My  File.iso "), Some("http://a/My%20%20File.iso".to_owned()));
        assert_eq!(filter.take(b"http://a/My%20%20File.iso"), None, "the same again");
        assert_eq!(
            filter.take(&[b"http://a/".as_slice(), &[b' '; 1_400], b"x"].concat()),
            None,
            "too long then"
        );
        assert_eq!(UrlFilter::trackers().take(b"http://a b/"), None);
    }

    #[test]
    fn trackers_have_a_scheme_that_somebody_speaks() {
        for url in ["http://t", "https://t:1/a", "udp://t:80", "ws://t", "WSS://t", "Http://[::1]/"] {
            assert_eq!(UrlFilter::trackers().take(url.as_bytes()), Some(url.to_owned()));
        }
        for url in
            ["t", "t.example/announce", "dht://t", "http:/t", "http://", "://t", "ftp://t", "xhttp://t"]
        {
            assert_eq!(UrlFilter::trackers().take(url.as_bytes()), None, "{url}");
        }
        assert_eq!(UrlFilter::web_seeds().take(b"ftp://t/"), Some("ftp://t/".to_owned()));
    }

    #[test]
    fn a_flood_of_urls_is_cut_off() {
        let mut filter = UrlFilter::trackers();
        let taken = (0..2_000).filter_map(|n: u32| filter.take(format!("udp://{n}").as_bytes())).count();
        assert_eq!(taken, MAX_URL_COUNT);
    }
}
