//! Magnet links (BEP 9, BEP 53): a torrent's info-hash, and hints where to find the rest.
//!
//! A link is typed or pasted by a user: what names the torrent or chooses its files must be right, or is an error
//! that says so. Hints (trackers, web seeds, peers, the length) are left out where they are of no use.

use std::borrow::Cow;
use std::fmt;
use std::net::Ipv6Addr;
use std::ops::RangeInclusive;
use std::str::FromStr;

use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, percent_decode_str, utf8_percent_encode};

use super::files::MAX_FILE_COUNT;
use super::path::shorten;
use super::url::UrlFilter;
use crate::id::{InfoHash, InfoHashError};

/// How every link begins.
const SCHEME: &str = "magnet:?";
/// Longest link in bytes: an argument of a command line may be 128 KiB, and links are a few hundred bytes.
const MAX_LENGTH: usize = 64 * 1024;
/// Most `key=value` fields of a link.
const MAX_FIELD_COUNT: usize = 1024;
/// How much of a value an error message shows, in bytes.
const SHOWN_LENGTH: usize = 64;
/// Longest host name in bytes (RFC 1035).
const MAX_HOST_LENGTH: usize = 255;
/// What is written as `%XX`: all but the unreserved characters of RFC 3986.
const ESCAPED: &AsciiSet = &NON_ALPHANUMERIC.remove(b'-').remove(b'.').remove(b'_').remove(b'~');

/// A magnet link.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Magnet {
    /// The torrent it means (`xt=urn:btih:`).
    pub info_hash: InfoHash,
    /// What to call it until its metadata is here (`dn`).
    pub display_name: Option<String>,
    /// Trackers, each a tier of its own (`tr`).
    pub trackers: Vec<String>,
    /// Web seeds (`ws`, BEP 19).
    pub web_seeds: Vec<String>,
    /// Bytes of the payload (`xl`); nobody has checked it.
    pub length: Option<u64>,
    /// Peers to try (`x.pe`).
    pub peers: Vec<MagnetPeer>,
    /// Which files to fetch, by index (`so`, BEP 53); `None` for all of them.
    pub select: Option<Vec<RangeInclusive<usize>>>,
}

/// A peer of a magnet link: a host name or an address, and a port.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct MagnetPeer {
    host: String,
    port: u16,
}

/// Why a magnet link is refused.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum MagnetError {
    /// It begins otherwise.
    #[error("a magnet link begins with `magnet:?`")]
    NotAMagnet,
    /// It is too long.
    #[error("a magnet link of {0} bytes is longer than the {MAX_LENGTH} that are read")]
    TooLong(usize),
    /// It has too many fields.
    #[error("the magnet link has more than {MAX_FIELD_COUNT} fields")]
    TooManyFields,
    /// It names no torrent.
    #[error("the magnet link has no `xt=urn:btih:`")]
    NoInfoHash,
    /// It names a torrent by its version 2 hash only (BEP 52).
    #[error("v2-only torrents are not supported yet")]
    V2Only,
    /// It names a torrent by something that is no hash.
    #[error("`xt` of the magnet link: {0}")]
    InfoHash(#[from] InfoHashError),
    /// Its choice of files cannot be read, or goes beyond what a torrent can have.
    #[error("`so` of the magnet link is not a list of files such as 0,2,5-7: `{0}`")]
    Select(String),
}

impl Magnet {
    /// A link with nothing but a torrent's name.
    pub fn new(info_hash: InfoHash) -> Self {
        let (trackers, web_seeds, peers) = (Vec::new(), Vec::new(), Vec::new());
        Self { info_hash, display_name: None, trackers, web_seeds, length: None, peers, select: None }
    }
}

impl FromStr for Magnet {
    type Err = MagnetError;

    /// Reads a link. Keys and scheme are taken in any case, and keys may be numbered (`tr.1`). Of several `xt` the
    /// first `btih` counts, of other keys that make sense once the first. In `dn` a `+` is a space, as those who
    /// make links like HTML forms write it (libtorrent reads it so); a URL keeps its `+`.
    fn from_str(text: &str) -> Result<Self, MagnetError> {
        let fields = fields(text)?;
        let mut magnet = Self::new(info_hash(&fields)?);
        let (mut trackers, mut web_seeds) = (UrlFilter::trackers(), UrlFilter::web_seeds());
        for (key, value) in fields {
            match key.as_str() {
                "dn" if magnet.display_name.is_none() => magnet.display_name = display_name(value),
                "xl" if magnet.length.is_none() => magnet.length = value.parse().ok(),
                "tr" => magnet.trackers.extend(trackers.take(&decode(value))),
                "ws" => magnet.web_seeds.extend(web_seeds.take(&decode(value))),
                "x.pe" => {
                    let peer = MagnetPeer::parse(&String::from_utf8_lossy(&decode(value)));
                    magnet.peers.extend(peer.filter(|peer| !magnet.peers.contains(peer)));
                }
                "so" => {
                    let ranges = select(value)?;
                    if !ranges.is_empty() {
                        magnet.select.get_or_insert_default().extend(ranges);
                    }
                }
                _ => {}
            }
        }
        Ok(magnet)
    }
}

/// The keys, in lower case and without their numbers, and the values as they are written.
fn fields(text: &str) -> Result<Vec<(String, &str)>, MagnetError> {
    let text = text.trim();
    if text.len() > MAX_LENGTH {
        return Err(MagnetError::TooLong(text.len()));
    }
    let query = match text.split_at_checked(SCHEME.len()) {
        Some((scheme, query)) if scheme.eq_ignore_ascii_case(SCHEME) => query,
        _ => return Err(MagnetError::NotAMagnet),
    };
    if query.split('&').count() > MAX_FIELD_COUNT {
        return Err(MagnetError::TooManyFields);
    }
    let fields = query.split('&').filter_map(|field| field.split_once('='));
    Ok(fields.map(|(key, value)| (without_number(key).to_ascii_lowercase(), value)).collect())
}

/// `tr` of `tr.1`; `x.pe` is a whole.
fn without_number(key: &str) -> &str {
    match key.rsplit_once('.') {
        Some((name, number)) if number.bytes().all(|byte| byte.is_ascii_digit()) => name,
        _ => key,
    }
}

fn decode(value: &str) -> Cow<'_, [u8]> {
    percent_decode_str(value).into()
}

/// The first `btih` among the `xt`.
fn info_hash(fields: &[(String, &str)]) -> Result<InfoHash, MagnetError> {
    let topics = fields.iter().filter(|(key, _)| key == "xt").map(|(_, value)| decode(value));
    let mut missing = MagnetError::NoInfoHash;
    for topic in topics {
        let topic = String::from_utf8_lossy(&topic);
        match topic.split_at_checked("urn:btih:".len()) {
            Some((urn, hash)) if urn.eq_ignore_ascii_case("urn:btih:") => return Ok(hash.parse()?),
            Some((urn, _)) if urn.eq_ignore_ascii_case("urn:btmh:") => missing = MagnetError::V2Only,
            _ => {}
        }
    }
    Err(missing)
}

fn display_name(value: &str) -> Option<String> {
    let name = String::from_utf8_lossy(&decode(&value.replace('+', " "))).into_owned();
    (!name.is_empty()).then_some(name)
}

/// Reads the files of `so`: indices and ranges of them, with commas between (BEP 53). Spaces around them and commas
/// too many say nothing; with nothing else there is no choice.
fn select(value: &str) -> Result<Vec<RangeInclusive<usize>>, MagnetError> {
    let text = String::from_utf8_lossy(&decode(value)).into_owned();
    let index = |text: &str| {
        let text = text.trim();
        let is_number = text.bytes().all(|byte| byte.is_ascii_digit());
        text.parse().ok().filter(|index| is_number && *index < MAX_FILE_COUNT)
    };
    let range = |text: &str| {
        let (first, last) = text.split_once('-').unwrap_or((text, text));
        let (first, last) = (index(first)?, index(last)?);
        (first <= last).then_some(first..=last)
    };
    // No more ranges can come out of it than fit the length of a link.
    let items = text.split(',').filter(|item| !item.trim().is_empty());
    let ranges: Option<Vec<_>> = items.map(range).collect();
    ranges.ok_or_else(|| MagnetError::Select(shorten(&text, SHOWN_LENGTH).to_owned()))
}

impl MagnetPeer {
    /// Reads `host:port`, with an IPv6 address in brackets; `None` when it is anything else.
    pub fn parse(text: &str) -> Option<Self> {
        let (host, port) = text.rsplit_once(':')?;
        let is_number = port.bytes().all(|byte| byte.is_ascii_digit());
        let port = port.parse().ok().filter(|port| is_number && *port != 0)?;
        let host = match host.strip_prefix('[') {
            Some(host) => host.strip_suffix(']')?.parse::<Ipv6Addr>().ok()?.to_string(),
            None => {
                let is_name = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '.' | '_');
                let is_host = (1..=MAX_HOST_LENGTH).contains(&host.len()) && host.chars().all(is_name);
                is_host.then(|| host.to_owned())?
            }
        };
        Some(Self { host, port })
    }

    /// A host name, or an address as std's parser takes it (IPv6 without brackets).
    pub fn host(&self) -> &str {
        &self.host
    }

    /// The TCP port, never zero.
    pub fn port(&self) -> u16 {
        self.port
    }
}

impl fmt::Display for MagnetPeer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { host, port } = self;
        if host.contains(':') { write!(f, "[{host}]:{port}") } else { write!(f, "{host}:{port}") }
    }
}

impl fmt::Display for Magnet {
    /// Writes the link, with its keys always in the order of the fields here.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let escaped = |text| utf8_percent_encode(text, ESCAPED);
        write!(f, "{SCHEME}xt=urn:btih:{}", self.info_hash)?;
        self.display_name.iter().try_for_each(|name| write!(f, "&dn={}", escaped(name)))?;
        self.length.iter().try_for_each(|length| write!(f, "&xl={length}"))?;
        self.trackers.iter().try_for_each(|url| write!(f, "&tr={}", escaped(url)))?;
        self.web_seeds.iter().try_for_each(|url| write!(f, "&ws={}", escaped(url)))?;
        self.peers.iter().try_for_each(|peer| write!(f, "&x.pe={peer}"))?;
        let mut separator = "&so=";
        for range in self.select.iter().flatten() {
            let (first, last) = (range.start(), range.end());
            f.write_str(separator)?;
            if first == last {
                write!(f, "{first}")?
            } else {
                write!(f, "{first}-{last}")?
            }
            separator = ",";
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const HASH: &str = "5ba93c9db0cff93f52b521d7420e43f6eda2784f";

    fn parse(rest: &str) -> Result<Magnet, MagnetError> {
        format!("magnet:?xt=urn:btih:{HASH}{rest}").parse()
    }

    #[test]
    fn every_key_is_read() {
        let rest =
            "&dn=A%20%26+b&xl=7&tr=http%3A%2F%2Ft%2Fa%3Fx%3D1&ws=http://w/+&x.pe=10.0.0.1:6881&so=0,2,4-6";
        let magnet = parse(rest).unwrap();
        assert_eq!(magnet.info_hash.to_string(), HASH);
        assert_eq!(magnet.display_name.as_deref(), Some("A & b"));
        assert_eq!(magnet.length, Some(7));
        assert_eq!(magnet.trackers, ["http://t/a?x=1"]);
        assert_eq!(magnet.web_seeds, ["http://w/+"]);
        assert_eq!(magnet.peers.iter().map(ToString::to_string).collect::<Vec<_>>(), ["10.0.0.1:6881"]);
        assert_eq!(magnet.select, Some(vec![0..=0, 2..=2, 4..=6]));
    }

    #[test]
    fn the_hash_may_be_base32_or_escaped_and_the_case_any() {
        let plain = parse("").unwrap();
        for text in [
            "MAGNET:?XT=URN:BTIH:5BA93C9DB0CFF93F52B521D7420E43F6EDA2784F",
            "magnet:?xt=urn:btih:LOUTZHNQZ74T6UVVEHLUEDSD63W2E6CP",
            "magnet:?xt=urn%3Abtih%3a5ba93c9db0cff93f52b521d7420e43f6eda2784f",
            " magnet:?xt.1=urn:btih:5ba93c9db0cff93f52b521d7420e43f6eda2784f\n",
        ] {
            assert_eq!(text.parse(), Ok(plain.clone()), "{text}");
        }
    }

    #[test]
    fn of_several_topics_the_btih_counts() {
        let text = format!("magnet:?xt=urn:btmh:1220aa&xt=urn:sha1:X&xt=urn:btih:{HASH}&xt=urn:btih:bad");
        assert_eq!(text.parse::<Magnet>(), parse(""));
    }

    #[test]
    fn a_link_that_names_no_torrent_is_refused() {
        let refused = |text: &str| text.parse::<Magnet>().unwrap_err();
        for text in ["", "magnet:", "http://a", "magnet?xt=urn:btih:00", "mägnet:?xt"] {
            assert_eq!(refused(text), MagnetError::NotAMagnet, "{text}");
        }
        for text in ["magnet:?", "magnet:?dn=x", "magnet:?xt=urn:sha1:x", "magnet:?xt=&xt"] {
            assert_eq!(refused(text), MagnetError::NoInfoHash, "{text}");
        }
        assert!(matches!(refused("magnet:?xt=urn:btih:12"), MagnetError::InfoHash(_)));
        let v2 = refused("magnet:?xt=urn:btmh:1220caf1e1");
        assert_eq!(v2.to_string(), "v2-only torrents are not supported yet");
    }

    #[test]
    fn keys_may_be_numbered_and_urls_come_once() {
        let magnet =
            parse("&tr.1=udp://a&tr.2=udp://b&TR=udp://a&tr=&tr=a%20b&tr=b&tr=%ff&ws.0=http://c").unwrap();
        assert_eq!(magnet.trackers, ["udp://a", "udp://b"]);
        assert_eq!(magnet.web_seeds, ["http://c"]);
    }

    #[test]
    fn of_keys_that_make_sense_once_the_first_counts() {
        let magnet = parse("&dn=&dn=a&dn=b&xl=x&xl=1&xl=2").unwrap();
        assert_eq!((magnet.display_name.as_deref(), magnet.length), (Some("a"), Some(1)));
    }

    #[test]
    fn peers_are_names_or_addresses_with_a_port() {
        let rest = "&x.pe=a-b.example:1&x.pe=%5B2001:DB8::1%5D:65535&x.pe.3=1.2.3.4:80&x.pe=1.2.3.4:80";
        let peers: Vec<_> = parse(rest).unwrap().peers.iter().map(ToString::to_string).collect();
        assert_eq!(peers, ["a-b.example:1", "[2001:db8::1]:65535", "1.2.3.4:80"]);
        for bad in [
            "",
            "host",
            "host:",
            ":1",
            "host:0",
            "host:65536",
            "host:+1",
            "::1:80",
            "[::1]",
            "[a]:1",
            "a b:1",
        ] {
            assert_eq!(MagnetPeer::parse(bad), None, "{bad}");
        }
    }

    #[test]
    fn a_choice_of_files_that_cannot_be_read_is_refused() {
        for bad in ["a", "1-", "-1", "3-1", "1-2-3", "+1", "1 2", "1,,-", "1048576", "99999999999999999999"] {
            assert_eq!(parse(&format!("&so={bad}")), Err(MagnetError::Select(bad.to_owned())));
        }
        let long = parse(&format!("&so=x{}", "1".repeat(1_000))).unwrap_err();
        assert!(long.to_string().len() < 200, "the message stays short");
        assert_eq!(parse("&so=1&so=3-4").unwrap().select, Some(vec![1..=1, 3..=4]));
    }

    #[test]
    fn a_choice_of_files_is_read_past_spaces_and_commas_too_many() {
        let select = |so: &str| parse(&format!("&so={so}")).unwrap().select;
        for so in ["1,2", "1,2,", ",1,,2", " 1, 2", "%201,%202%20", "1 ,2 ,", "1&so=&so=2"] {
            assert_eq!(select(so), Some(vec![1..=1, 2..=2]), "{so:?}");
        }
        assert_eq!(select("1-3, 5 - 6"), Some(vec![1..=3, 5..=6]));
        for so in ["", ",", " ", "%20,,", "&so="] {
            assert_eq!(select(so), None, "{so:?}");
        }
    }

    #[test]
    fn a_link_has_an_end() {
        assert_eq!(parse(&"&".repeat(MAX_FIELD_COUNT)), Err(MagnetError::TooManyFields));
        assert!(matches!(parse(&"x".repeat(MAX_LENGTH)), Err(MagnetError::TooLong(_))));
    }

    prop_compose! {
        fn peer()(
            host in "[a-z0-9._-]{1,20}|[0-9]{1,3}\\.[0-9]{1,3}|\\[2001:db8::[1-9a-f]{1,4}\\]",
            port in 1_u16..,
        ) -> MagnetPeer {
            MagnetPeer::parse(&format!("{host}:{port}")).unwrap()
        }
    }

    prop_compose! {
        fn magnet()(
            hash in any::<[u8; 20]>(),
            display_name in prop::option::of(".{1,30}"),
            trackers in prop::collection::hash_set("(udp|https)://[!-~é]{1,30}", 0..5),
            web_seeds in prop::collection::hash_set("[!-~]{1,30}", 0..5),
            length in any::<Option<u64>>(),
            peers in prop::collection::hash_set(peer(), 0..5),
            select in prop::option::of(prop::collection::vec((0..1_000_usize, 0..5_usize), 1..5)),
        ) -> Magnet {
            let select = select.map(|s| s.into_iter().map(|(first, more)| first..=first + more).collect());
            Magnet {
                info_hash: InfoHash::new(hash),
                display_name,
                trackers: trackers.into_iter().collect(),
                web_seeds: web_seeds.into_iter().collect(),
                length,
                peers: peers.into_iter().collect(),
                select,
            }
        }
    }

    proptest! {
        #[test]
        fn a_link_that_is_written_is_read_back(magnet in magnet()) {
            let text = magnet.to_string();
            prop_assert!(text.is_ascii() && !text.contains(char::is_whitespace));
            prop_assert_eq!(text.parse(), Ok(magnet));
        }

        #[test]
        fn any_text_is_read_without_a_panic(text in ".{0,60}", keys in "(&?(xt|dn|so|x\\.pe|tr)\\.?[=:%a-f0-9,-]{0,8}){0,6}") {
            let _ = (text.parse::<Magnet>(), parse(&keys), parse(&text), MagnetPeer::parse(&text));
        }
    }
}
