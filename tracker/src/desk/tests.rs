//! The desk: who may ask, how an announce becomes what swarms are asked, what answers go by.

use std::net::IpAddr;
use std::path::PathBuf;

use protocol::announce::{Announce, Event, Family, RetryIn};
use protocol::id::{InfoHash, PeerId};

use super::*;
use crate::access::{AccessSettings, Denied};
use crate::figures::Reason;
use crate::limits::RetryAfter;

fn terms() -> Terms {
    Terms {
        interval: Duration::from_secs(1_800),
        min_interval: Duration::ZERO,
        numwant: 50,
        numwant_max: 200,
        tracker_id: String::new(),
        rate: Rate { per_s: 0, burst: 0 },
        peers_per_address: 0,
        capacity: Capacity::default(),
    }
}

fn desk(terms: Terms, access: &AccessSettings) -> Arc<Desk> {
    let swarms = Swarms::new(terms.rules(), 0, terms.capacity);
    Desk::new(terms, swarms, Access::open(access).unwrap(), Clock::start())
}

/// A desk at which everybody may ask for everything.
pub(crate) fn open_desk() -> Arc<Desk> {
    desk(terms(), &AccessSettings::default())
}

/// A desk at which only those may ask who have a passkey of that file.
pub(crate) fn private_desk(passkeys: PathBuf) -> Arc<Desk> {
    desk(terms(), &AccessSettings { passkeys: Some(passkeys), ..AccessSettings::default() })
}

pub(crate) fn announce(port: u16) -> Announce {
    Announce {
        info_hash: InfoHash::new([1; 20]),
        peer_id: PeerId::new([2; 20]),
        port,
        uploaded: 0,
        downloaded: 0,
        left: 1,
        event: Event::None,
        num_want: None,
        key: None,
        tracker_id: None,
    }
}

const FORM: Form = Form { family: None, has_ids: false, most: 200 };

fn visitor(ip: &str, desk: &Desk) -> Visitor<'static> {
    Visitor { ip: ip.parse().unwrap(), passkey: None, now: desk.clock().now() }
}

/// How many peers the visitor is told of.
fn told(clerk: &mut Clerk, announce: &Announce, form: Form) -> usize {
    let visitor = visitor("10.0.0.9", clerk.desk());
    clerk.announce(visitor, announce, form).unwrap().chosen.v4.len() / 6
}

#[test]
fn an_answer_has_as_many_peers_as_are_wanted_and_allowed() {
    let desk = desk(Terms { numwant_max: 100, ..terms() }, &AccessSettings::default());
    let mut clerk = desk.clerk(Door::Http);
    for port in 1..=150 {
        clerk.announce(visitor("10.0.0.1", &desk), &announce(port), FORM).unwrap();
    }
    let wanting = |num_want| Announce { num_want, ..announce(1) };
    assert_eq!(told(&mut clerk, &wanting(None), FORM), 50);
    assert_eq!(told(&mut clerk, &wanting(Some(0)), FORM), 0);
    assert_eq!(told(&mut clerk, &wanting(Some(60)), FORM), 60);
    assert_eq!(told(&mut clerk, &wanting(Some(u32::MAX)), FORM), 100);
    assert_eq!(told(&mut clerk, &wanting(Some(60)), Form { most: 20, ..FORM }), 20, "what has room");
}

#[test]
fn what_is_left_says_what_a_peer_has() {
    let desk = desk(terms(), &AccessSettings::default());
    let mut clerk = desk.clerk(Door::Http);
    let mut numbers = |port, left, event| {
        let said = Announce { left, event, ..announce(port) };
        let numbers = clerk.announce(visitor("10.0.0.1", &desk), &said, FORM).unwrap().numbers;
        (numbers.seeds, numbers.leechers, numbers.downloaders.unwrap())
    };
    assert_eq!(numbers(1, 0, Event::None), (1, 0, 0));
    assert_eq!(numbers(2, 1, Event::Started), (1, 1, 1));
    assert_eq!(numbers(3, 1, Event::Paused), (1, 2, 1));
    assert_eq!(numbers(4, 0, Event::Paused), (2, 2, 1), "who has all is a seed");
}

#[test]
fn intervals_differ_by_a_tenth_and_peers_have_two_and_a_bit() {
    let desk = desk(terms(), &AccessSettings::default());
    let mut clerk = desk.clerk(Door::Udp);
    let mut intervals: Vec<u64> = (0..1_000)
        .map(|_| clerk.announce(visitor("10.0.0.1", &desk), &announce(1), FORM).unwrap().interval.as_secs())
        .collect();
    intervals.sort_unstable();
    assert!(intervals[0] >= 1_620 && intervals[0] < 1_650, "{}", intervals[0]);
    assert!(intervals[999] <= 1_980 && intervals[999] > 1_950, "{}", intervals[999]);
    assert_eq!(terms().peer_timeout(), Duration::from_secs(2 * 1_980 + 180 + 2));
}

#[test]
fn only_who_may_is_answered_and_every_refusal_is_counted() {
    let folder = tempfile::tempdir().unwrap();
    let file = |name: &str, text: &str| {
        let path = folder.path().join(name);
        std::fs::write(&path, text).unwrap();
        Some(path)
    };
    let allow = file("allow", &format!("{}\n{}\n", InfoHash::new([1; 20]), InfoHash::new([3; 20])));
    let deny = file("deny", &format!("{}\n", InfoHash::new([3; 20])));
    let access = AccessSettings { allow, deny, passkeys: file("passkeys", "secret\n") };
    let desk = desk(Terms { rate: Rate { per_s: 1, burst: 5 }, ..terms() }, &access);
    let mut clerk = desk.clerk(Door::Http);
    let now = desk.clock().now();
    let mut refused = |ip: &str, passkey, torrent| {
        let visitor = Visitor { ip: ip.parse::<IpAddr>().unwrap(), passkey, now };
        let said = Announce { info_hash: InfoHash::new([torrent; 20]), ..announce(1) };
        clerk.announce(visitor, &said, FORM).map(drop)
    };
    let secret = Some(&b"secret"[..]);
    assert_eq!(refused("10.0.0.1", None, 1), Err(Refusal::Access(Denied::NoPasskey)));
    assert_eq!(refused("10.0.0.1", Some(b"other"), 1), Err(Refusal::Access(Denied::WrongPasskey)));
    assert_eq!(refused("10.0.0.1", secret, 2), Err(Refusal::Access(Denied::NotAllowed)));
    assert_eq!(refused("10.0.0.1", secret, 3), Err(Refusal::Access(Denied::Denied)));
    assert_eq!(refused("10.0.0.1", secret, 1), Ok(()));
    let error = refused("10.0.0.1", secret, 1).unwrap_err();
    assert!(
        matches!(error, Refusal::Rate(RetryAfter(after)) if after <= Duration::from_secs(1)),
        "{error:?}"
    );
    assert_eq!(error.retry_in(Duration::from_secs(9)), RetryIn::After(Duration::from_secs(1)));
    assert_eq!(Refusal::Access(Denied::Denied).retry_in(Duration::ZERO), RetryIn::Never);
    assert_eq!(refused("10.0.0.2", secret, 1), Ok(()), "others are not concerned");
    let sums = desk.figures().sums;
    let counts =
        [Reason::Passkey, Reason::NotAllowed, Reason::Denied, Reason::Rate].map(|it| sums.refused(it));
    assert_eq!(counts, [2, 1, 1, 1]);
    assert_eq!(sums.of(Door::Http).announces, [2, 0]);
}

#[test]
fn a_scrape_tells_nothing_of_what_is_not_tracked() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("deny");
    std::fs::write(&path, "").unwrap();
    let access = AccessSettings { deny: Some(path.clone()), ..AccessSettings::default() };
    let desk = desk(terms(), &access);
    let mut clerk = desk.clerk(Door::Http);
    clerk.announce(visitor("10.0.0.1", &desk), &announce(1), FORM).unwrap();
    let hashes = [InfoHash::new([1; 20]), InfoHash::new([9; 20])];
    let leechers = |clerk: &mut Clerk| -> Vec<u32> {
        let visitor = visitor("10.0.0.1", clerk.desk());
        clerk.scrape(visitor, &hashes).unwrap().map(|entry| entry.leechers).collect()
    };
    assert_eq!(leechers(&mut clerk), [1, 0]);
    std::fs::write(&path, format!("{}\n", hashes[0])).unwrap();
    desk.access().reload(&access).unwrap();
    assert_eq!(leechers(&mut clerk), [0, 0]);
}

#[test]
fn terms_may_change_meanwhile() {
    let desk = desk(terms(), &AccessSettings::default());
    let mut clerk = desk.clerk(Door::Http);
    for port in 1..=40 {
        clerk.announce(visitor("10.0.0.1", &desk), &announce(port), FORM).unwrap();
    }
    let min_interval = Duration::from_secs(100);
    desk.set_terms(Terms { numwant: 20, min_interval, peers_per_address: 40, ..terms() });
    assert_eq!(told(&mut clerk, &announce(1), FORM), 20);
    assert_eq!(told(&mut clerk, &announce(1), FORM), 10, "it comes too early now");
    let one_more = clerk.announce(visitor("10.0.0.1", &desk), &announce(41), FORM).map(drop);
    assert!(matches!(one_more, Err(Refusal::Limit(_))));
}

#[test]
fn families_and_ids_are_told_as_they_are_wanted() {
    let desk = desk(terms(), &AccessSettings::default());
    let mut clerk = desk.clerk(Door::Http);
    clerk.announce(visitor("10.0.0.1", &desk), &announce(1), FORM).unwrap();
    clerk.announce(visitor("2001:db8::1", &desk), &announce(1), FORM).unwrap();
    let mut lengths = |form| {
        let told = clerk.announce(visitor("10.0.0.9", &desk), &announce(9), form).unwrap();
        (told.chosen.v4.len(), told.chosen.v6.len(), told.chosen.ids.as_ref().map(Vec::len))
    };
    assert_eq!(lengths(FORM), (6, 18, None));
    assert_eq!(lengths(Form { has_ids: true, ..FORM }), (6, 18, Some(2)));
    assert_eq!(lengths(Form { family: Some(Family::V6), ..FORM }), (0, 18, None));
}
