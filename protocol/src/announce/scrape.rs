//! Scrapes over HTTP, both sides (BEP 48): how a swarm is doing, without joining it.
//!
//! bttracker reads [`ScrapeQuery`] and writes what [`ScrapeReply`] reads. btd does not scrape.

use std::borrow::Cow;
use std::time::Duration;

use super::parameters::{MAX_PAIRS, MAX_QUERY_LENGTH, QueryError, pairs, twenty, unescape};
use super::response::{Refusal, ResponseError, open, seconds, small};
use super::write::{write_refusal, write_scrape};
use crate::bencode::Value;
use crate::id::InfoHash;

/// Most torrents of one scrape: about as many as fit into a query of the longest length when they are escaped.
pub const MAX_SCRAPE_HASHES: usize = 100;
/// Most torrents that are taken from an answer. Nobody asks for so many at once.
const MAX_FILES: usize = 1_000;

/// A scrape that came over HTTP.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ScrapeQuery<'a> {
    /// The torrents, in order and each once: 1 to [`MAX_SCRAPE_HASHES`].
    pub hashes: Vec<InfoHash>,
    /// What a private tracker knows its user by.
    pub passkey: Option<Cow<'a, [u8]>>,
}

impl<'a> ScrapeQuery<'a> {
    /// Reads what stands after the `?` of a request line.
    ///
    /// # Errors
    /// When it names no torrent or too many, or exceeds a limit.
    pub fn parse(query: &'a [u8]) -> Result<Self, QueryError> {
        if query.len() > MAX_QUERY_LENGTH {
            return Err(QueryError::TooLong);
        }
        let (mut hashes, mut passkey, mut others) = (Vec::new(), None, 0);
        for (key, value) in pairs(query) {
            if key == b"info_hash" {
                hashes.push(InfoHash::new(twenty("info_hash", value)?));
                continue;
            }
            others += 1;
            if others > MAX_PAIRS {
                return Err(QueryError::TooManyPairs);
            }
            if key == b"passkey" && passkey.is_none() {
                passkey = Some(unescape("passkey", value)?);
            }
        }
        hashes.sort_unstable();
        hashes.dedup();
        match hashes.len() {
            0 => Err(QueryError::FullScrape),
            1..=MAX_SCRAPE_HASHES => Ok(Self { hashes, passkey }),
            _ => Err(QueryError::TooManyHashes),
        }
    }
}

/// How the swarm of one torrent is doing.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct ScrapeEntry {
    /// Peers that have everything (`complete`).
    pub seeds: u32,
    /// How often the torrent was completed.
    pub downloaded: u32,
    /// Peers that do not have everything (`incomplete`).
    pub leechers: u32,
    /// Those of them that still download (BEP 21); only over HTTP, and only some trackers tell.
    pub downloaders: Option<u32>,
}

/// What a tracker said to a scrape.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ScrapeReply {
    /// It tells.
    Files {
        /// The torrents that it knows, in order and each once.
        files: Vec<(InfoHash, ScrapeEntry)>,
        /// How long to wait at least before the next scrape (`flags`).
        min_request_interval: Option<Duration>,
    },
    /// It does not.
    Refusal(Refusal),
}

impl ScrapeReply {
    /// Reads the body of an HTTP answer, as tolerantly as [`super::Reply::decode`]: what is odd is left out, a number
    /// that is missing is 0.
    ///
    /// # Errors
    /// When it does not begin with a bencoded dictionary.
    pub fn decode(body: &[u8]) -> Result<Self, ResponseError> {
        let value = match open(body)? {
            Ok(value) => value,
            Err(refusal) => return Ok(Self::Refusal(refusal)),
        };
        let (mut files, mut min_request_interval) = (None, None);
        for (key, value) in value.dictionary().ok_or(ResponseError::NotADictionary)? {
            match key {
                b"files" => files = files.or_else(|| read_files(value)),
                b"flags" => min_request_interval = min_request_interval.or(read_flags(value)),
                _ => {}
            }
        }
        Ok(Self::Files { files: files.unwrap_or_default(), min_request_interval })
    }

    /// The body of an HTTP answer, which goes out with status 200 even if it refuses.
    pub fn encode(&self) -> Vec<u8> {
        let mut out = Vec::new();
        match self {
            Self::Files { files, min_request_interval } => {
                write_scrape(&mut out, files.iter().copied(), *min_request_interval);
            }
            Self::Refusal(refusal) => write_refusal(&mut out, refusal),
        }
        out
    }
}

fn read_files(value: Value<'_>) -> Option<Vec<(InfoHash, ScrapeEntry)>> {
    let file =
        |(hash, entry): (&[u8], Value<'_>)| Some((InfoHash::new(hash.try_into().ok()?), read_entry(entry)?));
    let mut files: Vec<_> = value.dictionary()?.filter_map(file).take(MAX_FILES).collect();
    files.sort_by_key(|(hash, _)| *hash);
    files.dedup_by_key(|(hash, _)| *hash);
    Some(files)
}

fn read_entry(value: Value<'_>) -> Option<ScrapeEntry> {
    let (mut seeds, mut downloaded, mut leechers, mut downloaders) = (None, None, None, None);
    for (key, value) in value.dictionary()? {
        match key {
            b"complete" => seeds = seeds.or(small(value)),
            b"downloaded" => downloaded = downloaded.or(small(value)),
            b"downloaders" => downloaders = downloaders.or(small(value)),
            b"incomplete" => leechers = leechers.or(small(value)),
            _ => {}
        }
    }
    let [seeds, downloaded, leechers] = [seeds, downloaded, leechers].map(Option::unwrap_or_default);
    Some(ScrapeEntry { seeds, downloaded, leechers, downloaders })
}

fn read_flags(value: Value<'_>) -> Option<Duration> {
    value.dictionary()?.find(|(key, _)| *key == b"min_request_interval").and_then(|(_, value)| seconds(value))
}

#[cfg(test)]
pub(super) mod tests;
