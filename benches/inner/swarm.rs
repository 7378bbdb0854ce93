//! The swarm of a large torrent with a thousand connections: what one of them tells, and what follows for all.

use std::hint::black_box;
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::time::Instant;

use criterion::{Criterion, Throughput};
use protocol::geometry::Block;
use protocol::id::PeerId;
use protocol::meta::Info;
use protocol::peer::{Event, Order};
use protocol::piece_set::PieceSet;
use protocol::swarm::candidates::Ended;
use protocol::swarm::{Command, Joined, PeerKey, Settings, Swarm};

use crate::clock;
use crate::crowd::{PEER_COUNT, SEED_COUNT, few, is_seed};
use crate::lazy::Lazy;
use crate::torrent::{MANY_PIECES, PIECE_BLOCKS, describe, empty};

const OUR_ID: PeerId = PeerId::new(*b"-BD0100-ourselves___");
/// The peer that gives: a seed.
const GIVER: PeerKey = PeerKey(0);
/// The peer that gains pieces: one that has hardly begun.
const TAKER: PeerKey = PeerKey(SEED_COUNT as u64);
/// Pieces of a peer that has hardly begun.
const FEW: u32 = 100;
/// Peers that lack any piece that was verified.
const LACKING: usize = (PEER_COUNT - SEED_COUNT) as usize;
/// HAVE messages of a round.
const HAVES: u32 = 1_000;
/// Connections that came and went before: more than a swarm remembers.
const FORMER: u32 = 5_000;
/// Orders to a seed: the torrent, that what moves is to be told, and that we want something.
const ORDERS: usize = 3;
/// Pieces that are fetched before it begins anew: those that are rare enough to be fetched before others.
const ROUNDS: u32 = MANY_PIECES / 2;

/// Measures what connections tell most, and the end of a piece.
pub(crate) fn measure(criterion: &mut Criterion) {
    let info = describe(MANY_PIECES);
    let mut coming = Lazy::new(|| Table::new(&info));
    let mut whole = Lazy::new(|| Table::new(&info).received());
    let mut restless = Lazy::new(|| Table::new(&info).visited());

    let mut group = criterion.benchmark_group("swarm");
    group.throughput(Throughput::Elements(HAVES.into()));
    group.bench_function("1,000 haves", |bencher| {
        clock::measure(bencher, coming.get(), Table::gain, |table, have_count| {
            assert_eq!(have_count, FEW + HAVES);
            table.tell(TAKER, Event::Has(few(FEW)));
            table.commands();
        });
    });
    group.throughput(Throughput::Elements(PIECE_BLOCKS.into()));
    group.bench_function("64 blocks received, 64 asked for", |bencher| {
        clock::measure(bencher, coming.get(), Table::receive, |table, asked| {
            assert_eq!(asked, PIECE_BLOCKS as usize);
            assert_eq!(table.verify(), LACKING);
            table.renew(&info);
        });
    });
    group.throughput(Throughput::Elements(1));
    group.bench_function("a piece verified", |bencher| {
        clock::measure(bencher, whole.get(), Table::verify, |table, told| {
            assert_eq!(told, LACKING);
            table.renew(&info);
            table.receive();
        });
    });
    group.bench_function("a seed comes and goes", |bencher| {
        let table = restless.get();
        bencher.iter(|| assert_eq!(table.come_and_go(), ORDERS));
        assert_eq!(table.swarm.peers().count(), PEER_COUNT as usize);
    });
    group.finish();
}

/// A swarm, told by hand what its connections say.
struct Table {
    swarm: Swarm,
    now: Instant,
    /// Blocks on their way from the giver: a whole piece.
    asked: Vec<Block>,
    /// The piece that came in last, and is not verified.
    whole: u32,
    rounds: u32,
    /// The number of the next peer that comes.
    next: u32,
}

impl Table {
    fn new(info: &Arc<Info>) -> Self {
        let settings = Settings { max_peers: 2 * PEER_COUNT as usize, ..Settings::default() };
        let mut swarm = Swarm::new(info.info_hash(), OUR_ID, settings, 1);
        swarm.begin(empty(Arc::clone(info)), &[]);
        let mut table = Self { swarm, now: Instant::now(), asked: Vec::new(), whole: 0, rounds: 0, next: 0 };
        for number in 0..PEER_COUNT {
            let key = table.join();
            let pieces = if is_seed(number) { PieceSet::full(MANY_PIECES) } else { few(FEW) };
            table.tell(key, Event::Has(pieces));
        }
        table.commands();
        table.tell(GIVER, Event::Choked(false));
        table.ask();
        assert_eq!(table.asked.len(), PIECE_BLOCKS as usize);
        table
    }

    fn received(mut self) -> Self {
        self.receive();
        self
    }

    fn visited(mut self) -> Self {
        (0..FORMER).for_each(|_| assert_eq!(self.come_and_go(), ORDERS));
        self
    }

    /// Begins anew when half of all pieces are here, so that each round finds what the one before found.
    fn renew(&mut self, info: &Arc<Info>) {
        self.rounds += 1;
        if self.rounds == ROUNDS {
            *self = Self::new(info);
        }
    }

    fn tell(&mut self, key: PeerKey, event: Event) {
        self.swarm.handle(key, event, self.now);
    }

    fn commands(&mut self) -> Vec<Command> {
        std::iter::from_fn(|| self.swarm.poll_command()).collect()
    }

    /// A peer of its own address and name connects to us.
    fn join(&mut self) -> PeerKey {
        let number = self.next;
        self.next += 1;
        let address = SocketAddr::from((Ipv4Addr::from(0x0a00_0000 + number), 6_881));
        let mut id = [b'p'; 20];
        id[..4].copy_from_slice(&number.to_be_bytes());
        let (key, peer_id) = (PeerKey(number.into()), PeerId::new(id));
        self.swarm.joined(Joined { key, address, is_outgoing: false, peer_id, announced: 0 }, self.now);
        key
    }

    /// The giver has room for the blocks of one more piece: they are asked for.
    fn ask(&mut self) {
        self.tell(GIVER, Event::Room(PIECE_BLOCKS));
        let asked = |command| match command {
            Command::Tell(GIVER, Order::Request(blocks)) => Some(blocks),
            _ => None,
        };
        self.asked = self.commands().into_iter().filter_map(asked).flatten().collect();
    }

    /// All blocks come in that were asked for, and as many more are asked for: how many.
    fn receive(&mut self) -> usize {
        let received = std::mem::take(&mut self.asked);
        received.iter().for_each(|block| self.tell(GIVER, Event::Received(*block)));
        self.whole = received[0].piece;
        self.ask();
        self.asked.len()
    }

    /// The piece that came in is verified: how many peers are told.
    fn verify(&mut self) -> usize {
        self.swarm.verified(self.whole, &[]);
        let is_have = |command: &Command| matches!(command, Command::Tell(_, Order::Have(_)));
        std::iter::from_fn(|| self.swarm.poll_command()).filter(is_have).count()
    }

    /// The taker gains pieces, none of which it had: how many it has then.
    fn gain(&mut self) -> u32 {
        // It has multiples of 1,000.
        (0..HAVES).for_each(|number| self.tell(TAKER, Event::HasPiece(number * 100 + 1)));
        black_box(self.commands());
        self.swarm.peers().find(|(key, _)| *key == TAKER).map_or(0, |(_, peer)| peer.have_count())
    }

    /// A seed connects, and is gone at once: how many orders it was given.
    fn come_and_go(&mut self) -> usize {
        let key = self.join();
        self.tell(key, Event::Has(PieceSet::full(MANY_PIECES)));
        self.swarm.gone(key, Ended::Normal, self.now);
        let is_its = |command: &Command| matches!(command, Command::Tell(other, _) if *other == key);
        std::iter::from_fn(|| self.swarm.poll_command()).filter(is_its).count()
    }
}
