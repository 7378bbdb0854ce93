//! Announces over HTTP and HTTPS: connections that are kept, redirects with care, answers of bounded length.
//!
//! One client for each address family, so that an announce leaves from the family it is for (BEP 7).

use std::error::Error;
use std::io;
use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use http_body_util::{BodyExt, Empty, LengthLimitError, Limited};
use hyper::body::{Body as _, Bytes, Incoming};
use hyper::header::{LOCATION, USER_AGENT};
use hyper::{Request, Response, Uri};
use hyper_rustls::{ConfigBuilderExt, HttpsConnector, HttpsConnectorBuilder};
use hyper_util::client::legacy::Client;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::{TokioExecutor, TokioTimer};
use protocol::announce::{Announce, Family, MAX_RESPONSE_LENGTH, Reply, Scheme, TrackerUrl};
use rustls::ClientConfig;
use rustls::crypto::ring;

use super::client::{AskError, is_without_address};
use super::dns::{Dns, FamilyResolver};
use super::settings::Roots;

/// Most redirects that are followed; libtorrent follows as many.
const MAX_REDIRECTS: usize = 5;
/// Most time to connect, so that a dead address leaves time for the next one.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(10);
/// How long an idle connection is kept: long enough for the next torrent in the queue of its host.
const IDLE_TIMEOUT: Duration = Duration::from_secs(30);
/// Most bytes of headers that are read.
const MAX_HEADERS_LENGTH: usize = 64 * 1024;
/// How we introduce ourselves.
const AGENT: &str = concat!("btd/", env!("CARGO_PKG_VERSION"));

type FamilyClient = Client<HttpsConnector<HttpConnector<FamilyResolver>>, Empty<Bytes>>;

#[derive(Debug)]
pub(super) struct HttpClient {
    v4: FamilyClient,
    v6: FamilyClient,
    dns: Dns,
}

/// Who may vouch for a tracker's certificate.
pub(super) fn tls_config(roots: &Roots) -> Result<ClientConfig, rustls::Error> {
    let builder = || {
        let provider = Arc::new(ring::default_provider());
        ClientConfig::builder_with_provider(provider).with_safe_default_protocol_versions()
    };
    let trusting = match roots {
        Roots::Only(roots) => builder()?.with_root_certificates(Arc::clone(roots)),
        Roots::Machine => match builder()?.with_native_roots() {
            Ok(trusting) => trusting,
            Err(error) => {
                tracing::debug!("Mozilla's certificates are trusted: {error}");
                builder()?.with_webpki_roots()
            }
        },
    };
    Ok(trusting.with_no_client_auth())
}

impl HttpClient {
    pub(super) fn new(dns: &Dns, tls: ClientConfig, per_host: usize) -> Self {
        let client = |family| {
            let mut connector = HttpConnector::new_with_resolver(FamilyResolver { dns: dns.clone(), family });
            connector.enforce_http(false);
            connector.set_connect_timeout(Some(CONNECT_TIMEOUT));
            connector.set_nodelay(true);
            let secured = HttpsConnectorBuilder::new().with_tls_config(tls.clone()).https_or_http();
            Client::builder(TokioExecutor::new())
                .pool_timer(TokioTimer::new())
                .pool_idle_timeout(IDLE_TIMEOUT)
                .pool_max_idle_per_host(per_host)
                .http1_max_buf_size(MAX_HEADERS_LENGTH)
                .build(secured.enable_http1().wrap_connector(connector))
        };
        Self { v4: client(Family::V4), v6: client(Family::V6), dns: dns.clone() }
    }

    /// Sends an announce and follows redirects. The caller limits its time.
    pub(super) async fn ask(
        &self,
        url: &TrackerUrl,
        family: Family,
        announce: &Announce,
    ) -> Result<Reply, AskError> {
        read(self.follow(url, family, announce.http_target(url.target())).await?).await
    }

    /// Fetches what is at `url`, at most `max_length` bytes of it, and follows redirects.
    pub(super) async fn fetch(
        &self,
        url: &TrackerUrl,
        family: Family,
        max_length: usize,
    ) -> Result<Vec<u8>, AskError> {
        let response = self.follow(url, family, url.target().to_owned()).await?;
        let status = response.status();
        if !status.is_success() {
            return Err(AskError::Status(status.as_u16()));
        }
        Ok(body(response, max_length).await?.into())
    }

    /// The response to a GET of `target` at the host of `url`, after redirects.
    async fn follow(
        &self,
        url: &TrackerUrl,
        family: Family,
        mut target: String,
    ) -> Result<Response<Incoming>, AskError> {
        let mut at = url.clone();
        let is_local = self.reaches_this_machine(&at, family).await?;
        for _ in 0..=MAX_REDIRECTS {
            let response = self.get(&at, family, &target).await?;
            let Some(next) = redirect(&at, &response)? else { return Ok(response) };
            // A tracker outside must not make us send requests to what listens on this machine only.
            if self.reaches_this_machine(&next, family).await? && !is_local {
                return Err(AskError::ForbiddenRedirect(next.origin()));
            }
            next.target().clone_into(&mut target);
            at = next;
        }
        Err(AskError::TooManyRedirects(MAX_REDIRECTS))
    }

    async fn get(
        &self,
        url: &TrackerUrl,
        family: Family,
        target: &str,
    ) -> Result<Response<Incoming>, AskError> {
        let uri: Uri =
            format!("{}{target}", url.origin()).parse().map_err(|error| AskError::Http(describe(&error)))?;
        let request = Request::get(uri).header(USER_AGENT, AGENT).body(Empty::new());
        let request = request.map_err(|error| AskError::Http(describe(&error)))?;
        let client = match family {
            Family::V4 => &self.v4,
            Family::V6 => &self.v6,
        };
        client.request(request).await.map_err(|error| {
            let is_unreachable =
                chain(&error).filter_map(|error| error.downcast_ref::<io::Error>()).any(is_without_address);
            if is_unreachable { AskError::NoAddress } else { AskError::Http(describe(&error)) }
        })
    }

    /// Whether a request to `url` would go to this machine itself.
    async fn reaches_this_machine(&self, url: &TrackerUrl, family: Family) -> Result<bool, AskError> {
        let addresses = self.dns.addresses(url.host(), family).await?;
        if addresses.is_empty() {
            return Err(AskError::NoAddress);
        }
        let is_here = |address: &IpAddr| {
            let address = address.to_canonical();
            address.is_loopback() || address.is_unspecified()
        };
        Ok(addresses.iter().any(is_here))
    }
}

/// Where `response` sends us, if it is a redirect that may be followed.
fn redirect(at: &TrackerUrl, response: &Response<Incoming>) -> Result<Option<TrackerUrl>, AskError> {
    let location = response.headers().get(LOCATION).and_then(|location| location.to_str().ok());
    let (Some(location), 301 | 302 | 303 | 307 | 308) = (location, response.status().as_u16()) else {
        return Ok(None);
    };
    let next = at.join(location)?;
    match (at.scheme(), next.scheme()) {
        (_, Scheme::Udp) | (Scheme::Https, Scheme::Http) => Err(AskError::ForbiddenRedirect(next.origin())),
        _ => Ok(Some(next)),
    }
}

/// Reads an answer. One with another status than 200 counts if it says why it refuses.
async fn read(response: Response<Incoming>) -> Result<Reply, AskError> {
    let status = response.status();
    let reply = body(response, MAX_RESPONSE_LENGTH).await.and_then(|body| Ok(Reply::decode(&body)?));
    match reply {
        Ok(Reply::Refusal(refusal)) => Ok(Reply::Refusal(refusal)),
        reply if status.is_success() => reply,
        _ => Err(AskError::Status(status.as_u16())),
    }
}

/// The bytes of a response, at most `max_length`.
async fn body(response: Response<Incoming>, max_length: usize) -> Result<Bytes, AskError> {
    if response.body().size_hint().lower() > max_length as u64 {
        return Err(AskError::TooLong(max_length));
    }
    let mut body = Limited::new(response.into_body(), max_length);
    // Gathered in one piece: what is long goes back to the system as a whole.
    let mut bytes = Vec::new();
    while let Some(frame) = body.frame().await {
        match frame {
            Ok(frame) => bytes.extend_from_slice(frame.data_ref().map_or(&[], |data| data)),
            Err(error) if error.is::<LengthLimitError>() => return Err(AskError::TooLong(max_length)),
            Err(error) => return Err(AskError::Http(describe(error.as_ref()))),
        }
    }
    Ok(bytes.into())
}

/// An error and what caused it.
fn chain<'a>(error: &'a (dyn Error + 'static)) -> impl Iterator<Item = &'a (dyn Error + 'static)> {
    std::iter::successors(Some(error), |&error| error.source())
}

/// All that an error and its causes say; each alone says too little.
fn describe(error: &(dyn Error + 'static)) -> String {
    let mut texts: Vec<String> = chain(error).map(ToString::to_string).collect();
    texts.dedup();
    texts.join(": ")
}
