//! The client of the control API: HTTP/1.1 over the daemon's Unix socket, one connection that is kept.
//!
//! Commands ask through it, in terms of the types of `protocol::control`. It has a time limit for connecting only:
//! what the daemon does may take hours. It never prints.

mod error;
mod lines;
mod list;
mod path;

use std::path::{Path, PathBuf};
use std::time::Duration;

use http_body_util::{BodyExt, Full, LengthLimitError, Limited};
use hyper::body::{Bytes, Incoming};
use hyper::client::conn::http1::{self, SendRequest};
use hyper::header::{CONTENT_TYPE, HOST};
use hyper::{Method, Request, Response};
use hyper_util::rt::TokioIo;
use protocol::control::ErrorReply;
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::value::RawValue;
use tokio::net::UnixStream;
use tokio::time::{sleep, timeout};

pub use error::ClientError;
pub use lines::Lines;
pub use list::Page;
pub use path::{of_list, of_torrent};

/// Longest wait for a connection: the daemon accepts them at once, unless it is stuck.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(10);
/// How long to wait when more clients than the socket's queue holds come at once.
const CONNECT_PAUSE: Duration = Duration::from_millis(10);
/// Most bytes of a reply: a page of 10,000 rows has some 5 MB, the files of the largest torrents some 100 MB.
const MAX_REPLY_LENGTH: usize = 256 * 1024 * 1024;

/// A connection to the daemon.
#[derive(Debug)]
pub struct Client {
    socket: PathBuf,
    sender: SendRequest<Full<Bytes>>,
}

impl Client {
    /// Connects to the daemon at `socket`.
    ///
    /// # Errors
    /// When nobody answers there.
    pub async fn connect(socket: &Path) -> Result<Self, ClientError> {
        let unreachable = |source| ClientError::Unreachable { socket: socket.into(), source };
        let connected = timeout(CONNECT_TIMEOUT, open(socket)).await;
        let stream =
            connected.unwrap_or_else(|_| Err(std::io::ErrorKind::TimedOut.into())).map_err(unreachable)?;
        let handshake = http1::handshake(TokioIo::new(stream)).await;
        let (sender, connection) = handshake.map_err(|error| unreachable(std::io::Error::other(error)))?;
        // What it ends with is told to whoever waits for an answer.
        tokio::spawn(connection);
        Ok(Self { socket: socket.into(), sender })
    }

    /// Another connection to the same daemon.
    ///
    /// # Errors
    /// When nobody answers there any more.
    pub async fn another(&self) -> Result<Self, ClientError> {
        Self::connect(&self.socket).await
    }

    /// The socket it is connected to.
    pub fn socket(&self) -> &Path {
        &self.socket
    }

    /// Asks for what is at `path`.
    ///
    /// # Errors
    /// When the daemon refuses, or there is no answer that can be understood.
    pub async fn get<T: DeserializeOwned>(&mut self, path: &str) -> Result<T, ClientError> {
        let bytes = self.get_bytes(path).await?;
        self.parse(&bytes)
    }

    /// Asks for what is at `path`, as it comes.
    ///
    /// # Errors
    /// As [`Client::get`].
    pub async fn get_bytes(&mut self, path: &str) -> Result<Bytes, ClientError> {
        let response = self.send(Method::GET, path, None).await?;
        self.collect(path, response).await
    }

    /// Has something done, and reads how that went.
    ///
    /// # Errors
    /// As [`Client::get`].
    pub async fn call<T: DeserializeOwned>(
        &mut self,
        method: Method,
        path: &str,
        body: Option<&impl Serialize>,
    ) -> Result<T, ClientError> {
        let body = body.map(json).transpose()?;
        let response = self.send(method, path, body).await?;
        let bytes = self.collect(path, response).await?;
        self.parse(&bytes)
    }

    /// Has something done that is answered with nothing of interest.
    ///
    /// # Errors
    /// As [`Client::get`].
    pub async fn post(&mut self, path: &str, body: Option<&impl Serialize>) -> Result<(), ClientError> {
        let body = body.map(json).transpose()?;
        let response = self.send(Method::POST, path, body).await?;
        self.collect(path, response).await.map(drop)
    }

    /// Asks for lines of JSON that come as things go on. The connection is theirs from then on.
    ///
    /// # Errors
    /// As [`Client::get`].
    pub async fn lines(
        mut self,
        method: Method,
        path: &str,
        body: Option<&impl Serialize>,
    ) -> Result<Lines, ClientError> {
        let body = body.map(json).transpose()?;
        let response = self.send(method, path, body).await?;
        Ok(Lines::new(self, response.into_body()))
    }

    /// Sends a request, and waits for the head of an answer that is no refusal.
    async fn send(
        &mut self,
        method: Method,
        path: &str,
        body: Option<Bytes>,
    ) -> Result<Response<Incoming>, ClientError> {
        // The daemon may close a connection on which nothing has been asked for long.
        if self.sender.is_closed() {
            *self = self.another().await?;
        }
        let mut request = Request::builder().method(method).uri(path).header(HOST, "btd");
        if body.is_some() {
            request = request.header(CONTENT_TYPE, "application/json");
        }
        let request = request.body(Full::new(body.unwrap_or_default()));
        let request = request.map_err(|error| ClientError::Request(error.to_string()))?;
        self.sender.ready().await.map_err(|error| self.broken(&error))?;
        let response = self.sender.send_request(request).await.map_err(|error| self.broken(&error))?;
        if response.status().is_success() { Ok(response) } else { Err(self.refusal(path, response).await) }
    }

    /// What the daemon says when it refuses.
    async fn refusal(&self, path: &str, response: Response<Incoming>) -> ClientError {
        let status = response.status();
        match self.collect(path, response).await {
            Ok(bytes) => match serde_json::from_slice::<ErrorReply>(&bytes) {
                Ok(reply) => reply.into(),
                Err(_) => self.not_btd(format!("HTTP status {status} without a reason")),
            },
            Err(error) => error,
        }
    }

    async fn collect(&self, path: &str, response: Response<Incoming>) -> Result<Bytes, ClientError> {
        let collected = Limited::new(response.into_body(), MAX_REPLY_LENGTH).collect().await;
        collected.map(http_body_util::Collected::to_bytes).map_err(|error| {
            if error.is::<LengthLimitError>() {
                ClientError::TooLong { path: path.to_owned() }
            } else {
                ClientError::HungUp { socket: self.socket.clone(), reason: cause(&*error) }
            }
        })
    }

    fn parse<T: DeserializeOwned>(&self, bytes: &[u8]) -> Result<T, ClientError> {
        serde_json::from_slice(bytes).map_err(|error| self.not_btd(error.to_string()))
    }

    fn not_btd(&self, reason: String) -> ClientError {
        ClientError::NotBtd { socket: self.socket.clone(), reason }
    }

    /// What an error of the connection means.
    fn broken(&self, error: &hyper::Error) -> ClientError {
        if error.is_parse() {
            self.not_btd(cause(error))
        } else {
            ClientError::HungUp { socket: self.socket.clone(), reason: cause(error) }
        }
    }
}

/// Connects, and waits for its turn where the daemon's queue is full: for a Unix socket the kernel does not.
async fn open(socket: &Path) -> std::io::Result<UnixStream> {
    loop {
        match UnixStream::connect(socket).await {
            Err(error) if error.kind() == std::io::ErrorKind::WouldBlock => sleep(CONNECT_PAUSE).await,
            result => return result,
        }
    }
}

fn json(body: &impl Serialize) -> Result<Bytes, ClientError> {
    serde_json::to_vec(body).map(Bytes::from).map_err(|error| ClientError::Request(error.to_string()))
}

/// The error that led to `error`, which mostly says only that there was one.
fn cause(error: &(dyn std::error::Error + 'static)) -> String {
    let mut root = error;
    while let Some(source) = root.source() {
        root = source;
    }
    root.to_string()
}

/// JSON that is passed on as it came.
pub type Raw = Box<RawValue>;
/// For requests without a body.
pub const NOTHING: Option<&()> = None;
