//! The .torrent file: an `info` dictionary, and around it where to find peers and who made it.
//!
//! What stands around `info` is advice. Where it is malformed it is left out, and the torrent is read all the
//! same; libtorrent does so too.

use std::sync::Arc;

use super::files::read_text;
use super::info::{Info, InfoError};
use super::path::shorten;
use super::url::{MAX_URL_COUNT, UrlFilter};
use crate::bencode::{BencodeError, Value, scan_torrent};

/// Longest comment or creator that is kept, in bytes: a note for a reader, shown in lists and answers.
const MAX_NOTE_LENGTH: usize = 16 * 1024;

/// A .torrent file (BEP 3).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Metainfo {
    /// What is shared.
    pub info: Arc<Info>,
    /// Trackers in tiers (BEP 12): the next tier is for when no tracker of this one answers. No tier is empty.
    pub trackers: Vec<Vec<String>>,
    /// HTTP servers that have the payload (BEP 19).
    pub web_seeds: Vec<String>,
    /// What its maker has to say.
    pub comment: Option<String>,
    /// The program that made it.
    pub created_by: Option<String>,
    /// When it was made, in seconds of Unix time.
    pub creation_date: Option<i64>,
}

/// Why a .torrent file is refused.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum MetainfoError {
    /// The file is not bencode, or has no single `info`.
    #[error(transparent)]
    Bencode(#[from] BencodeError),
    /// What it wants to share cannot be shared.
    #[error(transparent)]
    Info(#[from] InfoError),
}

impl Metainfo {
    /// Reads the bytes of a .torrent file. Bytes after its dictionary are ignored.
    ///
    /// # Errors
    /// When it is not bencode, or its `info` is not valid. Anything else malformed is left out.
    pub fn parse(bytes: &[u8]) -> Result<Self, MetainfoError> {
        let info = Info::from_scanned(Arc::from(&bytes[scan_torrent(bytes)?]))?;
        let keys = OuterKeys::read(bytes);
        Ok(Self {
            info: Arc::new(info),
            trackers: keys.trackers(),
            web_seeds: keys.web_seeds(),
            comment: note(keys.comment_utf8, keys.comment),
            created_by: note(keys.created_by_utf8, keys.created_by),
            creation_date: keys.creation_date.and_then(Value::integer),
        })
    }
}

/// The bytes of a .torrent file around the raw `info` dictionary `info`, with these trackers: what a magnet link and
/// its peers came to.
pub fn wrap_info(info: &[u8], trackers: &[Vec<String>]) -> Vec<u8> {
    let string = |text: &str| format!("{}:{text}", text.len());
    let mut bytes = b"d".to_vec();
    // In the order of keys, as bencode wants them.
    if let Some(first) = trackers.iter().flatten().next() {
        bytes.extend(string("announce").bytes().chain(string(first).bytes()));
        let tier =
            |urls: &Vec<String>| format!("l{}e", urls.iter().map(|url| string(url)).collect::<String>());
        let tiers: String = trackers.iter().map(tier).collect();
        bytes.extend(format!("{}l{tiers}e", string("announce-list")).bytes());
    }
    bytes.extend(string("info").bytes());
    bytes.extend_from_slice(info);
    bytes.push(b'e');
    bytes
}

/// A short text for people; `None` when it is not a string or says nothing.
fn note(preferred: Option<Value<'_>>, value: Option<Value<'_>>) -> Option<String> {
    let text = read_text(preferred, value).filter(|text| !text.is_empty())?;
    Some(shorten(&text, MAX_NOTE_LENGTH).to_owned())
}

/// The keys around `info` that mean something to us. Of a key given twice the first counts, as a search would
/// find it.
#[derive(Default)]
struct OuterKeys<'a> {
    announce: Option<Value<'a>>,
    announce_list: Option<Value<'a>>,
    url_list: Option<Value<'a>>,
    comment: Option<Value<'a>>,
    comment_utf8: Option<Value<'a>>,
    created_by: Option<Value<'a>>,
    created_by_utf8: Option<Value<'a>>,
    creation_date: Option<Value<'a>>,
}

impl<'a> OuterKeys<'a> {
    /// Reads bytes that were scanned.
    fn read(bytes: &'a [u8]) -> Self {
        let mut keys = Self::default();
        for (key, value) in Value::scanned(bytes).dictionary().into_iter().flatten() {
            let slot = match key {
                b"announce" => &mut keys.announce,
                b"announce-list" => &mut keys.announce_list,
                b"url-list" => &mut keys.url_list,
                b"comment" => &mut keys.comment,
                b"comment.utf-8" => &mut keys.comment_utf8,
                b"created by" => &mut keys.created_by,
                b"created by.utf-8" => &mut keys.created_by_utf8,
                b"creation date" => &mut keys.creation_date,
                _ => continue,
            };
            slot.get_or_insert(value);
        }
        keys
    }

    /// `announce-list` where it has any tracker, else `announce` (BEP 12).
    fn trackers(&self) -> Vec<Vec<String>> {
        let mut filter = UrlFilter::trackers();
        let tiers = self.announce_list.and_then(Value::list).into_iter().flatten().take(MAX_URL_COUNT);
        let tiers = tiers.map(|tier| urls(tier, &mut filter)).filter(|tier| !tier.is_empty());
        let tiers: Vec<Vec<String>> = tiers.collect();
        if !tiers.is_empty() {
            return tiers;
        }
        let announce = self.announce.map(|announce| urls(announce, &mut UrlFilter::trackers()));
        announce.into_iter().filter(|tier| !tier.is_empty()).collect()
    }

    fn web_seeds(&self) -> Vec<String> {
        self.url_list.map(|list| urls(list, &mut UrlFilter::web_seeds())).unwrap_or_default()
    }
}

/// The usable URLs of `value`, a string or a list of strings; of anything else none.
fn urls(value: Value<'_>, filter: &mut UrlFilter) -> Vec<String> {
    match (value.string(), value.list()) {
        (Some(url), _) => filter.take(url).into_iter().collect(),
        (None, Some(list)) => list.filter_map(Value::string).filter_map(|url| filter.take(url)).collect(),
        (None, None) => Vec::new(),
    }
}

#[cfg(test)]
mod tests {
    use super::super::tests::{SINGLE_FILE, torrent};
    use super::*;

    fn parse(outer: &str) -> Metainfo {
        Metainfo::parse(&torrent(outer, SINGLE_FILE)).unwrap()
    }

    #[test]
    fn announce_is_one_tier() {
        assert_eq!(parse("8:announce8:http://a").trackers, [["http://a"]]);
        assert!(parse("").trackers.is_empty());
        assert!(parse("8:announce0:").trackers.is_empty());
        assert!(parse("8:announce9:t.example").trackers.is_empty());
    }

    #[test]
    fn announce_list_wins_over_announce_where_it_has_a_tracker() {
        let list = "8:announce8:http://a13:announce-listll8:http://b8:http://ce";
        assert_eq!(
            parse(&format!("{list}l8:http://dee")).trackers,
            [vec!["http://b", "http://c"], vec!["http://d"]]
        );
        for empty in ["le", "llee", "ll0:e0:e", "i7e", "de", "li1elli2eeee"] {
            let outer = format!("8:announce8:http://a13:announce-list{empty}");
            assert_eq!(parse(&outer).trackers, [["http://a"]], "{empty}");
        }
    }

    #[test]
    fn trackers_are_kept_once_and_empty_tiers_dropped() {
        let list =
            "13:announce-listll8:http://bel0:i3e8:http://beli1e8:http://bl1:xe1:y9: http://cel6:dht://ee";
        assert_eq!(parse(list).trackers, [["http://b"], ["http://c"]]);
    }

    #[test]
    fn a_flat_announce_list_is_a_tier_for_each_tracker() {
        assert_eq!(parse("13:announce-listl8:http://b8:http://ce").trackers, [["http://b"], ["http://c"]]);
    }

    #[test]
    fn web_seeds_are_a_string_or_a_list() {
        assert_eq!(parse("8:url-list8:http://a").web_seeds, ["http://a"]);
        assert_eq!(
            parse("8:url-listl8:http://a0:i1e8:http://a8:http://be").web_seeds,
            ["http://a", "http://b"]
        );
        assert_eq!(parse("8:url-list10:http://a b").web_seeds, ["http://a%20b"]);
        for none in ["0:", "le", "i1e", "de"] {
            assert!(parse(&format!("8:url-list{none}")).web_seeds.is_empty(), "{none}");
        }
    }

    #[test]
    fn what_peers_gave_becomes_a_torrent_with_its_trackers() {
        let info = SINGLE_FILE;
        let tiers = [vec!["udp://b/".to_owned(), "http://a/x".to_owned()], vec!["http://c/".to_owned()]];
        let read = Metainfo::parse(&wrap_info(info.as_bytes(), &tiers)).unwrap();
        assert_eq!((&*read.trackers, read.info.raw().as_ref()), (&tiers[..], info.as_bytes()));
        assert!(Metainfo::parse(&wrap_info(info.as_bytes(), &[])).unwrap().trackers.is_empty());
    }

    #[test]
    fn notes_of_the_wrong_type_are_left_out() {
        let torrent = parse("7:commenti1e10:created byle13:creation date10:2020-01-01");
        let notes = (torrent.comment, torrent.created_by, torrent.creation_date);
        assert_eq!(notes, (None, None, None));
        let torrent = parse("7:comment2:hi10:created by2:me13:creation datei-5e");
        let notes = (torrent.comment.as_deref(), torrent.created_by.as_deref(), torrent.creation_date);
        assert_eq!(notes, (Some("hi"), Some("me"), Some(-5)));
    }

    #[test]
    fn notes_prefer_utf8_and_have_an_end() {
        let torrent = parse("7:comment1:a13:comment.utf-81:b10:created by1:c16:created by.utf-8i1e");
        assert_eq!((torrent.comment.as_deref(), torrent.created_by.as_deref()), (Some("b"), Some("c")));
        let long = format!("7:comment100000:{}", "é".repeat(50_000));
        assert_eq!(parse(&long).comment.unwrap().len(), MAX_NOTE_LENGTH);
        assert_eq!(parse("7:comment1:a7:comment1:b").comment.as_deref(), Some("a"), "the first of two");
    }
}
