//! The configuration file as it is typed: all its keys, with their defaults. What they mean is checked in `mod.rs`;
//! `systemd/bttracker.toml` explains them to people, and a test holds the two together.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::path::PathBuf;
use std::time::Duration;

use serde::{Deserialize, Serialize};
use service::config::value;
use service::log::LogTable;

use super::value::{Memory, Network};

/// The port that trackers have had since opentracker.
const DEFAULT_PORT: u16 = 6969;

/// The file, with defaults for what it leaves out.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
#[allow(missing_docs, reason = "systemd/bttracker.toml explains each key")]
pub struct ConfigFile {
    pub http: Vec<SocketAddr>,
    pub udp: Vec<SocketAddr>,
    pub workers: u16,
    #[serde(with = "value")]
    pub state_dir: Option<PathBuf>,
    #[serde(with = "value")]
    pub snapshot_interval: Duration,
    #[serde(with = "value")]
    pub control_socket: Option<PathBuf>,
    pub control_group: String,
    #[serde(with = "value")]
    pub metrics_listen: Option<SocketAddr>,
    pub announce: AnnounceTable,
    pub http_server: HttpTable,
    pub udp_server: UdpTable,
    pub access: AccessTable,
    pub limits: LimitsTable,
    pub log: LogTable,
}

/// The table `[announce]`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
#[allow(missing_docs, reason = "systemd/bttracker.toml explains each key")]
pub struct AnnounceTable {
    #[serde(with = "value")]
    pub interval: Duration,
    #[serde(with = "value")]
    pub min_interval: Duration,
    pub numwant: u16,
    pub numwant_max: u16,
    pub tracker_id: String,
}

/// The table `[http_server]`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
#[allow(missing_docs, reason = "systemd/bttracker.toml explains each key")]
pub struct HttpTable {
    #[serde(with = "value")]
    pub idle_timeout: Duration,
    pub connections: u32,
    pub connections_per_address: u32,
    pub trusted_proxies: Vec<Network>,
    pub proxy_protocol: bool,
    pub ip_parameter: bool,
    pub metrics: bool,
    pub stats: bool,
}

/// The table `[udp_server]`.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
#[allow(missing_docs, reason = "systemd/bttracker.toml explains each key")]
pub struct UdpTable {
    #[serde(with = "value")]
    pub key: Option<PathBuf>,
}

/// The table `[access]`.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
#[allow(missing_docs, reason = "systemd/bttracker.toml explains each key")]
pub struct AccessTable {
    #[serde(with = "value")]
    pub allow: Option<PathBuf>,
    #[serde(with = "value")]
    pub deny: Option<PathBuf>,
    #[serde(with = "value")]
    pub passkeys: Option<PathBuf>,
}

/// The table `[limits]`; 0 is no limit.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
#[allow(missing_docs, reason = "systemd/bttracker.toml explains each key")]
pub struct LimitsTable {
    pub rate_per_address: u32,
    pub rate_burst: u32,
    pub peers_per_address_per_torrent: u32,
    pub torrents_per_address: u32,
    pub torrents: u64,
    #[serde(with = "value")]
    pub memory: Memory,
}

impl Default for ConfigFile {
    fn default() -> Self {
        Self {
            http: default_listen(),
            udp: default_listen(),
            workers: 0,
            state_dir: None,
            snapshot_interval: Duration::from_secs(600),
            control_socket: None,
            control_group: String::new(),
            metrics_listen: None,
            announce: AnnounceTable::default(),
            http_server: HttpTable::default(),
            udp_server: UdpTable::default(),
            access: AccessTable::default(),
            limits: LimitsTable::default(),
            log: LogTable::default(),
        }
    }
}

impl Default for AnnounceTable {
    fn default() -> Self {
        Self {
            interval: Duration::from_secs(1_800),
            min_interval: Duration::from_secs(300),
            numwant: 50,
            numwant_max: 200,
            tracker_id: String::new(),
        }
    }
}

impl Default for HttpTable {
    fn default() -> Self {
        Self {
            idle_timeout: Duration::from_secs(30),
            connections: super::DEFAULT_CONNECTIONS,
            connections_per_address: 256,
            trusted_proxies: Vec::new(),
            proxy_protocol: false,
            ip_parameter: false,
            metrics: false,
            stats: true,
        }
    }
}

impl Default for LimitsTable {
    fn default() -> Self {
        Self {
            rate_per_address: 100,
            rate_burst: 20_000,
            peers_per_address_per_torrent: 128,
            torrents_per_address: 200_000,
            torrents: 0,
            memory: Memory::default(),
        }
    }
}

/// All addresses of both families.
pub(super) fn default_listen() -> Vec<SocketAddr> {
    let any: [IpAddr; 2] = [Ipv4Addr::UNSPECIFIED.into(), Ipv6Addr::UNSPECIFIED.into()];
    any.map(|ip| SocketAddr::new(ip, DEFAULT_PORT)).to_vec()
}
