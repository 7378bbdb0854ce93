//! What the thread that asks trackers is started with.

use std::fmt;
use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use protocol::id::PeerId;
use rustls::RootCertStore;

use super::Found;
use super::dns::{Lookup, Resolve};

/// Who we are, where peers go, and limits. Everything after `found` has a default for the real world.
#[derive(Clone)]
pub struct Settings {
    /// Our peer id.
    pub our_id: PeerId,
    /// Where we listen.
    pub port: u16,
    /// Tells trackers that it is still us when our address has changed.
    pub key: u32,
    /// Takes found peers.
    pub found: Found,
    /// Peers that are asked for in one announce.
    pub num_want: u32,
    /// Most time for an HTTP announce, redirects and name lookup included.
    pub http_timeout: Duration,
    /// Most time for an announce with `stopped`.
    pub stopped_timeout: Duration,
    /// Wait for the first UDP packet; it doubles with each (BEP 15).
    pub udp_base: Duration,
    /// UDP packets before the tracker counts as dead. BEP 15 goes on to nine, which takes two hours: the schedule
    /// asks again anyway.
    pub udp_attempts: u32,
    /// Most requests at a time to one host.
    pub per_host: usize,
    /// Most requests at a time.
    pub overall: usize,
    /// Who may vouch for a tracker's certificate.
    pub roots: Roots,
    /// Looks names up.
    pub resolve: Resolve,
}

/// Certificates that are trusted.
#[derive(Debug, Clone)]
pub enum Roots {
    /// Those of the machine, or Mozilla's where it has none.
    Machine,
    /// These alone.
    Only(Arc<RootCertStore>),
}

impl Settings {
    /// The defaults.
    pub fn new(our_id: PeerId, port: u16, key: u32, found: Found) -> Self {
        Self {
            our_id,
            port,
            key,
            found,
            num_want: 200,
            http_timeout: Duration::from_secs(30),
            stopped_timeout: Duration::from_secs(5),
            udp_base: Duration::from_secs(15),
            udp_attempts: 2,
            per_host: 4,
            overall: 64,
            roots: Roots::Machine,
            resolve: Arc::new(ask_system),
        }
    }
}

impl fmt::Debug for Settings {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Settings")
            .field("our_id", &self.our_id)
            .field("port", &self.port)
            .finish_non_exhaustive()
    }
}

/// The system's resolver, on a thread for blocking work.
pub(super) fn ask_system(name: String) -> Lookup {
    Box::pin(async move {
        let addresses = tokio::net::lookup_host((name, 0)).await?;
        let mut addresses: Vec<IpAddr> = addresses.map(|address| address.ip()).collect();
        addresses.dedup();
        Ok(addresses)
    })
}
