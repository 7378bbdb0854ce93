//! Sends one announce, by whatever its tracker speaks.

use std::io;
use std::time::Duration;

use protocol::announce::{
    Announce, Event, Failure, Family, Reply, ResponseError, Scheme, TrackerUrl, UdpError, UrlError,
};
use rustls::ClientConfig;
use tokio::time::timeout;

use super::Settings;
use super::dns::{Dns, LookupError};
use super::http::HttpClient;
use super::udp::UdpClient;

/// Why an announce was not answered.
#[derive(Debug, thiserror::Error)]
pub(super) enum AskError {
    /// The tracker has no address of the family, or this machine has none that reaches it.
    #[error("there is no address of this family")]
    NoAddress,
    #[error(transparent)]
    Lookup(#[from] LookupError),
    #[error("no answer within {} ms", .0.as_millis())]
    Timeout(Duration),
    #[error("no answer to {0} packets")]
    Unanswered(u32),
    #[error("{0}")]
    Io(#[from] io::Error),
    /// Connecting, TLS or HTTP failed; the whole chain of reasons.
    #[error("{0}")]
    Http(String),
    #[error("the answer has status {0}")]
    Status(u16),
    #[error("the answer is longer than {0} bytes")]
    TooLong(usize),
    #[error("more than {0} redirects")]
    TooManyRedirects(usize),
    #[error("a redirect to nowhere: {0}")]
    Redirect(#[from] UrlError),
    /// From https to http, to another protocol, or into this machine.
    #[error("a redirect to {0} is not followed")]
    ForbiddenRedirect(String),
    #[error(transparent)]
    Response(#[from] ResponseError),
    #[error("the answer cannot be read: {0}")]
    Udp(#[from] UdpError),
    #[error("the answer is one to another question")]
    Confused,
}

impl AskError {
    /// Whether it is the host that cannot be reached, whatever it is asked.
    pub(super) fn is_of_host(&self) -> bool {
        use AskError::{Http, Io, Lookup, NoAddress, Timeout, Unanswered};
        matches!(self, NoAddress | Lookup(_) | Timeout(_) | Unanswered(_) | Io(_) | Http(_))
    }

    /// What the schedule of a torrent is told.
    pub(super) fn failure(&self) -> Failure {
        match self {
            Self::NoAddress => Failure::NoAddress,
            error => Failure::Other(error.to_string().into()),
        }
    }
}

#[derive(Debug)]
pub(super) struct Client {
    http: HttpClient,
    udp: UdpClient,
    http_timeout: Duration,
    stopped_timeout: Duration,
}

impl Client {
    pub(super) fn new(settings: &Settings, tls: ClientConfig) -> Self {
        let dns = Dns::new(settings.resolve.clone());
        Self {
            http: HttpClient::new(&dns, tls, settings.per_host),
            udp: UdpClient::new(dns, settings.udp_base, settings.udp_attempts),
            http_timeout: settings.http_timeout,
            stopped_timeout: settings.stopped_timeout,
        }
    }

    /// Sends `announce`, and waits for what the tracker says.
    pub(super) async fn ask(
        &self,
        url: &TrackerUrl,
        family: Family,
        announce: &Announce,
    ) -> Result<Reply, AskError> {
        let limit = match (announce.event, url.scheme()) {
            (Event::Stopped, _) => self.stopped_timeout,
            (_, Scheme::Http | Scheme::Https) => self.http_timeout,
            // It counts its packets itself; the rest is the lookup.
            (_, Scheme::Udp) => Duration::MAX,
        };
        let asking = async {
            match url.scheme() {
                Scheme::Http | Scheme::Https => self.http.ask(url, family, announce).await,
                Scheme::Udp => self.udp.ask(url, family, announce).await,
            }
        };
        timeout(limit, asking).await.unwrap_or(Err(AskError::Timeout(limit)))
    }
}

/// Whether `error` says that this machine has no address to send from.
pub(super) fn is_without_address(error: &io::Error) -> bool {
    use io::ErrorKind::{AddrNotAvailable, NetworkUnreachable};
    let is_unsupported = error.raw_os_error() == Some(nix::libc::EAFNOSUPPORT);
    is_unsupported || matches!(error.kind(), AddrNotAvailable | NetworkUnreachable)
}
