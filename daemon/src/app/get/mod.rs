//! `btd get`: learns what a torrent is, fetches it, and remembers how far it came.

mod books;
mod events;
mod prepare;
mod session;
mod source;

use std::cell::Cell;
use std::net::SocketAddr;
use std::process::ExitCode;
use std::rc::Rc;
use std::time::Duration;

use service::limits;
use service::listen::ListenError;
use tokio::signal::unix::{SignalKind, signal};

use crate::args::GetArgs;
use crate::config::GetConfig;
use crate::config::ServeConfig;
use crate::engine::{Notices, Server, ServerError};
use crate::sys::probe;

use super::Failure;

use events::Events;
use session::{End, Session};
use source::Wanted;

/// What ends with 5: not complete in time.
const EXIT_TIMED_OUT: u8 = 5;
/// What ends with 130, as shells have it: interrupted.
const EXIT_INTERRUPTED: u8 = 130;
/// How long the end waits for the state to be written.
const STATE_TIMEOUT: Duration = Duration::from_secs(2);

/// Fetches until complete, or until something ends it.
pub(super) fn run(args: GetArgs) -> Result<ExitCode, Failure> {
    let events = Events::new(args.json, args.log.quiet);
    let result = fetch(args, &events);
    if let Err(failure) = &result {
        events.error(&failure.to_string());
    }
    result
}

fn fetch(args: GetArgs, events: &Events) -> Result<ExitCode, Failure> {
    let config = GetConfig::new(args, limits::raise_open_files()?)?;
    probe::io_uring()?;
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let end = runtime.block_on(fetch_until_end(config, events));
    // A name that is being looked up, or a disk that does not answer, must not hold up the end.
    runtime.shutdown_background();
    end.map(|end| match end {
        End::Complete => ExitCode::SUCCESS,
        End::TimedOut => ExitCode::from(EXIT_TIMED_OUT),
        End::Interrupted => ExitCode::from(EXIT_INTERRUPTED),
    })
}

/// Fetches until a signal, the time limit, or the end of the work.
async fn fetch_until_end(config: GetConfig, events: &Events) -> Result<End, Failure> {
    let (mut interrupt, mut terminate) = (signal(SignalKind::interrupt())?, signal(SignalKind::terminate())?);
    let timeout = config.timeout;
    let is_done = Rc::new(Cell::new(false));
    let late = async {
        if let Some(timeout) = timeout {
            tokio::time::sleep(timeout).await;
        }
        if timeout.is_none() || is_done.get() {
            std::future::pending::<()>().await;
        }
    };
    let interrupted = || if is_done.get() { End::Complete } else { End::Interrupted };
    let mut session = None;
    let end = tokio::select! {
        result = work(&config, events, &is_done, &mut session) => result,
        () = late => Ok(End::TimedOut),
        _ = interrupt.recv() => Ok(interrupted()),
        _ = terminate.recv() => Ok(interrupted()),
    };
    // Whatever ended it: what was fetched is kept, and trackers hear of it.
    if let Some(session) = session {
        session.finish(events);
    }
    let end = end?;
    match end {
        End::TimedOut => {
            let shown = humantime::format_duration(timeout.unwrap_or_default());
            events.error(&format!("not complete after {shown}: started again, it continues"));
        }
        End::Interrupted => tracing::info!("interrupted: started again, it continues"),
        End::Complete => {}
    }
    Ok(end)
}

async fn work(
    config: &GetConfig,
    events: &Events,
    is_done: &Rc<Cell<bool>>,
    session: &mut Option<Session>,
) -> Result<End, Failure> {
    let wanted = Wanted::look(config).await?;
    let mut started = Session::new(config, wanted, Rc::clone(is_done))?;
    started.prepare_known(config, events).await?;
    if started.is_complete() && !config.is_seeding {
        let summary = started.summary();
        started.close()?;
        events.done(&summary);
        return Ok(End::Complete);
    }
    started.check_reachable()?;
    let (server, notices) = serve(&config.serve)?;
    let addresses = server.addresses().to_vec();
    started.start(server, config).await?;
    // Whoever connects now is expected.
    events.listening(&addresses);
    session.insert(started).run(notices, config, events).await
}

/// Starts to serve; with the default addresses on any port, where the usual one is taken by another download.
fn serve(serve: &ServeConfig) -> Result<(Server, Notices), Failure> {
    let start = |serve: &ServeConfig| -> Result<_, ServerError> { Server::start(&serve.usable()?) };
    match start(serve) {
        Err(ServerError::Listen(ListenError::InUse { .. })) if serve.has_default_listen => {
            let any_port = serve.listen.iter().map(|address| SocketAddr::new(address.ip(), 0)).collect();
            Ok(start(&ServeConfig { listen: any_port, ..serve.clone() })?)
        }
        result => Ok(result?),
    }
}
