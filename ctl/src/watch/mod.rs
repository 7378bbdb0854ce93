//! `btctl watch`: the list, live. It asks for what has changed, draws, and waits for a key or the next look.
//!
//! The terminal is given back as it was, however it ends: on a key, a signal, a failure or a panic.

mod draw;
mod look;
mod model;

use std::io;
use std::pin::pin;
use std::time::Duration;

use ratatui::DefaultTerminal;
use ratatui::crossterm::event::{self, Event, KeyCode, KeyEvent, KeyEventKind, KeyModifiers};
use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::mpsc::{self, Receiver};

use crate::args::WatchArgs;
use crate::commands::Session;
use crate::failure::Failure;

use look::look;
use model::{Model, Step};

/// Keys that wait to be obeyed.
const MAX_KEYS: usize = 64;

/// Shows the list until the user has seen enough.
pub(crate) async fn run(session: &mut Session<'_>, args: &WatchArgs) -> Result<(), Failure> {
    if !session.output.is_terminal || session.output.is_json {
        let instead = "`watch` draws on a terminal: elsewhere use `btctl events`, or `btctl list`".to_owned();
        return Err(Failure::Usage(instead));
    }
    let query = args.filter.query();
    let mut model = Model::new(args.filter.sort);
    let mut stopped = pin!(stopped()?);
    let mut looking = Box::pin(look(session.client.another().await?, query.clone(), None, Duration::ZERO));
    let mut terminal = Screen::open()?;
    let mut events = events()?;
    loop {
        terminal.0.draw(|frame| draw::draw(frame, &mut model))?;
        tokio::select! {
            event = events.recv() => match event.map(|event| step(&event)) {
                Some(Some(Step::Quit)) | None => return Ok(()),
                Some(Some(step)) => model.scroll(step),
                // The terminal has another size, say.
                Some(None) => {}
            },
            seen = &mut looking => {
                let (client, update) = seen?;
                let pause = if update.has_more { Duration::ZERO } else { args.interval };
                let revision = Some(update.revision);
                model.apply(update);
                looking = Box::pin(look(client, query.clone(), revision, pause));
            }
            () = &mut stopped => return Ok(()),
        }
    }
}

/// The terminal while it is drawn on.
struct Screen(DefaultTerminal);

impl Screen {
    fn open() -> io::Result<Self> {
        // It also sees to panics. What it had done when it fails is undone by nobody else.
        ratatui::try_init().map(Self).inspect_err(|_| ratatui::restore())
    }
}

impl Drop for Screen {
    fn drop(&mut self) {
        ratatui::restore();
    }
}

/// What comes from the terminal. It is read on a thread, which ends with the process.
fn events() -> io::Result<Receiver<Event>> {
    let (sender, events) = mpsc::channel(MAX_KEYS);
    let read = move || while event::read().is_ok_and(|event| sender.blocking_send(event).is_ok()) {};
    std::thread::Builder::new().name("btctl-keys".into()).spawn(read)?;
    Ok(events)
}

/// What a key is for.
fn step(event: &Event) -> Option<Step> {
    let Event::Key(KeyEvent { code, modifiers, kind: KeyEventKind::Press | KeyEventKind::Repeat, .. }) =
        event
    else {
        return None;
    };
    match code {
        KeyCode::Char('c') if modifiers.contains(KeyModifiers::CONTROL) => Some(Step::Quit),
        KeyCode::Char('q') | KeyCode::Esc => Some(Step::Quit),
        KeyCode::Up | KeyCode::Char('k') => Some(Step::Up),
        KeyCode::Down | KeyCode::Char('j') => Some(Step::Down),
        KeyCode::PageUp => Some(Step::PageUp),
        KeyCode::PageDown | KeyCode::Char(' ') => Some(Step::PageDown),
        KeyCode::Home | KeyCode::Char('g') => Some(Step::Home),
        KeyCode::End | KeyCode::Char('G') => Some(Step::End),
        _ => None,
    }
}

/// Waits until somebody wants btctl to end.
fn stopped() -> io::Result<impl Future<Output = ()>> {
    let mut terminate = signal(SignalKind::terminate())?;
    let mut hangup = signal(SignalKind::hangup())?;
    let mut interrupt = signal(SignalKind::interrupt())?;
    Ok(async move {
        tokio::select! {
            _ = terminate.recv() => {}
            _ = hangup.recv() => {}
            _ = interrupt.recv() => {}
        }
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_mean_what_the_manual_says() {
        let press = |code, modifiers| step(&Event::Key(KeyEvent::new(code, modifiers)));
        let plain = |code| press(code, KeyModifiers::NONE);
        for quit in [KeyCode::Char('q'), KeyCode::Esc] {
            assert_eq!(plain(quit), Some(Step::Quit));
        }
        assert_eq!(press(KeyCode::Char('c'), KeyModifiers::CONTROL), Some(Step::Quit));
        assert_eq!(plain(KeyCode::Char('c')), None);
        assert_eq!((plain(KeyCode::Up), plain(KeyCode::End)), (Some(Step::Up), Some(Step::End)));
        assert_eq!(step(&Event::Resize(80, 24)), None);
    }
}
