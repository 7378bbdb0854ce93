//! Orders for one connection, from the coordinator to its worker.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use protocol::geometry::Block;
use protocol::peer::{Order, Parting, TorrentView};
use tokio::sync::Notify;

use super::Limits;

/// Orders that wait. Bounded without a limit: what replaces nothing uses up credits that the connection granted, or
/// names each piece once.
#[derive(Debug, Default)]
struct Waiting {
    begin: Option<TorrentView>,
    close: Option<Parting>,
    is_metered: Option<bool>,
    is_choked: Option<bool>,
    is_interested: Option<bool>,
    have: Vec<u32>,
    requests: Vec<Block>,
    cancels: Vec<Block>,
    metadata: Vec<u32>,
    limits: Option<Arc<Limits>>,
}

/// Where a connection takes orders. Both sides hold the lock for a few pushes only.
#[derive(Debug, Default)]
pub struct Mailbox {
    waiting: Mutex<Waiting>,
    has_orders: AtomicBool,
    wake: Notify,
}

impl Mailbox {
    /// Leaves an order; the worker hears of it after [`Mailbox::ring`].
    pub fn post(&self, order: Order) {
        self.change(|waiting| match order {
            Order::Begin(torrent) => waiting.begin = Some(torrent),
            Order::Close(parting) => drop(waiting.close.get_or_insert(parting)),
            Order::Meter(is_metered) => waiting.is_metered = Some(is_metered),
            Order::Choke(is_choked) => waiting.is_choked = Some(is_choked),
            Order::Interested(is_interested) => waiting.is_interested = Some(is_interested),
            Order::Have(pieces) => waiting.have.extend(pieces),
            Order::Request(blocks) => waiting.requests.extend(blocks),
            Order::Cancel(block) => waiting.cancels.push(block),
            Order::RequestMetadata(piece) => waiting.metadata.push(piece),
        });
    }

    /// Sets the limits that the connection shares with others of its torrent.
    pub fn set_limits(&self, limits: Arc<Limits>) {
        self.change(|waiting| waiting.limits = Some(limits));
    }

    fn change(&self, change: impl FnOnce(&mut Waiting)) {
        change(&mut self.waiting.lock().unwrap_or_else(PoisonError::into_inner));
        self.has_orders.store(true, Ordering::Release);
    }

    /// Wakes the connection: it may find orders, or something else that it waits for.
    pub fn ring(&self) {
        self.wake.notify_one();
    }

    /// Waits for [`Mailbox::ring`]; does not wait if it was called since the last time.
    pub async fn rung(&self) {
        self.wake.notified().await;
    }

    /// Takes all orders, in the order in which they are to be obeyed: a block is asked for before it is cancelled.
    /// And the limits, if they were set since the last time.
    pub fn take(&self) -> (Vec<Order>, Option<Arc<Limits>>) {
        // Looked at for each batch that is sent: without orders it costs a load.
        if !self.has_orders.load(Ordering::Acquire) {
            return (Vec::new(), None);
        }
        self.has_orders.store(false, Ordering::Release);
        let mut waiting = self.waiting.lock().unwrap_or_else(PoisonError::into_inner);
        let Waiting { begin, close, is_metered, is_choked, is_interested, .. } = &mut *waiting;
        let mut orders = Vec::new();
        orders.extend(begin.take().map(Order::Begin));
        orders.extend(close.take().map(Order::Close));
        orders.extend(is_metered.take().map(Order::Meter));
        orders.extend(is_choked.take().map(Order::Choke));
        orders.extend(is_interested.take().map(Order::Interested));
        let full =
            |numbers: &mut Vec<u32>| Some(std::mem::take(numbers)).filter(|numbers| !numbers.is_empty());
        orders.extend(full(&mut waiting.have).map(Order::Have));
        if !waiting.requests.is_empty() {
            orders.push(Order::Request(std::mem::take(&mut waiting.requests)));
        }
        orders.extend(std::mem::take(&mut waiting.cancels).into_iter().map(Order::Cancel));
        orders.extend(std::mem::take(&mut waiting.metadata).into_iter().map(Order::RequestMetadata));
        (orders, waiting.limits.take())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn newer_orders_replace_older_ones_and_requests_add_up() {
        let mailbox = Mailbox::default();
        assert!(mailbox.take().0.is_empty());
        let block = |piece| Block { piece, begin: 0, length: 1 };
        mailbox.post(Order::Cancel(block(1)));
        mailbox.post(Order::Choke(true));
        mailbox.post(Order::Request(vec![block(1)]));
        mailbox.post(Order::Choke(false));
        mailbox.post(Order::Request(vec![block(2)]));
        mailbox.post(Order::Have(vec![5]));
        mailbox.post(Order::Have(vec![6]));
        let orders: Vec<String> = mailbox.take().0.iter().map(|order| format!("{order:?}")).collect();
        let requests = Order::Request(vec![block(1), block(2)]);
        let expected = [Order::Choke(false), Order::Have(vec![5, 6]), requests, Order::Cancel(block(1))];
        assert_eq!(orders, expected.map(|order| format!("{order:?}")));
        assert!(mailbox.take().0.is_empty());
    }
}
