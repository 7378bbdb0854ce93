//! A small HTTP server for trackers and for files to fetch: a function makes the body of each answer. It runs on a
//! thread of its own, on loopback or inside a network namespace, and stops when dropped.

use std::convert::Infallible;
use std::net::{IpAddr, Ipv4Addr, SocketAddr, TcpListener};
use std::sync::Arc;
use std::thread::{self, JoinHandle};

use http_body_util::Full;
use hyper::body::{Bytes, Incoming};
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper::{Request, Response};
use hyper_util::rt::TokioIo;
use tokio::sync::oneshot;

use crate::netns::Namespace;

/// What makes an answer: it is given who asks, and the path with its query.
type Answer = dyn Fn(IpAddr, &str) -> Vec<u8> + Send + Sync;

/// A running server.
#[derive(Debug)]
pub struct Server {
    address: SocketAddr,
    stop: Option<oneshot::Sender<()>>,
    thread: Option<JoinHandle<()>>,
}

impl Server {
    /// Starts one on loopback.
    pub fn start(answer: impl Fn(IpAddr, &str) -> Vec<u8> + Send + Sync + 'static) -> Self {
        Self::serve_on(bind(Ipv4Addr::LOCALHOST.into()), Arc::new(answer))
    }

    /// Starts one inside `namespace`, at its address on the cable.
    pub fn start_in(
        namespace: &Namespace,
        answer: impl Fn(IpAddr, &str) -> Vec<u8> + Send + Sync + 'static,
    ) -> Self {
        let listener = namespace.within(|| bind(namespace.address()));
        Self::serve_on(listener, Arc::new(answer))
    }

    fn serve_on(listener: TcpListener, answer: Arc<Answer>) -> Self {
        let address = listener.local_addr().expect("it is bound");
        let (stop, stopped) = oneshot::channel();
        let thread = thread::spawn(move || serve(listener, &answer, stopped));
        Self { address, stop: Some(stop), thread: Some(thread) }
    }

    /// The URL of `path` on it, which starts with a slash.
    pub fn url(&self, path: &str) -> String {
        format!("http://{}{path}", self.address)
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        drop(self.stop.take());
        if let Some(thread) = self.thread.take() {
            thread.join().ok();
        }
    }
}

fn bind(address: IpAddr) -> TcpListener {
    TcpListener::bind((address, 0)).unwrap_or_else(|error| panic!("{address}: {error}"))
}

fn serve(listener: TcpListener, answer: &Arc<Answer>, stopped: oneshot::Receiver<()>) {
    let runtime =
        tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime starts");
    runtime.block_on(async {
        listener.set_nonblocking(true).expect("a listener can be non-blocking");
        let listener = tokio::net::TcpListener::from_std(listener).expect("a listener can be watched");
        tokio::select! {
            () = accept_all(&listener, answer) => {}
            _ = stopped => {}
        }
    });
}

async fn accept_all(listener: &tokio::net::TcpListener, answer: &Arc<Answer>) {
    while let Ok((stream, from)) = listener.accept().await {
        let answer = Arc::clone(answer);
        let service = service_fn(move |request: Request<Incoming>| {
            let path = request.uri().path_and_query().map_or("/", |path| path.as_str());
            let body = answer(from.ip(), path);
            async move { Ok::<_, Infallible>(Response::new(Full::new(Bytes::from(body)))) }
        });
        tokio::spawn(http1::Builder::new().serve_connection(TokioIo::new(stream), service));
    }
}

#[cfg(test)]
pub(crate) mod tests {
    use std::io::{Read, Write};
    use std::net::TcpStream;

    use super::*;

    /// What the server at `url` answers, with its head.
    pub(crate) fn fetch(url: &str) -> Vec<u8> {
        let (address, path) = url.strip_prefix("http://").unwrap().split_once('/').unwrap();
        let mut stream = TcpStream::connect(address).unwrap();
        let request = format!("GET /{path} HTTP/1.1\r\nHost: t\r\nConnection: close\r\n\r\n");
        stream.write_all(request.as_bytes()).unwrap();
        let mut answer = Vec::new();
        stream.read_to_end(&mut answer).unwrap();
        answer
    }

    #[test]
    fn an_answer_is_made_of_who_asks_and_what() {
        let server = Server::start(|from, path| format!("{from} {path}").into_bytes());
        assert!(fetch(&server.url("/a?b=c")).ends_with(b"\r\n\r\n127.0.0.1 /a?b=c"));
    }
}
