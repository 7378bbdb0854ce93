//! One torrent of the coordinator: its swarm, and who is to hear of it.

use std::sync::Arc;
use std::time::Instant;

use protocol::control::PeerRow;
use protocol::id::{InfoHash, PeerId};
use protocol::swarm::{Settings, Swarm};
use tokio::sync::watch;

use crate::bus::Limits;
use crate::storage::Torrent;
use crate::storage::write::Report;

use super::{Beginning, Notice, Standing, peers};

/// A torrent.
#[derive(Debug)]
pub(super) struct Entry {
    pub(super) swarm: Swarm,
    pub(super) limits: Arc<Limits>,
    standing: watch::Sender<Standing>,
    /// The torrent, once its metadata is here.
    pub(super) torrent: Option<Arc<Torrent>>,
}

impl Entry {
    pub(super) fn new(
        info_hash: InfoHash,
        our_id: PeerId,
        settings: Settings,
        limits: Arc<Limits>,
        standing: watch::Sender<Standing>,
    ) -> Self {
        let swarm = Swarm::new(info_hash, our_id, settings, rand::random());
        Self { swarm, limits, standing, torrent: None }
    }

    /// The torrent's metadata is here.
    pub(super) fn begin(&mut self, beginning: &Beginning) {
        self.torrent = Some(Arc::clone(&beginning.torrent));
        self.swarm.begin(beginning.torrent.view(), &beginning.priorities);
    }

    /// Takes in what became of blocks; what of it is to be told.
    pub(super) fn stored(&mut self, info_hash: InfoHash, report: Report) -> Option<Notice> {
        match report {
            Report::Verified { piece, digests } => {
                self.swarm.verified(piece, digests.as_deref().unwrap_or_default());
                Some(Notice::Verified(info_hash, piece))
            }
            Report::Failed { piece, digests } => {
                self.swarm.failed(piece, digests);
                Some(Notice::Failed(info_hash, piece))
            }
            Report::DiskFull { needed } => {
                tracing::error!("no room on the disk for {needed} bytes of {info_hash}: waiting for some");
                self.swarm.set_paused(true);
                None
            }
            Report::Room => {
                tracing::info!("there is room on the disk again: going on with {info_hash}");
                self.swarm.set_paused(false);
                None
            }
            // Told by the torrent, which has stopped.
            Report::Error(_) => None,
        }
    }

    fn piece_count(&self) -> Option<u32> {
        self.torrent.as_ref().map(|torrent| torrent.info().geometry().piece_count())
    }

    /// Its peers, for people.
    pub(super) fn peers(&self, now: Instant) -> Vec<PeerRow> {
        peers::rows(&self.swarm, self.piece_count(), now)
    }

    /// Publishes how the torrent stands, if that has changed.
    pub(super) fn publish(&self) {
        let swarm = &self.swarm;
        let piece_count = self.piece_count().unwrap_or(u32::MAX);
        let seeds = swarm.peers().filter(|(_, peer)| peer.have_count() >= piece_count).count();
        let standing = Standing {
            peers: swarm.peers().count(),
            seeds,
            dials: swarm.dial_count(),
            candidates: swarm.candidate_count(),
            is_complete: swarm.is_complete(),
            is_disk_full: swarm.is_paused(),
            tally: swarm.tally(),
        };
        self.standing.send_if_modified(|before| std::mem::replace(before, standing) != standing);
    }
}
