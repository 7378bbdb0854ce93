//! Numbers as people read them.

use std::time::{Duration, SystemTime};

use bytesize::ByteSize;

/// What stands where there is nothing to say.
pub const NONE: &str = "-";
/// Units of durations, from the largest: seconds in each, and its letter.
const UNITS: [(u64, char); 4] = [(86_400, 'd'), (3_600, 'h'), (60, 'm'), (1, 's')];

/// Bytes: `1.5 GiB`.
pub fn bytes(count: u64) -> String {
    ByteSize::b(count).to_string()
}

/// Bytes a second: `1.5 MiB/s`; a dash for none.
pub fn rate(bytes_per_s: u64) -> String {
    if bytes_per_s == 0 { NONE.to_owned() } else { format!("{}/s", bytes(bytes_per_s)) }
}

/// A part of 1: `99.9%`; never `100.0%` before all is there.
pub fn percent(part: f64) -> String {
    let tenths = (part.clamp(0.0, 1.0) * 1_000.0).floor();
    format!("{:.1}%", tenths / 10.0)
}

/// A duration in its two largest units: `2d 3h`, `5m`, `0s`.
pub fn duration(seconds: u64) -> String {
    let Some(first) = UNITS.iter().position(|(unit, _)| seconds >= *unit) else { return "0s".to_owned() };
    let mut rest = seconds;
    let mut parts = Vec::new();
    for (unit, letter) in UNITS.iter().skip(first).take(2) {
        if rest >= *unit {
            parts.push(format!("{}{letter}", rest / unit));
        }
        rest %= unit;
    }
    parts.join(" ")
}

/// A time in seconds since 1970: `2026-11-24 13:00:00` in UTC, a dash for one that cannot be.
pub fn time(seconds: i64) -> String {
    let since = u64::try_from(seconds).ok().map(Duration::from_secs);
    let time = since.and_then(|since| SystemTime::UNIX_EPOCH.checked_add(since));
    // Years from 10000 on cannot be written.
    let is_written = |text: &String| text.len() == "2026-11-24T13:00:00Z".len();
    let text = time.filter(|_| seconds < 253_402_300_800);
    let text = text.map(|time| humantime::format_rfc3339_seconds(time).to_string()).filter(is_written);
    text.map_or_else(|| NONE.to_owned(), |text| text.replace('T', " ").replace('Z', ""))
}

/// `text`, or a dash.
pub fn or_none<T: ToString>(value: Option<T>) -> String {
    value.map_or_else(|| NONE.to_owned(), |value| value.to_string())
}

/// `1 torrent`, `2 torrents`.
pub fn count(count: usize, noun: &str) -> String {
    format!("{count} {noun}{}", if count == 1 { "" } else { "s" })
}

/// `yes` or `no`.
pub fn yes(is: bool) -> String {
    if is { "yes" } else { "no" }.to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_and_rates_have_units() {
        assert_eq!((bytes(0), bytes(1_536)), ("0 B".to_owned(), "1.5 KiB".to_owned()));
        assert_eq!((rate(0), rate(3 << 20)), ("-".to_owned(), "3.0 MiB/s".to_owned()));
        assert!(!bytes(u64::MAX).is_empty());
    }

    #[test]
    fn all_is_said_only_when_all_is_there() {
        assert_eq!(
            (percent(0.9999), percent(1.0), percent(0.0)),
            ("99.9%".into(), "100.0%".into(), "0.0%".into())
        );
        assert_eq!(
            (percent(2.0), percent(-1.0), percent(f64::NAN)),
            ("100.0%".into(), "0.0%".into(), "NaN%".into())
        );
    }

    #[test]
    fn durations_have_two_units_at_most() {
        let all = [0, 59, 60, 61, 3_600, 3_661, 90_000, 86_400 * 400];
        let all = all.map(duration);
        assert_eq!(all, ["0s", "59s", "1m", "1m 1s", "1h", "1h 1m", "1d 1h", "400d"]);
        assert!(!duration(u64::MAX).is_empty());
    }

    #[test]
    fn times_are_dates() {
        assert_eq!(time(1_700_000_000), "2023-11-14 22:13:20");
        assert_eq!((time(-1), time(i64::MAX)), ("-".to_owned(), "-".to_owned()));
    }
}
