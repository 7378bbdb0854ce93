//! The machine of one connection: requests that come in and are served, and blocks that were asked for and come in.

use std::hint::black_box;
use std::time::Instant;

use criterion::{Criterion, Throughput};
use protocol::geometry::Block;
use protocol::id::PeerId;
use protocol::peer::{Event, Found, Identity, Input, Machine, Order, Output, TorrentView};
use protocol::wire::{Handshake, Message, Reserved};

use crate::torrent::{PIECE_BLOCKS, blocks, complete, describe, empty};

/// Pieces of the torrent: as many as is usual.
const PIECE_COUNT: u32 = 1_000;
/// The piece that is asked for.
const PIECE: u32 = 500;
/// Bytes of a read while blocks are expected.
const READ: usize = 128 * 1024;
const OURS: Identity = Identity { peer_id: PeerId::new(*b"-BD0100-ourselves___"), listen_port: None };
const THEIR_ID: PeerId = PeerId::new(*b"-XX0100-somebodyelse");

/// Measures a seed and a leecher, each with the blocks of one piece a round.
pub(crate) fn measure(criterion: &mut Criterion) {
    let info = describe(PIECE_COUNT);
    let mut group = criterion.benchmark_group("machine");
    group.throughput(Throughput::Elements(u64::from(PIECE_BLOCKS)));

    let (asked, mut seed) = (blocks(PIECE), Link::seeding(complete(info.clone())));
    let requests = encode(asked.iter().map(|block| Message::Request(*block)));
    assert_eq!(seed.serve(&requests), asked);
    group.bench_function("64 requests", |bencher| {
        bencher.iter(|| assert_eq!(seed.serve(black_box(&requests)).len(), asked.len()));
    });

    let mut leecher = Link::fetching(empty(info));
    let data = vec![0x5a; asked[0].length as usize];
    let pieces = encode(asked.iter().map(|block| piece_message(*block, &data)));
    assert_eq!(leecher.fetch(&asked, &pieces), (requests, asked.clone()));
    group.bench_function("64 blocks, asked for and received", |bencher| {
        bencher.iter(|| assert_eq!(leecher.fetch(black_box(&asked), &pieces).1.len(), asked.len()));
    });
    group.finish();
}

fn encode<'a>(messages: impl Iterator<Item = Message<'a>>) -> Vec<u8> {
    let mut bytes = Vec::new();
    messages.for_each(|message| message.encode(&mut bytes));
    bytes
}

fn piece_message(block: Block, data: &[u8]) -> Message<'_> {
    Message::Piece { piece: block.piece, begin: block.begin, data }
}

/// A machine, and a worker whose socket takes everything at once.
struct Link {
    machine: Machine,
    now: Instant,
}

impl Link {
    /// A connection that a peer opened to a seed: it is interested, and unchoked.
    fn seeding(torrent: TorrentView) -> Self {
        let mut link = Self::meet(torrent);
        link.receive(&encode([Message::HaveNone, Message::Interested].into_iter()));
        link.order(Order::Choke(false));
        link.drain();
        link
    }

    /// A connection to a seed that has unchoked us.
    fn fetching(torrent: TorrentView) -> Self {
        let mut link = Self::meet(torrent);
        link.receive(&encode([Message::HaveAll, Message::Unchoke].into_iter()));
        link.order(Order::Interested(true));
        let (events, _) = (link.machine.take_events(), link.drain());
        assert!(events.iter().any(|event| matches!(event, Event::Room(_))), "{events:?}");
        link
    }

    /// A connection past its handshakes.
    fn meet(torrent: TorrentView) -> Self {
        let now = Instant::now();
        let mut link = Self { machine: Machine::accepted(OURS, now), now };
        let info_hash = torrent.info.info_hash();
        link.receive(&Handshake { reserved: Reserved::ours(), info_hash, peer_id: THEIR_ID }.encode());
        assert_eq!(link.machine.poll_output(now), Some(Output::Find(info_hash)));
        link.machine.handle_input(Input::Found(Found::Torrent(torrent)), now).unwrap();
        link.drain();
        link
    }

    fn receive(&mut self, bytes: &[u8]) {
        self.machine.handle_input(Input::Received(bytes), self.now).unwrap();
    }

    fn order(&mut self, order: Order) {
        self.machine.handle_input(Input::Order(order), self.now).unwrap();
    }

    /// What is to be sent, all of which the socket has taken.
    fn drain(&mut self) -> (Vec<u8>, Vec<Block>) {
        let (mut control, mut served) = (Vec::new(), Vec::new());
        while let Some(output) = self.machine.poll_output(self.now) {
            match output {
                Output::Control(bytes) => control.extend(bytes),
                Output::Serve(block) => served.push(block),
                Output::Find(_) => {}
            }
        }
        self.machine.handle_input(Input::Sent { is_all: true }, self.now).unwrap();
        (control, served)
    }

    /// A round of a seed: requests in one read, and the blocks that go out for them.
    fn serve(&mut self, requests: &[u8]) -> Vec<Block> {
        self.receive(requests);
        self.drain().1
    }

    /// A round of a leecher: an order of the swarm for `asked`, and reads of what the peer sends for that. What was
    /// said, and which blocks came in.
    fn fetch(&mut self, asked: &[Block], pieces: &[u8]) -> (Vec<u8>, Vec<Block>) {
        self.order(Order::Request(asked.to_vec()));
        let (control, _) = self.drain();
        let mut arrived = Vec::with_capacity(asked.len());
        for read in pieces.chunks(READ) {
            self.receive(read);
            arrived.extend(self.machine.take_arrivals().into_iter().map(|arrival| arrival.block));
            black_box(self.machine.take_events());
        }
        (control, arrived)
    }
}
