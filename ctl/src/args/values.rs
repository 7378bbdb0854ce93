//! Values of arguments: text becomes types, and what makes no sense is said in a sentence.

use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::time::Duration;

use clap::builder::{OsStringValueParser, PossibleValuesParser, TypedValueParser};
use protocol::control::{FilePath, MAX_LABEL_LENGTH, State};
use protocol::id::InfoHash;
use protocol::meta::Magnet;

pub(super) use protocol::amount::{piece_length, rate};

/// How often a live list is drawn at most: more is more than eyes see.
const MIN_INTERVAL: Duration = Duration::from_millis(100);
/// Longest time between two looks: at more nothing is live.
const MAX_INTERVAL: Duration = Duration::from_secs(3600);

/// Where a torrent is to come from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Source {
    /// A magnet link that has been read, as it was written.
    Magnet(String),
    /// Where a .torrent file is, over http or https.
    Url(String),
    /// A .torrent file here.
    File(PathBuf),
    /// A .torrent file that comes through stdin.
    Stdin,
}

/// What a limit is to be: none (or the daemon's own), or a value.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Setting<T>(
    /// `None` takes the torrent's own limit away.
    pub Option<T>,
);

/// Reads a [`Source`] as the shell gives it: a file name may be any bytes.
pub(super) fn source_parser() -> impl TypedValueParser<Value = Source> {
    OsStringValueParser::new().try_map(|text| source(&text))
}

fn source(text: &OsString) -> Result<Source, String> {
    let file = || Source::File(PathBuf::from(text));
    let Some(name) = text.to_str() else { return Ok(file()) };
    let starts =
        |scheme: &str| name.get(..scheme.len()).is_some_and(|start| start.eq_ignore_ascii_case(scheme));
    if name.is_empty() {
        return Err("a torrent is a magnet link, a file or a URL".to_owned());
    }
    if name == "-" {
        return Ok(Source::Stdin);
    }
    if starts("magnet:") {
        name.parse::<Magnet>().map_err(|error| error.to_string())?;
        return Ok(Source::Magnet(name.trim().to_owned()));
    }
    if starts("http://") || starts("https://") {
        return Ok(Source::Url(name.to_owned()));
    }
    // A file that is called like an info-hash is that file.
    match name.parse::<InfoHash>() {
        Ok(info_hash) if !Path::new(name).exists() => Ok(Source::Magnet(Magnet::new(info_hash).to_string())),
        _ => Ok(file()),
    }
}

/// Reads a path and makes it absolute: the daemon stands elsewhere.
pub(super) fn path_parser() -> impl TypedValueParser<Value = String> {
    OsStringValueParser::new().try_map(|text| absolute(Path::new(&text)))
}

/// `path` from the root, as text: names in JSON are text.
///
/// # Errors
/// A sentence, when it is empty or not UTF-8.
pub fn absolute(path: &Path) -> Result<String, String> {
    let absolute = std::path::absolute(path).map_err(|error| error.to_string())?;
    absolute.into_os_string().into_string().map_err(|_| "the path is not UTF-8".to_owned())
}

/// Reads a state; completions know them.
pub(super) fn state_parser() -> impl TypedValueParser<Value = State> {
    PossibleValuesParser::new(State::ALL.map(State::name)).try_map(|name| name.parse::<State>())
}

/// Reads a label.
pub(super) fn label(text: &str) -> Result<String, String> {
    match text.len() {
        0 => Err("a label is not empty".to_owned()),
        1..=MAX_LABEL_LENGTH => Ok(text.to_owned()),
        length => Err(format!("a label has up to {MAX_LABEL_LENGTH} bytes, not {length}")),
    }
}

/// Reads where a file is to lie: `INDEX=PATH`.
pub(super) fn file_path(text: &str) -> Result<FilePath, String> {
    let wanted = || "a file is named as INDEX=PATH, with its number from 0".to_owned();
    let (index, path) = text.split_once('=').ok_or_else(wanted)?;
    let index = index.parse().map_err(|_| wanted())?;
    if path.is_empty() || path.starts_with('/') {
        Err(wanted())
    } else {
        Ok(FilePath { index, path: path.to_owned() })
    }
}

/// Reads a ratio; 0 stands for `never`.
pub(super) fn ratio(text: &str) -> Result<f64, String> {
    if text == "never" {
        return Ok(0.0);
    }
    let ratio = text.parse().ok().filter(|ratio: &f64| ratio.is_finite() && *ratio > 0.0);
    ratio.ok_or_else(|| "a ratio is a number as 1.5, or `never`".to_owned())
}

/// Reads a time to seed, in seconds; 0 stands for `never`.
pub(super) fn seed_time(text: &str) -> Result<u64, String> {
    if text == "never" {
        return Ok(0);
    }
    let time = humantime::parse_duration(text).map(|time| time.as_secs()).ok().filter(|time_s| *time_s > 0);
    time.ok_or_else(|| "a time is as 90m, 12h or 7d, at least a second, or `never`".to_owned())
}

/// Reads how often to look.
pub(super) fn interval(text: &str) -> Result<Duration, String> {
    let interval = humantime::parse_duration(text).ok();
    let interval = interval.filter(|interval| (MIN_INTERVAL..=MAX_INTERVAL).contains(interval));
    interval.ok_or_else(|| "an interval is from 100ms to 1h".to_owned())
}

/// Reads a rate, or `none`.
pub(super) fn rate_setting(text: &str) -> Result<Setting<u64>, String> {
    if text == "none" { Ok(Setting(None)) } else { rate(text).map(|rate| Setting(Some(rate))) }
}

/// Reads a ratio, `never` or `default`.
pub(super) fn ratio_setting(text: &str) -> Result<Setting<f64>, String> {
    if text == "default" { Ok(Setting(None)) } else { ratio(text).map(|ratio| Setting(Some(ratio))) }
}

/// Reads a time to seed, `never` or `default`.
pub(super) fn seed_time_setting(text: &str) -> Result<Setting<u64>, String> {
    if text == "default" { Ok(Setting(None)) } else { seed_time(text).map(|time_s| Setting(Some(time_s))) }
}

#[cfg(test)]
mod tests {
    use std::ffi::OsStr;
    use std::os::unix::ffi::OsStrExt;

    use super::*;

    const HASH: &str = "5ba93c9db0cff93f52b521d7420e43f6eda2784f";

    #[test]
    fn what_is_added_is_told_by_how_it_looks() {
        let read = |text: &str| source(&OsString::from(text));
        let magnet = format!("magnet:?xt=urn:btih:{HASH}");
        assert_eq!(read(&format!("{magnet}&dn=x")), Ok(Source::Magnet(format!("{magnet}&dn=x"))));
        assert_eq!(read(HASH), Ok(Source::Magnet(magnet)));
        assert_eq!(read("HTTPS://a/b"), Ok(Source::Url("HTTPS://a/b".to_owned())));
        assert_eq!(read("a.torrent"), Ok(Source::File("a.torrent".into())));
        assert_eq!(read("-"), Ok(Source::Stdin));
        let odd = OsStr::from_bytes(b"\xff.torrent").to_owned();
        assert_eq!(source(&odd), Ok(Source::File(PathBuf::from(&odd))));
        for bad in ["", "magnet:", "MAGNET:?dn=x", "magnet:?xt=urn:btih:12"] {
            assert!(read(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn paths_start_at_the_root() {
        let here = std::env::current_dir().unwrap();
        assert_eq!(absolute(Path::new("a")).unwrap(), here.join("a").to_str().unwrap());
        assert_eq!(absolute(Path::new("/a")).unwrap(), "/a");
        assert!(absolute(Path::new("")).is_err());
        assert!(absolute(Path::new(OsStr::from_bytes(b"\xff"))).is_err());
    }

    #[test]
    fn numbers_have_units_and_bounds() {
        assert_eq!((rate("500k"), rate("1.5MiB")), (Ok(500_000), Ok(1_572_864)));
        assert!(["", "x", "0", "10", "-5M"].into_iter().all(|text| rate(text).is_err()));
        assert_eq!((ratio("1.5"), ratio("never")), (Ok(1.5), Ok(0.0)));
        assert!(["", "x", "0", "-1", "inf", "NaN"].into_iter().all(|text| ratio(text).is_err()));
        assert_eq!((seed_time("90m"), seed_time("never")), (Ok(5_400), Ok(0)));
        assert!(["", "x", "0s", "90"].into_iter().all(|text| seed_time(text).is_err()));
        assert_eq!(interval("500ms"), Ok(Duration::from_millis(500)));
        assert!(["", "1ms", "2h"].into_iter().all(|text| interval(text).is_err()));
        assert_eq!(piece_length("1MiB"), Ok(1 << 20));
        assert!(["", "8KiB", "24KiB", "1GiB"].into_iter().all(|text| piece_length(text).is_err()));
    }

    #[test]
    fn a_limit_can_be_taken_away() {
        assert_eq!((rate_setting("none"), rate_setting("5k")), (Ok(Setting(None)), Ok(Setting(Some(5_000)))));
        assert_eq!(
            (ratio_setting("default"), ratio_setting("never")),
            (Ok(Setting(None)), Ok(Setting(Some(0.0))))
        );
        assert_eq!(seed_time_setting("default"), Ok(Setting(None)));
        assert_eq!(seed_time_setting("1h"), Ok(Setting(Some(3_600))));
    }

    #[test]
    fn files_and_labels_are_named_in_full() {
        assert_eq!(file_path("3=a=b/c"), Ok(FilePath { index: 3, path: "a=b/c".to_owned() }));
        assert!(
            ["", "3", "=a", "x=a", "3=", "3=/a", "-1=a"].into_iter().all(|text| file_path(text).is_err())
        );
        assert_eq!(label("iso"), Ok("iso".to_owned()));
        assert!(label("").is_err() && label(&"x".repeat(256)).is_err() && label(&"x".repeat(255)).is_ok());
    }
}
