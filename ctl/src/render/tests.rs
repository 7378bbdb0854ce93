//! What tables and pages look like.

use protocol::control::{Detail, Event, EventKind, FileRow, PeerRow, State, Stats, Torrent, TrackerRow};
use protocol::id::InfoHash;

use super::*;

/// A torrent to be changed.
pub(crate) fn example() -> Torrent {
    Torrent {
        info_hash: InfoHash::new([0xab; 20]),
        name: "debian.iso".to_owned(),
        state: State::Downloading,
        progress: 0.5,
        size: 1 << 30,
        have: 1 << 29,
        uploaded: 1 << 20,
        downloaded: 1 << 29,
        ratio: 0.002,
        upload_rate: 0,
        download_rate: 3 << 20,
        peers: 12,
        seeds: 3,
        eta_s: Some(171),
        label: Some("linux".to_owned()),
        error: None,
        dir: "/srv".to_owned(),
        added_at: 1_700_000_000,
    }
}

fn lines(table: Table, width: Option<u16>) -> Vec<String> {
    table.lines(width, false)
}

#[test]
fn columns_stand_below_their_titles() {
    let other = Torrent { name: "größe 名前".to_owned(), eta_s: None, label: None, size: 5, ..example() };
    let lines = lines(torrents(&[example(), other]), None);
    assert_eq!(
        lines,
        [
            "ID        STATE         DONE     SIZE       DOWN  UP    ETA  RATIO  PEERS  SEEDS  LABEL  NAME",
            "abababab  downloading  50.0%  1.0 GiB  3.0 MiB/s   -  2m 51s   0.00     12      3  linux  debian.iso",
            "abababab  downloading  50.0%      5 B  3.0 MiB/s   -           0.00     12      3         größe 名前",
        ]
        .map(|line| line.replace("UP    ETA", "UP     ETA"))
    );
}

#[test]
fn a_narrow_terminal_is_not_overrun() {
    let long = Torrent { name: "名前 is long ".repeat(20), label: Some("label".repeat(20)), ..example() };
    for width in [200_u16, 120, 100, 80, 60, 50] {
        let lines = lines(torrents(&[example(), long.clone()]), Some(width));
        assert_eq!(lines.len(), 3, "a row is a line, also in {width} columns");
        for line in &lines {
            let columns = unicode_width(line);
            assert!(columns <= usize::from(width), "{columns} columns in {width}: {line}");
            assert!(line.contains("abababab") || line.starts_with("ID"), "{line}");
        }
        assert!(lines[2].contains('…') && lines[1].contains("debian.iso"), "{lines:?}");
    }
    assert!(lines(torrents(&[example()]), Some(80))[0].contains("PEERS"), "80 columns are not that narrow");
}

/// Columns of `line`, where wide characters are known to be Chinese ones.
fn unicode_width(line: &str) -> usize {
    line.chars().map(|c| if ('\u{4e00}'..'\u{9fff}').contains(&c) { 2 } else { 1 }).sum()
}

#[test]
fn colours_come_only_where_they_are_wanted() {
    let plain = torrents(&[example()]).lines(None, false).join("\n");
    assert!(!plain.contains('\u{1b}'));
    let coloured = torrents(&[example()]).lines(None, true).join("\n");
    assert!(coloured.contains('\u{1b}') && coloured.contains("downloading"));
}

#[test]
fn no_name_commands_the_terminal() {
    let name = "a\u{1b}[2Jb\nc\u{202e}d\u{9b}".to_owned();
    let torrent =
        Torrent { name: name.clone(), error: Some(name.clone()), label: Some(name.clone()), ..example() };
    let file = FileRow {
        index: 0,
        path: name.clone(),
        on_disk: Some(name.clone()),
        size: 1,
        have: 1,
        progress: 1.0,
        wanted: true,
    };
    let peer = PeerRow { client: Some(name.clone()), ..peer() };
    let tracker = TrackerRow { url: name.clone(), error: Some(name.clone()), ..tracker() };
    for table in [torrents(&[torrent]), files(&[file]), peers(&[peer]), trackers(&[tracker])] {
        let lines = lines(table, None);
        assert_eq!(lines.len(), 2, "{lines:?}");
        assert!(
            lines.iter().all(|line| line.chars().all(|c| !c.is_control() && c != '\u{202e}')),
            "{lines:?}"
        );
    }
    let (mut output, captured) = Output::capture(false);
    output.line(&name).unwrap();
    output.torrent("added", &Torrent { name, ..example() }).unwrap();
    assert!(captured.text().chars().all(|c| c == '\n' || !c.is_control()));
    assert_eq!(captured.text().lines().count(), 2);
}

fn peer() -> PeerRow {
    PeerRow {
        address: "[2001:db8::1]:6881".to_owned(),
        client: None,
        peer_id: "-XX0001-............".to_owned(),
        is_incoming: true,
        progress: 0.25,
        is_interested: true,
        is_choked: true,
        are_we_interested: true,
        is_choking_us: false,
        is_snubbing: false,
        connected_s: 61,
    }
}

#[test]
fn a_peer_has_flags() {
    let lines = lines(peers(&[peer(), PeerRow { is_snubbing: true, is_interested: false, ..peer() }]), None);
    assert!(lines[1].contains("  DuI  ") && lines[2].contains("  DSI  "), "{lines:?}");
    assert!(lines[1].ends_with("-XX0001-............") && lines[1].contains("25.0%"), "{lines:?}");
}

fn tracker() -> TrackerRow {
    TrackerRow {
        url: "http://t.example/announce".to_owned(),
        tier: 0,
        family: "ipv4".to_owned(),
        state: "working".to_owned(),
        failures: 0,
        error: None,
        warning: Some("be nice".to_owned()),
        seeds: Some(7),
        leechers: None,
        peers: 50,
        answered_s: Some(5),
        next_s: Some(1_800),
    }
}

#[test]
fn a_tracker_has_a_message() {
    let text = lines(trackers(&[tracker()]), None).join("\n");
    for part in ["working", "ipv4", "5s ago", "30m", "be nice", "http://t.example/announce"] {
        assert!(text.contains(part), "{part} in {text}");
    }
}

#[test]
fn a_page_shows_what_there_is() {
    let plain = Detail {
        torrent: example(),
        length: 2 << 30,
        piece_length: 1 << 18,
        piece_count: 8_192,
        pieces_have: 2_048,
        file_count: 1,
        is_private: false,
        seed_only: false,
        sequential: false,
        wasted: 0,
        completed_at: None,
        seeded_s: 0,
        upload_limit: None,
        download_limit: None,
        ratio_limit: None,
        seed_time_limit_s: None,
        queue_position: None,
        magnet: "magnet:?xt=urn:btih:ab".to_owned(),
    };
    let text = detail(&plain).join("\n");
    for part in
        ["512.0 MiB of 1.0 GiB (50.0%)", "2.0 GiB in 1 file", "2048 of 8192, 256.0 KiB each", "magnet:?"]
    {
        assert!(text.contains(part), "{part} in {text}");
    }
    assert!(!text.contains("limit") && !text.contains("Private"), "{text}");
    let limited = Detail {
        is_private: true,
        upload_limit: Some(5_120),
        ratio_limit: Some(0.0),
        seed_time_limit_s: Some(0),
        queue_position: Some(4),
        ..plain
    };
    let text = detail(&limited).join("\n");
    for part in ["Private", "5.0 KiB/s", "never", "never ends", "In the queue"] {
        assert!(text.contains(part), "{part} in {text}");
    }
}

#[test]
fn the_daemon_has_a_page() {
    let mut all = Stats { uptime_s: 90_000, peers: 7, ..Stats::default() };
    assert!(stats(&all).join("\n").contains("none"));
    (all.torrents.seeding, all.torrents.error, all.memory.anonymous) = (2, 1, 4 << 20);
    let text = stats(&all).join("\n");
    assert!(text.contains("3: 2 seeding, 1 error") && text.contains("4.0 MiB of its own"), "{text}");
    assert!(text.contains("1d 1h"), "{text}");
}

#[test]
fn an_event_is_a_line() {
    let event_of = |kind| {
        event(&Event { revision: 1, at: 1_700_000_000, info_hash: None, name: Some("x".to_owned()), kind })
    };
    let kind = EventKind::State { from: State::Checking, to: State::Seeding };
    assert_eq!(event_of(kind), "2023-11-14 22:13:20  checking -> seeding  x");
    assert!(event_of(EventKind::Lagged { missed: 4 }).contains("4 events"));
    assert!(event_of(EventKind::Error { message: "disk full".to_owned() }).contains("error: disk full"));
}
