//! Replies that go on for as long as there is something to tell: a line of JSON for each piece of news.

use std::convert::Infallible;
use std::pin::Pin;
use std::task::{Context, Poll};

use axum::body::{Body, Bytes};
use axum::http::header::CONTENT_TYPE;
use axum::response::{IntoResponse, Response};
use hyper::body::Frame;
use serde::Serialize;
use tokio::sync::mpsc;

/// Lines on their way to the client; who reads slowly has the writer wait.
const MAX_LINES: usize = 64;
/// What clients are told that they get.
const CONTENT: &str = "application/x-ndjson";

/// Where lines are written.
#[derive(Debug)]
pub struct Lines(mpsc::Sender<Bytes>);

/// The client does not listen any more.
#[derive(Debug)]
pub struct Gone;

impl Lines {
    /// The beginning of a reply, and where its lines are written. It ends when that is dropped.
    pub fn reply() -> (Self, Response) {
        let (sender, receiver) = mpsc::channel(MAX_LINES);
        (Self(sender), ([(CONTENT_TYPE, CONTENT)], Body::new(Reply(receiver))).into_response())
    }

    /// Writes a line; waits while too many are on their way.
    ///
    /// # Errors
    /// When nobody listens any more.
    pub async fn write(&self, value: &impl Serialize) -> Result<(), Gone> {
        // Our types have no keys but texts: they can be written.
        let mut line = serde_json::to_vec(value).map_err(|_| Gone)?;
        line.push(b'\n');
        self.0.send(line.into()).await.map_err(|_| Gone)
    }

    /// Waits until the client does not listen any more.
    pub async fn closed(&self) {
        self.0.closed().await;
    }
}

/// The body of such a reply.
struct Reply(mpsc::Receiver<Bytes>);

impl hyper::body::Body for Reply {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
        self.0.poll_recv(context).map(|line| line.map(|line| Ok(Frame::data(line))))
    }
}
