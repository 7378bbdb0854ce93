//! What several commands print: a torrent in short, and what verifying found, in words.

use protocol::meta::Info;
use serde::Serialize;

use crate::storage::verify::{FileState, Verification};

/// Most piece numbers that are spelled out for a person.
const MAX_SHOWN_PIECES: usize = 8;

/// A torrent in short, as the front of what `--json` prints.
#[derive(Debug, Serialize)]
pub(super) struct Summary<'a> {
    info_hash: String,
    name: &'a str,
    length: u64,
    piece_length: u32,
    piece_count: u32,
}

impl<'a> Summary<'a> {
    pub(super) fn new(info: &'a Info) -> Self {
        let geometry = info.geometry();
        Self {
            info_hash: info.info_hash().to_string(),
            name: info.name(),
            length: geometry.length(),
            piece_length: geometry.piece_length(),
            piece_count: geometry.piece_count(),
        }
    }
}

/// What a program calls the state of a file.
pub(super) fn name(state: &FileState) -> &'static str {
    match state {
        FileState::Ok => "ok",
        FileState::Missing => "missing",
        FileState::Truncated { .. } => "truncated",
        FileState::Oversized { .. } => "oversized",
        FileState::Damaged { .. } => "damaged",
        FileState::Unreadable { .. } => "unreadable",
    }
}

/// What a person wants to know of it.
pub(super) fn describe(state: &FileState) -> String {
    match state {
        FileState::Ok => "all bytes match".to_owned(),
        FileState::Missing => "not on disk".to_owned(),
        FileState::Truncated { length } => format!("only {length} bytes on disk"),
        FileState::Oversized { length } => format!("{length} bytes on disk are too many"),
        FileState::Damaged { bad_pieces } => {
            let shown: Vec<String> =
                bad_pieces.iter().take(MAX_SHOWN_PIECES).map(ToString::to_string).collect();
            let more = bad_pieces.len().saturating_sub(MAX_SHOWN_PIECES);
            let more = if more > 0 { format!(" and {more} more") } else { String::new() };
            format!("bad pieces {}{more}", shown.join(", "))
        }
        FileState::Unreadable { reason } => reason.clone(),
    }
}

/// The first file that is not as it should be, for a message.
pub(super) fn first_bad_file(info: &Info, verification: &Verification) -> Option<String> {
    let mut files = info.files().iter().zip(&verification.files);
    files.find_map(|(file, state)| match state {
        Some(state) if *state != FileState::Ok => Some(format!("{}: {}", file.path, describe(state))),
        _ => None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_few_bad_pieces_are_spelled_out() {
        let describe = |count| describe(&FileState::Damaged { bad_pieces: (0..count).collect() });
        assert_eq!(describe(2), "bad pieces 0, 1");
        assert_eq!(describe(10), "bad pieces 0, 1, 2, 3, 4, 5, 6, 7 and 2 more");
    }
}
