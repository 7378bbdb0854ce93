//! The control API: HTTP/1.1 and JSON under `/v1` on a Unix socket, and figures for Prometheus beside it.
//!
//! The application starts it once, on a thread of its own. What lists and events show it reads from the board;
//! everything else it asks the catalog. It never touches payload, never waits for a disk, and decides nothing.

mod actions;
mod api;
mod create;
mod events;
mod metrics;
mod openapi;
mod process;
#[cfg(test)]
mod tests;
mod torrents;

use std::sync::Arc;
use std::time::Instant;

use service::control::{Control, ControlError, Routers, Settings};

use crate::PROGRAM;
use crate::bus::{Board, Figures, Requests};
use api::Api;

/// Where figures that no row tells come from. Called on the control thread, so it may not wait for anything.
pub type FiguresSource = Arc<dyn Fn() -> Figures + Send + Sync>;

/// Listens, and serves on a thread.
///
/// # Errors
/// When another daemon has the socket, or the kernel refuses something.
pub fn start(
    settings: Settings,
    board: Arc<Board>,
    requests: Requests,
    figures: FiguresSource,
) -> Result<Control, ControlError> {
    Control::start(PROGRAM, settings, |stopping| {
        let api = Arc::new(Api { board, requests, figures, started: Instant::now(), stopping });
        Routers { socket: api::router(Arc::clone(&api)), metrics: api::metrics_router(api) }
    })
}
