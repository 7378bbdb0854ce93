//! The writing task of a connection: what the machine wants sent leaves in batches, straight from the mapping.

use std::io;
use std::rc::Rc;
use std::time::Instant;

use nix::libc;
use protocol::geometry::Block;
use protocol::peer::{Input, Output, PeerError};

use crate::storage::window;
use crate::storage::{Lease, Lent};

use super::batch::{Batch, MAX_BLOCKS};
use super::connection::{Connection, Ended};
use super::ring;
use super::thread::Context;

/// Writes until the connection ends, and says why. While there is nothing to send it holds no batch.
pub(super) async fn run(context: &Context, connection: &Rc<Connection>) -> Ended {
    loop {
        match write(context, connection).await {
            Ok(true) => {}
            Ok(false) => connection.to_write.notified().await,
            Err(ended) => return ended,
        }
        if let Err(ended) = connection.check() {
            return ended;
        }
    }
}

/// Sends one batch of what is ready and one of what had to be fetched; false when there is nothing.
async fn write(context: &Context, connection: &Rc<Connection>) -> Result<bool, Ended> {
    let mut batch = context.buffers.take_batch();
    let cold = gather(context, connection, &mut batch)?;
    if batch.is_empty() && cold.is_empty() {
        context.buffers.give_batch(batch);
        return Ok(false);
    }
    let fetched = fetch(context, connection, &cold);
    if !batch.is_empty() {
        batch = send(context, connection, batch).await?;
    }
    if let Some(lease) = fetched.await? {
        batch.fill(&cold, lease);
        batch = send(context, connection, batch).await?;
    }
    context.buffers.give_batch(batch);
    connection.machine().handle_input(Input::Sent { is_all: true }, Instant::now())?;
    // The peer may have been held back for leaving our answers unread.
    connection.to_read.notify_one();
    Ok(true)
}

/// Fills `batch` with what the machine wants sent and is in memory; returns the blocks that are not.
fn gather(context: &Context, connection: &Connection, batch: &mut Batch) -> Result<Vec<Block>, PeerError> {
    let now = Instant::now();
    let now_s = window::seconds(now);
    let mut cold = Vec::new();
    while !batch.is_full() && batch.block_count() + cold.len() < MAX_BLOCKS {
        let Some(output) = connection.machine().poll_output(now) else { break };
        match output {
            Output::Find(info_hash) => connection.attach(context.registry.get(&info_hash))?,
            Output::Control(bytes) => batch.push_control(&bytes),
            Output::Serve(block) => match connection.torrent().map(|t| t.lend(block, now_s, batch.lease())) {
                Some(Lent::Warm) => batch.push_block(block),
                _ => cold.push(block),
            },
        }
    }
    Ok(cold)
}

/// Has `blocks` fetched, from now on; resolves to their lease, or at once to nothing when there are none.
fn fetch(
    context: &Context,
    connection: &Connection,
    blocks: &[Block],
) -> impl Future<Output = Result<Option<Lease>, Ended>> {
    let ticket = match connection.torrent() {
        Some(torrent) if !blocks.is_empty() => Some(context.lanes.fetch(torrent, blocks.to_vec())),
        _ => None,
    };
    async move {
        let Some(ticket) = ticket else { return Ok(None) };
        let mut ticket = ticket.map_err(|_| Ended::TorrentStopped)?;
        loop {
            tokio::select! {
                // A ticket may be dropped: the lane looks whether anybody still waits.
                lease = &mut ticket => {
                    return lease.ok().and_then(Result::ok).map(Some).ok_or(Ended::TorrentStopped);
                }
                () = connection.to_write.notified() => connection.check()?,
            }
        }
    }
}

/// Sends all of `batch`. Before each send it looks whether the torrent may still be served.
async fn send(
    context: &Context,
    connection: &Rc<Connection>,
    mut batch: Box<Batch>,
) -> Result<Box<Batch>, Ended> {
    batch.seal();
    loop {
        connection.check()?;
        let (result, returned) = ring::send(connection, batch).await;
        batch = returned;
        match result {
            Ok(sent) => {
                context.counters.add_send(sent);
                if batch.advance(sent) {
                    context.counters.add_blocks(batch.block_count(), batch.payload_bytes());
                    return Ok(batch);
                }
                connection.machine().handle_input(Input::Sent { is_all: false }, Instant::now())?;
            }
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
            Err(error) => {
                if let (Some(libc::EFAULT), Some(torrent)) = (error.raw_os_error(), connection.torrent()) {
                    torrent.fail_sending();
                }
                return Err(error.into());
            }
        }
        ring::writable(connection).await?;
    }
}
