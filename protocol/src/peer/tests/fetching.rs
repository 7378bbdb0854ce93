//! The fetching side: orders become requests, and what the peer answers becomes events and arrivals.

use super::*;

/// A link that we opened, past its handshakes, to a peer that has all and has unchoked us.
fn fetching(have: &[u32], reserved: Reserved) -> Link {
    let mut link = dialled(Found::Torrent(torrent(have)), reserved);
    link.say(Message::Bitfield(&[0xe0])).unwrap();
    link.say(Message::Unchoke).unwrap();
    link.control.clear();
    link.events.clear();
    link
}

/// A link that we opened, past its handshakes; nothing of ours is forgotten.
fn dialled(found: Found, reserved: Reserved) -> Link {
    let mut link = Link::new(&[]);
    link.machine = Machine::dialled(OURS, link.torrent.info.info_hash(), link.now);
    link.drain().unwrap();
    let ours = Handshake::decode(&link.control).unwrap().unwrap();
    assert_eq!(ours.info_hash, link.torrent.info.info_hash(), "we speak first");
    link.control.clear();
    let handshake = link.handshake(reserved);
    link.machine.handle_input(Input::Received(&handshake), link.now).unwrap();
    assert!(matches!(link.machine.poll_output(link.now), Some(Output::Find(_))));
    link.machine.handle_input(Input::Found(found), link.now).unwrap();
    link.drain().unwrap();
    link
}

fn obey(link: &mut Link, order: Order) {
    link.machine.handle_input(Input::Order(order), link.now).unwrap();
    link.drain().unwrap();
}

fn piece_message(block: Block, byte: u8) -> Vec<u8> {
    let mut bytes = Vec::new();
    let data = vec![byte; block.length as usize];
    Message::Piece { piece: block.piece, begin: block.begin, data: &data }.encode(&mut bytes);
    bytes
}

#[test]
fn we_greet_once_whoever_we_dialled() {
    let mut link = dialled(Found::Torrent(torrent(&[])), Reserved::ours());
    let texts = link.texts();
    assert!(texts[0].starts_with("Extended") && texts[1] == "HaveNone" && texts.len() == 2, "{texts:?}");
    assert_eq!(link.events, [Event::Met { peer_id: THEIR_ID, announced: 0 }]);
}

#[test]
fn an_answer_for_another_torrent_ends_the_connection() {
    let now = Instant::now();
    let mut machine = Machine::dialled(OURS, InfoHash::new([1; 20]), now);
    let other = InfoHash::new([2; 20]);
    let answer = Handshake { reserved: plain(), info_hash: other, peer_id: THEIR_ID }.encode();
    assert_eq!(machine.handle_input(Input::Received(&answer), now), Err(PeerError::OtherTorrent(other)));
}

#[test]
fn an_order_becomes_requests_and_their_answers_arrive_however_they_are_split() {
    for cut in [0, 1, 4, 5, 13, 14, 1_000, 16_396, 16_397, 16_500] {
        let mut link = fetching(&[], Reserved::ours());
        let blocks = vec![block(1, 0), block(1, BLOCK_LENGTH)];
        obey(&mut link, Order::Request(blocks.clone()));
        let requests: Vec<String> = blocks.iter().map(|b| format!("{:?}", Message::Request(*b))).collect();
        assert_eq!(link.texts(), requests);
        let bytes = [piece_message(blocks[0], 1), piece_message(blocks[1], 2)].concat();
        let mut data = Vec::new();
        for part in [&bytes[..cut], &bytes[cut..]] {
            link.receive(part).unwrap();
            for arrival in link.machine.take_arrivals() {
                data.push(match arrival.data {
                    Data::Within(range) => part[range].to_vec(),
                    Data::Gathered { bytes, start } => bytes[start..].to_vec(),
                });
            }
        }
        assert_eq!(data, [vec![1; BLOCK_LENGTH as usize], vec![2; BLOCK_LENGTH as usize]], "cut at {cut}");
        let received: Vec<&Event> =
            link.events.iter().filter(|event| matches!(event, Event::Received(_))).collect();
        assert_eq!(received, [&Event::Received(blocks[0]), &Event::Received(blocks[1])]);
    }
}

#[test]
fn a_block_that_nobody_asked_for_ends_the_connection() {
    let mut link = fetching(&[], plain());
    assert_eq!(link.receive(&piece_message(block(0, 0), 1)), Err(PeerError::Unasked));
    let mut link = fetching(&[], plain());
    obey(&mut link, Order::Request(vec![block(0, 0)]));
    let short = Block { length: 5, ..block(0, 0) };
    assert_eq!(link.receive(&piece_message(short, 1)), Err(PeerError::Unasked), "of another length");
}

#[test]
fn a_rejection_is_told_and_one_of_nothing_ends_the_connection() {
    let mut link = fetching(&[], Reserved::ours());
    obey(&mut link, Order::Request(vec![block(0, 0)]));
    link.events.clear();
    link.say(Message::Reject(block(0, 0))).unwrap();
    assert_eq!(link.events[0], Event::Rejected(block(0, 0)));
    assert_eq!(link.say(Message::Reject(block(0, 0))), Err(PeerError::Unasked));
}

#[test]
fn what_a_peer_says_before_we_have_the_metadata_counts_when_we_have_it() {
    let mut link = dialled(Found::InfoHash, Reserved::ours());
    assert_eq!(link.texts()[1], "HaveNone");
    link.say(Message::HaveNone).unwrap();
    link.say(Message::Have(2)).unwrap();
    link.say(Message::Unchoke).unwrap();
    link.say(Message::Request(block(0, 0))).unwrap();
    assert_eq!(link.texts(), [format!("{:?}", Message::Reject(block(0, 0)))], "nothing is here to give");
    assert!(!link.events.iter().any(|event| matches!(event, Event::Has(_) | Event::HasPiece(_))));
    let torrent = link.torrent.clone();
    obey(&mut link, Order::Begin(torrent));
    let has = link.events.iter().find_map(|event| match event {
        Event::Has(pieces) => Some(pieces.iter().collect::<Vec<_>>()),
        _ => None,
    });
    assert_eq!(has, Some(vec![2]));

    let mut link = dialled(Found::InfoHash, plain());
    link.say(Message::Have(3)).unwrap();
    let error = link.machine.handle_input(Input::Order(Order::Begin(link.torrent.clone())), link.now);
    assert_eq!(error, Err(PeerError::NoSuchPiece(3)));
}

#[test]
fn a_choke_rejects_what_waits_and_what_comes_after_it() {
    let mut link = Link::unchoked(&[0], Reserved::ours());
    let mut bytes = Vec::new();
    Message::Request(block(0, 0)).encode(&mut bytes);
    link.machine.handle_input(Input::Received(&bytes), link.now).unwrap();
    obey(&mut link, Order::Choke(true));
    let reject = format!("{:?}", Message::Reject(block(0, 0)));
    assert_eq!(link.texts(), ["Choke".to_owned(), reject.clone()]);
    assert!(link.served.is_empty());
    link.say(Message::Request(block(0, 0))).unwrap();
    assert_eq!(link.texts(), [reject]);

    let mut link = Link::unchoked(&[0], plain());
    obey(&mut link, Order::Choke(true));
    link.say(Message::Request(block(0, 0))).unwrap();
    assert_eq!(link.texts(), ["Choke"], "a request that crossed with our choke is no mistake");
    assert!(link.served.is_empty());
}

#[test]
fn traffic_is_told_while_it_is_asked_for() {
    let mut link = fetching(&[0], Reserved::ours());
    obey(&mut link, Order::Meter(true));
    obey(&mut link, Order::Request(vec![block(1, 0)]));
    link.receive(&piece_message(block(1, 0), 1)).unwrap();
    link.say(Message::Interested).unwrap();
    link.say(Message::Request(block(0, 0))).unwrap();
    link.events.clear();
    link.pass(Duration::from_secs(1)).unwrap();
    let traffic = Event::Traffic { received: BLOCK_LENGTH.into(), sent: BLOCK_LENGTH.into() };
    assert!(link.events.contains(&traffic), "{:?}", link.events);
    link.events.clear();
    link.pass(Duration::from_secs(1)).unwrap();
    assert!(!link.events.iter().any(|event| matches!(event, Event::Traffic { .. })), "nothing moved");
}

#[test]
fn metadata_is_asked_for_as_the_peer_names_it() {
    let mut link = dialled(Found::InfoHash, Reserved::ours());
    link.control.clear();
    obey(&mut link, Order::RequestMetadata(0));
    assert_eq!(link.events.last(), Some(&Event::MetadataRejected(0)), "it has not said that it can");
    let handshake = ExtendedHandshake {
        ut_metadata: Some(9),
        metadata_size: Some(100),
        listen_port: Some(5),
        ..ExtendedHandshake::default()
    };
    link.say(Message::Extended { id: 0, payload: &handshake.encode() }).unwrap();
    let introduction =
        Introduction { listen_port: Some(5), metadata_size: Some(100), ..Introduction::default() };
    assert!(link.events.contains(&Event::Introduced(introduction)));
    obey(&mut link, Order::RequestMetadata(3));
    let request = MetadataMessage::Request { piece: 3 }.encode();
    assert_eq!(link.texts(), [format!("{:?}", Message::Extended { id: 9, payload: &request })]);
    let data = MetadataMessage::Data { piece: 3, total_size: 100, data: b"abc" }.encode();
    link.say(Message::Extended { id: 1, payload: &data }).unwrap();
    let event = Event::Metadata { piece: 3, total_size: 100, data: b"abc".to_vec() };
    assert_eq!(link.events.last(), Some(&event));
}

#[test]
fn a_peer_that_says_again_and_again_what_it_has_is_not_listened_to() {
    let mut link = dialled(Found::Torrent(torrent(&[])), Reserved::ours());
    for _ in 0..MAX_STATEMENTS / 2 {
        link.say(Message::HaveAll).unwrap();
        link.say(Message::HaveNone).unwrap();
    }
    assert_eq!(link.say(Message::HaveAll), Err(PeerError::TooManyStatements));
}

#[test]
fn a_parting_ends_the_connection_with_its_reason() {
    let mut link = fetching(&[], plain());
    let order = Input::Order(Order::Close(Parting::Redundant));
    assert_eq!(link.machine.handle_input(order, link.now), Err(PeerError::Parted(Parting::Redundant)));
}
