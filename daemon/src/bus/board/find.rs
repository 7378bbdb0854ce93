//! Finding a torrent by what a user calls it.

use protocol::control::{ALL, ErrorCode, ErrorReply};
use protocol::id::InfoHash;

use super::{Board, Rows, TorrentId};

/// Fewest digits of an info-hash that name a torrent: fewer look like the name of something else.
const MIN_PREFIX: usize = 4;

impl Board {
    /// The torrent that `text` names: an info-hash or its beginning, if only one begins so, or a name that only one has.
    ///
    /// # Errors
    /// When there is none, or more than one.
    pub fn find(&self, text: &str) -> Result<TorrentId, ErrorReply> {
        let rows = self.read();
        if let Ok(info_hash) = text.parse::<InfoHash>()
            && let Some(id) = rows.by_info_hash.get(&info_hash)
        {
            return Ok(*id);
        }
        let mut found = rows.named(text);
        found.extend(rows.with_prefix(text));
        found.sort_unstable();
        found.dedup();
        match found[..] {
            [id] => Ok(id),
            [] => Err(ErrorReply::new(
                ErrorCode::NotFound,
                format!("no torrent has the info-hash or name `{text}`"),
            )),
            _ => {
                let count = found.len();
                let message = format!("{count} torrents are called `{text}`: use more of the info-hash");
                Err(ErrorReply::new(ErrorCode::Ambiguous, message))
            }
        }
    }

    /// The torrents that `text` names: `all`, or what [`Board::find`] finds.
    ///
    /// # Errors
    /// As [`Board::find`].
    pub fn find_all(&self, text: &str) -> Result<Vec<TorrentId>, ErrorReply> {
        if text == ALL { Ok(self.ids()) } else { self.find(text).map(|id| vec![id]) }
    }

    /// The torrent of `info_hash`.
    pub fn id_of(&self, info_hash: &InfoHash) -> Option<TorrentId> {
        self.read().by_info_hash.get(info_hash).copied()
    }
}

impl Rows {
    fn named(&self, text: &str) -> Vec<TorrentId> {
        self.rows.iter().filter(|(_, it)| *it.row.name == *text).map(|(id, _)| *id).collect()
    }

    /// Torrents whose info-hash begins with the hex digits `text`.
    fn with_prefix(&self, text: &str) -> Vec<TorrentId> {
        let is_hex = text.bytes().all(|byte| byte.is_ascii_hexdigit());
        if !is_hex || !(MIN_PREFIX..=40).contains(&text.len()) {
            return Vec::new();
        }
        let end =
            |digit: char| format!("{text}{}", digit.to_string().repeat(40 - text.len())).parse::<InfoHash>();
        let (Ok(first), Ok(last)) = (end('0'), end('f')) else { return Vec::new() };
        self.by_info_hash.range(first..=last).map(|(_, id)| *id).collect()
    }
}
