//! The reading task of a connection: what the peer sends goes to the machine.

use std::io;
use std::rc::Rc;
use std::time::Instant;

use protocol::peer::Input;

use super::connection::{Connection, Ended};
use super::ring;
use super::thread::Context;

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
    let (result, buffer) = ring::receive(connection, context.buffers.take()).await;
    let outcome = match result {
        Ok(0) => Err(Ended::HungUp),
        Ok(length) => {
            let input = Input::Received(&buffer[..length]);
            Ok(connection.machine().handle_input(input, Instant::now())?)
        }
        Err(error) if error.kind() == io::ErrorKind::WouldBlock => Ok(()),
        Err(error) => Err(error.into()),
    };
    context.buffers.give(buffer);
    connection.to_write.notify_one();
    outcome
}
