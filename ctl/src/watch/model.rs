//! What `watch` knows: the rows, their order, and which of them are on the screen.

use std::cmp::Ordering;
use std::collections::HashMap;

use protocol::control::{Sort, SortKey, Torrent};
use protocol::id::InfoHash;

use super::look::Update;

/// Where the user wants to go.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Step {
    Up,
    Down,
    PageUp,
    PageDown,
    Home,
    End,
    Quit,
}

/// The list, and the part of it that is seen.
#[derive(Debug)]
pub(super) struct Model {
    sort: Sort,
    rows: HashMap<InfoHash, Torrent>,
    order: Vec<InfoHash>,
    /// The first row on the screen.
    top: usize,
    /// Rows on the screen.
    height: usize,
    is_known: bool,
}

impl Model {
    /// Nothing yet, to be sorted as `sort` says; as they were added without one.
    pub(super) fn new(sort: Option<Sort>) -> Self {
        let sort = sort.unwrap_or(Sort { key: SortKey::AddedAt, is_descending: false });
        Self { sort, rows: HashMap::new(), order: Vec::new(), top: 0, height: 1, is_known: false }
    }

    /// Takes in what a look has found.
    pub(super) fn apply(&mut self, update: Update) {
        self.is_known = true;
        if update.is_full {
            self.rows.clear();
        }
        for info_hash in &update.removed {
            self.rows.remove(info_hash);
        }
        self.rows.extend(update.torrents.into_iter().map(|torrent| (torrent.info_hash, torrent)));
        let mut rows: Vec<&Torrent> = self.rows.values().collect();
        rows.sort_unstable_by(|one, other| compare(self.sort, one, other));
        self.order = rows.into_iter().map(|torrent| torrent.info_hash).collect();
    }

    /// Goes to another part of the list.
    pub(super) fn scroll(&mut self, step: Step) {
        self.top = match step {
            Step::Up => self.top.saturating_sub(1),
            Step::Down => self.top + 1,
            Step::PageUp => self.top.saturating_sub(self.height),
            Step::PageDown => self.top + self.height,
            Step::Home => 0,
            Step::End => usize::MAX,
            Step::Quit => self.top,
        };
        self.stay_inside();
    }

    fn stay_inside(&mut self) {
        self.top = self.top.min(self.order.len().saturating_sub(self.height));
    }

    /// The rows that are seen on a screen with room for `height`, and the number of the first.
    pub(super) fn seen(&mut self, height: usize) -> (usize, Vec<Torrent>) {
        self.height = height.max(1);
        self.stay_inside();
        let seen = self.order.iter().skip(self.top).take(self.height);
        (self.top, seen.filter_map(|info_hash| self.rows.get(info_hash)).cloned().collect())
    }

    /// How many there are; none before the first look.
    pub(super) fn count(&self) -> Option<usize> {
        self.is_known.then_some(self.order.len())
    }

    /// Bytes a second that peers give and get, of all.
    pub(super) fn rates(&self) -> (u64, u64) {
        let sum = |rate: fn(&Torrent) -> u64| self.rows.values().map(rate).fold(0, u64::saturating_add);
        (sum(|torrent| torrent.download_rate), sum(|torrent| torrent.upload_rate))
    }
}

/// The order of the daemon's own lists, but that two with the same key stand in the order of their addition.
fn compare(sort: Sort, one: &Torrent, other: &Torrent) -> Ordering {
    let by = match sort.key {
        SortKey::AddedAt => one.added_at.cmp(&other.added_at),
        SortKey::Name => one.name.to_lowercase().cmp(&other.name.to_lowercase()),
        SortKey::State => one.state.cmp(&other.state),
        SortKey::Progress => one.progress.total_cmp(&other.progress),
        SortKey::Size => one.size.cmp(&other.size),
        SortKey::Have => one.have.cmp(&other.have),
        SortKey::Uploaded => one.uploaded.cmp(&other.uploaded),
        SortKey::Downloaded => one.downloaded.cmp(&other.downloaded),
        SortKey::Ratio => one.ratio.total_cmp(&other.ratio),
        SortKey::UploadRate => one.upload_rate.cmp(&other.upload_rate),
        SortKey::DownloadRate => one.download_rate.cmp(&other.download_rate),
        SortKey::Peers => one.peers.cmp(&other.peers),
        SortKey::Seeds => one.seeds.cmp(&other.seeds),
        SortKey::Label => one.label.cmp(&other.label),
        SortKey::InfoHash => one.info_hash.cmp(&other.info_hash),
    };
    let by = if sort.is_descending { by.reverse() } else { by };
    by.then(one.added_at.cmp(&other.added_at)).then(one.info_hash.cmp(&other.info_hash))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::render::example;

    fn torrent(number: u8, upload_rate: u64) -> Torrent {
        Torrent { info_hash: InfoHash::new([number; 20]), upload_rate, added_at: number.into(), ..example() }
    }

    fn full(torrents: Vec<Torrent>) -> Update {
        Update { is_full: true, torrents, ..Update::default() }
    }

    fn numbers(model: &mut Model) -> Vec<u8> {
        model.seen(100).1.iter().map(|torrent| torrent.info_hash.as_bytes()[0]).collect()
    }

    #[test]
    fn changes_change_what_they_name() {
        let mut model = Model::new("-upload_rate".parse().ok());
        assert_eq!(model.count(), None);
        model.apply(full(vec![torrent(1, 5), torrent(2, 7), torrent(3, 5)]));
        assert_eq!(numbers(&mut model), [2, 1, 3]);
        assert_eq!(model.rates().1, 17);
        let removed = vec![InfoHash::new([2; 20])];
        model.apply(Update { torrents: vec![torrent(3, 9), torrent(4, 1)], removed, ..Update::default() });
        assert_eq!(numbers(&mut model), [3, 1, 4]);
        model.apply(full(vec![torrent(9, 0)]));
        assert_eq!((numbers(&mut model), model.count()), (vec![9], Some(1)));
    }

    #[test]
    fn one_scrolls_to_the_ends_and_no_further() {
        let mut model = Model::new(None);
        model.apply(full((0..10).map(|number| torrent(number, 0)).collect()));
        let mut top = |steps: &[Step]| {
            steps.iter().for_each(|step| model.scroll(*step));
            let (top, rows) = model.seen(4);
            assert_eq!(usize::from(rows[0].info_hash.as_bytes()[0]), top);
            top
        };
        assert_eq!(top(&[]), 0);
        assert_eq!(top(&[Step::Up]), 0);
        assert_eq!(top(&[Step::Down, Step::Down]), 2);
        assert_eq!(top(&[Step::PageDown]), 6);
        assert_eq!(top(&[Step::PageDown, Step::Down]), 6);
        assert_eq!(top(&[Step::PageUp]), 2);
        assert_eq!(top(&[Step::End]), 6);
        assert_eq!(top(&[Step::Home]), 0);
    }

    #[test]
    fn a_list_that_shrinks_stays_on_the_screen() {
        let mut model = Model::new(None);
        model.apply(full((0..10).map(|number| torrent(number, 0)).collect()));
        model.seen(4);
        model.scroll(Step::End);
        model.apply(full(vec![torrent(1, 0)]));
        assert_eq!(model.seen(4).0, 0);
    }
}
