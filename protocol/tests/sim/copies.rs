//! How much has left the seeds by when everything has left them once.

use protocol::geometry::{BLOCK_LENGTH, Block};

use super::torrent::Torrent;

/// What the seeds have sent.
#[derive(Debug)]
pub(crate) struct Copies {
    piece_length: u32,
    payload_length: u64,
    is_sent: Vec<bool>,
    missing: usize,
    sent: u64,
    sent_at_first_copy: Option<u64>,
}

impl Copies {
    pub(super) fn new(torrent: &Torrent) -> Self {
        let piece_length = torrent.info.geometry().piece_length();
        let count = torrent.payload.len().div_ceil(BLOCK_LENGTH as usize);
        let payload_length = u64::try_from(torrent.payload.len()).unwrap();
        let is_sent = vec![false; count];
        Self { piece_length, payload_length, is_sent, missing: count, sent: 0, sent_at_first_copy: None }
    }

    /// A block leaves.
    pub(super) fn note(&mut self, block: Block) {
        self.sent += u64::from(block.length);
        let index = block.piece * (self.piece_length / BLOCK_LENGTH) + block.begin / BLOCK_LENGTH;
        if !std::mem::replace(&mut self.is_sent[index as usize], true) {
            self.missing -= 1;
            if self.missing == 0 {
                self.sent_at_first_copy = Some(self.sent);
            }
        }
    }

    /// How many payloads had left when every block had left once; `None` before.
    pub(crate) fn at_first_copy(&self) -> Option<f64> {
        Some(as_f64(self.sent_at_first_copy?) / as_f64(self.payload_length))
    }
}

fn as_f64(count: u64) -> f64 {
    f64::from(u32::try_from(count).unwrap())
}
