//! Announces and scrapes over HTTP: from the query to the desk, and from its answer to bencode (BEP 3, 7, 23, 24, 31, 48).

use std::borrow::Cow;
use std::net::{IpAddr, SocketAddr};
use std::time::Instant;

use hyper::HeaderMap;
use protocol::announce::{
    self, AnnounceQuery, AnswerHead, Family, ListedPeer, QueryError, RetryIn, ScrapeQuery, Target,
    read_peers, write_compact_answer, write_listed_answer, write_refusal, write_scrape,
};

use super::HttpSettings;
use super::proxy::{AskerError, asker};
use crate::desk::{Clerk, Form, Refusal, Told, Visitor};
use crate::figures::Reason;
use crate::swarms::MAX_PICKS;

/// Room for an answer with as many peers as clients ask for.
const USUAL_LENGTH: usize = 512;

/// Where one request is answered.
pub(super) struct Window<'a> {
    pub(super) clerk: &'a mut Clerk,
    pub(super) settings: &'a HttpSettings,
    /// Who is at the other end of the connection, or was said to be by its preamble.
    pub(super) ip: IpAddr,
    /// It was said by a preamble.
    pub(super) is_told: bool,
    pub(super) begin: Instant,
}

/// Why a request has no answer but a reason.
enum Failure {
    Asker(AskerError),
    Query(QueryError),
    Desk(Refusal),
}

impl Window<'_> {
    /// The answer to an announce.
    pub(super) fn announce(&mut self, target: &Target<'_>, headers: &HeaderMap) -> Vec<u8> {
        self.try_announce(target, headers).unwrap_or_else(|failure| self.refuse(failure))
    }

    fn try_announce(&mut self, target: &Target<'_>, headers: &HeaderMap) -> Result<Vec<u8>, Failure> {
        let asker = self.asker(headers)?;
        let query = AnnounceQuery::parse(target.query).map_err(Failure::Query)?;
        let ip = query.ip.filter(|_| self.may_name(asker)).map_or(asker, |ip| ip.to_canonical());
        let passkey = target.passkey.map(Cow::Borrowed).or(query.passkey);
        let visitor =
            Visitor { ip, passkey: passkey.as_deref(), now: self.clerk.desk().clock().at(self.begin) };
        let form = Form { family: None, has_ids: !query.compact && !query.no_peer_id, most: MAX_PICKS };
        let told = self.clerk.announce(visitor, &query.announce, form).map_err(Failure::Desk)?;
        Ok(write(&told, asker, query.compact))
    }

    /// The answer to a scrape.
    pub(super) fn scrape(&mut self, target: &Target<'_>, headers: &HeaderMap) -> Vec<u8> {
        self.try_scrape(target, headers).unwrap_or_else(|failure| self.refuse(failure))
    }

    fn try_scrape(&mut self, target: &Target<'_>, headers: &HeaderMap) -> Result<Vec<u8>, Failure> {
        let ip = self.asker(headers)?;
        let query = ScrapeQuery::parse(target.query).map_err(Failure::Query)?;
        let passkey = target.passkey.map(Cow::Borrowed).or(query.passkey);
        let visitor =
            Visitor { ip, passkey: passkey.as_deref(), now: self.clerk.desk().clock().at(self.begin) };
        let min_interval = self.clerk.desk().terms().min_interval;
        let entries = self.clerk.scrape(visitor, &query.hashes).map_err(Failure::Desk)?;
        let mut out = Vec::with_capacity(USUAL_LENGTH);
        let files = query.hashes.iter().copied().zip(entries);
        write_scrape(&mut out, files, Some(min_interval).filter(|interval| !interval.is_zero()));
        Ok(out)
    }

    /// Who asks: behind a proxy, whom it names.
    fn asker(&self, headers: &HeaderMap) -> Result<IpAddr, Failure> {
        if self.is_told {
            return Ok(self.ip);
        }
        asker(self.ip, headers, &self.settings.trusted).map_err(Failure::Asker)
    }

    /// Whether the asker may name another address than its own: it is of the house, or behind the house's proxy.
    fn may_name(&self, asker: IpAddr) -> bool {
        let is_private = |ip: IpAddr| match ip {
            IpAddr::V4(ip) => ip.is_loopback() || ip.is_private() || ip.is_link_local(),
            IpAddr::V6(ip) => ip.is_loopback() || ip.is_unique_local() || ip.is_unicast_link_local(),
        };
        self.settings.honours_ip
            && (is_private(asker) || self.is_told || self.settings.trusted.contains(self.ip))
    }

    fn refuse(&self, failure: Failure) -> Vec<u8> {
        let terms = self.clerk.desk().terms();
        let (reason, retry_in) = match failure {
            Failure::Asker(error) => {
                self.clerk.counters().refused(Reason::Proxy);
                (error.to_string(), None)
            }
            Failure::Query(error) => {
                self.clerk.counters().refused(Reason::Malformed);
                (error.to_string(), None)
            }
            // It has counted that.
            Failure::Desk(refusal) => (refusal.to_string(), Some(refusal.retry_in(terms.interval))),
        };
        let (interval, min_interval) = (Some(terms.interval), Some(terms.min_interval));
        // Clients that do not know `retry in` wait as long as others would.
        let interval = match retry_in {
            Some(RetryIn::After(after)) => interval.max(Some(after)),
            _ => interval,
        };
        let mut out = Vec::with_capacity(USUAL_LENGTH);
        write_refusal(&mut out, &announce::Refusal { reason, interval, min_interval, retry_in });
        out
    }
}

fn write(told: &Told<'_>, asker: IpAddr, is_compact: bool) -> Vec<u8> {
    let (numbers, terms) = (&told.numbers, &told.terms);
    let head = AnswerHead {
        seeds: Some(numbers.seeds),
        leechers: Some(numbers.leechers),
        downloaded: Some(numbers.downloaded),
        interval: Some(told.interval),
        min_interval: Some(terms.min_interval),
        external_ip: Some(asker),
        tracker_id: Some(terms.tracker_id.as_bytes()).filter(|id| !id.is_empty()),
        warning: None,
    };
    let mut out = Vec::with_capacity(USUAL_LENGTH);
    let chosen = told.chosen;
    if is_compact {
        write_compact_answer(&mut out, &head, &chosen.v4, &chosen.v6);
        return out;
    }
    let of = |family, bytes| read_peers(family, bytes);
    let addresses: Vec<SocketAddr> = of(Family::V4, &chosen.v4).chain(of(Family::V6, &chosen.v6)).collect();
    let id = |at: usize| chosen.ids.as_ref().and_then(|ids| ids.get(at)).copied();
    let peers =
        addresses.into_iter().enumerate().map(|(at, address)| ListedPeer { address, peer_id: id(at) });
    write_listed_answer(&mut out, &head, peers);
    out
}
