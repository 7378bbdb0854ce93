//! Fetches a .torrent file from the web: the one thing besides announces that goes over HTTP.

use protocol::announce::{Family, Scheme, TrackerUrl};

use super::client::AskError;
use super::dns::Dns;
use super::http::{self, HttpClient};
use super::settings::{Roots, ask_system};

/// Why a file cannot be fetched.
#[derive(Debug, thiserror::Error)]
pub enum FetchError {
    /// It is no URL that anything could be fetched from.
    #[error("{0}: not a URL that begins with http:// or https://")]
    Url(String),
    /// TLS cannot be set up.
    #[error("TLS cannot be set up: {0}")]
    Tls(#[from] rustls::Error),
    /// The server did not give it.
    #[error("{url}: {reason}")]
    Refused {
        /// Where it was to be.
        url: String,
        /// What happened.
        reason: String,
    },
}

/// Fetches what is at `url`, at most `max_length` bytes. The caller limits its time.
///
/// # Errors
/// When it cannot be had, over either address family.
pub async fn fetch(url: &str, max_length: usize) -> Result<Vec<u8>, FetchError> {
    let parsed: Option<TrackerUrl> = url.parse().ok().filter(|url: &TrackerUrl| url.scheme() != Scheme::Udp);
    let parsed = parsed.ok_or_else(|| FetchError::Url(url.to_owned()))?;
    let client =
        HttpClient::new(&Dns::new(std::sync::Arc::new(ask_system)), http::tls_config(&Roots::Machine)?, 1);
    let mut reason = AskError::NoAddress;
    for family in [Family::V4, Family::V6] {
        match client.fetch(&parsed, family, max_length).await {
            Ok(bytes) => return Ok(bytes),
            // The other family may be the one that works; what it says counts only if it says more.
            Err(AskError::NoAddress) => {}
            Err(error) => reason = error,
        }
    }
    Err(FetchError::Refused { url: url.to_owned(), reason: reason.to_string() })
}
