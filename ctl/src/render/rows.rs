//! Tables of torrents, and of what a torrent has.

use protocol::control::{FileRow, PeerRow, Torrent, TrackerRow};

use super::units::{bytes, duration, or_none, percent, rate, yes};
use super::{Column, Table};

/// Digits of an info-hash that a table shows; they are enough to name it, but for a chance of one in millions.
const SHORT_HASH: usize = 8;

/// A list of torrents.
pub fn torrents(torrents: &[Torrent]) -> Table {
    const COLUMNS: &[Column] = &[
        Column::word("ID"),
        Column::word("STATE"),
        Column::number("DONE"),
        Column::number("SIZE").spare(6),
        Column::number("DOWN").spare(7),
        Column::number("UP").spare(8),
        Column::number("ETA").spare(5),
        Column::number("RATIO").spare(3),
        Column::number("PEERS").spare(4),
        Column::number("SEEDS").spare(1),
        Column::text("LABEL").spare(2),
        Column::text("NAME"),
    ];
    let mut table = Table::new(COLUMNS);
    for torrent in torrents {
        let info_hash = torrent.info_hash.to_string();
        table.row([
            info_hash.get(..SHORT_HASH).unwrap_or(&info_hash).to_owned(),
            torrent.state.to_string(),
            percent(torrent.progress),
            bytes(torrent.size),
            rate(torrent.download_rate),
            rate(torrent.upload_rate),
            torrent.eta_s.map_or_else(String::new, duration),
            format!("{:.2}", torrent.ratio),
            torrent.peers.to_string(),
            torrent.seeds.to_string(),
            torrent.label.clone().unwrap_or_default(),
            name(torrent),
        ]);
    }
    table
}

/// Its name, and what is wrong with it.
fn name(torrent: &Torrent) -> String {
    match &torrent.error {
        Some(error) => format!("{}: {error}", torrent.name),
        None => torrent.name.clone(),
    }
}

/// The files of a torrent.
pub fn files(files: &[FileRow]) -> Table {
    const COLUMNS: &[Column] = &[
        Column::number("FILE"),
        Column::number("DONE"),
        Column::number("SIZE"),
        Column::word("WANTED").spare(1),
        Column::text("PATH"),
    ];
    let mut table = Table::new(COLUMNS);
    for file in files {
        let path = match &file.on_disk {
            Some(on_disk) => format!("{} -> {on_disk}", file.path),
            None => file.path.clone(),
        };
        let (done, size) = (percent(file.progress), bytes(file.size));
        table.row([file.index.to_string(), done, size, yes(file.wanted), path]);
    }
    table
}

/// The connected peers of a torrent.
pub fn peers(peers: &[PeerRow]) -> Table {
    const COLUMNS: &[Column] = &[
        Column::word("ADDRESS"),
        Column::word("FLAGS"),
        Column::number("HAS"),
        Column::number("SINCE").spare(1),
        Column::text("CLIENT"),
    ];
    let mut table = Table::new(COLUMNS);
    for peer in peers {
        let client = peer.client.clone().unwrap_or_else(|| peer.peer_id.clone());
        let since = duration(peer.connected_s);
        table.row([peer.address.clone(), flags(peer), percent(peer.progress), since, client]);
    }
    table
}

/// How things stand with a peer, in the letters that clients use: D and U move data, the small letters would like to,
/// S is snubbed, I came in.
fn flags(peer: &PeerRow) -> String {
    let transfer = |is_wanted: bool, is_choked: bool, letter: char| match (is_wanted, is_choked) {
        (true, false) => Some(letter),
        (true, true) => Some(letter.to_ascii_lowercase()),
        (false, _) => None,
    };
    let down = transfer(peer.are_we_interested, peer.is_choking_us, 'D');
    let up = transfer(peer.is_interested, peer.is_choked, 'U');
    let snubbing = peer.is_snubbing.then_some('S');
    let incoming = peer.is_incoming.then_some('I');
    [down, up, snubbing, incoming].into_iter().flatten().collect()
}

/// The trackers of a torrent.
pub fn trackers(trackers: &[TrackerRow]) -> Table {
    const COLUMNS: &[Column] = &[
        Column::number("TIER"),
        Column::word("STATE"),
        Column::word("FAMILY").spare(3),
        Column::number("SEEDS").spare(5),
        Column::number("LEECHERS").spare(4),
        Column::number("PEERS").spare(6),
        Column::number("ANSWERED").spare(1),
        Column::number("NEXT").spare(2),
        Column::text("URL"),
        Column::text("MESSAGE"),
    ];
    let mut table = Table::new(COLUMNS);
    for tracker in trackers {
        let message = tracker.error.clone().or_else(|| tracker.warning.clone());
        table.row([
            tracker.tier.to_string(),
            tracker.state.clone(),
            tracker.family.clone(),
            or_none(tracker.seeds),
            or_none(tracker.leechers),
            tracker.peers.to_string(),
            or_none(tracker.answered_s.map(|time_s| format!("{} ago", duration(time_s)))),
            or_none(tracker.next_s.map(duration)),
            tracker.url.clone(),
            message.unwrap_or_default(),
        ]);
    }
    table
}
