//! Thousands of requests that are valid but for a few bytes: each is answered, or its connection closed, and whoever
//! asks well afterwards is served. The same bytes come of the same `TESTS_SEED`.

use std::thread;

use tests::bttracker::{Bttracker, with_tracker};
use tests::caller::{Connection, request};
use tests::query::{Ask, Hash, head, scrape_datagram, scrape_target, url_data};
use tests::udp_caller::{PROTOCOL, action};

use crate::Case;
use crate::kill::{Random, seed};

pub(crate) const CASES: &[Case] = &[
    Case::new("tracker_answers_or_closes_whatever_is_sent", answers_or_closes_whatever_is_sent),
    Case::new("tracker_udp_goes_on_whatever_is_sent", udp_goes_on_whatever_is_sent),
];

const HASH: Hash = [7; 20];
/// Requests over each protocol.
const REQUESTS: u64 = 10_000;
/// Threads that send over HTTP.
const THREADS: u64 = 4;
/// Datagrams between two that must be answered: they fit into the tracker's buffer.
const BURST: u64 = 50;
/// Neither limit is what is looked at here.
const KEYS: &str = "[http_server]\nidle_timeout = '10s'\n[limits]\nrate_per_address = 0\n\
                    peers_per_address_per_torrent = 0";

/// Bytes that matter to a parser.
const SHARP: &[u8] = b"\r\n\0 %&=?/+:;#.,-\"\\\xff\x80\x7f09AZ";

fn index(random: &mut Random, end: usize) -> usize {
    usize::try_from(random.below(u64::try_from(end).unwrap())).unwrap()
}

fn byte(random: &mut Random) -> u8 {
    if random.below(2) == 0 {
        SHARP[index(random, SHARP.len())]
    } else {
        u8::try_from(random.below(256)).unwrap()
    }
}

/// Changes a few bytes: replaces, inserts, removes, repeats, cuts off.
fn mutate(random: &mut Random, bytes: &mut Vec<u8>) {
    for _ in 0..=random.below(4) {
        if bytes.is_empty() {
            return;
        }
        let at = index(random, bytes.len());
        match random.below(6) {
            0 | 1 => bytes[at] = byte(random),
            2 => bytes.insert(at, byte(random)),
            3 => drop(bytes.remove(at)),
            4 => {
                let end = (at + 1 + index(random, 40)).min(bytes.len());
                let part = bytes[at..end].to_vec();
                let times = 1 + index(random, 30);
                bytes.splice(at..at, part.repeat(times));
            }
            _ => bytes.truncate(at),
        }
    }
}

/// A request over HTTP that is well.
fn valid(random: &mut Random) -> Vec<u8> {
    let ask = Ask::leech(HASH, 1 + u16::try_from(random.below(60_000)).unwrap());
    let headers = ["", "Accept: text/html\r\n", "X-Forwarded-For: 9.9.9.9\r\nContent-Length: 5\r\n"];
    let headers = headers[index(random, headers.len())];
    let target = match random.below(6) {
        0 => scrape_target(&[HASH, [8; 20]]),
        1 => "/stats".to_owned(),
        2 => format!("/abcdef{}", ask.target()),
        3 => ask.event("started").with("&compact=0&numwant=30&key=12345678&ip=1.2.3.4").target(),
        4 => format!("http://t:80{}", ask.target()),
        _ => ask.event("completed").target(),
    };
    request(&target, headers).into_bytes()
}

fn send_all(tracker: &Bttracker<'_>, mut random: Random) {
    for number in 0..REQUESTS / THREADS {
        let mut bytes = valid(&mut random);
        mutate(&mut random, &mut bytes);
        let mut connection =
            Connection::open(if number % 4 == 0 { tracker.http6() } else { tracker.http4() });
        // It may have seen enough before all is sent. When nothing more can come, it has to end.
        connection.try_send(&bytes).ok();
        connection.shut();
        connection.rest();
    }
}

fn answers_or_closes_whatever_is_sent() {
    let number = seed();
    println!("tracker_garbage: TESTS_SEED={number}");
    with_tracker("t-g-http", KEYS, |tracker| {
        thread::scope(|scope| {
            for thread in 0..THREADS {
                scope.spawn(move || send_all(tracker, Random(number ^ thread)));
            }
        });
        let answer = tracker.announce(&Ask::leech([9; 20], 1001));
        assert_eq!(answer.number("incomplete"), 1, "seed {number}");
        tracker.announce(&Ask::leech(HASH, 61_000)).peers();
    });
}

fn udp_goes_on_whatever_is_sent() {
    let number = seed();
    println!("tracker_garbage: TESTS_SEED={number}");
    let mut random = Random(number);
    with_tracker("t-g-udp", KEYS, |tracker| {
        let caller = tracker.udp_caller();
        let id = caller.connect();
        for sent in 0..REQUESTS {
            let port = 1 + u16::try_from(random.below(60_000)).unwrap();
            let options = [url_data("/abc/announce?x"), vec![1, 0]].concat();
            let mut datagram = match random.below(4) {
                0 => head(PROTOCOL, action::CONNECT, 1),
                1 => scrape_datagram(id, 1, &[HASH, [8; 20]]),
                2 => Ask { options, ..Ask::leech(HASH, port) }.datagram(id, 1),
                _ => Ask::leech(HASH, port).datagram(id, 1),
            };
            mutate(&mut random, &mut datagram);
            caller.send(&datagram);
            if sent % BURST == 0 {
                let last = u32::MAX - u32::try_from(sent).unwrap();
                caller.send(&head(PROTOCOL, action::CONNECT, last));
                while caller.receive().transaction != last {}
            }
        }
        caller.drain();
        let fresh = tracker.udp_caller().announce(&Ask::leech([9; 20], 1001));
        assert_eq!(fresh.leechers, 1, "seed {number}");
    });
}
