//! One swarm, told by hand what its connections say. Swarms of swarms are in `protocol/tests`.

use super::candidates::{Ended, Source};
use super::suspects::BlockDigest;
use super::*;
use crate::bitfield::HaveBits;
use crate::geometry::{BLOCK_LENGTH, Block};
use crate::meta::{NewTorrent, Payload};
use crate::peer::Parting;

const OUR_ID: PeerId = PeerId::new([b'm'; 20]);
const PIECES: u32 = 4;

/// A torrent of four pieces of one block, of which `have` are here.
fn torrent(have: &[u32]) -> TorrentView {
    let payload = Payload::File { length: u64::from(PIECES * BLOCK_LENGTH) };
    let torrent = NewTorrent::new("payload", payload, BLOCK_LENGTH, vec![7; PIECES as usize * 20]);
    let (metainfo, _) = torrent.build().unwrap();
    let bits = HaveBits::new(PIECES);
    have.iter().for_each(|piece| bits.set(*piece));
    TorrentView { info: metainfo.info, have: Arc::new(bits) }
}

struct Table {
    swarm: Swarm,
    now: Instant,
}

impl Table {
    fn new(have: &[u32]) -> Self {
        let torrent = torrent(have);
        let mut swarm = Swarm::new(torrent.info.info_hash(), OUR_ID, Settings::default(), 1);
        swarm.begin(torrent, &[]);
        let mut table = Self { swarm, now: Instant::now() };
        table.commands();
        table
    }

    /// Connection number `key` from `address`, under a name that begins with `name`.
    fn join(&mut self, key: u64, address: &str, name: u8, is_outgoing: bool) {
        let mut id = [0; 20];
        id[0] = name;
        let address = address.parse().unwrap();
        let joined =
            Joined { key: PeerKey(key), address, is_outgoing, peer_id: PeerId::new(id), announced: 0 };
        self.swarm.joined(joined, self.now);
    }

    /// A peer that has all, and has unchoked us, with room for `room` requests.
    fn join_seed(&mut self, key: u64, address: &str, room: u32) {
        self.join(key, address, u8::try_from(key).unwrap(), true);
        for event in [Event::Has(PieceSet::full(PIECES)), Event::Choked(false), Event::Room(room)] {
            self.swarm.handle(PeerKey(key), event, self.now);
        }
    }

    fn commands(&mut self) -> Vec<Command> {
        std::iter::from_fn(|| self.swarm.poll_command()).collect()
    }

    /// Who was parted from, and why.
    fn partings(&mut self) -> Vec<(u64, Parting)> {
        let closed = self.commands().into_iter().filter_map(|command| match command {
            Command::Tell(PeerKey(key), Order::Close(parting)) => Some((key, parting)),
            _ => None,
        });
        closed.collect()
    }

    /// How many blocks were asked of whom.
    fn requests(&mut self) -> Vec<(u64, usize)> {
        let requests = self.commands().into_iter().filter_map(|command| match command {
            Command::Tell(PeerKey(key), Order::Request(blocks)) => Some((key, blocks.len())),
            _ => None,
        });
        requests.collect()
    }
}

fn digest(byte: u8, source: u64) -> BlockDigest {
    BlockDigest { begin: 0, digest: [byte; 20], source: PeerKey(source) }
}

#[test]
fn a_host_that_lied_is_parted_from_on_all_its_connections_and_named_once() {
    let mut table = Table::new(&[]);
    table.join_seed(1, "203.0.113.5:1000", 4);
    table.join_seed(2, "203.0.113.5:2000", 4);
    table.join_seed(3, "203.0.113.6:1000", 4);
    table.commands();
    table.swarm.failed(0, vec![digest(1, 1)]);
    table.swarm.failed(1, vec![digest(1, 1)]);
    let commands = table.commands();
    let named = commands.iter().filter(|command| matches!(command, Command::Banned { .. })).count();
    assert_eq!(named, 1);
    let closed: BTreeSet<u64> = commands
        .iter()
        .filter_map(|command| match command {
            Command::Tell(PeerKey(key), Order::Close(Parting::Corrupt)) => Some(*key),
            _ => None,
        })
        .collect();
    assert_eq!(closed, BTreeSet::from([1, 2]));
}

#[test]
fn what_peers_would_take_while_the_disk_is_full_is_asked_when_it_is_not() {
    let mut table = Table::new(&[]);
    table.swarm.set_paused(true);
    table.join_seed(1, "203.0.113.5:1000", 3);
    assert!(table.requests().is_empty());
    table.swarm.set_paused(false);
    assert_eq!(table.requests(), [(1, 3)]);
}

#[test]
fn of_two_connections_between_two_peers_the_one_of_the_greater_id_stays() {
    for (theirs, stays) in [(b'a', 1), (b'z', 2)] {
        let mut table = Table::new(&[]);
        table.join(1, "203.0.113.5:1000", theirs, true);
        table.join(2, "203.0.113.5:2000", theirs, false);
        assert_eq!(table.partings(), [(3 - stays, Parting::Duplicate)], "{theirs}");
    }
}

#[test]
fn a_peer_that_comes_again_replaces_itself_and_a_stranger_under_its_name_does_not() {
    let mut table = Table::new(&[]);
    table.join(1, "203.0.113.5:1000", b'a', false);
    table.join(2, "203.0.113.5:2000", b'a', false);
    assert_eq!(table.partings(), [(1, Parting::Duplicate)]);
    table.join(3, "203.0.113.9:2000", b'a', false);
    assert_eq!(table.partings(), [(3, Parting::Duplicate)]);
}

#[test]
fn pieces_are_announced_to_those_who_lack_them_and_no_others() {
    let mut table = Table::new(&[]);
    table.join_seed(1, "203.0.113.5:1000", 0);
    table.join(2, "203.0.113.6:1000", b'b', false);
    table.commands();
    table.swarm.verified(3, &[]);
    // One who came meanwhile, and was told of nothing.
    table.join(3, "203.0.113.7:1000", b'c', false);
    let told = table.commands().into_iter().filter_map(|command| match command {
        Command::Tell(PeerKey(key), Order::Have(pieces)) => Some((key, pieces)),
        _ => None,
    });
    assert_eq!(told.collect::<Vec<_>>(), [(2, vec![3]), (3, vec![3])]);
}

#[test]
fn a_seed_parts_from_seeds_when_it_has_become_one() {
    let mut table = Table::new(&[0, 1, 2]);
    table.swarm.found(["203.0.113.5:1000".parse().unwrap()], Source::Tracker, table.now);
    table.join_seed(1, "203.0.113.5:1000", 4);
    table.join(2, "203.0.113.6:1000", b'b', false);
    assert_eq!(table.requests(), [(1, 1)]);
    table.swarm.handle(
        PeerKey(1),
        Event::Received(Block { piece: 3, begin: 0, length: BLOCK_LENGTH }),
        table.now,
    );
    table.swarm.verified(3, &[]);
    assert!(table.swarm.is_complete());
    assert_eq!(table.partings(), [(1, Parting::Redundant)]);
    table.swarm.gone(PeerKey(1), Ended::Normal, table.now);
    table.swarm.found(["203.0.113.5:1000".parse().unwrap()], Source::Tracker, table.now);
    let dials = table.commands().iter().filter(|command| matches!(command, Command::Dial(_))).count();
    assert_eq!(dials, 0, "it needs nothing of us");
}

/// Who was told whether we want something of it.
fn interest(commands: &[Command]) -> Vec<(u64, bool)> {
    let told = commands.iter().filter_map(|command| match command {
        Command::Tell(PeerKey(key), Order::Interested(is_interested)) => Some((*key, *is_interested)),
        _ => None,
    });
    told.collect()
}

#[test]
fn a_swarm_that_wants_less_is_complete_and_one_that_wants_more_goes_on() {
    let mut table = Table::new(&[0]);
    let only_first = [Priority::Normal, Priority::Skip, Priority::Skip, Priority::Skip];
    table.join(1, "203.0.113.5:1000", b'a', false);
    let mut some = PieceSet::new(PIECES);
    some.insert(1);
    for event in [Event::Has(some), Event::Choked(false), Event::Room(8)] {
        table.swarm.handle(PeerKey(1), event, table.now);
    }
    let commands = table.commands();
    assert_eq!(interest(&commands), [(1, true)]);
    assert!(commands.iter().any(|it| matches!(it, Command::Tell(_, Order::Request(_)))));
    table.swarm.prioritize(&only_first, table.now);
    assert!(table.swarm.is_complete());
    let commands = table.commands();
    assert!(commands.iter().any(|command| matches!(command, Command::Complete)));
    assert_eq!(interest(&commands), [(1, false)]);
    // What it gains meanwhile is not forgotten.
    table.swarm.handle(PeerKey(1), Event::HasPiece(2), table.now);
    table.swarm.prioritize(&only_first, table.now);
    assert!(table.commands().is_empty(), "nothing has changed");
    table.swarm.prioritize(&[Priority::Skip, Priority::Skip, Priority::High], table.now);
    assert!(!table.swarm.is_complete());
    let commands = table.commands();
    assert_eq!(interest(&commands), [(1, true)]);
    let requested = commands.iter().find_map(|command| match command {
        Command::Tell(_, Order::Request(blocks)) => Some(blocks.iter().map(|block| block.piece).collect()),
        _ => None,
    });
    assert_eq!(requested, Some(vec![2]), "it has no other that is wanted");
    for piece in [2, 3] {
        table.swarm.verified(piece, &[]);
    }
    assert!(table.swarm.is_complete());
}

#[test]
fn a_seed_that_was_parted_from_is_dialled_at_once_when_more_is_wanted() {
    let mut table = Table::new(&[0, 1, 2]);
    table.swarm.prioritize(&[Priority::Skip; PIECES as usize], table.now);
    table.swarm.found(["203.0.113.5:1000".parse().unwrap()], Source::Tracker, table.now);
    table.join_seed(1, "203.0.113.5:1000", 4);
    assert_eq!(table.partings(), [(1, Parting::Redundant)]);
    table.swarm.gone(PeerKey(1), Ended::Normal, table.now);
    assert!(table.commands().is_empty(), "it is of no use");
    table.swarm.prioritize(&[], table.now);
    assert!(table.commands().iter().any(|command| matches!(command, Command::Dial(_))));
}

#[test]
fn what_is_here_as_a_whole_cannot_be_wanted_again() {
    let mut table = Table::new(&[0, 1, 2, 3]);
    table.swarm.prioritize(&[Priority::High; PIECES as usize], table.now);
    assert!(table.swarm.is_complete() && table.swarm.is_resting());
    table.join(1, "203.0.113.5:1000", b'a', false);
    assert!(!table.swarm.is_resting());
}

#[test]
fn slots_that_are_set_count_at_once() {
    let mut table = Table::new(&[0, 1, 2, 3]);
    for key in 1..=5 {
        table.join(key, &format!("203.0.113.{key}:1000"), u8::try_from(key).unwrap(), false);
        table.swarm.handle(PeerKey(key), Event::Interested(true), table.now);
    }
    let unchoked = |table: &Table| table.swarm.peers().filter(|(_, peer)| peer.is_unchoked).count();
    assert_eq!(unchoked(&table), 5);
    // Nobody is choked before it has had its time.
    table.now += choker::MIN_UNCHOKED;
    table.swarm.set_settings(Settings { seed_slots: Some(2), ..Settings::default() }, table.now);
    assert_eq!(unchoked(&table), 2);
    let meters =
        table.commands().iter().filter(|it| matches!(it, Command::Tell(_, Order::Meter(true)))).count();
    assert_eq!(meters, 5);
    table.swarm.set_settings(Settings::default(), table.now);
    assert_eq!(unchoked(&table), 5);
}
