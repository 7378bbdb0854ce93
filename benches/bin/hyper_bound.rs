//! Runs the bound of trackers over HTTP: hyper on one thread, with the same answer to anything, until it is ended.

use std::convert::Infallible;
use std::error::Error;
use std::net::SocketAddr;

use benches::tracking;
use clap::Parser;
use http_body_util::Full;
use hyper::body::Bytes;
use hyper::header::{CONTENT_TYPE, HeaderValue};
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper::{Request, Response};
use hyper_util::rt::TokioIo;
use tokio::net::TcpListener;

/// The bound over HTTP: no tracker at all.
#[derive(Debug, Parser)]
struct Args {
    /// Where to listen
    listen: SocketAddr,
    /// Peers of a torrent: the answer lists all of them but one
    #[arg(long, default_value = "20")]
    peers: u32,
}

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Box<dyn Error>> {
    let args = Args::parse();
    let body = Bytes::from(tracking::typical_answer(args.peers));
    let listener = TcpListener::bind(args.listen).await?;
    loop {
        let (stream, _) = listener.accept().await?;
        stream.set_nodelay(true)?;
        let body = body.clone();
        let service = service_fn(move |_: Request<hyper::body::Incoming>| {
            let mut response = Response::new(Full::new(body.clone()));
            response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static("text/plain"));
            async { Ok::<_, Infallible>(response) }
        });
        // A client that goes away is none of our business.
        tokio::spawn(async move {
            drop(http1::Builder::new().serve_connection(TokioIo::new(stream), service).await)
        });
    }
}
