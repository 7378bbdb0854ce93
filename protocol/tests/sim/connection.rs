//! Connections: a shipped `Machine` at each end, and between them two streams of bytes with a delay, a rate, stalls
//! and an end. What a socket and the worker that owns it would do.

use std::net::SocketAddr;
use std::time::Duration;

use protocol::geometry::Block;
use protocol::peer::{Arrival, Data, Event, Input, MAX_REQUESTS, Machine, Output, Parting, PeerError};
use protocol::swarm::candidates::Ended;
use protocol::swarm::{Joined, PeerKey};
use protocol::wire::{Decoder, HANDSHAKE_LENGTH, Message, piece_header};
use rand::{Rng, RngExt};

use super::bytes::Bytes;
use super::node::Kind;
use super::{Happening, Report, World};

/// Small messages that a machine may say at once: a have for each piece, a rejection for each request.
const MAX_CONTROL: usize = 256 * 1024;
/// How late a packet is that was lost, beyond the round trip: what TCP waits at least before it sends again.
const RETRANSMIT: Duration = Duration::from_millis(200);

/// One end of a connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct End {
    pub(super) connection: usize,
    pub(super) side: usize,
}

impl End {
    fn other(self) -> Self {
        Self { side: 1 - self.side, ..self }
    }

    /// What its node's swarm calls it.
    fn key(self) -> PeerKey {
        PeerKey(u64::try_from(2 * self.connection + self.side).unwrap())
    }
}

/// A connection that one end at least has not closed.
#[derive(Debug)]
pub(super) struct Connection {
    sides: [Side; 2],
    lacks_fast: bool,
    lacks_extended: bool,
}

/// What is at one end.
#[derive(Debug)]
struct Side {
    node: usize,
    machine: Machine,
    is_outgoing: bool,
    /// The other end.
    address: SocketAddr,
    is_joined: bool,
    is_closed: bool,
    /// What the machine said and the socket has not taken.
    pending: Bytes,
    /// What the socket has taken and the line has not.
    socket: Bytes,
    /// Whether it waits for its turn on the line.
    is_ready: bool,
    /// Bytes that left the socket and of which no acknowledgement has come back.
    in_flight: usize,
    /// When the last of them arrives.
    arrives_at: Duration,
    /// What arrived and was not read.
    received: Bytes,
    has_greeted: bool,
    /// Requests that it sent and that were not answered. Without the fast extension nobody can tell.
    unanswered: u32,
}

impl Side {
    fn new(node: usize, machine: Machine, is_outgoing: bool, address: SocketAddr) -> Self {
        Self {
            node,
            machine,
            is_outgoing,
            address,
            is_joined: false,
            is_closed: false,
            pending: Bytes::default(),
            socket: Bytes::default(),
            is_ready: false,
            in_flight: 0,
            arrives_at: Duration::ZERO,
            received: Bytes::default(),
            has_greeted: false,
            unanswered: 0,
        }
    }
}

impl World {
    /// Makes a connection from one node to another.
    pub(super) fn connect(&mut self, from: usize, to: usize) {
        let connection = self.connections.len();
        let info_hash = self.torrent.info.info_hash();
        let port = 32_768 + u16::try_from(connection % 32_768).unwrap();
        let caller = SocketAddr::new(self.nodes[from].address.ip(), port);
        let dialled = Machine::dialled(self.nodes[from].identity, info_hash, self.instant());
        let accepted = Machine::accepted(self.nodes[to].identity, self.instant());
        let plans = [&self.nodes[from].plan, &self.nodes[to].plan];
        self.connections.push(Some(Connection {
            lacks_fast: plans.iter().any(|plan| plan.lacks_fast),
            lacks_extended: plans.iter().any(|plan| plan.lacks_extended),
            sides: [
                Side::new(from, dialled, true, self.nodes[to].address),
                Side::new(to, accepted, false, caller),
            ],
        }));
        for (side, node) in [from, to].into_iter().enumerate() {
            let end = End { connection, side };
            self.nodes[node].ends.insert(end.key(), end);
            if self.nodes[node].plan.kind == Kind::Garbage {
                let delay = Duration::from_millis(self.rng.random_range(0..20_000));
                self.after(delay, Happening::Garbage(end));
            }
        }
        if let Some(mean) = self.net.mean_life {
            // Exponential: a line has no memory.
            let life = mean.mul_f64(-self.rng.random_range(f64::MIN_POSITIVE..1.0).ln());
            self.after(life, Happening::Cut(connection));
        }
        self.pump(End { connection, side: 0 });
    }

    fn side(&mut self, end: End) -> Option<&mut Side> {
        let connection = self.connections.get_mut(end.connection)?.as_mut()?;
        Some(&mut connection.sides[end.side]).filter(|side| !side.is_closed)
    }

    /// Hands an input to the machine at `end`; whether the connection goes on.
    pub(super) fn feed(&mut self, end: End, input: Input<'_>) -> bool {
        let now = self.instant();
        let Some(side) = self.side(end) else { return false };
        match side.machine.handle_input(input, now) {
            Ok(()) => true,
            Err(error) => {
                self.fail(end, &error);
                false
            }
        }
    }

    /// Bytes have come in at `end`.
    pub(super) fn arrive(&mut self, end: End, bytes: Vec<u8>) {
        if let Some(side) = self.side(end) {
            side.received.push(bytes);
            self.read(end);
        }
    }

    /// Reads what has come in, as long as the machine wants it, in parts of any size.
    fn read(&mut self, end: End) {
        let now = self.instant();
        let mut acknowledged = 0;
        loop {
            let most = self.net.draw_read(&mut self.rng);
            let Some(side) = self.side(end) else { break };
            if side.received.is_empty() || !side.machine.wants_input() {
                break;
            }
            let bytes = side.received.take(most);
            acknowledged += bytes.len();
            let result = side.machine.handle_input(Input::Received(&bytes), now);
            let (node, arrivals) = (side.node, side.machine.take_arrivals());
            self.report_events(end);
            arrivals.into_iter().for_each(|arrival| self.store(node, end.key(), &arrival, &bytes));
            if let Err(error) = result {
                self.fail(end, &error);
            }
            self.pump_once(end);
        }
        if acknowledged > 0 {
            let delay = self.latency(end);
            self.after(delay, Happening::Acknowledged(end.other(), acknowledged));
        }
    }

    fn store(&mut self, node: usize, source: PeerKey, arrival: &Arrival, read: &[u8]) {
        let data = match &arrival.data {
            Data::Within(range) => &read[range.clone()],
            Data::Gathered { bytes, start } => &bytes[*start..],
        };
        assert_eq!(data.len(), arrival.block.length as usize);
        let it = &mut self.nodes[node];
        it.fetched += u64::from(arrival.block.length);
        if let Some(hashed) = it.disk.add(arrival.block, data, source, &self.torrent) {
            let delay = Duration::from_micros(self.rng.random_range(100..20_000)) + self.net.bus;
            self.after(delay, Happening::Told(node, Report::Hashed(hashed)));
        }
    }

    /// Moves what the machine wants said as far as it goes, and reads on where that has made room.
    pub(super) fn pump(&mut self, end: End) {
        self.pump_once(end);
        self.read(end);
    }

    fn pump_once(&mut self, end: End) {
        let now = self.instant();
        let mut has_moved = false;
        loop {
            self.report_events(end);
            let most = self.net.send_buffer;
            let Some(side) = self.side(end) else { return };
            let room = most.saturating_sub(side.socket.len());
            let moved = side.pending.take(room);
            has_moved |= !moved.is_empty();
            side.socket.push(moved);
            if !side.pending.is_empty() || side.socket.len() >= most {
                break;
            }
            let node = side.node;
            match side.machine.poll_output(now) {
                None => break,
                Some(Output::Find(info_hash)) => {
                    assert_eq!(info_hash, self.torrent.info.info_hash(), "nobody comes for another torrent");
                    let found = self.nodes[node].found();
                    if !self.feed(end, Input::Found(found)) {
                        return;
                    }
                }
                Some(Output::Control(bytes)) => self.say(end, bytes),
                Some(Output::Serve(block)) => self.serve(end, block),
            }
        }
        if has_moved {
            let is_all = self.side(end).is_some_and(|side| side.pending.is_empty());
            self.feed(end, Input::Sent { is_all });
        }
        self.queue_for_line(end);
    }

    /// Sends small messages, and counts the requests among them.
    fn say(&mut self, end: End, mut bytes: Vec<u8>) {
        assert!(bytes.len() <= MAX_CONTROL, "{} bytes of small messages", bytes.len());
        let Some(connection) = self.connections[end.connection].as_mut() else { return };
        let mut words = 0;
        if !std::mem::replace(&mut connection.sides[end.side].has_greeted, true) {
            words = HANDSHAKE_LENGTH;
            bytes[25] &= if connection.lacks_extended { !0x10 } else { !0 };
            bytes[27] &= if connection.lacks_fast { !0x04 } else { !0 };
        }
        if !connection.lacks_fast {
            let mut decoder = Decoder::new(self.torrent.piece_count(), 0);
            let mut input = &bytes[words..];
            while let Some(message) = decoder.next(&mut input).unwrap() {
                match message {
                    Message::Request(_) => connection.sides[end.side].unanswered += 1,
                    Message::Reject(_) => connection.sides[1 - end.side].unanswered -= 1,
                    _ => {}
                }
            }
            let unanswered = connection.sides[end.side].unanswered;
            assert!(unanswered <= MAX_REQUESTS, "{unanswered} requests wait at one peer");
        }
        connection.sides[end.side].pending.push(bytes);
    }

    /// Sends a block, or does what a liar does.
    fn serve(&mut self, end: End, block: Block) {
        let Some(connection) = self.connections[end.connection].as_mut() else { return };
        let node = &mut self.nodes[connection.sides[end.side].node];
        let mut data = self.torrent.block(block).to_vec();
        match node.plan.kind {
            Kind::Honest => {
                let has = node.view.as_ref().is_some_and(|view| view.have.get(block.piece));
                assert!(has && node.disk.has(block.piece), "piece {} is served unverified", block.piece);
            }
            Kind::Silent => return,
            Kind::Rejecting => {
                let mut bytes = Vec::new();
                Message::Reject(block).encode(&mut bytes);
                return self.say(end, bytes);
            }
            Kind::Corrupt(share) if self.rng.random_bool(share) => {
                let place = self.rng.random_range(0..data.len());
                data[place] ^= 1;
            }
            _ => {}
        }
        node.served += u64::from(block.length);
        if node.plan.is_seed {
            self.copies.note(block);
        }
        if !connection.lacks_fast {
            connection.sides[1 - end.side].unanswered -= 1;
        }
        let pending = &mut connection.sides[end.side].pending;
        pending.push(piece_header(block).to_vec());
        pending.push(data);
    }

    /// Bytes that mean nothing.
    pub(super) fn send_garbage(&mut self, end: End) {
        let mut bytes = vec![0; 1_000];
        self.rng.fill_bytes(&mut bytes);
        if let Some(side) = self.side(end) {
            side.pending.push(bytes);
            self.pump(end);
        }
    }

    fn queue_for_line(&mut self, end: End) {
        let window = self.net.window;
        let Some(side) = self.side(end) else { return };
        if !side.is_ready && !side.socket.is_empty() && side.in_flight < window {
            side.is_ready = true;
            let node = side.node;
            self.nodes[node].ready.push_back(end);
            self.transmit(node);
        }
    }

    /// Sends a packet of the connection whose turn it is on the line of `node`, if that is free.
    pub(super) fn transmit(&mut self, node: usize) {
        while !self.nodes[node].is_sending
            && let Some(end) = self.nodes[node].ready.pop_front()
        {
            let (window, packet) = (self.net.window, self.net.packet);
            let Some(side) = self.side(end) else { continue };
            side.is_ready = false;
            let bytes = side.socket.take(packet.min(window.saturating_sub(side.in_flight)));
            if bytes.is_empty() {
                continue;
            }
            side.in_flight += bytes.len();
            self.nodes[node].is_sending = true;
            let time = spent(bytes.len(), self.nodes[node].plan.upload_bytes_per_s);
            self.after(time, Happening::LineFree(node));
            self.travel(end, bytes, time);
            self.pump(end);
            self.queue_for_line(end);
        }
    }

    /// Has a packet arrive that takes `time` to leave.
    fn travel(&mut self, end: End, bytes: Vec<u8>, time: Duration) {
        let latency = self.latency(end);
        let is_lost = self.net.loss > 0.0 && self.rng.random_bool(self.net.loss);
        let (now, delay) = (self.now, if is_lost { RETRANSMIT + 2 * latency } else { Duration::ZERO });
        let Some(connection) = self.connections[end.connection].as_mut() else { return };
        let receiver = &mut self.nodes[connection.sides[1 - end.side].node];
        let side = &mut connection.sides[end.side];
        let reached_at = receiver.line_free_at.max(now + time + latency);
        receiver.line_free_at = reached_at + spent(bytes.len(), receiver.plan.download_bytes_per_s);
        // What comes behind a lost packet waits for it.
        side.arrives_at = side.arrives_at.max(receiver.line_free_at + delay);
        let at = side.arrives_at;
        self.at(at, Happening::Arrived(end.other(), bytes));
    }

    /// The other end has read some of what was sent.
    pub(super) fn acknowledge(&mut self, end: End, length: usize) {
        if let Some(side) = self.side(end) {
            side.in_flight -= length;
            self.queue_for_line(end);
        }
    }

    fn latency(&self, end: End) -> Duration {
        let sides = self.connections[end.connection].iter().flat_map(|connection| &connection.sides);
        sides.map(|side| self.nodes[side.node].plan.latency).sum()
    }

    /// Tells the swarm what the machine has to tell.
    fn report_events(&mut self, end: End) {
        let Some(side) = self.side(end) else { return };
        let (node, key) = (side.node, end.key());
        for event in side.machine.take_events() {
            let report = match event {
                Event::Met { peer_id, announced } => {
                    let Some(side) = self.side(end) else { return };
                    side.is_joined = true;
                    let (address, is_outgoing) = (side.address, side.is_outgoing);
                    Report::Joined(Joined { key, address, is_outgoing, peer_id, announced })
                }
                event => Report::Event(key, event),
            };
            self.after(self.net.bus, Happening::Told(node, report));
        }
    }

    /// Ends a connection for what the machine at `end` found. Honest peers make no mistakes.
    fn fail(&mut self, end: End, error: &PeerError) {
        let is_mistake = !matches!(
            error,
            PeerError::Parted(_)
                | PeerError::Ourselves
                | PeerError::HandshakeTimeout
                | PeerError::Idle
                | PeerError::Uninterested
                | PeerError::Stalled
        );
        let sides = self.connections[end.connection].iter().flat_map(|connection| &connection.sides);
        let are_honest = sides.clone().all(|side| self.nodes[side.node].plan.is_honest());
        let nodes: Vec<usize> = sides.map(|side| side.node).collect();
        assert!(!(is_mistake && are_honest), "between honest {nodes:?}: {error}");
        let is_harm = matches!(error, PeerError::Parted(Parting::Corrupt | Parting::FalseMetadata));
        assert!(!(is_harm && are_honest), "between honest {nodes:?}: {error}");
        let is_ourselves = *error == PeerError::Ourselves;
        self.close(end, if is_mistake { Ended::Mistake } else { Ended::Normal }, is_ourselves);
    }

    /// Closes one end; the other hears of it after what is on its way.
    pub(super) fn close(&mut self, end: End, ended: Ended, is_ourselves: bool) {
        self.report_events(end);
        let latency = self.latency(end);
        let Some(side) = self.side(end) else { return };
        side.is_closed = true;
        let (node, arrives_at) = (side.node, side.arrives_at);
        let report = match (side.is_joined, side.is_outgoing) {
            (true, _) => Some(Report::Gone(end.key(), ended)),
            (false, true) => Some(Report::NotJoined(side.address, is_ourselves)),
            (false, false) => None,
        };
        self.nodes[node].ends.remove(&end.key());
        report.into_iter().for_each(|report| self.after(self.net.bus, Happening::Told(node, report)));
        if self.side(end.other()).is_some() {
            self.at(arrives_at.max(self.now + latency), Happening::Ended(end.other()));
        } else {
            self.connections[end.connection] = None;
        }
    }

    /// Both ends at once lose what is on its way.
    pub(super) fn cut(&mut self, connection: usize) {
        (0..2).for_each(|side| self.close(End { connection, side }, Ended::Normal, false));
    }
}

/// How long so many bytes take on a line.
fn spent(length: usize, bytes_per_s: u64) -> Duration {
    Duration::from_nanos(u64::try_from(length).unwrap() * 1_000_000_000 / bytes_per_s)
}
