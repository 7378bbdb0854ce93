//! UDP: connecting, retries, and packets from elsewhere.

use protocol::announce::{UdpRequest, UdpResponse};
use tokio::net::UdpSocket;

use super::*;

const ID: u64 = 77;

async fn receive(socket: &UdpSocket) -> (UdpRequest, SocketAddr) {
    let mut packet = [0; 2048];
    let (length, from) = timeout(PATIENCE, socket.recv_from(&mut packet)).await.unwrap().unwrap();
    (UdpRequest::decode(&packet[..length]).unwrap(), from)
}

/// The answer to `request`.
fn respond(request: &UdpRequest) -> UdpResponse {
    match *request {
        UdpRequest::Connect { transaction } => UdpResponse::Connect { transaction, connection: ID },
        UdpRequest::Announce { connection: ID, transaction, .. } => {
            UdpResponse::Announce { transaction, answer: answer(&["10.0.0.1:1", "[2001:db8::1]:1"]) }
        }
        UdpRequest::Announce { transaction, .. } | UdpRequest::Scrape { transaction, .. } => {
            UdpResponse::Error { transaction, message: "bad connection id".to_owned() }
        }
    }
}

async fn bind(ip: &str) -> (Arc<UdpSocket>, String) {
    let socket = UdpSocket::bind((ip.parse::<IpAddr>().unwrap(), 0)).await.unwrap();
    let url = format!("udp://both.test:{}/announce?passkey=x", socket.local_addr().unwrap().port());
    (Arc::new(socket), url)
}

/// Answers everything but the packets whose number (from 0) is in `lost`, and tells what came.
fn serve_udp(
    socket: Arc<UdpSocket>,
    family: Family,
    lost: &'static [usize],
) -> mpsc::UnboundedReceiver<UdpRequest> {
    let (asked, requests) = mpsc::unbounded_channel();
    tokio::spawn(async move {
        for number in 0.. {
            let (request, from) = receive(&socket).await;
            if !lost.contains(&number) {
                socket.send_to(&respond(&request).encode(family), from).await.unwrap();
            }
            asked.send(request).ok();
        }
    });
    requests
}

#[tokio::test]
async fn peers_are_found_over_each_family() {
    let (settings, _) = settings();
    for (family, ip, peer) in
        [(Family::V4, "127.0.0.1", "10.0.0.1:1"), (Family::V6, "::1", "[2001:db8::1]:1")]
    {
        let (socket, url) = bind(ip).await;
        let mut requests = serve_udp(socket, family, &[]);
        assert_eq!(peers(ask(&settings, &url, family).await), [peer.parse().unwrap()]);
        assert!(matches!(requests.recv().await, Some(UdpRequest::Connect { .. })));
        let Some(UdpRequest::Announce { announce, target, .. }) = requests.recv().await else { panic!() };
        assert_eq!(target, b"/announce?passkey=x");
        assert_eq!((announce.event, announce.left, announce.key), (Event::Started, 5, Some(7)));
    }
}

#[tokio::test]
async fn a_connection_id_is_used_again() {
    let (settings, _) = settings();
    let (socket, url) = bind("127.0.0.1").await;
    let mut requests = serve_udp(socket, Family::V4, &[]);
    let client = client(&settings);
    for _ in 0..3 {
        ask_with(&client, &url, Family::V4, Event::None).await.unwrap();
    }
    let mut connects = 0;
    while let Ok(request) = requests.try_recv() {
        connects += usize::from(matches!(request, UdpRequest::Connect { .. }));
    }
    assert_eq!(connects, 1);
}

#[tokio::test]
async fn a_tracker_that_forgot_the_connection_id_is_connected_to_again() {
    let (settings, _) = settings();
    let (socket, url) = bind("127.0.0.1").await;
    let client = client(&settings);
    let forgetful = Arc::clone(&socket);
    let first = tokio::spawn(async move {
        let (request, from) = receive(&forgetful).await;
        let UdpRequest::Connect { transaction } = request else { panic!("{request:?}") };
        let old = UdpResponse::Connect { transaction, connection: ID - 1 };
        forgetful.send_to(&old.encode(Family::V4), from).await.unwrap();
        let (request, from) = receive(&forgetful).await;
        forgetful.send_to(&respond(&request).encode(Family::V4), from).await.unwrap();
    });
    let refused = ask_with(&client, &url, Family::V4, Event::None).await;
    assert!(
        matches!(&refused, Ok(Reply::Refusal(refusal)) if refusal.reason == "bad connection id"),
        "{refused:?}"
    );
    first.await.unwrap();
    let _requests = serve_udp(socket, Family::V4, &[]);
    assert_eq!(peers(ask_with(&client, &url, Family::V4, Event::None).await).len(), 1);
}

#[tokio::test]
async fn lost_packets_are_sent_again() {
    let settings = Settings { udp_base: Duration::from_millis(20), udp_attempts: 8, ..settings().0 };
    let (socket, url) = bind("127.0.0.1").await;
    let _requests = serve_udp(socket, Family::V4, &[0, 2]);
    assert_eq!(peers(ask(&settings, &url, Family::V4).await).len(), 1);
}

#[tokio::test]
async fn a_tracker_that_keeps_silent_is_given_up() {
    let settings = Settings { udp_base: Duration::from_millis(5), ..settings().0 };
    let (socket, url) = bind("127.0.0.1").await;
    let reply = ask(&settings, &url, Family::V4).await;
    assert!(matches!(reply, Err(AskError::Unanswered(3))), "{reply:?}");
    drop(socket);
}

#[tokio::test]
async fn packets_of_others_are_not_taken_for_answers() {
    let (settings, _) = settings();
    let (socket, url) = bind("127.0.0.1").await;
    let (stranger, _) = bind("127.0.0.1").await;
    tokio::spawn(async move {
        loop {
            let (request, from) = receive(&socket).await;
            let transaction = request.transaction();
            let message = "forged".to_owned();
            let forged = UdpResponse::Error { transaction, message: message.clone() };
            stranger.send_to(&forged.encode(Family::V4), from).await.unwrap();
            let forged = UdpResponse::Error { transaction: transaction.wrapping_add(1), message };
            socket.send_to(&forged.encode(Family::V4), from).await.unwrap();
            socket.send_to(b"junk", from).await.unwrap();
            socket.send_to(&respond(&request).encode(Family::V4), from).await.unwrap();
        }
    });
    assert_eq!(peers(ask(&settings, &url, Family::V4).await).len(), 1);
}
