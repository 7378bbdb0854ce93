//! The paced load beside a server of the test: what is counted, what is lost, what is wrong.

use std::net::{IpAddr, SocketAddr, UdpSocket};
use std::thread;

use protocol::announce::Answer;

use super::super::scripts;
use super::*;

const WHO: Population = Population { torrents: 40, peers_each: 5, sources: 10, salt: 9 };

/// A tracker that knows everybody before they come, and answers all but one in `lost_one_in` announces; with `is_wrong`
/// it names strangers.
fn serve(lost_one_in: u32, is_wrong: bool) -> SocketAddrV4 {
    let socket = UdpSocket::bind("127.0.0.1:0").unwrap();
    let SocketAddr::V4(address) = socket.local_addr().unwrap() else { unreachable!() };
    thread::spawn(move || {
        let (mut buffer, mut count) = ([0; 2048], 0);
        loop {
            let (length, from) = socket.recv_from(&mut buffer).unwrap();
            let IpAddr::V4(ip) = from.ip() else { unreachable!() };
            let id = u64::from(u32::from(ip));
            let response = match UdpRequest::decode(&buffer[..length]) {
                Ok(UdpRequest::Connect { transaction }) => {
                    UdpResponse::Connect { transaction, connection: id }
                }
                Ok(UdpRequest::Announce { connection, transaction, announce, .. }) if connection == id => {
                    count += 1;
                    if count % lost_one_in == 0 {
                        continue;
                    }
                    let asker = WHO.peer_at(SocketAddr::new(from.ip(), announce.port)).unwrap();
                    UdpResponse::Announce { transaction, answer: answer(asker, is_wrong) }
                }
                other => panic!("{other:?} from {from}"),
            };
            socket.send_to(&response.encode(Family::V4), from).unwrap();
        }
    });
    address
}

fn answer(asker: u32, is_wrong: bool) -> Answer {
    let torrent = WHO.torrent_of(asker) + u32::from(is_wrong);
    let others =
        (0..WHO.peers_each).map(|index| torrent * WHO.peers_each + index).filter(|peer| *peer != asker);
    let address = |peer| (source_address(WHO.source_of(peer)), WHO.port(peer)).into();
    let (seeds, leechers) = (Some(WHO.seeds_each()), Some(WHO.leechers_each()));
    Answer { seeds, leechers, peers: others.map(address).collect(), ..Answer::default() }
}

#[test]
fn all_announce_though_some_are_lost_and_each_from_its_address() {
    let mut udp = Udp::open(serve(50, false), WHO.sources).unwrap();
    let run = scripts::put(&mut udp, WHO, 0, WHO.peers()).unwrap();
    assert_eq!(run.latencies.len(), 200);
    assert!(run.lost >= 4, "{}", run.lost);
}

#[test]
fn paced_announces_are_checked_and_what_is_lost_is_counted() {
    let mut script = scripts::Paced::new(WHO, Duration::from_millis(200));
    let mut udp = Udp::open(serve(100, false), WHO.sources).unwrap();
    let run = udp.run(Pace::Polite(2_000.0), &mut script).unwrap();
    assert!(run.lost > 0 && run.latencies.len() > 0, "{run:?}");
    let mut udp = Udp::open(serve(100, true), WHO.sources).unwrap();
    let error = udp.run(Pace::Window(4), &mut script).unwrap_err().to_string();
    assert!(error.contains("not in its torrent"), "{error}");
}
