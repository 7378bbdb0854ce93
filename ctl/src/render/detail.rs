//! Pages about one thing: a torrent, the daemon.

use protocol::control::{Detail, State, Stats};

use super::units::{bytes, count, duration, percent, rate, time, yes};

/// A field, and what it says.
type Line = (&'static str, String);

/// All about a torrent.
pub fn detail(detail: &Detail) -> Vec<String> {
    let torrent = &detail.torrent;
    let progress = format!(
        "{} of {} ({})",
        bytes(torrent.have),
        bytes(torrent.size),
        percent(if torrent.state == State::Checking {
            share(torrent.have, torrent.size)
        } else {
            torrent.progress
        })
    );
    let pieces = format!(
        "{} of {}, {} each",
        detail.pieces_have,
        detail.piece_count,
        bytes(detail.piece_length.into())
    );
    let mut lines = vec![
        ("Name", torrent.name.clone()),
        ("Info-hash", torrent.info_hash.to_string()),
        ("State", state(detail)),
        ("Folder", torrent.dir.clone()),
        ("Wanted", progress),
        ("Length", format!("{} in {}", bytes(detail.length), count(detail.file_count as usize, "file"))),
        ("Pieces", pieces),
        (
            "Download",
            format!(
                "{} now, {} ever, {} wasted",
                rate(torrent.download_rate),
                bytes(torrent.downloaded),
                bytes(detail.wasted)
            ),
        ),
        ("Upload", format!("{} now, {} ever", rate(torrent.upload_rate), bytes(torrent.uploaded))),
        ("Ratio", format!("{:.3}", torrent.ratio)),
        ("Peers", format!("{}, {} of them seeds", torrent.peers, torrent.seeds)),
        ("Added", time(torrent.added_at)),
    ];
    let optional = [
        ("Error", torrent.error.clone()),
        ("Label", torrent.label.clone()),
        ("Time left", torrent.eta_s.map(duration)),
        ("Completed", detail.completed_at.map(time)),
        ("Seeded for", Some(detail.seeded_s).filter(|time_s| *time_s > 0).map(duration)),
        ("Upload limit", detail.upload_limit.map(rate)),
        ("Download limit", detail.download_limit.map(rate)),
        (
            "Ratio limit",
            detail.ratio_limit.map(|ratio| if ratio > 0.0 { ratio.to_string() } else { "never".to_owned() }),
        ),
        (
            "Seed time",
            detail
                .seed_time_limit_s
                .map(|time_s| if time_s > 0 { duration(time_s) } else { "never ends".to_owned() }),
        ),
        ("In the queue", detail.queue_position.map(|place| place.to_string())),
    ];
    lines.extend(optional.into_iter().filter_map(|(field, value)| Some((field, value?))));
    let flags =
        [("Private", detail.is_private), ("Seed only", detail.seed_only), ("Sequential", detail.sequential)];
    lines.extend(flags.into_iter().filter(|(_, is)| *is).map(|(field, is)| (field, yes(is))));
    lines.push(("Magnet", detail.magnet.clone()));
    aligned(&lines)
}

fn state(detail: &Detail) -> String {
    let torrent = &detail.torrent;
    match torrent.state {
        State::Checking => format!("checking, {}", percent(torrent.progress)),
        state => state.to_string(),
    }
}

#[expect(clippy::cast_precision_loss, reason = "a digit is shown")]
fn share(have: u64, size: u64) -> f64 {
    if size == 0 { 0.0 } else { have as f64 / size as f64 }
}

/// What the daemon is doing.
pub fn stats(stats: &Stats) -> Vec<String> {
    let of_states = stats.torrents.iter().filter(|(_, count)| *count > 0);
    let of_states: Vec<String> = of_states.map(|(state, count)| format!("{count} {state}")).collect();
    let torrents = match of_states.is_empty() {
        true => "none".to_owned(),
        false => format!("{}: {}", stats.torrents.total(), of_states.join(", ")),
    };
    let flow = |now, since_start, ever| {
        format!("{} now, {} since the start, {} ever", rate(now), bytes(since_start), bytes(ever))
    };
    aligned(&[
        ("Version", stats.version.clone()),
        ("Running for", duration(stats.uptime_s)),
        ("Torrents", torrents),
        ("Payload", format!("{} of {}", bytes(stats.have), bytes(stats.size))),
        ("Download", flow(stats.download_rate, stats.downloaded, stats.downloaded_total)),
        ("Upload", flow(stats.upload_rate, stats.uploaded, stats.uploaded_total)),
        ("Peers", stats.peers.to_string()),
        ("Listens on", stats.listen.join(", ")),
        ("Workers", stats.workers.to_string()),
        (
            "Memory",
            format!(
                "{} of its own, {} of payload",
                bytes(stats.memory.anonymous),
                bytes(stats.memory.file_backed)
            ),
        ),
    ])
}

/// Lines whose values stand below each other.
fn aligned(lines: &[Line]) -> Vec<String> {
    let width = lines.iter().map(|(field, _)| field.len()).max().unwrap_or(0) + 2;
    lines.iter().map(|(field, value)| format!("{field:width$}{value}")).collect()
}
