//! The trackers of a torrent, read once and shared by all torrents that name the same.
//!
//! Whoever adds torrents makes one for each list of URLs; [`super::Schedule`] asks those who are in it.

use super::{Family, Host, TrackerUrl, UrlError};

/// Most trackers of one torrent that are ever asked; public lists have about a hundred. An index is a byte.
pub(super) const MAX_TRACKERS: usize = 128;

/// Trackers in tiers (BEP 12).
#[derive(Debug, Clone, Default, PartialEq, Eq, Hash)]
pub struct TrackerSet {
    trackers: Box<[Tracker]>,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash)]
struct Tracker {
    url: TrackerUrl,
    tier: usize,
}

impl TrackerSet {
    /// The trackers of `tiers`, the best tier first; no more than are ever asked.
    pub fn new(tiers: Vec<Vec<TrackerUrl>>) -> Self {
        let of_tier = |(tier, urls): (usize, Vec<_>)| urls.into_iter().map(move |url| Tracker { url, tier });
        Self { trackers: tiers.into_iter().enumerate().flat_map(of_tier).take(MAX_TRACKERS).collect() }
    }

    /// The trackers at the URLs of `tiers`, as a torrent or a magnet has them. Those that cannot be asked are left
    /// out, and `left_out` hears why.
    pub fn parse(tiers: &[Vec<String>], mut left_out: impl FnMut(UrlError)) -> Self {
        let mut parse = |url: &String| url.parse().map_err(&mut left_out).ok();
        Self::new(tiers.iter().map(|tier| tier.iter().filter_map(&mut parse).collect()).collect())
    }

    /// How many there are.
    pub fn len(&self) -> usize {
        self.trackers.len()
    }

    /// Whether there is nobody to ask.
    pub fn is_empty(&self) -> bool {
        self.trackers.is_empty()
    }

    /// Where the tracker of an [`super::Ask`] is.
    pub fn url(&self, tracker: u8) -> Option<&TrackerUrl> {
        self.trackers.get(usize::from(tracker)).map(|tracker| &tracker.url)
    }

    /// All URLs, the best tier first.
    pub fn urls(&self) -> impl Iterator<Item = &TrackerUrl> {
        self.trackers.iter().map(|tracker| &tracker.url)
    }

    /// Indices of all, the best tier first.
    pub(super) fn indices(&self) -> impl Iterator<Item = u8> {
        (0..=u8::MAX).take(self.trackers.len())
    }

    /// The tier, from 0.
    pub(super) fn tier(&self, tracker: u8) -> Option<usize> {
        self.trackers.get(usize::from(tracker)).map(|tracker| tracker.tier)
    }

    /// Whether the tracker may have an address of `family`: its URL has none of the other.
    pub(super) fn may_have(&self, tracker: u8, family: Family) -> bool {
        match self.url(tracker).map(TrackerUrl::host) {
            Some(Host::Address(address)) => Family::of(*address) == family,
            Some(Host::Name(_)) => true,
            None => false,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_cannot_be_asked_is_left_out_and_named() {
        let tiers = [vec!["ws://x/".to_owned()], vec!["http://a/".to_owned(), "udp://b".to_owned()]];
        let mut reasons = Vec::new();
        let set = TrackerSet::parse(&tiers, |reason| reasons.push(reason));
        assert_eq!((set.len(), set.tier(0), set.url(1)), (1, Some(1), None));
        assert_eq!(reasons, [UrlError::Scheme, UrlError::Port("b".to_owned())]);
        assert!(TrackerSet::parse(&tiers[..1], drop).is_empty());
    }

    #[test]
    fn an_address_is_of_one_family() {
        let urls = ["http://10.0.0.1/", "http://[::1]/", "http://t/"].map(|url| url.parse().unwrap());
        let set = TrackerSet::new(vec![urls.to_vec()]);
        let may = |family| set.indices().map(|tracker| set.may_have(tracker, family)).collect::<Vec<_>>();
        assert_eq!(may(Family::V4), [true, false, true]);
        assert_eq!(may(Family::V6), [false, true, true]);
    }

    #[test]
    fn a_flood_of_trackers_is_cut_off() {
        let tier = (0..1_000).map(|n| format!("http://t{n}/").parse().unwrap()).collect();
        let set = TrackerSet::new(vec![tier, vec!["http://x/".parse().unwrap()]]);
        assert_eq!((set.len(), set.indices().count()), (MAX_TRACKERS, MAX_TRACKERS));
    }
}
