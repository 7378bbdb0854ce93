//! Which request is answered by what.

use std::cell::RefCell;
use std::net::IpAddr;
use std::sync::Arc;
use std::time::Instant;

use http_body_util::Full;
use hyper::body::{Bytes, Incoming};
use hyper::header::{ACCEPT, ALLOW, CONTENT_TYPE, HeaderMap, HeaderValue};
use hyper::{Method, Request, Response, StatusCode, Uri};
use protocol::announce::{What, split_target};
use service::openmetrics;

use super::Shared;
use super::announce::Window;
use super::connection::Guest;
use crate::desk::Clerk;
use crate::figures::{self, Reason, Report};

/// Most bytes of a request line and its headers that are read.
pub(super) const MAX_HEAD_LENGTH: usize = 24 * 1024;
/// Longest path and query, in bytes: a scrape of a hundred torrents has 7 KiB.
const MAX_TARGET_LENGTH: usize = 8 * 1024;
/// Most bytes of headers.
const MAX_HEADERS_LENGTH: usize = 16 * 1024;
/// Most connections that are being turned away at once; others are closed without a word.
const MAX_TURNED_AWAY: usize = 256;

/// What trackers answer with.
pub(super) type Answer = Response<Full<Bytes>>;

/// Answers the requests of one thread.
#[derive(Debug)]
pub(super) struct Responder {
    clerk: RefCell<Clerk>,
    shared: Arc<Shared>,
    turned_away: Arc<()>,
}

impl Responder {
    pub(super) fn new(clerk: Clerk, shared: Arc<Shared>) -> Self {
        Self { clerk: RefCell::new(clerk), shared, turned_away: Arc::default() }
    }

    /// Lets a connection in, if there is a place for it.
    pub(super) fn admit(&self, ip: IpAddr) -> Option<Guest> {
        let settings = self.shared.settings.load();
        let is_proxy = settings.trusted.contains(ip);
        let counted = (!is_proxy).then_some(ip);
        let (max, max_per_address) = (settings.max_connections, settings.max_connections_per_address);
        let place = self.shared.places.take(counted, max, max_per_address);
        let clerk = self.clerk.borrow();
        match &place {
            Some(_) => clerk.counters().connected(),
            None => clerk.counters().refused(Reason::Connections),
        }
        let has_preamble = is_proxy && settings.has_preamble;
        Some(Guest { ip, has_preamble, idle_timeout: settings.idle_timeout, place: place? })
    }

    /// A turn to tell somebody that there is no place, to be kept meanwhile.
    pub(super) fn turn_away(&self) -> Option<Arc<()>> {
        (Arc::strong_count(&self.turned_away) <= MAX_TURNED_AWAY).then(|| Arc::clone(&self.turned_away))
    }

    /// Answers a request of whoever is at `ip`; `is_told` where a preamble said so.
    pub(super) fn respond(&self, ip: IpAddr, is_told: bool, request: &Request<Incoming>) -> Answer {
        let begin = Instant::now();
        let settings = self.shared.settings.load();
        let mut clerk = self.clerk.borrow_mut();
        let answer = refusal(request).unwrap_or_else(|| {
            let mut window = Window { clerk: &mut clerk, settings: &settings, ip, is_told, begin };
            route(&mut window, request.uri(), request.headers())
        });
        if answer.status().is_client_error() {
            clerk.counters().refused(Reason::NoTracker);
        }
        clerk.counters().answered(begin.elapsed(), 1);
        answer
    }
}

/// What is said to a request that is none to a tracker, by its form alone.
fn refusal(request: &Request<Incoming>) -> Option<Answer> {
    if ![Method::GET, Method::HEAD].contains(request.method()) {
        let mut answer = plain(StatusCode::METHOD_NOT_ALLOWED, "only GET and HEAD are served here\n");
        answer.headers_mut().insert(ALLOW, HeaderValue::from_static("GET, HEAD"));
        return Some(answer);
    }
    let length = request.uri().path_and_query().map_or(0, |target| target.as_str().len());
    if length > MAX_TARGET_LENGTH {
        return Some(plain(StatusCode::URI_TOO_LONG, "the path and query are too long\n"));
    }
    let headers = request.headers().iter().map(|(name, value)| name.as_str().len() + value.len() + 4);
    if headers.sum::<usize>() > MAX_HEADERS_LENGTH {
        return Some(plain(StatusCode::REQUEST_HEADER_FIELDS_TOO_LARGE, "the headers are too long\n"));
    }
    None
}

fn route(window: &mut Window<'_>, uri: &Uri, headers: &HeaderMap) -> Answer {
    let target = uri.path_and_query().map_or("/", |target| target.as_str());
    if let Some(target) = split_target(target.as_bytes()) {
        return tracker(match target.what {
            What::Announce => window.announce(&target, headers),
            What::Scrape => window.scrape(&target, headers),
        });
    }
    match uri.path() {
        "/health" => plain(StatusCode::OK, "ok\n"),
        "/stats" if window.settings.has_stats => stats(window.clerk, headers),
        "/metrics" if window.settings.has_metrics => metrics(window.clerk),
        _ => plain(StatusCode::NOT_FOUND, "this is a tracker: announce at /announce\n"),
    }
}

/// Figures, as a page for whoever would rather have that than JSON.
fn stats(clerk: &Clerk, headers: &HeaderMap) -> Answer {
    let report = Report::from(&clerk.desk().figures());
    match (prefers_page(headers), serde_json::to_string(&report)) {
        (true, _) => with_type("text/html; charset=utf-8", report.page()),
        (false, Ok(json)) => with_type("application/json", json + "\n"),
        (false, Err(error)) => plain(StatusCode::INTERNAL_SERVER_ERROR, format!("{error}\n")),
    }
}

/// Whether HTML is named, and JSON is not or ranks below it (RFC 9110, section 12.5.1).
fn prefers_page(headers: &HeaderMap) -> bool {
    let ranges = headers.get_all(ACCEPT).into_iter().filter_map(|value| value.to_str().ok());
    let (mut html, mut json) = (0.0, 0.0);
    for range in ranges.flat_map(|value| value.split(',')) {
        let mut parts = range.split(';').map(str::trim);
        let content = parts.next().unwrap_or_default();
        let quality = parts.find_map(|part| part.strip_prefix("q=")?.parse::<f32>().ok()).unwrap_or(1.0);
        if content.eq_ignore_ascii_case("text/html") {
            html = quality;
        } else if content.eq_ignore_ascii_case("application/json") {
            json = quality;
        }
    }
    html > json
}

fn metrics(clerk: &Clerk) -> Answer {
    match figures::text(clerk.desk().figures()) {
        Ok(text) => with_type(openmetrics::CONTENT, text),
        Err(error) => plain(StatusCode::INTERNAL_SERVER_ERROR, format!("{error}\n")),
    }
}

/// What a tracker says, be it that it will not: clients read no other status.
fn tracker(bencode: Vec<u8>) -> Answer {
    with_type("text/plain", bencode)
}

fn plain(status: StatusCode, text: impl Into<Bytes>) -> Answer {
    let mut answer = with_type("text/plain", text);
    *answer.status_mut() = status;
    answer
}

fn with_type(content: &'static str, body: impl Into<Bytes>) -> Answer {
    let mut answer = Response::new(Full::new(body.into()));
    answer.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static(content));
    answer
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn browsers_have_a_page_and_scripts_have_json() {
        let prefers = |accept: &'static str| {
            prefers_page(&HeaderMap::from_iter([(ACCEPT, HeaderValue::from_static(accept))]))
        };
        assert!(prefers("text/html,application/xhtml+xml,*/*;q=0.8") && prefers("Text/HTML"));
        assert!(prefers("application/json;q=0.5, text/html;q=0.9"));
        for json in [
            "*/*",
            "",
            "application/json",
            "text/html;q=0.1, application/json",
            "text/html;q=0",
            "text/htmlx",
        ] {
            assert!(!prefers(json), "{json}");
        }
        assert!(!prefers_page(&HeaderMap::new()));
    }
}
