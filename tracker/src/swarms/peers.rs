//! The peers of a torrent in one family of addresses: seeds first, then the others, so that whoever is to be told only
//! of others is told of a random part of one range.

use rand::Rng;
use smallvec::SmallVec;

use super::index::Index;
use super::peer::{Endpoint, Home, Identity, Peer, State};
use super::pick::pick;

/// Peers that need no memory of their own: most torrents have no more.
const INLINE: usize = 2;
/// Lists that are longer have an index.
const MAX_UNINDEXED: usize = 32;

/// Peers whose endpoints have `N` bytes, each endpoint once and each identity with a key once.
#[derive(Debug, Default)]
pub(super) struct Peers<const N: usize> {
    /// The first [`Peers::seeds`] are seeds.
    list: SmallVec<[Peer<N>; INLINE]>,
    seeds: u32,
    paused: u32,
    index: Option<Box<Index>>,
}

impl<const N: usize> Peers<N> {
    pub(super) fn len(&self) -> usize {
        self.list.len()
    }

    pub(super) fn seeds(&self) -> u32 {
        self.seeds
    }

    /// Those that are no seeds.
    pub(super) fn leechers(&self) -> u32 {
        count(self.list.len()) - self.seeds
    }

    /// Those of the leechers that want no more.
    pub(super) fn paused(&self) -> u32 {
        self.paused
    }

    pub(super) fn list(&self) -> &[Peer<N>] {
        &self.list
    }

    pub(super) fn find(&self, endpoint: &Endpoint<N>) -> Option<usize> {
        match &self.index {
            Some(index) => index.find(&self.list, endpoint),
            None => self.list.iter().position(|peer| peer.endpoint() == endpoint),
        }
    }

    /// Who has that identity; it must have a key.
    pub(super) fn find_identity(&self, identity: &Identity) -> Option<usize> {
        match &self.index {
            Some(index) => index.find_identity(&self.list, identity),
            None => self.list.iter().position(|peer| peer.identity() == identity),
        }
    }

    /// How many are of `home`.
    pub(super) fn at_home(&self, home: &Home) -> u32 {
        match &self.index {
            Some(index) => index.at_home(home),
            None => count(self.list.iter().filter(|peer| peer.home() == *home).count()),
        }
    }

    /// Takes in a peer whose endpoint, and identity if that has a key, are not here. Returns where it is.
    pub(super) fn insert(&mut self, peer: Peer<N>) -> usize {
        self.grow();
        let mut at = self.list.len();
        self.list.push(peer);
        match &mut self.index {
            Some(index) => index.add(&self.list, at),
            None if self.list.len() > MAX_UNINDEXED => self.index = Some(Box::new(Index::of(&self.list))),
            None => {}
        }
        match peer.state() {
            State::Seed => at = self.join_seeds(at),
            State::Paused => self.paused += 1,
            State::Leecher => {}
        }
        at
    }

    /// Takes out the peer at `at`. Another takes its place.
    pub(super) fn remove(&mut self, mut at: usize) -> Peer<N> {
        match self.list[at].state() {
            State::Seed => at = self.leave_seeds(at),
            State::Paused => self.paused -= 1,
            State::Leecher => {}
        }
        let last = self.list.len() - 1;
        self.swap(at, last);
        if let Some(index) = &mut self.index {
            index.remove(&self.list, last);
        }
        self.list.swap_remove(last)
    }

    /// The peer at `at` announced again, as `identity`, in `state`. Returns where it is now.
    pub(super) fn renew(&mut self, at: usize, identity: Identity, state: State, seen_s: u32) -> usize {
        match &mut self.index {
            Some(index) if *self.list[at].identity() != identity => {
                index.forget_identity(&self.list, at);
                self.list[at].renew(identity, seen_s);
                index.learn_identity(&self.list, at);
            }
            _ => self.list[at].renew(identity, seen_s),
        }
        let before = self.list[at].state();
        if before == state {
            return at;
        }
        self.list[at].set_state(state);
        self.paused = self.paused + u32::from(state == State::Paused) - u32::from(before == State::Paused);
        match (before, state) {
            (_, State::Seed) => self.join_seeds(at),
            (State::Seed, _) => self.leave_seeds(at),
            _ => at,
        }
    }

    /// The peer at `at` was counted as a download.
    pub(super) fn set_completed(&mut self, at: usize) {
        self.list[at].set_completed();
    }

    /// How many there are to choose from, for whoever is at `asker`: all but itself, and no seeds for a seed.
    pub(super) fn choices(&self, asker: Option<usize>, is_for_seed: bool) -> u32 {
        let first = self.first_choice(is_for_seed);
        count(self.list.len() - first) - u32::from(asker.is_some_and(|at| at >= first))
    }

    /// Tells a random `wanted` of the choices, or all of them.
    pub(super) fn choose(
        &self,
        rng: &mut impl Rng,
        asker: Option<usize>,
        is_for_seed: bool,
        wanted: usize,
        mut tell: impl FnMut(&Peer<N>),
    ) {
        let first = self.first_choice(is_for_seed);
        pick(rng, self.choices(asker, is_for_seed), wanted, |drawn| {
            let at = first + drawn as usize;
            // Who asks is stepped over.
            let is_behind = asker.is_some_and(|asker| asker >= first && at >= asker);
            tell(&self.list[at + usize::from(is_behind)]);
        });
    }

    fn first_choice(&self, is_for_seed: bool) -> usize {
        if is_for_seed { self.border() } else { 0 }
    }

    /// Gives back what is not needed any more, if that is much.
    pub(super) fn shrink(&mut self) {
        if self.list.len() * 4 > self.list.capacity() {
            return;
        }
        self.list.shrink_to_fit();
        if self.list.len() <= MAX_UNINDEXED / 2 {
            self.index = None;
        } else if let Some(index) = &mut self.index {
            index.shrink(&self.list);
        }
    }

    /// Bytes on the heap.
    pub(super) fn heap_bytes(&self) -> usize {
        let index = self.index.as_ref().map_or(0, |index| size_of::<Index>() + index.heap_bytes());
        let list = if self.list.spilled() { self.list.capacity() * size_of::<Peer<N>>() } else { 0 };
        list + index
    }

    /// The first behind the border changes places with the one at `at`, and the border is moved behind it. Returns where
    /// that is now.
    fn join_seeds(&mut self, at: usize) -> usize {
        let border = self.border();
        self.swap(at, border);
        self.seeds += 1;
        border
    }

    /// The last before the border changes places with the seed at `at`, and the border is moved before it.
    fn leave_seeds(&mut self, at: usize) -> usize {
        self.seeds -= 1;
        let border = self.border();
        self.swap(at, border);
        border
    }

    /// Where the seeds end.
    fn border(&self) -> usize {
        self.seeds as usize
    }

    fn swap(&mut self, one: usize, other: usize) {
        if one == other {
            return;
        }
        if let Some(index) = &mut self.index {
            index.swap(&self.list, one, other);
        }
        self.list.swap(one, other);
    }

    /// Makes room for one more: most lists stay short, and are not to hold room for twice as many.
    fn grow(&mut self) {
        if self.list.len() == self.list.capacity() {
            self.list.reserve_exact(1.max(self.list.len() / 2));
        }
    }
}

/// Peers of one torrent are counted in 32 bits, as they are told.
fn count(length: usize) -> u32 {
    u32::try_from(length).unwrap_or(u32::MAX)
}

#[cfg(test)]
mod tests;
