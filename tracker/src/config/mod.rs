//! What the command line and the configuration mean, checked: from here on values are trusted.

mod file;
mod reload;
#[cfg(test)]
mod tests;
mod value;

use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

use nix::sys::sysinfo::sysinfo;
use service::config::{Document, Fault, LoadError, group_id};
use service::listen::distinct;
use service::log::LogConfig;
use service::places::Places;

use crate::PROGRAM;
use crate::access::AccessSettings;
use crate::args::RunArgs;
use crate::desk::Terms;
use crate::http::{HttpSettings, Trusted};
use crate::limits::Rate;
use crate::swarms::{Capacity, MAX_PICKS};

pub use file::{AccessTable, AnnounceTable, ConfigFile, HttpTable, LimitsTable, UdpTable};
pub use value::{Memory, Network};

/// Most connections over HTTP, unless others are asked for, where so many files may be open.
const DEFAULT_CONNECTIONS: u32 = 8_192;
/// Descriptors for all else: sockets, files, the control API.
const OTHER_FILES: u64 = 256;
/// Most workers: more than any machine has cores.
const MAX_WORKERS: u16 = 1_024;
/// Longest interval: peers that are gone are told of for more than twice as long.
const MAX_INTERVAL: Duration = Duration::from_secs(24 * 60 * 60);
/// Shortest interval, and time for anything that a client does.
const MIN_TIME: Duration = Duration::from_secs(1);
/// Longest name of the tracker: it goes into every answer and every request.
const MAX_TRACKER_ID_LENGTH: usize = 64;

/// What bttracker is to do.
#[derive(Debug, Clone)]
pub struct Config {
    /// The file that was read, if there is one.
    pub path: Option<PathBuf>,
    /// All keys, as they came to be.
    pub file: ConfigFile,
    /// Where HTTP is served.
    pub http: Vec<SocketAddr>,
    /// Where UDP is served.
    pub udp: Vec<SocketAddr>,
    /// Threads for each of both.
    pub workers: usize,
    /// Where torrents and keys are kept, if they are.
    pub state_dir: Option<PathBuf>,
    /// How often.
    pub snapshot_interval: Duration,
    /// The Unix socket of the admin API, if there is one.
    pub control_socket: Option<PathBuf>,
    /// The group whose members may use it beside the user; its id.
    pub control_gid: Option<u32>,
    /// Where figures are served by themselves.
    pub metrics_listen: Option<SocketAddr>,
    /// What announces are answered by.
    pub terms: Terms,
    /// In how many torrents one address may have peers; 0 is no limit.
    pub torrents_per_address: u32,
    /// How HTTP is served.
    pub http_settings: HttpSettings,
    /// The file of the key for connection ids.
    pub udp_key: Option<PathBuf>,
    /// What is tracked, and for whom.
    pub access: AccessSettings,
    /// What is said, and to whom.
    pub log: LogConfig,
    /// The limit of open files that the rest was reckoned with.
    open_files: u64,
}

/// Why there is no configuration.
#[derive(Debug, thiserror::Error)]
pub enum ConfigError {
    /// The file cannot be read.
    #[error(transparent)]
    Load(#[from] LoadError),
    /// A key or a value cannot be meant.
    #[error(transparent)]
    Fault(#[from] Fault),
}

/// Where things lie by default: nowhere, but for a service.
#[derive(Debug, Clone, Default)]
struct Defaults {
    config_file: PathBuf,
    state_dir: Option<PathBuf>,
    control_socket: Option<PathBuf>,
}

impl Defaults {
    /// Those of this process. A unit of systemd has folders, and is told of them.
    fn of_process() -> Self {
        // Who has no home can do without a configuration.
        let Ok(places) = Places::of_process(PROGRAM) else { return Self::default() };
        let is_given = |variable: &str| std::env::var_os(variable).is_some_and(|value| !value.is_empty());
        Self {
            config_file: places.config_file,
            state_dir: is_given("STATE_DIRECTORY").then_some(places.state_dir),
            control_socket: is_given("RUNTIME_DIRECTORY").then_some(places.control_socket),
        }
    }
}

impl Config {
    /// Brings together what `args` and the configuration say. `open_files` is the limit of open files.
    ///
    /// # Errors
    /// When a file that was named cannot be read, or something in it cannot be meant.
    pub fn load(args: &RunArgs, open_files: u64) -> Result<Self, ConfigError> {
        Self::load_at(&Defaults::of_process(), args, open_files)
    }

    fn load_at(defaults: &Defaults, args: &RunArgs, open_files: u64) -> Result<Self, ConfigError> {
        let document = Document::find(args.config.as_deref(), &defaults.config_file)?;
        let mut file: ConfigFile = match &document {
            Some(document) => document.parse()?,
            None => ConfigFile::default(),
        };
        file.state_dir = file.state_dir.or_else(|| defaults.state_dir.clone());
        file.control_socket = file.control_socket.or_else(|| defaults.control_socket.clone());
        if let Some(document) = &document {
            // By itself first: what is wrong in it is shown in it.
            Self::check(file.clone(), open_files).map_err(|fault| document.locate(fault))?;
        }
        if !args.http.is_empty() {
            file.http.clone_from(&args.http);
        }
        if !args.udp.is_empty() {
            file.udp.clone_from(&args.udp);
        }
        file.log.level = file.log.level.changed_by(args.log);
        let config = Self::check(file, open_files)?;
        Ok(Self { path: document.map(|document| document.path), ..config })
    }

    /// The same, but for what the file says.
    fn with_file(&self, file: ConfigFile) -> Result<Self, Fault> {
        Ok(Self { path: self.path.clone(), ..Self::check(file, self.open_files)? })
    }

    /// Checks what is typed.
    fn check(file: ConfigFile, open_files: u64) -> Result<Self, Fault> {
        let listen = |key, addresses: &[SocketAddr]| {
            distinct(addresses.to_vec()).map_err(|overlap| Fault::new(key, overlap.to_string()))
        };
        let (http, udp) = (listen("http", &file.http)?, listen("udp", &file.udp)?);
        if http.is_empty() && udp.is_empty() {
            return Err(Fault::new("http", "neither http nor udp has an address, so nobody could announce"));
        }
        if file.workers > MAX_WORKERS {
            return Err(Fault::new("workers", format!("more than {MAX_WORKERS}")));
        }
        if file.snapshot_interval < MIN_TIME {
            return Err(Fault::new("snapshot_interval", "a second at least"));
        }
        let cores = || std::thread::available_parallelism().map_or(1, usize::from);
        Ok(Self {
            path: None,
            http,
            udp,
            workers: if file.workers == 0 { cores() } else { file.workers.into() },
            state_dir: file.state_dir.clone(),
            snapshot_interval: file.snapshot_interval,
            control_socket: file.control_socket.clone(),
            control_gid: group_id("control_group", &file.control_group)?,
            metrics_listen: file.metrics_listen,
            terms: terms(&file)?,
            torrents_per_address: file.limits.torrents_per_address,
            http_settings: http_settings(&file.http_server, open_files)?,
            udp_key: file.udp_server.key.clone(),
            access: access(&file.access),
            log: LogConfig::of_service(file.log),
            open_files,
            file,
        })
    }

    /// Whether the addresses of HTTP are the defaults, so that others will do where the machine does not have one.
    pub fn has_default_http(&self) -> bool {
        self.http == file::default_listen()
    }

    /// The same of UDP.
    pub fn has_default_udp(&self) -> bool {
        self.udp == file::default_listen()
    }
}

fn terms(file: &ConfigFile) -> Result<Terms, Fault> {
    let (announce, limits) = (&file.announce, &file.limits);
    if !(MIN_TIME..=MAX_INTERVAL).contains(&announce.interval) {
        return Err(Fault::new("announce.interval", "a second at least, and a day at most"));
    }
    // Intervals are up to a tenth shorter than that.
    if announce.min_interval > announce.interval * 9 / 10 {
        return Err(Fault::new("announce.min_interval", "at most nine tenths of announce.interval"));
    }
    let (numwant, numwant_max) = (usize::from(announce.numwant), usize::from(announce.numwant_max));
    if numwant_max > MAX_PICKS {
        return Err(Fault::new("announce.numwant_max", format!("at most {MAX_PICKS}")));
    }
    if numwant > numwant_max {
        return Err(Fault::new("announce.numwant", "at most announce.numwant_max"));
    }
    if announce.tracker_id.len() > MAX_TRACKER_ID_LENGTH {
        return Err(Fault::new("announce.tracker_id", format!("at most {MAX_TRACKER_ID_LENGTH} bytes")));
    }
    if limits.rate_per_address > 0 && limits.rate_burst == 0 {
        return Err(Fault::new("limits.rate_burst", "at least 1, or nobody could ask for anything"));
    }
    Ok(Terms {
        interval: announce.interval,
        min_interval: announce.min_interval,
        numwant,
        numwant_max,
        tracker_id: announce.tracker_id.clone(),
        rate: Rate { per_s: limits.rate_per_address, burst: limits.rate_burst },
        peers_per_address: limits.peers_per_address_per_torrent,
        capacity: Capacity { torrents: limits.torrents, bytes: bytes(limits.memory) },
    })
}

/// How many bytes that is; 0 is no limit.
fn bytes(memory: Memory) -> u64 {
    match memory {
        Memory::Bytes(bytes) => bytes,
        Memory::Half => sysinfo().map_or(0, |machine| machine.ram_total() / 2),
    }
}

fn http_settings(table: &HttpTable, open_files: u64) -> Result<HttpSettings, Fault> {
    if table.idle_timeout < MIN_TIME {
        return Err(Fault::new("http_server.idle_timeout", "a second at least"));
    }
    if table.proxy_protocol && table.trusted_proxies.is_empty() {
        let message = "http_server.trusted_proxies names nobody whose preamble would be believed";
        return Err(Fault::new("http_server.proxy_protocol", message));
    }
    let possible = u32::try_from(open_files.saturating_sub(OTHER_FILES)).unwrap_or(u32::MAX).max(1);
    let max_connections = match table.connections {
        0 => possible,
        DEFAULT_CONNECTIONS => DEFAULT_CONNECTIONS.min(possible),
        asked if asked > possible => {
            let message = format!("more than the limit of open files leaves, {possible}: raise `ulimit -n`");
            return Err(Fault::new("http_server.connections", message));
        }
        asked => asked,
    };
    Ok(HttpSettings {
        idle_timeout: table.idle_timeout,
        max_connections,
        max_connections_per_address: table.connections_per_address,
        trusted: Trusted::new(table.trusted_proxies.iter().map(|network| network.0).collect()),
        has_preamble: table.proxy_protocol,
        honours_ip: table.ip_parameter,
        has_metrics: table.metrics,
        has_stats: table.stats,
    })
}

fn access(table: &AccessTable) -> AccessSettings {
    AccessSettings { allow: table.allow.clone(), deny: table.deny.clone(), passkeys: table.passkeys.clone() }
}
