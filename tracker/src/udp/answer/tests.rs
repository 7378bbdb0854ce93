//! Datagrams and their answers, without sockets.

use proptest::prelude::*;
use protocol::announce::{ACTION_ANNOUNCE, ACTION_SCRAPE, UdpResponse};

use super::*;
use crate::desk::Desk;
use crate::desk::tests::{announce, open_desk, private_desk};
use crate::figures::Door;

const NOW: u64 = 1_790_000_000;

struct World {
    desk: Arc<Desk>,
    answerer: Answerer,
}

impl World {
    fn new() -> Self {
        Self::at(open_desk())
    }

    fn at(desk: Arc<Desk>) -> Self {
        let answerer = Answerer::new(desk.clerk(Door::Udp), Shared::new(ConnectionIds::new([7; 16])));
        Self { desk, answerer }
    }

    fn moment(&self, unix_s: u64) -> Moment {
        Moment { now: self.desk.clock().now(), unix_s }
    }

    /// The answer to a datagram that came from there.
    fn answer(&mut self, packet: &[u8], sender: &str) -> Vec<u8> {
        let at = self.moment(NOW);
        self.answer_at(packet, sender, at)
    }

    fn answer_at(&mut self, packet: &[u8], sender: &str, at: Moment) -> Vec<u8> {
        // What stands there already belongs to another.
        let mut out = b"another's".to_vec();
        self.answerer.answer(packet, sender.parse().unwrap(), at, &mut out);
        out.split_off(9)
    }

    /// A connection id for that sender.
    fn connect(&mut self, sender: &str) -> u64 {
        let bytes = self.answer(&UdpRequest::Connect { transaction: 9 }.encode(), sender);
        match UdpResponse::decode(&bytes, Family::V4).unwrap() {
            UdpResponse::Connect { transaction: 9, connection } => connection,
            other => panic!("{other:?}"),
        }
    }

    fn announce(&mut self, sender: &str, announce: Announce, target: &str) -> UdpResponse {
        let connection = self.connect(sender);
        let target = target.into();
        let packet = UdpRequest::Announce { connection, transaction: 5, announce, target }.encode();
        let bytes = self.answer(&packet, sender);
        UdpResponse::decode(&bytes, Family::of(sender.parse::<SocketAddr>().unwrap().ip())).unwrap()
    }
}

#[test]
fn a_peer_connects_announces_and_scrapes() {
    let mut world = World::new();
    world.announce("10.0.0.1:1", announce(1001), "");
    let UdpResponse::Announce { transaction: 5, answer } = world.announce("10.0.0.2:2", announce(1002), "")
    else {
        panic!("no answer")
    };
    assert_eq!(answer.peers, ["10.0.0.1:1001".parse().unwrap()]);
    assert_eq!((answer.seeds, answer.leechers), (Some(0), Some(2)));
    let connection = world.connect("10.0.0.3:3");
    let hashes = vec![InfoHash::new([8; 20]), InfoHash::new([1; 20])];
    let packet = UdpRequest::Scrape { connection, transaction: 6, hashes }.encode();
    let bytes = world.answer(&packet, "10.0.0.3:3");
    let UdpResponse::Scrape { transaction: 6, entries } = UdpResponse::decode(&bytes, Family::V4).unwrap()
    else {
        panic!("no answer")
    };
    assert_eq!(entries.iter().map(|it| it.leechers).collect::<Vec<_>>(), [0, 2]);
}

#[test]
fn packets_of_a_family_name_peers_of_it_and_mapped_addresses_are_ipv4() {
    let mut world = World::new();
    world.announce("10.0.0.1:1", announce(1001), "");
    world.announce("[2001:db8::1]:1", announce(1001), "");
    let peers = |world: &mut World, sender: &str| match world.announce(sender, announce(9), "") {
        UdpResponse::Announce { answer, .. } => answer.peers,
        other => panic!("{other:?}"),
    };
    assert_eq!(peers(&mut world, "[2001:db8::2]:1"), ["[2001:db8::1]:1001".parse().unwrap()]);
    assert_eq!(peers(&mut world, "10.0.0.2:1"), ["10.0.0.1:1001".parse().unwrap()]);
    let connection = world.connect("[::ffff:10.0.0.3]:1");
    assert!(world.answerer.shared.ids.is_valid(connection, "10.0.0.3".parse().unwrap(), NOW));
}

#[test]
fn an_id_of_another_or_of_long_ago_is_refused_in_fewer_bytes_than_came() {
    let mut world = World::new();
    let connection = world.connect("10.0.0.1:1");
    let announce =
        UdpRequest::Announce { connection, transaction: 5, announce: announce(1), target: Vec::new() };
    let scrape = UdpRequest::Scrape { connection, transaction: 5, hashes: vec![InfoHash::new([1; 20])] };
    for packet in [announce.encode(), scrape.encode()] {
        assert!(world.answer(&packet, "10.0.0.1:77").len() > 8, "another port of the same address");
        let late = world.moment(NOW + 121);
        for answer in [world.answer(&packet, "10.0.0.2:1"), world.answer_at(&packet, "10.0.0.1:1", late)] {
            let expected = UdpResponse::Error { transaction: 5, message: BAD_ID.into() };
            assert_eq!(UdpResponse::decode(&answer, Family::V4).unwrap(), expected);
            assert!(answer.len() <= packet.len());
        }
    }
    let told = (0..500).filter(|_| !world.answer(&scrape.encode(), "10.0.0.2:1").is_empty()).count();
    assert!(told < 110, "whose address it is is left in peace: {told}");
    assert_eq!(world.desk.figures().sums.refused(Reason::ConnectionId), 4 + 500);
}

#[test]
fn what_is_no_request_has_no_answer() {
    let mut world = World::new();
    let connection = world.connect("10.0.0.1:1").to_be_bytes();
    let wrong = |action: u32, rest: &[u8]| [&connection[..], &action.to_be_bytes(), &[0; 4], rest].concat();
    for packet in [vec![], vec![0; 15], wrong(ACTION_CONNECT, &[]), vec![0; 100]] {
        let answer = world.answer(&packet, "10.0.0.3:1");
        assert!(answer.len() <= packet.len(), "{packet:?}: {answer:?}");
        assert!(packet.len() > 16 || answer.is_empty());
    }
    assert!(
        world.answer(&UdpRequest::Connect { transaction: 1 }.encode(), "10.0.0.1:0").is_empty(),
        "port 0"
    );
    for (packet, message) in [
        (wrong(ACTION_ANNOUNCE, &[0; 81]), "a packet of 97 bytes is too short"),
        (wrong(ACTION_ANNOUNCE, &[0; 82]), "port 0"),
        (wrong(ACTION_SCRAPE, &[0; 19]), "a packet of 35 bytes is too short"),
        (wrong(9, &[0; 90]), "action 9 is unknown"),
    ] {
        let answer = UdpResponse::decode(&world.answer(&packet, "10.0.0.1:1"), Family::V4).unwrap();
        assert_eq!(answer, UdpResponse::Error { transaction: 0, message: message.into() });
    }
}

#[test]
fn a_passkey_comes_with_the_path() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("passkeys");
    std::fs::write(&path, "secret\n").unwrap();
    let mut world = World::at(private_desk(path));
    let mut is_served = |target: &str| {
        matches!(world.announce("10.0.0.1:1", announce(1), target), UdpResponse::Announce { .. })
    };
    assert!(is_served("/secret/announce") && is_served("/announce?passkey=secret"));
    assert!(!is_served("") && !is_served("/other/announce") && !is_served("/secret"));
}

#[test]
fn an_answer_is_no_longer_than_networks_carry() {
    let mut world = World::new();
    for (sender, length) in [("10.0.0.1:1", 20 + 200 * 6), ("[2001:db8::1]:1", 20 + 66 * 18)] {
        for port in 1..=300 {
            world.announce(sender, announce(port), "");
        }
        let connection = world.connect(sender);
        let announce = Announce { num_want: Some(1_000), ..announce(1) };
        let packet =
            UdpRequest::Announce { connection, transaction: 5, announce, target: Vec::new() }.encode();
        assert_eq!(world.answer(&packet, sender).len(), length);
    }
}

proptest! {
    #[test]
    fn arbitrary_datagrams_never_panic_nor_earn_more_than_they_are(packet: Vec<u8>) {
        let mut world = World::new();
        let answer = world.answer(&packet, "10.0.0.1:1");
        prop_assert!(answer.len() <= packet.len());
    }

    #[test]
    fn arbitrary_bodies_of_who_is_known_never_panic(action in 0..5_u32, body: Vec<u8>) {
        let mut world = World::new();
        let connection = world.connect("10.0.0.1:1").to_be_bytes();
        let packet = [&connection[..], &action.to_be_bytes(), &[1; 4], &body].concat();
        world.answer(&packet, "10.0.0.1:1");
    }
}
