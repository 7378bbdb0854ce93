//! What btctl can do, a module for each kind of command: each asks through `client`, and shows through `render`.

mod act;
mod add;
mod create;
mod daemon;
mod export;
mod list;
mod manual;
mod several;
mod show;
mod verdict;
mod verify;
mod wait;

use std::path::PathBuf;
use std::slice::from_ref;

use crate::args::{Args, Command};
use crate::client::Client;
use crate::failure::Failure;
use crate::render::Output;
use crate::socket::default_socket;
use crate::watch;

/// A daemon to ask, and someone to tell.
#[derive(Debug)]
pub(crate) struct Session<'a> {
    pub(crate) client: Client,
    pub(crate) output: &'a mut Output,
}

/// Does what `args` ask for.
pub(crate) fn run(args: Args, output: &mut Output) -> Result<(), Failure> {
    match args.command {
        Command::Completions { shell } => Ok(manual::completions(shell, output)?),
        Command::Man { dir } => manual::man(dir.as_deref(), output),
        command => {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
            runtime.block_on(ask(command, args.global.socket, output))
        }
    }
}

/// Does what needs a daemon.
async fn ask(command: Command, socket: Option<PathBuf>, output: &mut Output) -> Result<(), Failure> {
    // A variable that is set to nothing names none.
    let socket = socket.filter(|socket| !socket.as_os_str().is_empty()).unwrap_or_else(default_socket);
    let client = Client::connect(&socket).await;
    if matches!(command, Command::Version) {
        return daemon::version(client, output).await;
    }
    let session = &mut Session { client: client?, output };
    match command {
        Command::Add(args) => add::run(session, *args).await,
        Command::List(args) => list::run(session, &args).await,
        Command::Show(args) => show::torrents(session, &args.ids).await,
        Command::Files(args) => show::files(session, &args.id).await,
        Command::Peers(args) => show::peers(session, &args.id).await,
        Command::Trackers(args) => show::trackers(session, &args.id).await,
        Command::Pieces(args) => show::pieces(session, &args.id).await,
        Command::Magnet(args) => show::magnets(session, &args.ids).await,
        Command::Pause(args) => act::run(session, &args.ids, act::Action::pause()).await,
        Command::Resume(args) => act::run(session, &args.ids, act::Action::resume()).await,
        Command::Reannounce(args) => act::run(session, &args.ids, act::Action::reannounce()).await,
        Command::Remove(args) => act::run(session, &args.ids, act::Action::remove(args.data)).await,
        Command::Move(args) => act::run(session, from_ref(&args.id), act::Action::relocate(&args)?).await,
        Command::Limit(args) => act::run(session, &args.ids, act::Action::limit(&args)?).await,
        Command::Label(args) => act::run(session, from_ref(&args.id), act::Action::label(&args)?).await,
        Command::Select(args) => act::run(session, from_ref(&args.id), act::Action::select(&args)?).await,
        Command::Verify(args) => verify::run(session, &args).await,
        Command::Create(args) => create::run(session, args).await,
        Command::Export(args) => export::run(session, &args).await,
        Command::Wait(args) => wait::run(session, &args).await,
        Command::Watch(args) => watch::run(session, &args).await,
        Command::Stats => daemon::stats(session).await,
        Command::Backup { file } => daemon::backup(session, file).await,
        Command::Events => daemon::events(session).await,
        Command::Shutdown => daemon::shutdown(session).await,
        // They can do without a daemon, and have been done.
        Command::Version | Command::Completions { .. } | Command::Man { .. } => Ok(()),
    }
}
