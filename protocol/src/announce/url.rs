//! The announce URL of a tracker, split into what connecting to it needs.
//!
//! It is read once, when a torrent is added, and again when a tracker redirects; after that it is trusted. Scrape
//! URLs are not derived from it.

use std::fmt;
use std::net::{IpAddr, Ipv6Addr};
use std::str::FromStr;

use percent_encoding::{AsciiSet, CONTROLS, utf8_percent_encode};

/// Longest URL that is read, in bytes; torrents are read with the same limit.
const MAX_URL_LENGTH: usize = 4 * 1024;
/// Longest host name, in bytes (RFC 1035).
const MAX_NAME_LENGTH: usize = 253;
/// What may not stand in a request line as it is, and what people type there all the same.
const UNSAFE_IN_TARGET: &AsciiSet =
    &CONTROLS.add(b'"').add(b'<').add(b'>').add(b'\\').add(b'^').add(b'`').add(b'{').add(b'|').add(b'}');

/// How a tracker is spoken to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Scheme {
    /// BEP 3.
    Http,
    /// BEP 3 over TLS.
    Https,
    /// BEP 15.
    Udp,
}

impl Scheme {
    /// The name before `://`.
    pub fn name(self) -> &'static str {
        match self {
            Self::Http => "http",
            Self::Https => "https",
            Self::Udp => "udp",
        }
    }

    fn default_port(self) -> Option<u16> {
        match self {
            Self::Http => Some(80),
            Self::Https => Some(443),
            Self::Udp => None,
        }
    }
}

/// The machine of a URL.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum Host {
    /// A name in lower case, for DNS.
    Name(String),
    /// An address that was written out.
    Address(IpAddr),
}

impl fmt::Display for Host {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Name(name) => f.write_str(name),
            Self::Address(IpAddr::V4(address)) => write!(f, "{address}"),
            Self::Address(IpAddr::V6(address)) => write!(f, "[{address}]"),
        }
    }
}

/// Where a tracker is announced to. It displays as the whole URL, whose path may be a secret (a passkey): logs
/// take [`TrackerUrl::origin`].
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct TrackerUrl {
    scheme: Scheme,
    host: Host,
    port: u16,
    target: String,
}

/// A text that is not the URL of a tracker that can be asked.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum UrlError {
    /// It is longer than any that works.
    #[error("a URL of {0} bytes is longer than {MAX_URL_LENGTH}")]
    TooLong(usize),
    /// It has no scheme, or one that is not spoken.
    #[error("the scheme is not http, https or udp")]
    Scheme,
    /// Its host is no name and no address, or has a user's name before it.
    #[error("'{0}' is no host")]
    Host(String),
    /// Its port is no port, or missing where there is no usual one.
    #[error("'{0}' is no port")]
    Port(String),
    /// White space or control characters.
    #[error("white space or a control character in the path")]
    Target,
}

impl TrackerUrl {
    /// How it is spoken to.
    pub fn scheme(&self) -> Scheme {
        self.scheme
    }

    /// The machine.
    pub fn host(&self) -> &Host {
        &self.host
    }

    /// The port, never 0.
    pub fn port(&self) -> u16 {
        self.port
    }

    /// Path and query, from the first slash on; ASCII without white space.
    pub fn target(&self) -> &str {
        &self.target
    }

    /// Scheme, host and port: what may be shown without giving a passkey away.
    pub fn origin(&self) -> String {
        let (scheme, host) = (self.scheme.name(), &self.host);
        if self.scheme.default_port() == Some(self.port) {
            format!("{scheme}://{host}")
        } else {
            format!("{scheme}://{host}:{}", self.port)
        }
    }

    /// The URL that `location` of a redirect means, seen from this one (RFC 9110, 10.2.2).
    ///
    /// # Errors
    /// When that is no URL of a tracker.
    pub fn join(&self, location: &str) -> Result<Self, UrlError> {
        let path_at = location.find(['/', '?', '#']).unwrap_or(location.len());
        if location[path_at..].starts_with("//") && location[..path_at].ends_with(':') {
            return location.parse();
        }
        if location.starts_with("//") {
            return format!("{}:{location}", self.scheme.name()).parse();
        }
        let path = self.target.split('?').next().unwrap_or_default();
        let folder = path.rfind('/').map_or("/", |slash| &path[..=slash]);
        let target = match location.as_bytes().first() {
            Some(b'/') => location.to_owned(),
            Some(b'?') => format!("{path}{location}"),
            _ => format!("{folder}{location}"),
        };
        if target.len() > MAX_URL_LENGTH {
            return Err(UrlError::TooLong(target.len()));
        }
        Ok(Self { target: clean_target(&target)?, ..self.clone() })
    }
}

impl FromStr for TrackerUrl {
    type Err = UrlError;

    fn from_str(text: &str) -> Result<Self, UrlError> {
        if text.len() > MAX_URL_LENGTH {
            return Err(UrlError::TooLong(text.len()));
        }
        let (scheme, rest) = text.split_once("://").ok_or(UrlError::Scheme)?;
        let known = [Scheme::Http, Scheme::Https, Scheme::Udp];
        let scheme = known
            .into_iter()
            .find(|known| scheme.eq_ignore_ascii_case(known.name()))
            .ok_or(UrlError::Scheme)?;
        let (authority, target) = rest.split_at(rest.find(['/', '?', '#']).unwrap_or(rest.len()));
        let (host, port) = split_authority(authority)?;
        let port = match port {
            "" => scheme.default_port(),
            digits if digits.bytes().all(|byte| byte.is_ascii_digit()) => digits.parse().ok(),
            _ => None,
        };
        let port = port.filter(|port| *port != 0).ok_or_else(|| UrlError::Port(authority.to_owned()))?;
        Ok(Self { scheme, host, port, target: clean_target(target)? })
    }
}

impl fmt::Display for TrackerUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}{}", self.origin(), self.target)
    }
}

/// Splits `host:port`; the port is empty when there is none.
fn split_authority(authority: &str) -> Result<(Host, &str), UrlError> {
    let wrong = || UrlError::Host(authority.to_owned());
    if let Some(rest) = authority.strip_prefix('[') {
        let (address, port) = rest.split_once(']').ok_or_else(wrong)?;
        let address: Ipv6Addr = address.parse().map_err(|_| wrong())?;
        let port = if port.is_empty() { port } else { port.strip_prefix(':').ok_or_else(wrong)? };
        return Ok((Host::Address(IpAddr::V6(address)), port));
    }
    let (name, port) = authority.split_once(':').unwrap_or((authority, ""));
    if let Ok(address) = name.parse() {
        return Ok((Host::Address(IpAddr::V4(address)), port));
    }
    let is_name = |byte: u8| byte.is_ascii_alphanumeric() || b"-._".contains(&byte);
    if name.is_empty() || name.len() > MAX_NAME_LENGTH || !name.bytes().all(is_name) {
        return Err(wrong());
    }
    Ok((Host::Name(name.to_ascii_lowercase()), port))
}

/// Path and query as a request line takes them, without a fragment.
fn clean_target(target: &str) -> Result<String, UrlError> {
    let target = target.split('#').next().unwrap_or_default();
    if target.contains(|c: char| c.is_control() || c.is_whitespace()) {
        return Err(UrlError::Target);
    }
    let slash = if target.starts_with('/') { "" } else { "/" };
    Ok(format!("{slash}{}", utf8_percent_encode(target, UNSAFE_IN_TARGET)))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn url(text: &str) -> TrackerUrl {
        text.parse().unwrap_or_else(|error| panic!("{text}: {error}"))
    }

    #[test]
    fn a_url_is_split_into_what_connecting_needs() {
        let parts = |text| {
            let url = url(text);
            (url.scheme(), url.host().to_string(), url.port(), url.target().to_owned())
        };
        assert_eq!(parts("http://T.example/announce?k=1#x"), {
            (Scheme::Http, "t.example".to_owned(), 80, "/announce?k=1".to_owned())
        });
        assert_eq!(parts("HTTPS://[::1]"), (Scheme::Https, "[::1]".to_owned(), 443, "/".to_owned()));
        assert_eq!(
            parts("udp://1.2.3.4:6969?a"),
            (Scheme::Udp, "1.2.3.4".to_owned(), 6969, "/?a".to_owned())
        );
        assert_eq!(url("http://t:80/ü|").to_string(), "http://t/%C3%BC%7C");
        assert_eq!(url("http://t:8080/secret").origin(), "http://t:8080");
    }

    #[test]
    fn what_cannot_be_asked_is_no_url() {
        let long = format!("http://t/{}", "a".repeat(MAX_URL_LENGTH));
        let bad = [
            "",
            "t/announce",
            "ws://t/",
            "udp://t",
            "udp://t:",
            "http://t:0/",
            "http://t:+1/",
            "http://t:65536/",
            "http://u@t/",
            "http:///a",
            "http://[::1/",
            "http://[::1]x/",
            "http://[t]/",
            "http://a:b:1/",
            "http://t/a b",
            "http://t/\r\nX:",
            "http://ü/",
            &long,
        ];
        for text in bad {
            assert!(text.parse::<TrackerUrl>().is_err(), "{text}");
        }
    }

    #[test]
    fn a_redirect_is_seen_from_where_it_came() {
        let from = url("http://t:81/a/announce?k=1");
        let to = |location| from.join(location).map(|url| url.to_string());
        assert_eq!(to("https://u/x?y"), Ok("https://u/x?y".to_owned()));
        assert_eq!(to("//u/x"), Ok("http://u/x".to_owned()));
        assert_eq!(to("/x?u=a://b"), Ok("http://t:81/x?u=a://b".to_owned()));
        assert_eq!(to("x"), Ok("http://t:81/a/x".to_owned()));
        assert_eq!(to("?z"), Ok("http://t:81/a/announce?z".to_owned()));
        assert!(to("ftp://u/").is_err() && to("x\ny").is_err());
    }

    proptest! {
        #[test]
        fn what_was_read_reads_the_same_again(text in "(http|https|udp)://[a-z0-9.\\[\\]:-]{1,12}:[0-9]{1,5}\\PC{0,20}") {
            if let Ok(url) = text.parse::<TrackerUrl>() {
                prop_assert_eq!(url.to_string().parse(), Ok(url));
            }
        }

        #[test]
        fn arbitrary_text_never_panics(text: String, location: String) {
            let _ = text.parse::<TrackerUrl>();
            let _ = url("http://t/a").join(&location);
        }
    }
}
