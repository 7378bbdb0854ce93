//! The thread that has silent peers go.

use std::io;
use std::sync::Arc;
use std::thread::{self, JoinHandle};
use std::time::Duration;

use crate::desk::Desk;

/// Longest pause between sweeps.
const MAX_PAUSE: Duration = Duration::from_secs(60);
/// Shortest pause between sweeps.
const MIN_PAUSE: Duration = Duration::from_secs(1);
/// Rest between two slices of a sweep, so that it has a core for a small part of the time, however much there is.
const REST: Duration = Duration::from_micros(300);

/// Sweeps from now on, until the process ends: it holds nothing that would have to be given back.
pub(super) fn start(desk: Arc<Desk>) -> io::Result<JoinHandle<()>> {
    thread::Builder::new().name("sweeper".into()).spawn(move || sweep(&desk))
}

fn sweep(desk: &Desk) {
    loop {
        let terms = desk.terms();
        thread::sleep((terms.interval / 4).clamp(MIN_PAUSE, MAX_PAUSE));
        let timeout_s = u32::try_from(terms.peer_timeout().as_secs()).unwrap_or(u32::MAX);
        desk.swarms().sweep(desk.clock().now().s, timeout_s, || thread::sleep(REST));
    }
}
