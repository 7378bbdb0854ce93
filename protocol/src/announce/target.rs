//! The target of a request to a tracker: whether it announces or scrapes, and where a private tracker's passkey is.
//!
//! bttracker splits the targets of HTTP requests with it, and the URL data of UDP announces (BEP 41). Nothing is
//! unescaped, nothing is copied.

use std::borrow::Cow;

use super::parameters::find_passkey;

/// Longest passkey in a path, in bytes. Private trackers give out 32 hex digits.
pub const MAX_PASSKEY_LENGTH: usize = 64;

/// What a tracker is asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum What {
    /// Peers (BEP 3).
    Announce,
    /// How swarms are doing (BEP 48).
    Scrape,
}

/// A target that is a tracker's.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Target<'a> {
    /// What is asked for.
    pub what: What,
    /// The passkey in the path, as it stands there: 1 to [`MAX_PASSKEY_LENGTH`] bytes without a slash.
    pub passkey: Option<&'a [u8]>,
    /// What stands behind the `?`; empty when there is none.
    pub query: &'a [u8],
}

impl<'a> Target<'a> {
    /// The passkey in the path or else the one in the query, which need be no announce: in URL data it is not.
    pub fn find_passkey(&self) -> Option<Cow<'a, [u8]>> {
        self.passkey.map(Cow::Borrowed).or_else(|| find_passkey(self.query))
    }
}

/// Splits `target`, which may be a whole URL. `None` when it is no tracker's: the path is not one of `/announce`,
/// `/scrape`, these behind a passkey or these before one. A slash at the end does not matter, nor does an extension, as
/// in `announce.php` (BEP 48).
pub fn split_target(target: &[u8]) -> Option<Target<'_>> {
    let target = without_origin(target)?;
    let (path, query) = split_once(target, b'?').unwrap_or((target, &[]));
    let path = path.strip_prefix(b"/")?;
    let path = path.strip_suffix(b"/").unwrap_or(path);
    let Some((first, last)) = split_once(path, b'/') else {
        return Some(Target { what: word(path)?, passkey: None, query });
    };
    let (what, passkey) =
        word(last).map(|what| (what, first)).or_else(|| word(first).map(|what| (what, last)))?;
    let is_passkey = (1..=MAX_PASSKEY_LENGTH).contains(&passkey.len()) && !last.contains(&b'/');
    is_passkey.then_some(Target { what, passkey: Some(passkey), query })
}

/// Path and query of an absolute-form target (RFC 9112, 3.2.2); all others stay as they are.
fn without_origin(target: &[u8]) -> Option<&[u8]> {
    if target.starts_with(b"/") {
        return Some(target);
    }
    let scheme = target.iter().position(|byte| *byte == b':')?;
    let authority = target[scheme..].strip_prefix(b"://")?;
    let is_http = [&b"http"[..], b"https"].iter().any(|known| target[..scheme].eq_ignore_ascii_case(known));
    let path = authority.iter().position(|byte| matches!(byte, b'/' | b'?'))?;
    (is_http && path > 0).then(|| &authority[path..])
}

/// What a segment asks for, if it is one of the two words, alone or with an extension.
fn word(segment: &[u8]) -> Option<What> {
    let name = split_once(segment, b'.').map_or(segment, |(name, _)| name);
    match name {
        b"announce" => Some(What::Announce),
        b"scrape" => Some(What::Scrape),
        _ => None,
    }
}

fn split_once(bytes: &[u8], at: u8) -> Option<(&[u8], &[u8])> {
    let at = bytes.iter().position(|byte| *byte == at)?;
    Some((&bytes[..at], &bytes[at + 1..]))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// What `target` is split into.
    fn split(target: &str) -> Option<(What, Option<&str>, &str)> {
        let text = |bytes| std::str::from_utf8(bytes).unwrap();
        split_target(target.as_bytes())
            .map(|target| (target.what, target.passkey.map(text), text(target.query)))
    }

    #[test]
    fn paths_with_and_without_passkeys_are_split() {
        for (word, what) in [("announce", What::Announce), ("scrape", What::Scrape)] {
            for slash in ["", "/"] {
                let at = |path: String| {
                    split(&path.replace("W", word)).map(|(what, key, _)| (what, key.map(str::to_owned)))
                };
                assert_eq!(at(format!("/W{slash}")), Some((what, None)));
                assert_eq!(at(format!("/W.php{slash}")), Some((what, None)));
                for path in ["/K/W", "/W/K", "/K/W.php", "/W.php/K"] {
                    let path = path.replace('K', "0123abcd");
                    assert_eq!(
                        at(format!("{path}{slash}")),
                        Some((what, Some("0123abcd".to_owned()))),
                        "{path}"
                    );
                }
            }
        }
        assert_eq!(split("/announce/scraper"), Some((What::Announce, Some("scraper"), "")));
        assert_eq!(split("/announcer/scrape"), Some((What::Scrape, Some("announcer"), "")));
        assert_eq!((split("/announced"), split("/scraper?a=b"), split("/announce-php")), (None, None, None));
    }

    #[test]
    fn a_query_follows_the_first_question_mark() {
        assert_eq!(split("/announce?a=/b?c"), Some((What::Announce, None, "a=/b?c")));
        assert_eq!(split("/k/scrape/?"), Some((What::Scrape, Some("k"), "")));
    }

    #[test]
    fn a_whole_url_is_a_target_too() {
        assert_eq!(split("http://t.example:80/announce?a"), Some((What::Announce, None, "a")));
        assert_eq!(split("HTTPS://[::1]/k/scrape"), Some((What::Scrape, Some("k"), "")));
        for other in
            ["http://t", "http://t?announce", "http:///announce", "ftp://t/announce", "http:/t/announce"]
        {
            assert_eq!(split(other), None, "{other}");
        }
    }

    #[test]
    fn everything_else_is_not_the_trackers() {
        let long = format!("/{}/announce", "k".repeat(65));
        for other in [
            "",
            "/",
            "*",
            "announce",
            "/stats",
            "/Announce",
            "//announce",
            "/announce//",
            "/a/b",
            "/a/b/announce",
            "/a/announce/b",
            "/announce/a/b",
            "/xannounce",
            "/?announce",
            &long,
        ] {
            assert_eq!(split(other), None, "{other}");
        }
        assert!(split(&long[1..].replacen('k', "/", 1)).is_some(), "64 bytes are a passkey");
    }

    #[test]
    fn a_passkey_is_found_in_the_path_and_then_in_the_query() {
        let find =
            |target: &str| split_target(target.as_bytes()).unwrap().find_passkey().map(Cow::into_owned);
        assert_eq!(find("/a/announce?passkey=b"), Some(b"a".to_vec()));
        assert_eq!(find("/announce?x&passkey=%62"), Some(b"b".to_vec()));
        assert_eq!(find("/announce?x"), None);
    }

    proptest! {
        #[test]
        fn a_passkey_comes_out_as_it_went_in(
            key in "[a-z0-9]{1,64}", query in "[ -~]{0,20}", name in "announce|scrape", is_first: bool,
        ) {
            prop_assume!(word(key.as_bytes()).is_none());
            let path = if is_first { format!("{key}/{name}") } else { format!("{name}/{key}") };
            let what = word(name.as_bytes()).unwrap();
            let target = format!("/{path}?{query}");
            prop_assert_eq!(split(&target), Some((what, Some(&*key), &*query)));
        }

        #[test]
        fn arbitrary_bytes_never_panic(bytes: Vec<u8>, text in "/?(http://)?[a/]{0,3}(announce|scrape)?[/?a:]{0,4}") {
            let _ = split_target(&bytes);
            let _ = split_target(text.as_bytes());
        }
    }
}
