//! The reading task of a connection: what the peer sends goes to the machine, and from there to storage and to the
//! coordinator.

use std::io;
use std::rc::Rc;
use std::sync::Arc;
use std::time::Instant;

use protocol::geometry::BLOCK_LENGTH;
use protocol::peer::{Arrival, Data, Input};
use tokio::sync::OwnedSemaphorePermit;

use crate::storage::write::{BlockData, Chunk, Deposit, Slice};

use super::buffers::{CHUNK_LENGTH, Landing};
use super::connection::{Connection, Ended};
use super::ring;
use super::thread::Context;
use super::turn::Turn;

/// Bytes of blocks that one read may bring: those that fit the chunk, and one whose first part came before.
const CHUNK_CREDITS: u32 = CHUNK_LENGTH + BLOCK_LENGTH;
/// Blocks are cut out of a chunk of which they fill at least as much; out of one that a slow peer has hardly filled they
/// are copied, so that it does not lie idle until they are on disk.
const MIN_SHARED: usize = CHUNK_LENGTH as usize / 2;

/// Reads until the connection ends, and says why. While the peer is silent it costs a poll and no buffer.
pub(super) async fn run(context: &Context, connection: &Rc<Connection>) -> Ended {
    loop {
        if let Err(ended) = read(context, connection).await {
            return ended;
        }
    }
}

async fn read(context: &Context, connection: &Rc<Connection>) -> Result<(), Ended> {
    while !connection.machine().wants_input() {
        connection.to_read.notified().await;
        connection.check()?;
    }
    ring::readable(connection).await?;
    // Blocks are expected: memory on their way to the disk is asked for before they leave the socket.
    let writer = context.writer.as_ref().filter(|_| connection.machine().expects_blocks());
    let (landing, credits) = match writer {
        Some(writer) => {
            let memory = async {
                writer.keep_up().await;
                writer.credits().acquire(CHUNK_CREDITS).await
            };
            let credits = connection.unless_closed(memory).await?.ok_or(Ended::Stopping)?;
            (context.buffers.take_chunk(), Some(credits))
        }
        None => (context.buffers.take(), None),
    };
    let (result, landing) = receive(context, connection, landing).await?;
    let length = match result {
        Ok(0) => return Err(Ended::HungUp),
        Ok(length) => {
            context.counters.add_received(length);
            length
        }
        Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
            context.buffers.give(landing);
            return Ok(());
        }
        Err(error) => return Err(error.into()),
    };
    let outcome =
        connection.machine().handle_input(Input::Received(&landing.bytes()[..length]), Instant::now());
    let arrivals = connection.machine().take_arrivals();
    // The swarm hears of blocks before storage has them: what becomes of them must not be told first. And what came
    // before a mistake counts.
    context.report(connection).await;
    if arrivals.is_empty() {
        context.buffers.give(landing);
    } else {
        deposit(context, connection, arrivals, landing, credits).await?;
    }
    outcome?;
    connection.mailbox.ring();
    Ok(())
}

/// Receives as much as is there, fits, and the limits allow.
async fn receive(
    context: &Context,
    connection: &Rc<Connection>,
    landing: Landing,
) -> Result<(io::Result<usize>, Landing), Ended> {
    let room = landing.bytes().len();
    let throttles = [connection.limits().map(|limits| &limits.download), Some(&context.limits.download)];
    let Some(turn) = Turn::new(throttles, room) else {
        return Ok(ring::receive(connection, landing, room).await);
    };
    connection.unless_closed(turn.earn()).await?;
    let received = ring::receive(connection, landing, turn.bytes()).await;
    turn.spend(*received.0.as_ref().unwrap_or(&0));
    Ok(received)
}

/// Hands blocks to storage, all of them: the swarm is told that they are here.
async fn deposit(
    context: &Context,
    connection: &Connection,
    arrivals: Vec<Arrival>,
    landing: Landing,
    mut credits: Option<OwnedSemaphorePermit>,
) -> Result<(), Ended> {
    let (Some(torrent), Some(writer)) = (connection.torrent(), &context.writer) else { return Ok(()) };
    let bytes = arrivals.iter().map(|arrival| arrival.block.length as usize).sum();
    let cutting = Cutting::new(landing, bytes);
    for Arrival { block, data } in arrivals {
        let needed = writer.credits().needed_kib(block.length) as usize;
        let part = match credits.as_mut().and_then(|credits| credits.split(needed)) {
            Some(part) => part,
            // A block that came late, or a chunk that is full of short ones. The swarm counts on it: it is waited for
            // even when the connection has ended.
            None => writer.credits().acquire(block.length).await.ok_or(Ended::Stopping)?,
        };
        let (torrent, data) = (Arc::clone(torrent), cutting.cut(data));
        let deposit = Deposit { torrent, block, source: connection.key, data, credits: part };
        writer.deposit(deposit).map_err(|_| Ended::Stopping)?;
    }
    cutting.finish(context);
    Ok(())
}

/// What blocks are cut out of.
enum Cutting {
    /// A chunk that is shared with them.
    Shared(Arc<Chunk>),
    /// Memory that they are copied from: it is short, or a slow peer has hardly filled it.
    Copied(Landing),
}

impl Cutting {
    fn new(landing: Landing, bytes: usize) -> Self {
        match landing {
            Landing::Blocks(chunk) if bytes >= MIN_SHARED => Self::Shared(chunk.share()),
            landing => Self::Copied(landing),
        }
    }

    fn cut(&self, data: Data) -> BlockData {
        match (data, self) {
            (Data::Within(range), Self::Shared(chunk)) => Slice::new(Arc::clone(chunk), range).into(),
            (Data::Within(range), Self::Copied(landing)) => landing.bytes()[range].to_vec().into(),
            (Data::Gathered { mut bytes, start }, _) => {
                bytes.drain(..start);
                bytes.into()
            }
        }
    }

    fn finish(self, context: &Context) {
        if let Self::Copied(landing) = self {
            context.buffers.give(landing);
        }
    }
}
