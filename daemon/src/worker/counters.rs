//! What a worker has done so far, for others to read.

use std::sync::atomic::{AtomicU64, Ordering};

use crate::bus::WorkerFigures;

/// Counters of one worker. Written by its thread alone.
#[derive(Debug, Default)]
pub struct Counters {
    bytes_sent: AtomicU64,
    payload_bytes_sent: AtomicU64,
    blocks_sent: AtomicU64,
    sends: AtomicU64,
    bytes_received: AtomicU64,
    accepted: AtomicU64,
    refused: AtomicU64,
    dialled: AtomicU64,
    connections: AtomicU64,
}

impl Counters {
    /// Bytes left in one send.
    pub(super) fn add_send(&self, bytes: usize) {
        self.sends.fetch_add(1, Ordering::Relaxed);
        self.bytes_sent.fetch_add(bytes as u64, Ordering::Relaxed);
    }

    /// A batch of blocks has left as a whole.
    pub(super) fn add_blocks(&self, blocks: usize, payload_bytes: u64) {
        self.blocks_sent.fetch_add(blocks as u64, Ordering::Relaxed);
        self.payload_bytes_sent.fetch_add(payload_bytes, Ordering::Relaxed);
    }

    /// Bytes came in with one receive.
    pub(super) fn add_received(&self, bytes: usize) {
        self.bytes_received.fetch_add(bytes as u64, Ordering::Relaxed);
    }

    /// A peer was let in.
    pub(super) fn add_accepted(&self) {
        self.accepted.fetch_add(1, Ordering::Relaxed);
    }

    /// A peer was turned away for want of a place.
    pub(super) fn add_refused(&self) {
        self.refused.fetch_add(1, Ordering::Relaxed);
    }

    /// An address is being dialled.
    pub(super) fn add_dialled(&self) {
        self.dialled.fetch_add(1, Ordering::Relaxed);
    }

    /// So many connections are open now.
    pub(super) fn set_connections(&self, count: usize) {
        self.connections.store(count as u64, Ordering::Relaxed);
    }

    /// What has been counted so far.
    pub fn figures(&self) -> WorkerFigures {
        WorkerFigures {
            bytes_sent: self.bytes_sent.load(Ordering::Relaxed),
            payload_bytes_sent: self.payload_bytes_sent.load(Ordering::Relaxed),
            blocks_sent: self.blocks_sent.load(Ordering::Relaxed),
            sends: self.sends.load(Ordering::Relaxed),
            bytes_received: self.bytes_received.load(Ordering::Relaxed),
            accepted: self.accepted.load(Ordering::Relaxed),
            refused: self.refused.load(Ordering::Relaxed),
            dialled: self.dialled.load(Ordering::Relaxed),
            connections: self.connections.load(Ordering::Relaxed),
        }
    }
}
