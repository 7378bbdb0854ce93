//! A short soak of bttracker: rounds of mixed load over HTTP and UDP at once, in which peers and torrents come and go.
//! Each answer is right, nothing is logged as an error, and the last third of the rounds needs no more memory than the
//! second. Names and peers come again after ten rounds: what grows then is a leak.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::{array, thread};

use data_encoding::HEXLOWER;
use tests::bttracker::{Bttracker, Site};
use tests::caller::{Connection, fetch, request};
use tests::query::{Ask, Hash, head, scrape_datagram, scrape_target};
use tests::udp_caller::{PROTOCOL, UdpCaller, action};

use crate::Case;
use crate::peers::anonymous_kib;

pub(crate) const CASES: &[Case] =
    &[Case::new("tracker_keeps_memory_flat_under_mixed_load", keeps_memory_flat_under_mixed_load)];

/// Rounds of a third: they differ in the names of their torrents and in the peers that visit.
const THIRD: u16 = 10;
/// How often a round is gone through: what leaks with each request adds up.
const LAPS: usize = 3;
/// Torrents of a round, as many of each [`Fate`].
const TORRENTS: u16 = 9;
/// Peers that come to each of these, by each way.
const PEERS: u16 = 8;
/// Peers that stay with [`STEADY`], by each way.
const RESIDENTS: u16 = 6;
/// Ways to ask: over a kept connection, over new ones, over UDP.
const WAYS: u16 = 3;
/// Addresses that ask over UDP: 127.0.0.2 and those that follow.
const UDP_ADDRESSES: u8 = 5;
/// The torrent that is always there. It never has more peers than an answer may hold, even if no silent one goes.
const STEADY: Hash = [255; 20];
/// Memory that the last third may need beyond a tenth more than the second.
const SLACK_KIB: u64 = 1024;

/// Ports by which the answers are told apart: of those who come and go, of residents, of visitors to them.
const PASSING: u16 = 10_000;
const RESIDENT: u16 = 20_000;
const VISITOR: u16 = 30_000;
/// Ports of each way.
const SPAN: u16 = 1_000;

/// The pace is not what is looked at here. The kept connection rests while silent peers are waited for; those who stay
/// have nine seconds to say so, on however slow a machine.
const KEYS: &str = "[announce]\ninterval = '3s'\nmin_interval = '0s'\n[http_server]\nidle_timeout = '10m'\n\
                    [limits]\nrate_per_address = 0";

/// What becomes of the peers of a torrent.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Fate {
    /// All of them say that they stop.
    Stop,
    /// None of them says anything more.
    Silence,
    /// All complete; then half of them stop.
    Completion,
}

/// A torrent of a round, and its fate.
fn torrent(round: u16, number: u16) -> (Hash, Fate) {
    let mut hash = [1; 20];
    hash[..2].copy_from_slice(&(round % THIRD * TORRENTS + number).to_be_bytes());
    (hash, [Fate::Stop, Fate::Silence, Fate::Completion][usize::from(number % 3)])
}

/// All torrents that ever come with `fate`.
fn torrents(fate: Fate) -> impl Iterator<Item = Hash> {
    let all = (0..THIRD).flat_map(|round| (0..TORRENTS).map(move |number| torrent(round, number)));
    all.filter(move |(_, it)| *it == fate).map(|(hash, _)| hash)
}

/// What an announce is answered with.
#[derive(Debug)]
struct Told {
    seeds: u64,
    leechers: u64,
    peers: Vec<SocketAddr>,
}

/// How a tracker is asked.
#[derive(Debug)]
enum Way {
    Kept(Connection),
    Fresh(SocketAddr),
    /// Callers, each with its connection id.
    Udp(Vec<(UdpCaller, u64)>),
}

/// Who asks in one way.
#[derive(Debug)]
struct Asker {
    way: Way,
    /// Its peers have ports from here on, beyond that of their sort.
    first: u16,
}

impl Asker {
    fn all(tracker: &Bttracker<'_>) -> [Self; 3] {
        let caller = |number| (UdpCaller::open_at(&format!("127.0.0.{}", 2 + number), tracker.udp4()), 0);
        let ways = [
            Way::Kept(Connection::open(tracker.http4())),
            Way::Fresh(tracker.http4()),
            Way::Udp((0..UDP_ADDRESSES).map(caller).collect()),
        ];
        let mut first = (0..).step_by(usize::from(SPAN));
        ways.map(|way| Self { way, first: first.next().unwrap() })
    }

    /// Asks for connection ids, which do not last.
    fn connect(&mut self) {
        if let Way::Udp(callers) = &mut self.way {
            callers.iter_mut().for_each(|(caller, id)| *id = caller.connect());
        }
    }

    /// Where the peer with that port is.
    fn address(&self, port: u16) -> SocketAddr {
        let last = match &self.way {
            Way::Udp(_) => 2 + u8::try_from(port % u16::from(UDP_ADDRESSES)).unwrap(),
            _ => 1,
        };
        SocketAddr::new(IpAddr::V4(Ipv4Addr::new(127, 0, 0, last)), port)
    }

    fn get(&mut self, target: &str) -> tests::caller::Answer {
        match &mut self.way {
            Way::Kept(connection) => connection.get(target),
            Way::Fresh(to) => fetch(*to, target),
            Way::Udp(_) => unreachable!("no GET over UDP"),
        }
    }

    /// Announces, and checks what is true of every answer.
    fn announce(&mut self, ask: Ask) -> Told {
        let ask = ask.want(200);
        let told = match &self.way {
            Way::Udp(callers) => {
                let (caller, id) = &callers[usize::from(ask.port % u16::from(UDP_ADDRESSES))];
                let transaction = u32::from(ask.port);
                let told = caller.ask(&ask.datagram(*id, transaction), transaction).announced();
                Told { seeds: told.seeders.into(), leechers: told.leechers.into(), peers: told.peers }
            }
            _ => {
                let answer = self.get(&ask.target()).well();
                let (seeds, leechers) = (answer.number("complete"), answer.number("incomplete"));
                Told { seeds, leechers, peers: answer.peers() }
            }
        };
        let own = self.address(ask.port);
        assert!(!told.peers.contains(&own), "{own} is told of itself: {told:?}");
        let is_steady = ask.hash == STEADY;
        let is_of_it = |peer: &SocketAddr| (peer.port() >= RESIDENT) == is_steady && peer.ip().is_loopback();
        assert!(told.peers.iter().all(is_of_it), "peers of another torrent: {told:?}");
        assert!(told.peers.windows(2).all(|pair| pair[0] < pair[1]), "a peer twice: {told:?}");
        match (ask.event, ask.left) {
            ("stopped", _) => assert_eq!(told.peers, [], "who stops needs nobody"),
            (_, 0) => assert!(told.seeds >= 1, "{own} is a seed: {told:?}"),
            _ => assert!(told.leechers >= 1, "{own} is a leecher: {told:?}"),
        }
        told
    }

    /// Seeds, downloads, leechers.
    fn scrape(&mut self, hash: Hash) -> (u64, u64, u64) {
        match &self.way {
            Way::Udp(callers) => {
                let (caller, id) = &callers[0];
                let rows = caller.ask(&scrape_datagram(*id, 5, &[STEADY, hash]), 5).rows();
                assert_eq!(rows.len(), 2);
                (rows[1].0.into(), rows[1].1.into(), rows[1].2.into())
            }
            _ => self.get(&scrape_target(&[STEADY, hash])).row(hash),
        }
    }

    fn residents(&self) -> Vec<SocketAddr> {
        (0..RESIDENTS).map(|number| self.address(RESIDENT + self.first + number)).collect()
    }

    /// Has the residents announce again.
    fn stay(&mut self) {
        for number in 0..RESIDENTS {
            self.announce(Ask::leech(STEADY, RESIDENT + self.first + number));
        }
    }

    /// Has somebody visit the residents, and checks that all of `residents` are there.
    fn visit(&mut self, number: u16, residents: &[SocketAddr], is_leaving: bool) {
        let visitor = Ask::leech(STEADY, VISITOR + self.first + number).event("started");
        let told = self.announce(visitor.clone());
        assert_contains(&told, residents);
        if is_leaving {
            self.announce(visitor.event("stopped"));
        }
    }

    /// Has peers come to a torrent, and go.
    fn pass(&mut self, hash: Hash, fate: Fate) {
        let ports = PASSING + self.first..PASSING + self.first + PEERS;
        let mut here = Vec::new();
        for port in ports.clone() {
            let told = self.announce(Ask::leech(hash, port).event("started"));
            assert_contains(&told, &here);
            here.push(self.address(port));
        }
        match fate {
            Fate::Silence => {}
            Fate::Stop => ports.for_each(|port| drop(self.announce(Ask::leech(hash, port).event("stopped")))),
            Fate::Completion => {
                for port in ports.clone() {
                    self.announce(Ask::seed(hash, port).event("completed"));
                }
                assert!(self.scrape(hash).1 >= u64::from(PEERS), "downloads are counted");
                for port in ports.step_by(2) {
                    self.announce(Ask::seed(hash, port).event("stopped"));
                }
            }
        }
    }

    /// Asks for what cannot be had: it is refused, or the connection is closed.
    fn err(&mut self) {
        let short = format!("/announce?info_hash=abc&peer_id={}&port=1&left=1", "p".repeat(20));
        match &mut self.way {
            Way::Kept(connection) => {
                for target in ["/announce", &short, &Ask::leech(STEADY, 0).target(), "/scrape"] {
                    assert!(!connection.get(target).failure().is_empty(), "{target}");
                }
                assert_eq!(connection.get("/nothing").status, 404);
            }
            Way::Fresh(to) => {
                let long = request(&format!("/announce?{}", "a".repeat(100_000)), "");
                let bad =
                    ["\0\0\0\r\n\r\n", "GET\r\n\r\n", "GET / HTTP/9.9\r\n\r\n", &request(&short, ""), &long];
                for bytes in bad {
                    let mut connection = Connection::open(*to);
                    // It may have seen enough before all is sent.
                    connection.try_send(bytes.as_bytes()).ok();
                    connection.shut();
                    let text = String::from_utf8_lossy(&connection.rest()).into_owned();
                    let is_refused = text.starts_with("HTTP/1.1 4") || text.contains("d14:failure reason");
                    assert!(text.is_empty() || is_refused, "{:?}: {text}", bytes.get(..40));
                }
            }
            Way::Udp(callers) => {
                for (caller, id) in callers {
                    let good = Ask::leech(STEADY, VISITOR).datagram(*id, 6);
                    let nowhere = Ask::leech(STEADY, 0).datagram(*id, 6);
                    for bytes in [&good[..50], &good[..7], &head(*id, 99, 6), &head(!*id, 1, 6), &nowhere] {
                        caller.send(bytes);
                        caller.send(&head(PROTOCOL, action::CONNECT, 7));
                        let mut answer = caller.receive();
                        if answer.transaction == 6 {
                            assert!(!answer.error().is_empty());
                            answer = caller.receive();
                        }
                        assert_eq!((answer.action, answer.transaction), (action::CONNECT, 7));
                    }
                }
            }
        }
    }

    /// One round.
    fn go(&mut self, round: u16) {
        self.connect();
        let residents = self.residents();
        for number in 0..TORRENTS {
            let (hash, fate) = torrent(round, number);
            self.stay();
            self.visit(round % THIRD * TORRENTS + number, &residents, number % 2 == 0);
            self.pass(hash, fate);
        }
        self.err();
    }
}

fn assert_contains(told: &Told, peers: &[SocketAddr]) {
    let missing: Vec<&SocketAddr> = peers.iter().filter(|peer| !told.peers.contains(peer)).collect();
    assert!(missing.is_empty(), "{missing:?} are not in {told:?}");
}

fn status(tracker: &Bttracker<'_>, hash: Hash) -> u16 {
    tracker.ask("GET", &format!("/v1/torrents/{}", HEXLOWER.encode(&hash))).status
}

/// Waits until all who fell silent are gone, while the residents of all ways stay.
fn wait_for_silent(tracker: &Bttracker<'_>, askers: &mut [Asker]) {
    let mut residents: Vec<SocketAddr> = askers.iter().flat_map(Asker::residents).collect();
    residents.sort_unstable();
    tracker.wait("end of the silent", |tracker| {
        for asker in &mut *askers {
            asker.connect();
            asker.stay();
        }
        askers.iter_mut().for_each(|asker| asker.visit(SPAN - 1, &residents, true));
        let is_gone = torrents(Fate::Silence).all(|hash| status(tracker, hash) == 404)
            && torrents(Fate::Completion).all(|hash| tracker.peers(hash).is_empty())
            && tracker.peers(STEADY) == residents;
        is_gone.then_some(())
    });
    // What was downloaded is remembered.
    for (number, hash) in torrents(Fate::Completion).enumerate() {
        let (seeds, downloads, leechers) = askers[number % askers.len()].scrape(hash);
        assert_eq!((seeds, leechers), (0, 0));
        assert!(downloads >= u64::from(WAYS * PEERS), "{downloads} downloads");
    }
}

fn median(mut numbers: Vec<u64>) -> u64 {
    numbers.sort_unstable();
    numbers[numbers.len() / 2]
}

fn keeps_memory_flat_under_mixed_load() {
    let site = Site::new("t-soak", KEYS);
    let tracker = site.start();
    let mut askers = Asker::all(&tracker);
    // Rounds of each third: the first is there to warm up.
    let [_, second, last] = array::from_fn(|third| {
        let rounds = 0..THIRD;
        let used: Vec<u64> = rounds
            .map(|round| {
                thread::scope(|scope| {
                    for asker in &mut askers {
                        scope.spawn(move || (0..LAPS).for_each(|_| asker.go(round)));
                    }
                });
                for (hash, fate) in (0..TORRENTS).map(|number| torrent(round, number)) {
                    let is_over = status(&tracker, hash) == 404;
                    assert!(is_over || fate != Fate::Stop, "all peers of {hash:?} have stopped");
                }
                anonymous_kib(tracker.id())
            })
            .collect();
        if third == 2 {
            wait_for_silent(&tracker, &mut askers);
        }
        println!("tracker_soak: third {third}: {used:?} KiB");
        median(used)
    });
    let most = second + second / 10 + SLACK_KIB;
    assert!(last <= most, "{last} KiB at last, {second} KiB before: {}", tracker.describe());
    let output = tracker.end_well();
    assert!(!output.stderr().contains("ERROR"), "{}", output.describe());
}
