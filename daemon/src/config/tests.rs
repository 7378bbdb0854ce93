//! Every key of the configuration: that it is obeyed, refused, overruled and reloaded; and that the file which is
//! installed tells the truth.

use std::collections::BTreeSet;
use std::fmt::Debug;
use std::path::{Path, PathBuf};

use clap::Parser;
use service::config::Taken;
use service::config::testing::{keys_of, marked_restart, uncommented};
use service::places::Places;
use toml::Table;

use crate::args::{Args, Command, RunArgs};

use super::reload::KEYS;
use super::{ConfigFile, RunConfig};

/// What leaves enough for all that is asked for here.
const OPEN_FILES: u64 = 8_192;
/// The file that packages install.
const INSTALLED: &str = include_str!("../../../systemd/btd.toml");

/// What of a configuration tells the value of a key.
type Look = fn(&RunConfig) -> String;

fn show(value: impl Debug) -> String {
    format!("{value:?}")
}

/// Each key, a value that is not the default, and where it is seen.
const KEYS_AND_LOOKS: &[(&str, &str, &str, Look)] = &[
    ("listen", r#"["127.0.0.1:1"]"#, "[127.0.0.1:1]", |c| show(&c.serve.listen)),
    ("data_dir", r#""/x""#, r#""/x""#, |c| show(&c.data_dir)),
    ("state_dir", r#""/x""#, r#""/x""#, |c| show(&c.state_dir)),
    ("control_socket", r#""/x""#, r#""/x""#, |c| show(&c.control_socket)),
    ("control_group", r#""root""#, "Some(0)", |c| show(c.control_gid)),
    ("control_roots", r#"["/x"]"#, r#"["/x"]"#, |c| show(&c.control_roots)),
    ("watch_dir", r#""/x""#, r#"Some("/x")"#, |c| show(&c.watch_dir)),
    ("incomplete_dir", r#""/x""#, r#"Some("/x")"#, |c| show(&c.incomplete_dir)),
    ("incomplete_suffix", r#"".x""#, r#"Some(".x")"#, |c| show(&c.placing.suffix)),
    ("preallocate", r#""full""#, "Full", |c| show(c.placing.allocation)),
    ("metrics_listen", r#""[::1]:1""#, "Some([::1]:1)", |c| show(c.metrics_listen)),
    ("workers", "97", "97", |c| show(c.serve.workers)),
    ("umask", r#""027""#, "Some(23)", |c| show(c.umask)),
    ("on_complete", r#"["a", "b c"]"#, r#"Some(Hook { program: "a", arguments: ["b c"] })"#, |c| {
        show(&c.on_complete)
    }),
    ("on_error", r#"["a"]"#, r#"Some(Hook { program: "a", arguments: [] })"#, |c| show(&c.on_error)),
    ("limits.upload_rate", "5000", "Some(5000)", |c| show(c.serve.limits.upload_bytes_per_s)),
    ("limits.download_rate", r#""1M""#, "Some(1000000)", |c| show(c.serve.limits.download_bytes_per_s)),
    ("limits.connections", "7", "7", |c| show(c.serve.max_connections)),
    ("limits.connections_per_torrent", "9", "(9, 9)", |c| show((c.swarm.max_peers, c.swarm.enough_peers))),
    ("limits.upload_slots", "3", "(Some(3), Some(3))", |c| show((c.swarm.leech_slots, c.swarm.seed_slots))),
    ("limits.open_files", "5", "5", |c| show(c.serve.max_open_files)),
    ("limits.active_downloads", "0", "None", |c| show(c.active_downloads)),
    ("limits.ratio", "1.5", "Some(1.5)", |c| show(c.ratio_limit)),
    ("limits.seed_time", r#""1d""#, "Some(86400s)", |c| show(c.seed_time_limit)),
    ("tracker.announce_port", "1", "1", |c| show(c.serve.trackers.announce_port)),
    ("tracker.numwant", "1", "1", |c| show(c.serve.trackers.numwant)),
    ("tracker.http_timeout", r#""1m""#, "60s", |c| show(c.serve.trackers.http_timeout)),
    ("tracker.udp_timeout", r#""1s""#, "1s", |c| show(c.serve.trackers.udp_timeout)),
    ("tracker.udp_attempts", "9", "9", |c| show(c.serve.trackers.udp_attempts)),
    ("tracker.requests", "1", "1", |c| show(c.serve.trackers.requests)),
    ("tracker.requests_per_host", "1", "1", |c| show(c.serve.trackers.requests_per_host)),
    ("log.level", r#""debug""#, "Debug", |c| show(c.log.level)),
    ("log.target", r#""stderr""#, "Stderr", |c| show(c.log.target)),
];

/// Values that are refused.
const REFUSED: &[(&str, &[&str])] = &[
    ("listen", &["[]", r#"["x"]"#, r#"["0.0.0.0:66000"]"#, r#"["0.0.0.0:1", "127.0.0.1:1"]"#, "1"]),
    ("data_dir", &[r#""x""#, r#""~/x""#, "true"]),
    ("state_dir", &[r#""x""#]),
    ("control_socket", &[r#""x""#]),
    ("control_group", &[r#""no such group""#, "1"]),
    ("control_roots", &[r#"["x"]"#, r#""/x""#]),
    ("watch_dir", &[r#""x""#]),
    ("incomplete_dir", &[r#""x""#]),
    ("incomplete_suffix", &[r#""/x""#]),
    ("preallocate", &[r#""some""#]),
    ("metrics_listen", &[r#""x""#, r#""127.0.0.1""#, r#""127.0.0.1:66000""#]),
    ("workers", &["1025", "-1", r#""many""#]),
    ("umask", &[r#""9""#, r#""1777""#]),
    ("on_complete", &[r#""a b""#, r#"[""]"#]),
    ("on_error", &[r#""a b""#, r#"[""]"#, r#"["a", 1]"#]),
    ("limits.upload_rate", &[r#""fast""#, "1", "-1", "0.5"]),
    ("limits.download_rate", &[r#""fast""#, "4095"]),
    ("limits.connections", &["100000", "-1"]),
    ("limits.connections_per_torrent", &["-1"]),
    ("limits.upload_slots", &["-1"]),
    ("limits.open_files", &["100000"]),
    ("limits.active_downloads", &["1.5"]),
    ("limits.ratio", &["-1", "nan", "inf", r#""1""#]),
    ("limits.seed_time", &[r#""soon""#, "30"]),
    ("tracker.announce_port", &["65536"]),
    ("tracker.numwant", &["1001"]),
    ("tracker.http_timeout", &["0", r#""1h""#]),
    ("tracker.udp_timeout", &["0", r#""1ms""#]),
    ("tracker.udp_attempts", &["0", "10"]),
    ("tracker.requests", &["0", "1025"]),
    ("tracker.requests_per_host", &["0", "1025"]),
    ("log.level", &[r#""loud""#]),
    ("log.target", &[r#""syslog""#]),
];

/// A folder with a configuration.
struct Folder(tempfile::TempDir);

impl Folder {
    fn with(text: &str) -> Self {
        let folder = tempfile::tempdir().unwrap();
        std::fs::write(folder.path().join("btd.toml"), text).unwrap();
        Self(folder)
    }

    fn file(&self) -> PathBuf {
        self.0.path().join("btd.toml")
    }

    fn load(&self, arguments: &[&str]) -> Result<RunConfig, String> {
        let places = Places { config_file: self.file(), ..Places::of_service("btd", None, None, None) };
        RunConfig::load_at(&places, &args(arguments), OPEN_FILES).map_err(|error| error.to_string())
    }
}

fn args(arguments: &[&str]) -> RunArgs {
    match Args::parse_from(["btd", "run"].iter().chain(arguments)).into_command() {
        Command::Run(args) => args,
        other => panic!("{other:?}"),
    }
}

fn load(text: &str) -> Result<RunConfig, String> {
    Folder::with(text).load(&[])
}

fn all_keys() -> BTreeSet<String> {
    keys_of(&ConfigFile::default())
}

fn owned<'a>(keys: impl Iterator<Item = &'a str>) -> BTreeSet<String> {
    keys.map(str::to_owned).collect()
}

#[test]
fn no_table_forgets_a_key() {
    assert_eq!(owned(KEYS.iter().map(|(key, _)| *key)), all_keys(), "what is reloaded");
    assert_eq!(owned(KEYS_AND_LOOKS.iter().map(|(key, ..)| *key)), all_keys(), "what is obeyed");
    assert_eq!(owned(REFUSED.iter().map(|(key, _)| *key)), all_keys(), "what is refused");
}

#[test]
fn every_key_is_obeyed() {
    let default = load("").unwrap();
    for (key, value, expected, look) in KEYS_AND_LOOKS {
        assert_ne!(look(&default), *expected, "{key}: {value} is the default");
        let config = load(&format!("{key} = {value}\n")).unwrap_or_else(|error| panic!("{error}"));
        assert_eq!(look(&config), *expected, "{key} = {value}");
    }
}

#[test]
fn every_key_is_refused_with_its_place() {
    for (key, values) in REFUSED {
        for value in *values {
            let folder = Folder::with(&format!("# a line before\n{key} = {value}\n"));
            let error = folder.load(&[]).expect_err(key);
            let start = format!("{}:2:", folder.file().display());
            assert!(error.starts_with(&start) && error.contains(&format!(": {key}: ")), "{value}: {error}");
            assert!(!error.contains('\n'), "one line: {error}");
        }
    }
}

#[test]
fn unknown_keys_and_tables_are_refused() {
    for key in ["x", "limits.x", "tracker.x", "log.x", "x.y"] {
        let error = load(&format!("{key} = 1\n")).unwrap_err();
        assert!(error.contains("unknown field `x`") && error.contains("btd.toml:1:"), "{key}: {error}");
    }
}

#[test]
fn defaults_are_good_and_what_is_printed_reads_as_the_same() {
    let config = load("").unwrap();
    assert!(config.serve.is_fetching && config.serve.has_default_listen);
    assert_eq!(config.control_roots, [Path::new("/var/lib/btd/data")]);
    assert_eq!(load(&config.file.to_toml().unwrap()).unwrap().file, config.file);
    assert!(!load("listen = [\"0.0.0.0:1\"]").unwrap().serve.has_default_listen);
    let config = load("watch_dir = \"/w\"\ndata_dir = \"/d\"").unwrap();
    assert_eq!(config.control_roots, [Path::new("/d"), Path::new("/w")]);
    assert_eq!(
        load("limits.upload_rate = \"1M\"").unwrap().swarm.seed_slots,
        Some(15),
        "what the rate feeds"
    );
}

#[test]
fn the_command_line_goes_above_the_file() {
    let text = "listen = [\"127.0.0.1:1\"]\ndata_dir = \"/a\"\nstate_dir = \"/a\"\ncontrol_socket = \"/a\"\n\
                watch_dir = \"/a\"\nmetrics_listen = \"127.0.0.1:1\"\nworkers = 1\nlog.level = \"warn\"\n";
    let flags: &[(&[&str], &str, Look)] = &[
        (&["--listen", "[::]:2", "--listen", "[::]:3"], "[[::]:2, [::]:3]", |c| show(&c.serve.listen)),
        (&["--data-dir", "/b"], r#""/b""#, |c| show(&c.data_dir)),
        (&["--data-dir", "/b"], r#"["/b", "/a"]"#, |c| show(&c.control_roots)),
        (&["--state-dir", "/b"], r#""/b""#, |c| show(&c.state_dir)),
        (&["--socket", "/b"], r#""/b""#, |c| show(&c.control_socket)),
        (&["--watch-dir", "/b"], r#"Some("/b")"#, |c| show(&c.watch_dir)),
        (&["--metrics-listen", "[::1]:2"], "Some([::1]:2)", |c| show(c.metrics_listen)),
        (&["--workers", "98"], "98", |c| show(c.serve.workers)),
        (&["--quiet"], "Error", |c| show(c.log.level)),
        (&["-vv"], "Debug", |c| show(c.log.level)),
    ];
    let folder = Folder::with(text);
    for (flags, expected, look) in flags {
        assert_ne!(look(&folder.load(&[]).unwrap()), *expected);
        assert_eq!(look(&folder.load(flags).unwrap()), *expected, "{flags:?}");
    }
    let here = std::env::current_dir().unwrap();
    assert_eq!(folder.load(&["--data-dir", "x"]).unwrap().data_dir, here.join("x"));
    let error = folder.load(&["--listen", "0.0.0.0:1", "--listen", "127.0.0.1:1"]).unwrap_err();
    assert_eq!(error, "listen: 0.0.0.0:1 is 127.0.0.1:1 too: leave one of them out");
}

#[test]
fn a_file_that_is_named_must_be_there_and_be_one() {
    let folder = Folder::with("");
    let missing = folder.0.path().join("missing.toml");
    let config = |path: &Path| args(&["--config", path.to_str().unwrap()]);
    let places = Places { config_file: missing.clone(), ..Places::of_service("btd", None, None, None) };
    let load = |args| RunConfig::load_at(&places, &args, OPEN_FILES).map_err(|error| error.to_string());
    assert_eq!(load(args(&[])).unwrap().path, None, "the usual one may be missing");
    assert!(load(config(&missing)).unwrap_err().starts_with(&missing.display().to_string()));
    assert_eq!(load(config(&folder.file())).unwrap().path, Some(folder.file()));
    std::fs::write(folder.file(), [0xff, 0xfe]).unwrap();
    assert!(load(config(&folder.file())).unwrap_err().contains("cannot be read"));
    std::fs::write(folder.file(), "#".repeat((1 << 20) + 1)).unwrap();
    assert!(load(config(&folder.file())).unwrap_err().contains("not a configuration"));
    assert!(load(config(folder.0.path())).unwrap_err().contains("cannot be read"), "a folder");
}

#[test]
fn who_runs_it_for_himself_may_name_any_path() {
    let places = Places { is_service: false, ..Places::of_service("btd", None, None, None) };
    let places = Places { config_file: "/nonexistent/btd.toml".into(), ..places };
    let config = RunConfig::load_at(&places, &RunArgs::default(), OPEN_FILES).unwrap();
    assert_eq!(config.control_roots, [Path::new("/")]);
}

#[test]
fn the_usual_roots_follow_the_watch_directory() {
    let old = load("watch_dir = \"/w\"").unwrap();
    let reload = old.reload(&load("watch_dir = \"/x\"").unwrap()).unwrap();
    assert_eq!((&reload.changed[..], &reload.needs_restart[..]), (&["watch_dir"][..], &[][..]));
    assert_eq!(reload.config.control_roots, [Path::new("/var/lib/btd/data"), Path::new("/x")]);
}

#[test]
fn every_key_is_reloaded_or_named() {
    let old = load("").unwrap();
    for (key, value, expected, look) in KEYS_AND_LOOKS {
        let new = load(&format!("{key} = {value}\n")).unwrap();
        let reload = old.reload(&new).unwrap();
        let (_, taken) = KEYS.iter().find(|(name, _)| name == key).unwrap();
        match taken {
            Taken::AtOnce => {
                assert_eq!(reload.changed, [*key]);
                assert_eq!(look(&reload.config), *expected, "{key}");
            }
            Taken::AtStart => {
                assert!(reload.changed.is_empty() && reload.needs_restart.contains(key), "{reload:?}");
                assert_eq!(look(&reload.config), look(&old), "{key}");
            }
        }
    }
    let reload = old.reload(&old).unwrap();
    assert!(reload.changed.is_empty() && reload.needs_restart.is_empty());
    assert_eq!(reload.config, old);
}

#[test]
fn the_installed_file_shows_every_key_with_its_default() {
    let default = load("").unwrap();
    assert_eq!(load(INSTALLED).unwrap().file, default.file, "it changes nothing");
    let shown: Table = uncommented(INSTALLED).parse().unwrap();
    assert_eq!(keys_of(&shown), all_keys());
    assert_eq!(load(&uncommented(INSTALLED)).unwrap().file, default.file);
    assert!(INSTALLED.contains("/etc/systemd/system/btd.service.d/payload.conf"));
}

#[test]
fn the_installed_file_says_what_needs_a_restart() {
    let at_start = KEYS.iter().filter(|(_, taken)| *taken == Taken::AtStart);
    assert_eq!(marked_restart(INSTALLED), owned(at_start.map(|(key, _)| *key)));
}
