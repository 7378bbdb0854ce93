//! The writing task of a connection: what the machine wants sent leaves in batches, straight from the mapping.

use std::io;
use std::pin::pin;
use std::rc::Rc;
use std::sync::Arc;
use std::time::{Duration, Instant};

use nix::libc;
use protocol::geometry::{BLOCK_LENGTH, Block};
use protocol::peer::{Input, Output, PeerError};

use crate::storage::window;
use crate::storage::{Lease, Lent, Torrent};

use super::batch::Batch;
use super::connection::{Connection, Ended};
use super::pace::Pace;
use super::ring;
use super::thread::Context;
use super::turn::Turn;

/// Bytes in most blocks.
const BLOCK_BYTES: usize = BLOCK_LENGTH as usize;
/// How long a batch may hold what it was lent while its peer takes nothing: less than windows are trusted to be warm.
/// After that the rest is lent anew, and looked at anew.
const LEASE_TIME: Duration = Duration::from_secs(5);

/// Writes until the connection ends, and says why. While there is nothing to send it holds no batch.
pub(super) async fn run(context: &Context, connection: &Rc<Connection>) -> Ended {
    let mut writer = Writer { context, connection, pace: Pace::new(), last: None };
    loop {
        if let Err(ended) = writer.listen().await {
            return ended;
        }
        match writer.write().await {
            Ok(true) => {}
            // Beginning a torrent may bring news, and nothing to send.
            Ok(false) if connection.has_news() => {}
            Ok(false) => connection.mailbox.rung().await,
            Err(ended) => return ended,
        }
        if let Err(ended) = connection.check() {
            return ended;
        }
    }
}

struct Writer<'a> {
    context: &'a Context,
    connection: &'a Rc<Connection>,
    pace: Pace,
    /// The last block that was lent.
    last: Option<Block>,
}

impl<'a> Writer<'a> {
    /// Does what the coordinator has ordered, and tells it what came of that.
    async fn listen(&self) -> Result<(), Ended> {
        self.connection.obey(&self.context.registry)?;
        self.context.report(self.connection).await;
        Ok(())
    }

    /// Sends one batch of what is in memory, then what had to be fetched; false when there is nothing.
    async fn write(&mut self) -> Result<bool, Ended> {
        let turn = self.earn_turn().await?;
        let pace = self.pace.blocks();
        let max_blocks = turn.as_ref().map_or(pace, |turn| (turn.bytes() / BLOCK_BYTES).clamp(1, pace));
        let mut batch = self.context.buffers.take_batch();
        let cold = self.gather(&mut batch, max_blocks)?;
        self.last = batch.blocks().last().copied().or(self.last);
        if let Some(turn) = turn {
            let lengths = batch.blocks().iter().chain(&cold).map(|block| block.length as usize);
            turn.spend(lengths.sum());
        }
        if batch.is_empty() && cold.is_empty() {
            self.context.buffers.give_batch(batch);
            return Ok(false);
        }
        if !batch.is_empty() {
            batch = self.send(batch).await?;
        }
        // Files of a torrent may lie on several devices, each with a lane of its own. Padding goes with any.
        let lane_of = |block: &Block| self.connection.torrent().and_then(|torrent| torrent.lane_of(*block));
        for blocks in cold.chunk_by(|a, b| lane_of(b).is_none() || lane_of(a) == lane_of(b)) {
            let lease = self.fetch(blocks).await?;
            batch.fill(blocks, lease);
            batch = self.send(batch).await?;
        }
        self.context.buffers.give_batch(batch);
        self.connection.machine().handle_input(Input::Sent { is_all: true }, Instant::now())?;
        // The peer may have been held back for leaving our answers unread.
        self.connection.to_read.notify_one();
        Ok(true)
    }

    /// Where rates are limited, waits until blocks may be sent. Small messages do not wait: they go meanwhile.
    async fn earn_turn(&mut self) -> Result<Option<Turn<'a>>, Ended> {
        let (of_torrent, of_all) = (self.connection.limits(), &self.context.limits);
        let throttles = [of_torrent.map(|limits| &limits.upload), Some(&of_all.upload)];
        let Some(turn) = Turn::new(throttles, usize::MAX) else { return Ok(None) };
        if !self.connection.machine().has_requests() {
            return Ok(None);
        }
        {
            let mut earned = turn.earn();
            loop {
                // Boxed, as the wait is.
                Box::pin(self.send_control()).await?;
                tokio::select! {
                    () = &mut earned => break,
                    () = self.connection.mailbox.rung() => {}
                }
                self.connection.check()?;
                self.listen().await?;
            }
        }
        Ok(Some(turn))
    }

    /// Sends the small messages that wait, and no block.
    async fn send_control(&mut self) -> Result<(), Ended> {
        while self.connection.machine().has_control() {
            let mut batch = self.context.buffers.take_batch();
            // Apart from the next lines: the machine must not be borrowed while they wait.
            let output = self.connection.machine().poll_output(Instant::now());
            if let Some(Output::Control(bytes)) = output {
                batch.push_control(&bytes);
                batch = self.send(batch).await?;
                self.connection.machine().handle_input(Input::Sent { is_all: true }, Instant::now())?;
            }
            self.context.buffers.give_batch(batch);
        }
        Ok(())
    }

    /// Fills `batch` with what the machine wants sent and is in memory; returns the first block that is not, and all
    /// that were asked for after it: clients take a block that overtakes others for a sign that those are lost.
    fn gather(&self, batch: &mut Batch, max_blocks: usize) -> Result<Vec<Block>, PeerError> {
        let now = Instant::now();
        let now_s = window::seconds(now);
        let mut cold = Vec::new();
        while !batch.is_full(max_blocks.saturating_sub(cold.len())) {
            let Some(output) = self.connection.machine().poll_output(now) else { break };
            match output {
                Output::Find(info_hash) => self.connection.attach(info_hash, &self.context.registry)?,
                Output::Control(bytes) => batch.push_control(&bytes),
                Output::Serve(block) => {
                    let lend = |torrent: &Arc<Torrent>| torrent.lend(block, now_s, batch.lease());
                    if cold.is_empty() && self.connection.torrent().map(lend) == Some(Lent::Warm) {
                        batch.push_block(block);
                    } else {
                        cold.push(block);
                    }
                }
            }
        }
        Ok(cold)
    }

    /// Has `blocks` fetched from disk, and more ahead where they go on from those before.
    async fn fetch(&mut self, blocks: &[Block]) -> Result<Lease, Ended> {
        let goes_on = self.last.zip(blocks.first()).is_some_and(|(last, first)| first.follows(last));
        self.last = blocks.last().copied();
        let Some(torrent) = self.connection.torrent() else { return Err(Ended::TorrentStopped) };
        let mut fetched = pin!(self.context.lanes.fetch(torrent, blocks, goes_on));
        loop {
            tokio::select! {
                lease = &mut fetched => {
                    // However long the disk took: the peer is not to be blamed.
                    self.connection.machine().handle_input(Input::Sent { is_all: false }, Instant::now())?;
                    return Ok(lease?);
                }
                () = self.connection.mailbox.rung() => self.connection.check()?,
            }
        }
    }

    /// Sends all of `batch`. Before each send it looks whether the torrent may still be served, and whether the kernel
    /// has seen a change of payload: what was changed before a peer asked for it is never sent.
    async fn send(&mut self, mut batch: Box<Batch>) -> Result<Box<Batch>, Ended> {
        let started_at = Instant::now();
        let mut lent_at = started_at;
        let (blocks, payload_bytes) = (batch.block_count(), batch.payload_bytes());
        let mut has_faulted = false;
        loop {
            self.connection.check()?;
            if !batch.blocks().is_empty() && !self.context.lanes.is_quiet() {
                batch.give_back();
            }
            if batch.is_given_back() {
                let lease = self.fetch(batch.blocks()).await?;
                batch.lend_again(lease);
                lent_at = Instant::now();
            }
            let mut gather = self.context.buffers.take_gather();
            gather.list(&batch);
            let (result, returned, gather) = ring::send(self.connection, batch, gather).await;
            self.context.buffers.give_gather(gather);
            batch = returned;
            match result {
                Ok(sent) => {
                    self.context.counters.add_send(sent);
                    if batch.advance(sent) {
                        break;
                    }
                    self.connection.machine().handle_input(Input::Sent { is_all: false }, Instant::now())?;
                }
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
                Err(error) if error.raw_os_error() == Some(libc::EFAULT) => {
                    // The lane will find which file it is that lost bytes.
                    if std::mem::replace(&mut has_faulted, true) {
                        self.connection.torrent().inspect(|torrent| torrent.fail_sending());
                        return Err(error.into());
                    }
                    batch.give_back();
                }
                Err(error) => return Err(error.into()),
            }
            self.wait_for_room(&mut batch, lent_at).await?;
        }
        self.context.counters.add_blocks(blocks, payload_bytes);
        self.connection.torrent().inspect(|torrent| torrent.add_uploaded(payload_bytes));
        self.pace.note(started_at.elapsed());
        Ok(batch)
    }

    /// Waits until the socket takes more. A batch that was lent too long ago is given back meanwhile.
    async fn wait_for_room(&self, batch: &mut Batch, lent_at: Instant) -> Result<(), Ended> {
        let mut ready = pin!(ring::writable(self.connection));
        self.connection.is_blocked.set(true);
        let result = loop {
            let result = tokio::select! {
                result = &mut ready => Some(result),
                () = self.connection.mailbox.rung() => None,
            };
            self.connection.check()?;
            if lent_at.elapsed() >= LEASE_TIME && !batch.is_given_back() {
                batch.give_back();
            }
            if let Some(result) = result {
                break result;
            }
        };
        self.connection.is_blocked.set(false);
        Ok(result?)
    }
}
