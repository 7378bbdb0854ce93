//! Every key of the configuration: that it is obeyed, refused, overruled and reloaded; and that the file which is
//! installed tells the truth.

use std::collections::BTreeSet;
use std::fmt::Debug;
use std::path::PathBuf;

use clap::Parser;
use service::config::Taken;
use service::config::testing::{keys_of, marked_restart, uncommented};
use toml::Table;

use super::reload::KEYS;
use super::*;
use crate::args::Args;

/// What leaves enough for all that is asked for here.
const OPEN_FILES: u64 = 16_384;
/// The file that packages install.
const INSTALLED: &str = include_str!("../../../systemd/bttracker.toml");

/// What of a configuration tells the value of a key.
type Look = fn(&Config) -> String;

fn show(value: impl Debug) -> String {
    format!("{value:?}")
}

/// Each key, a value that is not the default, and where it is seen.
const KEYS_AND_LOOKS: &[(&str, &str, &str, Look)] = &[
    ("http", r#"["127.0.0.1:1"]"#, "[127.0.0.1:1]", |c| show(&c.http)),
    ("udp", r#"["[::1]:1"]"#, "[[::1]:1]", |c| show(&c.udp)),
    ("workers", "97", "97", |c| show(c.workers)),
    ("state_dir", r#""/x""#, r#"Some("/x")"#, |c| show(&c.state_dir)),
    ("snapshot_interval", r#""1h""#, "3600s", |c| show(c.snapshot_interval)),
    ("control_socket", r#""/x""#, r#"Some("/x")"#, |c| show(&c.control_socket)),
    ("control_group", r#""root""#, "Some(0)", |c| show(c.control_gid)),
    ("metrics_listen", r#""[::1]:1""#, "Some([::1]:1)", |c| show(c.metrics_listen)),
    ("announce.interval", r#""1h""#, "3600s", |c| show(c.terms.interval)),
    ("announce.min_interval", r#""10m""#, "600s", |c| show(c.terms.min_interval)),
    ("announce.numwant", "20", "20", |c| show(c.terms.numwant)),
    ("announce.numwant_max", "100", "100", |c| show(c.terms.numwant_max)),
    ("announce.tracker_id", r#""t1""#, r#""t1""#, |c| show(&c.terms.tracker_id)),
    ("http_server.idle_timeout", r#""5s""#, "5s", |c| show(c.http_settings.idle_timeout)),
    ("http_server.connections", "77", "77", |c| show(c.http_settings.max_connections)),
    ("http_server.connections_per_address", "7", "7", |c| show(c.http_settings.max_connections_per_address)),
    ("http_server.trusted_proxies", r#"["10.0.0.0/8", "::1"]"#, "Trusted([10.0.0.0/8, ::1/128])", |c| {
        show(&c.http_settings.trusted)
    }),
    ("http_server.proxy_protocol", "true\nhttp_server.trusted_proxies = [\"::1\"]", "true", |c| {
        show(c.http_settings.has_preamble)
    }),
    ("http_server.ip_parameter", "true", "true", |c| show(c.http_settings.honours_ip)),
    ("http_server.metrics", "true", "true", |c| show(c.http_settings.has_metrics)),
    ("http_server.stats", "false", "false", |c| show(c.http_settings.has_stats)),
    ("udp_server.key", r#""/x""#, r#"Some("/x")"#, |c| show(&c.udp_key)),
    ("access.allow", r#""/x""#, r#"Some("/x")"#, |c| show(&c.access.allow)),
    ("access.deny", r#""/x""#, r#"Some("/x")"#, |c| show(&c.access.deny)),
    ("access.passkeys", r#""/x""#, r#"Some("/x")"#, |c| show(&c.access.passkeys)),
    ("limits.rate_per_address", "5", "5", |c| show(c.terms.rate.per_s)),
    ("limits.rate_burst", "6", "6", |c| show(c.terms.rate.burst)),
    ("limits.peers_per_address_per_torrent", "7", "7", |c| show(c.terms.peers_per_address)),
    ("limits.torrents_per_address", "8", "8", |c| show(c.torrents_per_address)),
    ("limits.torrents", "9", "9", |c| show(c.terms.capacity.torrents)),
    ("limits.memory", r#""1GiB""#, "1073741824", |c| show(c.terms.capacity.bytes)),
    ("log.level", r#""debug""#, "Debug", |c| show(c.log.level)),
    ("log.target", r#""stderr""#, "Stderr", |c| show(c.log.target)),
];

/// Values that are refused.
const REFUSED: &[(&str, &[&str])] = &[
    ("http", &["[]\nudp = []", r#"["x"]"#, r#"["0.0.0.0:1", "127.0.0.1:1"]"#, "1"]),
    ("udp", &[r#"["0.0.0.0:66000"]"#, r#"["[::]:1", "[::1]:1"]"#]),
    ("workers", &["1025", "-1", r#""many""#]),
    ("state_dir", &[r#""x""#, r#""~/x""#, "true"]),
    ("snapshot_interval", &["0", r#""1ms""#, r#""soon""#]),
    ("control_socket", &[r#""x""#]),
    ("control_group", &[r#""no such group""#, "1"]),
    ("metrics_listen", &[r#""x""#, r#""127.0.0.1""#]),
    ("announce.interval", &["0", r#""2d""#, "30"]),
    ("announce.min_interval", &[r#""28m""#, "-1"]),
    ("announce.numwant", &["201", "-1"]),
    ("announce.numwant_max", &["201", "65536"]),
    ("announce.tracker_id", &["1", "\"0123456789012345678901234567890123456789012345678901234567890123x\""]),
    ("http_server.idle_timeout", &["0", r#""500ms""#]),
    ("http_server.connections", &["17000", "-1"]),
    ("http_server.connections_per_address", &["-1"]),
    ("http_server.trusted_proxies", &[r#"["10.0.0.0/33"]"#, r#""10.0.0.0/8""#, r#"["localhost"]"#]),
    ("http_server.proxy_protocol", &["true", "1"]),
    ("http_server.ip_parameter", &["1"]),
    ("http_server.metrics", &["1"]),
    ("http_server.stats", &["1"]),
    ("udp_server.key", &[r#""x""#]),
    ("access.allow", &[r#""x""#]),
    ("access.deny", &[r#""x""#]),
    ("access.passkeys", &[r#""x""#]),
    ("limits.rate_per_address", &["-1"]),
    ("limits.rate_burst", &["0", "-1"]),
    ("limits.peers_per_address_per_torrent", &["-1"]),
    ("limits.torrents_per_address", &["-1"]),
    ("limits.torrents", &["-1"]),
    ("limits.memory", &[r#""much""#, "-1"]),
    ("log.level", &[r#""loud""#]),
    ("log.target", &[r#""syslog""#]),
];

/// A folder with a configuration.
struct Folder(tempfile::TempDir);

impl Folder {
    fn with(text: &str) -> Self {
        let folder = tempfile::tempdir().unwrap();
        std::fs::write(folder.path().join("bttracker.toml"), text).unwrap();
        Self(folder)
    }

    fn file(&self) -> PathBuf {
        self.0.path().join("bttracker.toml")
    }

    fn load(&self, arguments: &[&str]) -> Result<Config, String> {
        let defaults = Defaults { config_file: self.file(), ..Defaults::default() };
        let args = Args::parse_from(["bttracker"].iter().chain(arguments)).run;
        Config::load_at(&defaults, &args, OPEN_FILES).map_err(|error| error.to_string())
    }
}

fn load(text: &str) -> Result<Config, String> {
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
    for key in ["x", "limits.x", "announce.x", "http_server.x", "udp_server.x", "access.x", "log.x", "x.y"] {
        let error = load(&format!("{key} = 1\n")).unwrap_err();
        assert!(error.contains("unknown field `x`"), "{key}: {error}");
    }
}

#[test]
fn defaults_are_good_and_what_is_printed_reads_as_the_same() {
    let config = load("").unwrap();
    assert!(config.has_default_http() && config.has_default_udp());
    assert_eq!((config.http.len(), config.udp.len()), (2, 2));
    assert!(config.terms.capacity.bytes > 0, "half of what the machine has");
    assert_eq!(load(&toml::to_string(&config.file).unwrap()).unwrap().file, config.file);
    assert_eq!(load("limits.memory = 0").unwrap().terms.capacity.bytes, 0);
    assert_eq!(load("http_server.connections = 0").unwrap().http_settings.max_connections, 16_128);
    assert!(load("http = []").unwrap().http.is_empty(), "one door is enough");
}

#[test]
fn few_open_files_are_no_reason_to_refuse_the_default() {
    let config = Config::check(ConfigFile::default(), 1_024).unwrap();
    assert_eq!(config.http_settings.max_connections, 768);
}

#[test]
fn the_command_line_goes_above_the_file() {
    let text = "http = [\"127.0.0.1:1\"]\nudp = [\"127.0.0.1:2\"]\nlog.level = \"warn\"\n";
    let folder = Folder::with(text);
    let config = folder.load(&["--http", "[::]:3", "--http", "[::]:4", "-v"]).unwrap();
    assert_eq!(
        show((&config.http, &config.udp, config.log.level)),
        "([[::]:3, [::]:4], [127.0.0.1:2], Info)"
    );
    let config = folder.load(&["--udp", "[::]:3", "-q"]).unwrap();
    assert_eq!(show((&config.http, &config.udp, config.log.level)), "([127.0.0.1:1], [[::]:3], Error)");
}

#[test]
fn a_service_has_folders_and_a_user_has_none() {
    let defaults = Defaults {
        config_file: "/nonexistent/x.toml".into(),
        state_dir: Some("/s".into()),
        control_socket: Some("/r/x.sock".into()),
    };
    let config = Config::load_at(&defaults, &RunArgs::default(), OPEN_FILES).unwrap();
    assert_eq!(show((&config.state_dir, &config.control_socket)), r#"(Some("/s"), Some("/r/x.sock"))"#);
    let config = load("").unwrap();
    assert_eq!((config.state_dir, config.control_socket), (None, None));
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
                assert!(reload.changed.contains(key) && reload.needs_restart.is_empty(), "{key}: {reload:?}");
                assert_eq!(look(&reload.config), *expected, "{key}");
            }
            Taken::AtStart => {
                assert!(reload.changed.is_empty() && reload.needs_restart.contains(key), "{key}: {reload:?}");
                assert_eq!(look(&reload.config), look(&old), "{key}");
            }
        }
    }
    let reload = old.reload(&old).unwrap();
    assert!(reload.changed.is_empty() && reload.needs_restart.is_empty());
}

#[test]
fn the_installed_file_shows_every_key_with_its_default() {
    let default = load("").unwrap();
    assert_eq!(load(INSTALLED).unwrap().file, default.file, "it changes nothing");
    let shown: Table = uncommented(INSTALLED).parse().unwrap();
    assert_eq!(keys_of(&shown), all_keys());
    assert_eq!(load(&uncommented(INSTALLED)).unwrap().file, default.file);
}

#[test]
fn the_installed_file_says_what_needs_a_restart() {
    let at_start = KEYS.iter().filter(|(_, taken)| *taken == Taken::AtStart).map(|(key, _)| *key);
    assert_eq!(marked_restart(INSTALLED), owned(at_start));
}
