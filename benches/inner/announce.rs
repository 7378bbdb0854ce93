//! Announces as a tracker reads them, and its answers as it writes them, over UDP and over HTTP.

use std::hint::black_box;
use std::net::{Ipv4Addr, SocketAddr};
use std::time::Duration;

use criterion::{BenchmarkGroup, Criterion, Throughput, measurement::WallTime};
use protocol::announce::{
    Announce, AnnounceQuery, AnswerHead, Event, Family, ListedPeer, Reply, UdpRequest, UdpResponse,
    read_peers, split_target, write_compact_answer, write_listed_answer, write_udp_announce,
};
use protocol::id::{InfoHash, PeerId};

/// Peers of an answer: as many as any client asks for.
const PEER_COUNT: u16 = 200;
const INTERVAL: Duration = Duration::from_secs(1_800);
const SEEDS: u32 = 120;
const LEECHERS: u32 = 80;
const TRANSACTION: u32 = 0x5eed;

/// Measures both protocols.
pub(crate) fn measure(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("announce");
    group.throughput(Throughput::Elements(1));
    measure_udp(&mut group);
    measure_query(&mut group);
    measure_answers(&mut group);
    group.finish();
}

/// A usual announce: arbitrary bytes in the info-hash, so that most of them are escaped in a query.
fn announce() -> Announce {
    Announce {
        info_hash: InfoHash::new(*b"\x5b\xa9<\x9d\xb0\xcf\xf9?R\xb5!\xd7B\x0eC\xf6\xed\xa2xO"),
        peer_id: PeerId::new(*b"-BD0100-somebodyelse"),
        port: 6_881,
        uploaded: 123_456_789,
        downloaded: 987_654_321,
        left: 4_294_967_296,
        event: Event::Started,
        num_want: Some(PEER_COUNT.into()),
        key: Some(0xc0ff_ee00),
        tracker_id: None,
    }
}

/// The peers of an answer as they stand in it, 6 bytes each (BEP 23).
fn compact_peers() -> Vec<u8> {
    let peer = |number: u16| {
        let [high, low] = number.to_be_bytes();
        [203, 0, high, low, 0x1a, 0xe1]
    };
    (1..=PEER_COUNT).flat_map(peer).collect()
}

/// Those peers.
fn peers() -> Vec<SocketAddr> {
    let peer = |number: u16| {
        let [high, low] = number.to_be_bytes();
        SocketAddr::from((Ipv4Addr::new(203, 0, high, low), 0x1ae1))
    };
    (1..=PEER_COUNT).map(peer).collect()
}

/// A datagram that is read, and one that is written (BEP 15).
fn measure_udp(group: &mut BenchmarkGroup<'_, WallTime>) {
    let request = UdpRequest::Announce {
        connection: 7,
        transaction: TRANSACTION,
        announce: announce(),
        target: Vec::new(),
    };
    let packet = request.encode();
    assert_eq!(UdpRequest::decode(&packet).as_ref(), Ok(&request));
    group.bench_function("UDP request decoded", |bencher| {
        let decode = || UdpRequest::decode(black_box(&packet)).unwrap();
        bencher.iter(|| assert_eq!(decode().transaction(), TRANSACTION));
    });

    let (mut out, listed) = (Vec::new(), compact_peers());
    let write = |out: &mut Vec<u8>| {
        out.clear();
        write_udp_announce(out, TRANSACTION, INTERVAL, LEECHERS, SEEDS, black_box(&listed));
        out.len()
    };
    let length = write(&mut out);
    let Ok(UdpResponse::Announce { answer, .. }) = UdpResponse::decode(&out, Family::V4) else {
        unreachable!("it is an answer to an announce")
    };
    assert_eq!((answer.interval, answer.seeds, answer.peers), (Some(INTERVAL), Some(SEEDS), peers()));
    group.bench_function("UDP answer of 200 peers encoded", |bencher| {
        bencher.iter(|| assert_eq!(write(black_box(&mut out)), length));
    });
}

/// The target of a request line, as btd and most others write it (BEP 3).
fn measure_query(group: &mut BenchmarkGroup<'_, WallTime>) {
    let announce = announce();
    let target = announce.http_target("/announce").into_bytes();
    let parse = |target| AnnounceQuery::parse(split_target(target).unwrap().query).unwrap();
    assert_eq!(parse(&target).announce, announce);
    group.bench_function("HTTP query decoded", |bencher| {
        bencher.iter(|| assert_eq!(parse(black_box(&target)).announce.port, announce.port));
    });
}

/// Answers of HTTP in both forms.
fn measure_answers(group: &mut BenchmarkGroup<'_, WallTime>) {
    let head = AnswerHead {
        seeds: Some(SEEDS),
        leechers: Some(LEECHERS),
        downloaded: Some(1_000),
        interval: Some(INTERVAL),
        min_interval: Some(INTERVAL / 2),
        external_ip: Some(Ipv4Addr::new(203, 0, 113, 5).into()),
        ..AnswerHead::default()
    };
    let compact = compact_peers();
    measure_answer(group, "HTTP answer of 200 peers encoded, compact", |out| {
        write_compact_answer(out, black_box(&head), &compact, &[]);
    });
    measure_answer(group, "HTTP answer of 200 peers encoded, as a list", |out| {
        let listed = |address| ListedPeer { address, peer_id: Some(PeerId::new([b'p'; 20])) };
        write_listed_answer(out, black_box(&head), read_peers(Family::V4, &compact).map(listed));
    });
}

fn measure_answer(group: &mut BenchmarkGroup<'_, WallTime>, name: &str, write: impl Fn(&mut Vec<u8>)) {
    let mut out = Vec::new();
    write(&mut out);
    let Ok(Reply::Answer(answer)) = Reply::decode(&out) else { unreachable!("it is an answer") };
    assert_eq!((answer.interval, answer.seeds, answer.peers), (Some(INTERVAL), Some(SEEDS), peers()));
    let length = out.len();
    group.bench_function(name, |bencher| {
        bencher.iter(|| {
            out.clear();
            write(black_box(&mut out));
            assert_eq!(out.len(), length);
        });
    });
}
