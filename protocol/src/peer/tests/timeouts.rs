//! What time does to a connection.

use super::*;

#[test]
fn a_handshake_that_never_comes_is_not_waited_for() {
    let mut link = Link::new(&[0]);
    link.receive(b"\x13Bit").unwrap();
    link.pass(HANDSHAKE_TIMEOUT - Duration::from_secs(1)).unwrap();
    assert_eq!(link.pass(Duration::from_secs(1)), Err(PeerError::HandshakeTimeout));
}

#[test]
fn a_silent_peer_gets_keep_alives_and_is_dropped_after_two_minutes() {
    let mut link = Link::unchoked(&[0], plain());
    link.pass(KEEP_ALIVE_INTERVAL).unwrap();
    assert_eq!(link.texts(), ["KeepAlive"]);
    link.pass(IDLE_TIMEOUT - KEEP_ALIVE_INTERVAL - Duration::from_secs(1)).unwrap();
    assert_eq!(link.pass(Duration::from_secs(1)), Err(PeerError::Idle));

    let mut link = Link::unchoked(&[0], plain());
    link.pass(KEEP_ALIVE_INTERVAL / 2).unwrap();
    link.say(Message::Request(block(0, 0))).unwrap();
    link.pass(KEEP_ALIVE_INTERVAL - Duration::from_secs(1)).unwrap();
    assert!(link.texts().is_empty(), "no keep-alive soon after a block");

    let mut link = Link::unchoked(&[0], plain());
    for _ in 0..5 {
        link.pass(IDLE_TIMEOUT - Duration::from_secs(1)).unwrap();
        link.say(Message::KeepAlive).unwrap();
    }
}

#[test]
fn a_peer_that_wants_nothing_makes_room_in_the_end() {
    let mut link = Link::unchoked(&[0], plain());
    link.say(Message::NotInterested).unwrap();
    let minute = Duration::from_secs(60);
    for _ in 0..9 {
        link.pass(minute).unwrap();
        link.say(Message::KeepAlive).unwrap();
    }
    assert_eq!(link.pass(minute), Err(PeerError::Uninterested));

    let mut link = Link::unchoked(&[0], plain());
    for _ in 0..100 {
        link.pass(minute).unwrap();
        link.say(Message::KeepAlive).unwrap();
    }
}

#[test]
fn nothing_is_sent_before_the_torrent_is_found() {
    let mut link = Link::new(&[0]);
    link.machine.handle_input(Input::Received(&link.handshake(plain())), link.now).unwrap();
    assert!(matches!(link.machine.poll_output(link.now), Some(Output::Find(_))));
    link.now += HANDSHAKE_TIMEOUT - Duration::from_secs(1);
    link.machine.handle_input(Input::Tick, link.now).unwrap();
    assert_eq!(link.machine.poll_output(link.now), None);
    link.now += Duration::from_secs(1);
    assert_eq!(link.machine.handle_input(Input::Tick, link.now), Err(PeerError::HandshakeTimeout));
}

#[test]
fn a_peer_that_does_not_take_what_it_asked_for_is_dropped_and_a_slow_one_is_not() {
    let waiting = || {
        let mut link = Link::unchoked(&[0], plain());
        let mut bytes = Vec::new();
        Message::Request(block(0, 0)).encode(&mut bytes);
        link.machine.handle_input(Input::Received(&bytes), link.now).unwrap();
        assert_eq!(link.machine.poll_output(link.now), Some(Output::Serve(block(0, 0))));
        link
    };
    let tick = |link: &mut Link, time| {
        link.now += time;
        link.machine.handle_input(Input::Tick, link.now)
    };
    let mut stuck = waiting();
    assert_eq!(tick(&mut stuck, STALL_TIMEOUT), Err(PeerError::Stalled));
    let mut slow = waiting();
    for _ in 0..5 {
        tick(&mut slow, STALL_TIMEOUT - Duration::from_secs(1)).unwrap();
        slow.machine.handle_input(Input::Sent { is_all: false }, slow.now).unwrap();
    }
    slow.machine.handle_input(Input::Sent { is_all: true }, slow.now).unwrap();
    tick(&mut slow, IDLE_TIMEOUT - Duration::from_secs(1)).unwrap();
    assert_eq!(tick(&mut slow, Duration::from_secs(1)), Err(PeerError::Idle));
}
