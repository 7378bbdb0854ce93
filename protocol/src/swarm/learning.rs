//! What the torrent is: its metadata, fetched from peers where only the info-hash is known (BEP 9).

use std::time::Instant;

use crate::peer::{Order, Parting};

use super::metadata::Outcome;
use super::{Command, PeerKey, Swarm};

impl Swarm {
    /// Asks peers for the pieces of the metadata that nobody was asked for.
    pub(super) fn ask_for_metadata(&mut self, now: Instant) {
        while let Some((key, piece)) = self.metadata.as_mut().and_then(|metadata| metadata.poll_request(now))
        {
            self.tell(key, Order::RequestMetadata(piece));
        }
    }

    /// A piece of the metadata.
    pub(super) fn metadata_came(&mut self, key: PeerKey, piece: u32, size: u32, data: &[u8], now: Instant) {
        let Some(metadata) = &mut self.metadata else { return };
        match metadata.data(key, piece, size, data) {
            Outcome::Done(info) => {
                self.metadata = None;
                return self.commands.push_back(Command::Metadata(info));
            }
            Outcome::Lied(liars) => liars.into_iter().for_each(|liar| self.ban(liar, Parting::FalseMetadata)),
            _ => {}
        }
        self.ask_for_metadata(now);
    }

    /// A peer will not give a piece of the metadata.
    pub(super) fn metadata_rejected(&mut self, key: PeerKey, piece: u32, now: Instant) {
        if let Some(metadata) = &mut self.metadata {
            metadata.rejected(key, piece, now);
            self.ask_for_metadata(now);
        }
    }
}
