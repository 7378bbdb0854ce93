//! What `btd run` is to do: file, command line and defaults brought together, and checked.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::time::Duration;

use protocol::swarm::Settings;
use service::config::{Document, Fault, LoadError, group_id};
use service::listen::distinct;
use service::log::LogConfig;
use service::places::{NoHome, Places};

use crate::PROGRAM;
use crate::args::RunArgs;
use crate::storage::write::place::Placing;

use super::file::{ConfigFile, LimitsTable};
use super::{ConfigError, ServeConfig, default_listen, serve, slots};
use crate::bus::RateLimits;

/// Most workers: more than any machine has cores.
const MAX_WORKERS: u16 = 1_024;
/// Most peers that a tracker is asked for: those that are about send a few hundred at most.
const MAX_NUMWANT: u32 = 1_000;
/// Most packets to a UDP tracker that does not answer (BEP 15).
const MAX_UDP_ATTEMPTS: u32 = 9;
/// Most requests to trackers at a time: each has a descriptor.
const MAX_REQUESTS: u32 = 1_024;

/// Least time for a tracker: a handshake around the world and back.
const MIN_TIMEOUT: Duration = Duration::from_secs(1);
/// Most time for a tracker: its place in the queue is another's for as long.
const MAX_TIMEOUT: Duration = Duration::from_secs(600);

/// What `btd run` is to do. Paths are absolute.
#[derive(Debug, Clone, PartialEq)]
pub struct RunConfig {
    /// The file that was read, if there is one.
    pub path: Option<PathBuf>,
    /// All keys, as they came to be.
    pub file: ConfigFile,
    /// How to serve, and what all torrents together may send and receive.
    pub serve: ServeConfig,
    /// How the swarm of each torrent is to behave, unless the torrent says otherwise.
    pub swarm: Settings,
    /// How files are made.
    pub placing: Placing,
    /// Where torrents lie that name no other folder.
    pub data_dir: PathBuf,
    /// Where the state is kept.
    pub state_dir: PathBuf,
    /// The Unix socket of the control API.
    pub control_socket: PathBuf,
    /// The group whose members may use the socket beside the user; its id.
    pub control_gid: Option<u32>,
    /// Paths that clients name lie under one of these; `/` alone for whoever runs it for himself.
    pub control_roots: Vec<PathBuf>,
    /// Where .torrent files are added from as they appear.
    pub watch_dir: Option<PathBuf>,
    /// Where payload lies until it is complete, if elsewhere.
    pub incomplete_dir: Option<PathBuf>,
    /// Where metrics are served, beside the socket.
    pub metrics_listen: Option<SocketAddr>,
    /// Bits that new files do not get; as the process was started, if none.
    pub umask: Option<u32>,
    /// What to run when a torrent is complete.
    pub on_complete: Option<Hook>,
    /// What to run when something is wrong with a torrent.
    pub on_error: Option<Hook>,
    /// Downloads that go on at a time; all if none.
    pub active_downloads: Option<usize>,
    /// The ratio at which a torrent is paused.
    pub ratio_limit: Option<f64>,
    /// How long a torrent is seeded before it is paused.
    pub seed_time_limit: Option<Duration>,
    /// What is said, and to whom.
    pub log: LogConfig,
    /// The limit of open files that the rest was reckoned with.
    open_files: u64,
    /// Whether it runs as a service.
    is_service: bool,
}

/// A program to run, never through a shell.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Hook {
    /// Its path, or its name in PATH.
    pub program: String,
    /// Its arguments.
    pub arguments: Vec<String>,
}

/// Why there is no configuration.
#[derive(Debug, thiserror::Error)]
pub enum RunConfigError {
    /// The file cannot be read.
    #[error(transparent)]
    Load(#[from] LoadError),
    /// A key or a value cannot be meant.
    #[error(transparent)]
    Fault(#[from] Fault),
    /// Nowhere to keep anything.
    #[error(transparent)]
    NoHome(#[from] NoHome),
}

impl RunConfig {
    /// Brings together what `args` and the configuration say. `open_files` is the limit of open files.
    ///
    /// # Errors
    /// When a file that was named cannot be read, or something in it cannot be meant.
    pub fn load(args: &RunArgs, open_files: u64) -> Result<Self, RunConfigError> {
        Self::load_at(&Places::of_process(PROGRAM)?, args, open_files)
    }

    pub(super) fn load_at(places: &Places, args: &RunArgs, open_files: u64) -> Result<Self, RunConfigError> {
        let document = Document::find(args.config.as_deref(), &places.config_file)?;
        let mut file: ConfigFile = match &document {
            Some(document) => document.parse()?,
            None => ConfigFile::default(),
        };
        if let Some(document) = &document {
            // By itself first: what is wrong in it is shown in it.
            Self::check(file.clone(), places, open_files).map_err(|fault| document.locate(fault))?;
        }
        put_above(&mut file, args)?;
        let config = Self::check(file, places, open_files)?;
        Ok(Self { path: document.map(|document| document.path), ..config })
    }

    /// Checks what is typed, and fills in what depends on where it runs.
    fn check(mut file: ConfigFile, places: &Places, open_files: u64) -> Result<Self, Fault> {
        fill(&mut file, places);
        let settled = |path: &Option<PathBuf>| path.clone().unwrap_or_default();
        let (data_dir, state_dir, control_socket) =
            (settled(&file.data_dir), settled(&file.state_dir), settled(&file.control_socket));
        let paths = [
            ("data_dir", &data_dir),
            ("state_dir", &state_dir),
            ("control_socket", &control_socket),
            ("watch_dir", &settled(&file.watch_dir)),
        ];
        if let Some((key, path)) = paths.iter().find(|(_, path)| path.to_str().is_none()) {
            return Err(Fault::new(key, format!("{} is not UTF-8, as JSON is", path.display())));
        }
        if let Some(root) = file.control_roots.iter().find(|root| !root.is_absolute()) {
            return Err(Fault::new("control_roots", format!("{} does not begin with /", root.display())));
        }
        let serve = serving(&file, open_files)?;
        check_trackers(&file)?;
        Ok(Self {
            path: None,
            swarm: swarm(&file.limits, &serve),
            placing: placing(&file)?,
            serve,
            state_dir,
            control_socket,
            control_gid: group_id("control_group", &file.control_group)?,
            control_roots: match &file.control_roots[..] {
                [] => usual_roots(&data_dir, file.watch_dir.as_deref(), places.is_service),
                roots => roots.to_vec(),
            },
            data_dir,
            is_service: places.is_service,
            watch_dir: file.watch_dir.clone(),
            incomplete_dir: file.incomplete_dir.clone(),
            metrics_listen: file.metrics_listen,
            umask: file.umask.0,
            on_complete: hook("on_complete", &file.on_complete)?,
            on_error: hook("on_error", &file.on_error)?,
            active_downloads: some_count(file.limits.active_downloads),
            ratio_limit: ratio(file.limits.ratio)?,
            seed_time_limit: Some(file.limits.seed_time).filter(|time| !time.is_zero()),
            log: LogConfig::of_service(file.log),
            file,
            open_files,
        })
    }

    /// The same with another file, as `reload` makes it.
    pub(super) fn with_file(&self, file: ConfigFile) -> Result<Self, Fault> {
        let places = Places {
            config_file: PathBuf::new(),
            data_dir: self.data_dir.clone(),
            state_dir: self.state_dir.clone(),
            control_socket: self.control_socket.clone(),
            is_service: self.is_service,
        };
        let config = Self::check(file, &places, self.open_files)?;
        Ok(Self { path: self.path.clone(), ..config })
    }
}

/// What the command line says goes above the file. Its paths start where we are.
fn put_above(file: &mut ConfigFile, args: &RunArgs) -> Result<(), LoadError> {
    let RunArgs { config: _, listen, data_dir, state_dir, socket, watch_dir, metrics_listen, workers, log } =
        args;
    if !listen.is_empty() {
        file.listen.clone_from(listen);
    }
    let paths = [
        (data_dir, &mut file.data_dir),
        (state_dir, &mut file.state_dir),
        (socket, &mut file.control_socket),
        (watch_dir, &mut file.watch_dir),
    ];
    for (given, key) in paths {
        if let Some(path) = given {
            let absolute = std::path::absolute(path);
            *key = Some(absolute.map_err(|source| LoadError::Read { path: path.clone(), source })?);
        }
    }
    file.metrics_listen = metrics_listen.or(file.metrics_listen);
    file.workers = workers.unwrap_or(file.workers);
    file.log.level = file.log.level.changed_by(*log);
    Ok(())
}

/// Gives keys without a value the one that they have here.
fn fill(file: &mut ConfigFile, places: &Places) {
    file.data_dir.get_or_insert_with(|| places.data_dir.clone());
    file.state_dir.get_or_insert_with(|| places.state_dir.clone());
    file.control_socket.get_or_insert_with(|| places.control_socket.clone());
}

/// Paths that clients may name, where the file does not say.
fn usual_roots(data_dir: &Path, watch_dir: Option<&Path>, is_service: bool) -> Vec<PathBuf> {
    match is_service {
        true => [Some(data_dir), watch_dir].into_iter().flatten().map(Path::to_owned).collect(),
        false => vec![PathBuf::from("/")],
    }
}

/// How to serve.
fn serving(file: &ConfigFile, open_files: u64) -> Result<ServeConfig, Fault> {
    let limits = RateLimits {
        upload_bytes_per_s: file.limits.upload_rate.0,
        download_bytes_per_s: file.limits.download_rate.0,
    };
    if file.listen.is_empty() {
        return Err(Fault::new("listen", "at least one address"));
    }
    let listen =
        distinct(file.listen.clone()).map_err(|overlap| Fault::new("listen", overlap.to_string()))?;
    if file.workers > MAX_WORKERS {
        return Err(Fault::new("workers", format!("at most {MAX_WORKERS}")));
    }
    let workers = Some(file.workers).filter(|workers| *workers > 0);
    let connections = Some(file.limits.connections).filter(|connections| *connections > 0);
    let serve = serve(listen, workers, connections, open_files, limits).map_err(|error| match error {
        ConfigError::MaxConnections { possible, .. } => Fault::new(
            "limits.connections",
            format!("more than the limit of open files leaves, {possible}: raise `ulimit -n` or LimitNOFILE"),
        ),
        other => Fault::new("listen", other.to_string()),
    })?;
    let max_open_files = match some_count(file.limits.open_files) {
        Some(asked) if asked > serve.max_open_files => {
            let possible = serve.max_open_files;
            let message = format!(
                "more than the limit of open files leaves, {possible}: raise `ulimit -n` or LimitNOFILE"
            );
            return Err(Fault::new("limits.open_files", message));
        }
        asked => asked.unwrap_or(serve.max_open_files),
    };
    Ok(ServeConfig {
        has_default_listen: serve.listen == default_listen(),
        max_open_files,
        is_fetching: true,
        trackers: file.tracker.clone(),
        ..serve
    })
}

/// How swarms are to behave.
fn swarm(limits: &LimitsTable, serve: &ServeConfig) -> Settings {
    let usual = Settings::default();
    let max_peers = some_count(limits.connections_per_torrent).unwrap_or(serve.max_connections);
    let asked = some_count(limits.upload_slots);
    Settings {
        max_peers,
        enough_peers: usual.enough_peers.min(max_peers),
        leech_slots: asked.or(usual.leech_slots),
        seed_slots: asked.or(slots(serve.limits)),
        ..usual
    }
}

fn placing(file: &ConfigFile) -> Result<Placing, Fault> {
    let suffix = &file.incomplete_suffix;
    if suffix.contains(['/', '\0']) {
        return Err(Fault::new("incomplete_suffix", "not the end of a file name"));
    }
    let suffix = Some(suffix.clone()).filter(|suffix| !suffix.is_empty());
    Ok(Placing { allocation: file.preallocate.into(), suffix })
}

fn hook(key: &str, words: &[String]) -> Result<Option<Hook>, Fault> {
    let Some((program, arguments)) = words.split_first() else { return Ok(None) };
    if program.is_empty() || words.iter().any(|word| word.contains('\0')) {
        return Err(Fault::new(key, "a program, and its arguments"));
    }
    Ok(Some(Hook { program: program.clone(), arguments: arguments.to_vec() }))
}

fn ratio(ratio: f64) -> Result<Option<f64>, Fault> {
    if !ratio.is_finite() || ratio < 0.0 {
        return Err(Fault::new("limits.ratio", "a number from 0, which is for no limit"));
    }
    Ok(Some(ratio).filter(|ratio| *ratio > 0.0))
}

fn check_trackers(file: &ConfigFile) -> Result<(), Fault> {
    let tracker = &file.tracker;
    let counts = [
        ("tracker.numwant", tracker.numwant, 0, MAX_NUMWANT),
        ("tracker.udp_attempts", tracker.udp_attempts, 1, MAX_UDP_ATTEMPTS),
        ("tracker.requests", tracker.requests, 1, MAX_REQUESTS),
        ("tracker.requests_per_host", tracker.requests_per_host, 1, MAX_REQUESTS),
    ];
    if let Some((key, _, least, most)) = counts.iter().find(|(_, n, least, most)| n < least || n > most) {
        return Err(Fault::new(key, format!("from {least} to {most}")));
    }
    let times =
        [("tracker.http_timeout", tracker.http_timeout), ("tracker.udp_timeout", tracker.udp_timeout)];
    match times.iter().find(|(_, time)| !(MIN_TIMEOUT..=MAX_TIMEOUT).contains(time)) {
        Some((key, _)) => Err(Fault::new(key, "from 1s to 10m")),
        None => Ok(()),
    }
}

/// A count of which 0 is none.
fn some_count(count: u32) -> Option<usize> {
    Some(usize::try_from(count).unwrap_or(usize::MAX)).filter(|count| *count > 0)
}
