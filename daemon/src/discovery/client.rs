//! Sends one announce, by whatever its tracker speaks, when its host's queue lets it.

use std::io;
use std::time::Duration;

use protocol::announce::{
    Announce, Event, Family, Reply, ResponseError, Scheme, TrackerUrl, UdpError, UrlError,
};
use rustls::ClientConfig;
use tokio::time::timeout;

use super::Settings;
use super::dns::{Dns, LookupError};
use super::gates::Gates;
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

#[derive(Debug)]
pub(super) struct Client {
    gates: Gates,
    http: HttpClient,
    udp: UdpClient,
    http_timeout: Duration,
    stopped_timeout: Duration,
}

impl Client {
    pub(super) fn new(settings: &Settings, tls: ClientConfig) -> Self {
        let dns = Dns::new(settings.resolve.clone());
        Self {
            gates: Gates::new(settings.per_host, settings.overall),
            http: HttpClient::new(&dns, tls, settings.per_host),
            udp: UdpClient::new(dns, settings.udp_base, settings.udp_attempts),
            http_timeout: settings.http_timeout,
            stopped_timeout: settings.stopped_timeout,
        }
    }

    /// No more regular announces come: those with `stopped` may go out faster.
    pub(super) fn hurry(&self) {
        self.gates.open_for_the_end();
    }

    /// Waits for a turn, then sends what `announce` makes of the moment.
    pub(super) async fn ask(
        &self,
        url: &TrackerUrl,
        family: Family,
        announce: impl FnOnce() -> Announce,
    ) -> Result<Reply, AskError> {
        let _pass = self.gates.enter(&url.host().to_string()).await;
        let announce = announce();
        let limit = match (announce.event, url.scheme()) {
            (Event::Stopped, _) => self.stopped_timeout,
            (_, Scheme::Http | Scheme::Https) => self.http_timeout,
            // It counts its packets itself; the rest is the lookup.
            (_, Scheme::Udp) => Duration::MAX,
        };
        let asking = async {
            match url.scheme() {
                Scheme::Http | Scheme::Https => self.http.ask(url, family, &announce).await,
                Scheme::Udp => self.udp.ask(url, family, &announce).await,
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
