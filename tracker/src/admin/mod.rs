//! The admin API (stub).
use crate::desk::Desk;
use std::net::SocketAddr;
use std::os::unix::net::UnixListener;
use std::path::PathBuf;
use std::sync::Arc;
/// Where.
#[derive(Debug)]
pub struct Addresses {
    /// H.
    pub http: Vec<SocketAddr>,
    /// U.
    pub udp: Vec<SocketAddr>,
}
/// S.
#[derive(Debug)]
pub struct AdminSettings {
    /// a
    pub socket: Option<PathBuf>,
    /// a
    pub inherited: Option<UnixListener>,
    /// a
    pub socket_gid: Option<u32>,
    /// a
    pub metrics_listen: Option<SocketAddr>,
}
/// A.
#[derive(Debug)]
pub struct Admin;
impl Admin {
    /// a
    /// # Errors
    pub fn start(_: AdminSettings, _: &Arc<Desk>, _: Addresses) -> std::io::Result<Self> {
        Ok(Self)
    }
    /// a
    pub fn metrics_address(&self) -> Option<SocketAddr> {
        None
    }
    /// a
    pub fn stop(self) {}
}
