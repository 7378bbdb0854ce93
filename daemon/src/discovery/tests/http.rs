//! HTTP and HTTPS: answers, redirects, limits.

use std::io::{Read, Write};
use std::net::UdpSocket;

use protocol::announce::MAX_RESPONSE_LENGTH;
use rcgen::{BasicConstraints, CertificateParams, IsCa, Issuer, KeyPair};
use rustls::pki_types::PrivatePkcs8KeyDer;
use rustls::{RootCertStore, ServerConfig, ServerConnection, StreamOwned};

use super::*;

fn redirect(to: &str) -> Response<Full<Bytes>> {
    Response::builder().status(302).header("location", to).body(Full::default()).unwrap()
}

#[tokio::test]
async fn compact_and_listed_peers_are_found() {
    let (settings, _) = settings();
    for form in [PeerForm::Compact, PeerForm::List] {
        let encoded = Reply::Answer(answer(&["10.0.0.1:1", "[2001:db8::1]:2"])).encode(form);
        let at = serve_always(Response::new(Full::new(encoded.into()))).await;
        let found = peers(ask(&settings, &format!("http://{at}/announce"), Family::V4).await);
        assert_eq!(found, ["10.0.0.1:1".parse().unwrap(), "[2001:db8::1]:2".parse().unwrap()]);
    }
}

#[tokio::test]
async fn the_tracker_hears_what_is_true_and_the_passkey_of_its_url() {
    let (settings, _) = settings();
    let (asked, mut requests) = mpsc::unbounded_channel();
    let at = serve(move |target| {
        asked.send(target).ok();
        std::future::ready(body(answer(&[])))
    })
    .await;
    assert!(ask(&settings, &format!("http://v4.test:{}/a?passkey=x", at.port()), Family::V4).await.is_ok());
    let target = requests.recv().await.unwrap();
    assert!(target.starts_with("/a?passkey=x&info_hash=%01"), "{target}");
    let heard = query(&target);
    assert_eq!((heard.uploaded, heard.downloaded, heard.left), (3, 4, 5));
    assert_eq!((heard.event, heard.key, heard.port), (Event::Started, Some(7), 6881));
}

#[tokio::test]
async fn redirects_are_followed_but_not_for_ever() {
    let (settings, _) = settings();
    let at = serve(|target: String| {
        let hop = target.split('?').next().unwrap().trim_start_matches('/').parse::<u32>().unwrap();
        std::future::ready(if hop == 0 {
            body(answer(&["10.0.0.1:1"]))
        } else {
            redirect(&format!("/{}?x", hop - 1))
        })
    })
    .await;
    assert_eq!(peers(ask(&settings, &format!("http://{at}/5"), Family::V4).await).len(), 1);
    let endless = ask(&settings, &format!("http://{at}/6"), Family::V4).await;
    assert!(matches!(endless, Err(AskError::TooManyRedirects(5))), "{endless:?}");
    for to in ["udp://10.0.0.1:1/", "ftp://x/"] {
        let at = serve_always(redirect(to)).await;
        let refused = ask(&settings, &format!("http://{at}/"), Family::V4).await;
        assert!(
            matches!(refused, Err(AskError::ForbiddenRedirect(_) | AskError::Redirect(_))),
            "{refused:?}"
        );
    }
}

#[tokio::test]
async fn a_tracker_outside_cannot_redirect_into_this_machine() {
    let (settings, _) = settings();
    let route = UdpSocket::bind("0.0.0.0:0").unwrap();
    // No packet is sent: this only asks for the address that has a way out, where there is one.
    let Ok(outside) = route.connect("192.0.2.1:9").and_then(|()| route.local_addr()) else { return };
    let inside = serve_always(body(answer(&["10.0.0.1:1"]))).await;
    let listener = TcpListener::bind((outside.ip(), 0)).await.unwrap();
    let at = listener.local_addr().unwrap();
    serve_on(listener, move |_| {
        std::future::ready(redirect(&format!("http://v4.test:{}/admin", inside.port())))
    });
    let refused = ask(&settings, &format!("http://{at}/"), Family::V4).await;
    assert!(matches!(refused, Err(AskError::ForbiddenRedirect(_))), "{refused:?}");
}

/// A TLS server for the name `v4.test` that answers one request with `response`, and who vouches for it.
fn serve_tls(response: String) -> (SocketAddr, Arc<RootCertStore>) {
    let mut authority = CertificateParams::new(Vec::new()).unwrap();
    authority.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    let authority_key = KeyPair::generate().unwrap();
    let mut roots = RootCertStore::empty();
    roots.add(authority.self_signed(&authority_key).unwrap().der().clone()).unwrap();
    let key = KeyPair::generate().unwrap();
    let own = CertificateParams::new(vec!["v4.test".to_owned()]).unwrap();
    let own = own.signed_by(&key, &Issuer::new(authority, authority_key)).unwrap();
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let builder =
        ServerConfig::builder_with_provider(provider).with_safe_default_protocol_versions().unwrap();
    let key = PrivatePkcs8KeyDer::from(key.serialize_der()).into();
    let config =
        Arc::new(builder.with_no_client_auth().with_single_cert(vec![own.der().clone()], key).unwrap());
    let listener = std::net::TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
    let address = listener.local_addr().unwrap();
    thread::spawn(move || {
        let (stream, _) = listener.accept().unwrap();
        let mut stream = StreamOwned::new(ServerConnection::new(config).unwrap(), stream);
        let mut request = Vec::new();
        let mut byte = [0];
        while !request.ends_with(b"\r\n\r\n") && stream.read(&mut byte).is_ok_and(|read| read > 0) {
            request.extend(byte);
        }
        stream.write_all(response.as_bytes()).ok();
        stream.conn.send_close_notify();
        stream.flush().ok();
    });
    (address, Arc::new(roots))
}

fn with_roots(roots: Arc<RootCertStore>) -> Settings {
    Settings { roots: Roots::Only(roots), ..settings().0 }
}

#[tokio::test]
async fn https_is_spoken_to_whom_a_trusted_authority_vouches_for() {
    let response = "HTTP/1.1 200 OK\r\ncontent-length: 18\r\n\r\nd5:peers6:abcdefee";
    let (at, roots) = serve_tls(response.replace("efee", "efe").replace("18", "17"));
    let url = format!("https://v4.test:{}/announce", at.port());
    assert_eq!(peers(ask(&with_roots(roots), &url, Family::V4).await).len(), 1);
    let (at, _) = serve_tls(response.to_owned());
    let url = format!("https://v4.test:{}/announce", at.port());
    let distrusted = ask(&settings().0, &url, Family::V4).await;
    let Err(AskError::Http(reason)) = distrusted else { panic!("{distrusted:?}") };
    assert!(reason.contains("certificate"), "{reason}");
}

#[tokio::test]
async fn https_is_not_redirected_to_http() {
    let plain = serve_always(body(answer(&["10.0.0.1:1"]))).await;
    let response = format!("HTTP/1.1 302 Found\r\nlocation: http://{plain}/\r\ncontent-length: 0\r\n\r\n");
    let (at, roots) = serve_tls(response);
    let refused = ask(&with_roots(roots), &format!("https://v4.test:{}/", at.port()), Family::V4).await;
    assert!(matches!(refused, Err(AskError::ForbiddenRedirect(_))), "{refused:?}");
}

#[tokio::test]
async fn a_refusal_counts_whatever_its_status_and_another_status_is_an_error() {
    let (settings, _) = settings();
    for status in [200, 403, 503] {
        let at = serve_always(refusal(status, "go away")).await;
        let reply = ask(&settings, &format!("http://{at}/"), Family::V4).await;
        assert!(matches!(&reply, Ok(Reply::Refusal(refusal)) if refusal.reason == "go away"), "{reply:?}");
    }
    let mut sad = body(answer(&["10.0.0.1:1"]));
    *sad.status_mut() = 500.try_into().unwrap();
    let at = serve_always(sad).await;
    assert!(matches!(ask(&settings, &format!("http://{at}/"), Family::V4).await, Err(AskError::Status(500))));
    let at = serve_always(Response::new(Full::new("<html>".into()))).await;
    assert!(matches!(ask(&settings, &format!("http://{at}/"), Family::V4).await, Err(AskError::Response(_))));
}

#[tokio::test]
async fn an_answer_that_is_too_long_is_not_read() {
    let (settings, _) = settings();
    let at = serve_always(Response::new(Full::new(vec![b'd'; MAX_RESPONSE_LENGTH + 1].into()))).await;
    let reply = ask(&settings, &format!("http://{at}/"), Family::V4).await;
    assert!(matches!(reply, Err(AskError::TooLong(MAX_RESPONSE_LENGTH))), "{reply:?}");
}

#[tokio::test]
async fn a_tracker_that_stalls_is_given_up() {
    let settings = Settings { http_timeout: Duration::from_millis(50), ..settings().0 };
    let at = serve(|_| std::future::pending()).await;
    let reply = ask(&settings, &format!("http://{at}/"), Family::V4).await;
    assert!(matches!(reply, Err(AskError::Timeout(_))), "{reply:?}");
}

#[tokio::test]
async fn a_family_without_an_address_is_nobodys_fault() {
    let (settings, _) = settings();
    let at = serve_always(body(answer(&[]))).await;
    for host in ["v4.test", "127.0.0.1"] {
        let url = format!("http://{host}:{}/", at.port());
        assert!(ask(&settings, &url, Family::V4).await.is_ok());
        assert!(matches!(ask(&settings, &url, Family::V6).await, Err(AskError::NoAddress)));
    }
    let unknown = ask(&settings, "http://nowhere.test/", Family::V4).await.unwrap_err();
    assert_eq!(unknown.to_string(), "nowhere.test cannot be looked up: no such name");
}

#[tokio::test]
async fn connections_are_kept() {
    let (settings, _) = settings();
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap();
    let at = listener.local_addr().unwrap();
    // One connection is served and no other is ever accepted.
    tokio::spawn(async move {
        let (stream, _) = listener.accept().await.unwrap();
        let service = service_fn(|_: Request<Incoming>| async { Ok::<_, Infallible>(body(answer(&[]))) });
        http1::Builder::new().serve_connection(TokioIo::new(stream), service).await.ok();
    });
    let client = client(&settings);
    for _ in 0..3 {
        ask_with(&client, &format!("http://{at}/"), Family::V4, Event::None).await.unwrap();
    }
}
