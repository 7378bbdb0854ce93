//! A line for each event.

use protocol::control::{Event, EventKind};

use super::units::time;

/// When, what, and to which torrent.
pub fn event(event: &Event) -> String {
    let what = match &event.kind {
        EventKind::Hello => "hello".to_owned(),
        EventKind::Added => "added".to_owned(),
        EventKind::Removed => "removed".to_owned(),
        EventKind::Metadata => "metadata".to_owned(),
        EventKind::State { from, to } => format!("{from} -> {to}"),
        EventKind::Completed => "completed".to_owned(),
        EventKind::Error { message } => format!("error: {message}"),
        EventKind::Changed => "changed".to_owned(),
        EventKind::Lagged { missed } => format!("lagged: {missed} events were missed"),
        EventKind::Shutdown => "shutdown".to_owned(),
    };
    let mut line = format!("{}  {what}", time(event.at));
    if let Some(info_hash) = &event.info_hash {
        line.push_str(&format!("  {info_hash}"));
    }
    if let Some(name) = &event.name {
        line.push_str(&format!("  {name}"));
    }
    line
}
