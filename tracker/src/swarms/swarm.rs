//! One torrent among its peers: what an announce changes in it, and whom it is told of. Time and chance are arguments.

use std::net::SocketAddr;

use protocol::announce::{Event, Family, ScrapeEntry};
use protocol::id::{InfoHash, PeerId};
use rand::{Rng, RngExt};

use super::homes::Homes;
use super::peer::{AnyEndpoint, Endpoint, Identity, Peer, State, V4, V6, home_of};
use super::peers::Peers;

/// Whoever announces before it should gets so many peers at most: enough to go on with, and cheap.
pub(super) const EARLY_PEERS: usize = 10;
/// Announces come as often as clients count, in whole seconds: so much too early is not early.
const EARLY_TOLERANCE_S: u32 = 1;

/// An announce, as far as the swarm cares.
#[derive(Debug, Clone, Copy)]
pub struct Asked {
    /// The torrent.
    pub info_hash: InfoHash,
    /// Where the asking peer listens; an IPv4 address as such.
    pub address: SocketAddr,
    /// Who asks.
    pub peer_id: PeerId,
    /// Tells the same peer from another when its address has changed.
    pub key: Option<u32>,
    /// What it has.
    pub state: State,
    /// What has happened.
    pub event: Event,
    /// How many peers it is to be told of, at most.
    pub wanted: usize,
    /// Of which family they are; `None` for both.
    pub family: Option<Family>,
}

impl Asked {
    fn identity(&self) -> Identity {
        Identity { id: *self.peer_id.as_bytes(), key: self.key.unwrap_or(0).to_be_bytes() }
    }
}

/// Why an announce is refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Refused {
    /// The home has as many peers in the torrent as it may.
    #[error("too many peers of this torrent at your address")]
    PeersPerAddress,
    /// The home is in as many torrents as it may be.
    #[error("too many torrents at your address")]
    TorrentsPerAddress,
}

/// What swarms go by that can be changed while they live.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Rules {
    /// How long peers are to wait between announces.
    pub min_interval_s: u32,
    /// Peers of one home in one torrent; 0 is no limit.
    pub peers_per_home: u32,
}

/// What a swarm is told with each announce.
#[derive(Debug, Clone, Copy)]
pub(super) struct Surroundings<'a> {
    pub(super) now_s: u32,
    pub(super) rules: Rules,
    pub(super) homes: &'a Homes,
}

/// Peers that were chosen, as they go over the wire.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Chosen {
    /// 6 bytes each.
    pub v4: Vec<u8>,
    /// 18 bytes each.
    pub v6: Vec<u8>,
    /// Their ids, those of `v4` first, where they are wanted.
    pub ids: Option<Vec<PeerId>>,
}

impl Chosen {
    /// Forgets the peers, and keeps the memory.
    pub fn clear(&mut self) {
        self.v4.clear();
        self.v6.clear();
        if let Some(ids) = &mut self.ids {
            ids.clear();
        }
    }
}

/// What a swarm holds, to be added up.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Tally {
    pub(super) v4: u64,
    pub(super) v6: u64,
    pub(super) seeds: u64,
    pub(super) heap_bytes: u64,
}

/// One torrent.
#[derive(Debug)]
pub(super) struct Swarm {
    info_hash: InfoHash,
    downloaded: u32,
    announced_s: u32,
    v4: Peers<V4>,
    /// Boxed, since most swarms have none.
    v6: Option<Box<Peers<V6>>>,
}

/// What became of the asker's own entry.
#[derive(Debug, Clone, Copy, Default)]
struct Entry {
    /// Where it is in its family.
    at: Option<usize>,
    /// It was here a moment ago.
    is_early: bool,
    /// It is to be counted as a download.
    is_download: bool,
}

impl Swarm {
    pub(super) fn new(info_hash: InfoHash, downloaded: u32, announced_s: u32) -> Self {
        Self { info_hash, downloaded, announced_s, v4: Peers::default(), v6: None }
    }

    pub(super) fn info_hash(&self) -> &InfoHash {
        &self.info_hash
    }

    pub(super) fn announced_s(&self) -> u32 {
        self.announced_s
    }

    pub(super) fn len(&self) -> usize {
        self.v4.len() + self.v6.as_ref().map_or(0, |peers| peers.len())
    }

    pub(super) fn downloaded(&self) -> u32 {
        self.downloaded
    }

    pub(super) fn v4(&self) -> &Peers<V4> {
        &self.v4
    }

    pub(super) fn v6(&self) -> Option<&Peers<V6>> {
        self.v6.as_deref()
    }

    pub(super) fn v4_mut(&mut self) -> &mut Peers<V4> {
        &mut self.v4
    }

    /// The peers of the other family, if there are any or `is_needed`.
    pub(super) fn v6_mut(&mut self, is_needed: bool) -> Option<&mut Peers<V6>> {
        if is_needed { Some(self.v6.get_or_insert_default()) } else { self.v6.as_deref_mut() }
    }

    /// Gives back memory that is not needed.
    pub(super) fn shrink(&mut self) {
        self.v4.shrink();
        match &mut self.v6 {
            Some(peers) if peers.len() == 0 => self.v6 = None,
            Some(peers) => peers.shrink(),
            None => {}
        }
    }

    pub(super) fn tally(&self) -> Tally {
        let (v4, v6) = (&self.v4, self.v6.as_deref());
        let (len_v6, seeds_v6) = v6.map_or((0, 0), |peers| (peers.len(), peers.seeds()));
        let heap_v6 = v6.map_or(0, |peers| peers.heap_bytes() + size_of::<Peers<V6>>());
        Tally {
            v4: v4.len() as u64,
            v6: len_v6 as u64,
            seeds: u64::from(v4.seeds()) + u64::from(seeds_v6),
            heap_bytes: (v4.heap_bytes() + heap_v6) as u64,
        }
    }

    pub(super) fn numbers(&self) -> ScrapeEntry {
        let v6 = self.v6.as_deref();
        let sum = |v4: u32, of_v6: fn(&Peers<V6>) -> u32| v4.saturating_add(v6.map_or(0, of_v6));
        let leechers = sum(self.v4.leechers(), Peers::leechers);
        let paused = sum(self.v4.paused(), Peers::paused);
        ScrapeEntry {
            seeds: sum(self.v4.seeds(), Peers::seeds),
            downloaded: self.downloaded,
            leechers,
            downloaders: Some(leechers - paused),
        }
    }

    /// Takes note of an announce, and tells the asker of others.
    pub(super) fn announce(
        &mut self,
        asked: &Asked,
        around: Surroundings<'_>,
        rng: &mut impl Rng,
        chosen: &mut Chosen,
    ) -> Result<ScrapeEntry, Refused> {
        let (entry, family) = match asked.address.into() {
            AnyEndpoint::V4(endpoint) => (note(&mut self.v4, endpoint, asked, around)?, Family::V4),
            AnyEndpoint::V6(endpoint) => {
                (note(self.v6.get_or_insert_default(), endpoint, asked, around)?, Family::V6)
            }
        };
        self.announced_s = around.now_s;
        self.downloaded = self.downloaded.saturating_add(entry.is_download.into());
        if asked.event != Event::Stopped {
            let wanted = if entry.is_early { asked.wanted.min(EARLY_PEERS) } else { asked.wanted };
            self.choose(asked, entry.at.map(|at| (family, at)), wanted, rng, chosen);
        }
        Ok(self.numbers())
    }

    /// Chooses `wanted` peers for `asker`, who is in that place of that family.
    fn choose(
        &self,
        asked: &Asked,
        asker: Option<(Family, usize)>,
        wanted: usize,
        rng: &mut impl Rng,
        chosen: &mut Chosen,
    ) {
        // Who wants nothing is told of those who do.
        let is_for_seed = asked.state != State::Leecher;
        let place = |family| asker.and_then(|(of, at)| (of == family).then_some(at));
        let v6 = self.v6.as_deref();
        let choices_v6 = v6.map_or(0, |peers| peers.choices(place(Family::V6), is_for_seed));
        let (wanted_v4, wanted_v6) = match asked.family {
            Some(Family::V4) => (wanted, 0),
            Some(Family::V6) => (0, wanted),
            None => share(wanted, self.v4.choices(place(Family::V4), is_for_seed), choices_v6, rng),
        };
        let Chosen { v4: bytes_v4, v6: bytes_v6, ids } = chosen;
        let mut keep_id = |id: [u8; 20]| ids.iter_mut().for_each(|ids| ids.push(PeerId::new(id)));
        self.v4.choose(rng, place(Family::V4), is_for_seed, wanted_v4, |peer| {
            bytes_v4.extend_from_slice(peer.endpoint());
            keep_id(peer.identity().id);
        });
        if let Some(peers) = v6 {
            peers.choose(rng, place(Family::V6), is_for_seed, wanted_v6, |peer| {
                bytes_v6.extend_from_slice(peer.endpoint());
                keep_id(peer.identity().id);
            });
        }
    }
}

/// Enters the asker among the peers of its family, or takes it out.
fn note<const N: usize>(
    peers: &mut Peers<N>,
    endpoint: Endpoint<N>,
    asked: &Asked,
    around: Surroundings<'_>,
) -> Result<Entry, Refused> {
    let identity = asked.identity();
    let mut place = peers.find(&endpoint);
    let mut moved = None;
    let is_same = place.is_some_and(|at| *peers.list()[at].identity() == identity);
    if !is_same
        && identity.has_key()
        && let Some(at) = peers.find_identity(&identity)
    {
        // It had another address before.
        moved = Some(take_out(peers, at, around.homes));
        place = peers.find(&endpoint);
    }
    let Some(at) = place else {
        if asked.event == Event::Stopped {
            return Ok(Entry::default());
        }
        admit(peers, &endpoint, around)?;
        let mut peer = Peer::new(endpoint, identity, asked.state, around.now_s);
        let is_download = moved.is_some_and(|before| is_download(&before, asked));
        if is_download || moved.is_some_and(|before| before.has_completed()) {
            peer.set_completed();
        }
        return Ok(Entry { at: Some(peers.insert(peer)), is_early: false, is_download });
    };
    if asked.event == Event::Stopped {
        take_out(peers, at, around.homes);
        return Ok(Entry::default());
    }
    let before = peers.list()[at];
    let is_download = is_download(&before, asked);
    let since_s = around.now_s.saturating_sub(before.seen_s());
    let is_early =
        asked.event == Event::None && since_s.saturating_add(EARLY_TOLERANCE_S) < around.rules.min_interval_s;
    let at = peers.renew(at, identity, asked.state, around.now_s);
    if is_download {
        peers.set_completed(at);
    }
    Ok(Entry { at: Some(at), is_early, is_download })
}

/// Whether who was like `before` has now completed its download, for the first time.
fn is_download<const N: usize>(before: &Peer<N>, asked: &Asked) -> bool {
    asked.event == Event::Completed
        && asked.state == State::Seed
        && before.state() != State::Seed
        && !before.has_completed()
}

/// Takes out the peer at `at`.
pub(super) fn take_out<const N: usize>(peers: &mut Peers<N>, at: usize, homes: &Homes) -> Peer<N> {
    let gone = peers.remove(at);
    if homes.is_counting() && peers.at_home(&gone.home()) == 0 {
        homes.leave(&gone.home());
    }
    gone
}

/// Whether somebody new may come in from there.
fn admit<const N: usize>(
    peers: &Peers<N>,
    endpoint: &Endpoint<N>,
    around: Surroundings<'_>,
) -> Result<(), Refused> {
    let max = around.rules.peers_per_home;
    if max == 0 && !around.homes.is_counting() {
        return Ok(());
    }
    let home = home_of(endpoint);
    match peers.at_home(&home) {
        there if max > 0 && there >= max => Err(Refused::PeersPerAddress),
        0 => around.homes.enter(&home).map_err(|_| Refused::TorrentsPerAddress),
        _ => Ok(()),
    }
}

/// How many of `wanted` peers are of each family: in proportion to how many there are, but at least a quarter of each
/// that has so many.
fn share(wanted: usize, choices_v4: u32, choices_v6: u32, rng: &mut impl Rng) -> (usize, usize) {
    let (there_v4, there_v6) = (choices_v4 as usize, choices_v6 as usize);
    if there_v6 == 0 || there_v4 + there_v6 <= wanted {
        return (wanted, there_v6);
    }
    let (exact, total) = (wanted * there_v6, there_v4 + there_v6);
    // Rounded by chance, or the smaller family would never be named to who wants few.
    let part = exact / total + usize::from(rng.random_range(0..total) < exact % total);
    let least = wanted / 4;
    let wanted_v6 = part.clamp(least, wanted - least).max(wanted.saturating_sub(there_v4)).min(there_v6);
    (wanted - wanted_v6, wanted_v6)
}

#[cfg(test)]
mod tests;
