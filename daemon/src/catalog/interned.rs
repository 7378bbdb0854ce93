//! Texts and trackers that many torrents have in common, kept once.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;

use protocol::announce::TrackerSet;

use crate::bus::Trackers;
use crate::discovery::read_trackers;

/// What was seen before.
#[derive(Debug, Default)]
pub(super) struct Interned {
    texts: HashSet<Arc<str>>,
    trackers: HashMap<Arc<Trackers>, Arc<TrackerSet>>,
}

impl Interned {
    /// `text`, kept once.
    pub(super) fn text(&mut self, text: &str) -> Arc<str> {
        if let Some(known) = self.texts.get(text) {
            return Arc::clone(known);
        }
        let new: Arc<str> = text.into();
        self.texts.insert(Arc::clone(&new));
        new
    }

    /// The trackers of `tiers`, kept once.
    pub(super) fn trackers(&mut self, tiers: Vec<Vec<String>>) -> Arc<Trackers> {
        let new = Trackers::new(tiers);
        if let Some((known, _)) = self.trackers.get_key_value(&new) {
            return Arc::clone(known);
        }
        let new = Arc::new(new);
        let parsed = read_trackers(&new.tiers);
        self.trackers.insert(Arc::clone(&new), parsed);
        new
    }

    /// Forgets what no torrent has any more.
    pub(super) fn forget_unused(&mut self) {
        self.texts.retain(|text| Arc::strong_count(text) > 1);
        self.trackers.retain(|trackers, _| Arc::strong_count(trackers) > 1);
    }

    /// The same trackers, as they are asked.
    pub(super) fn set(&self, trackers: &Arc<Trackers>) -> Option<Arc<TrackerSet>> {
        self.trackers.get(trackers).map(Arc::clone)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_alike_is_kept_once_for_as_long_as_somebody_has_it() {
        let mut interned = Interned::default();
        let tiers = || vec![vec!["http://t/announce".to_owned()]];
        let (text, trackers) = (interned.text("/srv"), interned.trackers(tiers()));
        assert!(Arc::ptr_eq(&text, &interned.text("/srv")));
        assert!(Arc::ptr_eq(&trackers, &interned.trackers(tiers())));
        interned.forget_unused();
        assert!(Arc::ptr_eq(&text, &interned.text("/srv")) && interned.set(&trackers).is_some());
        drop((text, trackers));
        interned.forget_unused();
        assert!(interned.texts.is_empty() && interned.trackers.is_empty());
    }
}
