//! What `watch` looks like: a line about all, the table of `list`, and a line about keys.

use protocol::control::{State, Torrent};
use ratatui::Frame;
use ratatui::layout::{Constraint, Layout};
use ratatui::style::{Color, Style, Stylize};
use ratatui::text::{Line, Span};
use ratatui::widgets::Paragraph;

use crate::render;
use crate::render::units::{count, rate};

use super::model::Model;

/// Draws it all.
pub(super) fn draw(frame: &mut Frame<'_>, model: &mut Model) {
    let areas = Layout::vertical([Constraint::Length(1), Constraint::Min(1), Constraint::Length(1)]);
    let [head, list, foot] = areas.areas(frame.area());
    frame.render_widget(Line::from(summary(model)).reversed(), head);
    let rows = usize::from(list.height).saturating_sub(1);
    let (top, torrents) = model.seen(rows);
    let table = render::torrents(&torrents).lines(Some(list.width), false);
    let lines = table.into_iter().enumerate().map(|(index, text)| match index.checked_sub(1) {
        None => Line::from(text).bold(),
        Some(row) => line(text, torrents.get(row)),
    });
    frame.render_widget(Paragraph::new(lines.collect::<Vec<_>>()), list);
    frame.render_widget(Line::from(place(top, torrents.len(), model.count())).dim(), foot);
}

/// How many, and how fast.
fn summary(model: &Model) -> String {
    match model.count() {
        None => "btd: looking ...".to_owned(),
        Some(number) => {
            let (download, upload) = model.rates();
            format!("btd: {}, down {}, up {}", count(number, "torrent"), rate(download), rate(upload))
        }
    }
}

/// Which part of the list it is, and how to see the rest.
fn place(top: usize, shown: usize, count: Option<usize>) -> String {
    const KEYS: &str = "q quits, arrows scroll";
    match count {
        Some(count) if shown < count => format!("{} to {} of {count}; {KEYS}", top + 1, top + shown),
        _ => KEYS.to_owned(),
    }
}

/// A row, with its state in its colour.
fn line(text: String, torrent: Option<&Torrent>) -> Line<'static> {
    let state = torrent.map(|torrent| torrent.state);
    let found = state.and_then(|state| Some((text.find(state.name())?, state, color(state)?)));
    let Some((at, state, color)) = found else { return Line::from(text) };
    let (before, rest) = text.split_at(at);
    let (word, after) = rest.split_at(state.name().len());
    Line::from(vec![
        Span::raw(before.to_owned()),
        Span::styled(word.to_owned(), Style::new().fg(color)),
        Span::raw(after.to_owned()),
    ])
}

/// As in tables.
fn color(state: State) -> Option<Color> {
    match state {
        State::Error => Some(Color::Red),
        State::Downloading | State::Metadata => Some(Color::Cyan),
        State::Seeding => Some(Color::Green),
        State::Checking => Some(Color::Yellow),
        State::Queued | State::Paused => None,
    }
}

#[cfg(test)]
mod tests {
    use protocol::id::InfoHash;
    use ratatui::Terminal;
    use ratatui::backend::TestBackend;

    use super::*;
    use crate::render::example;
    use crate::watch::look::Update;

    fn screen(model: &mut Model, width: u16, height: u16) -> String {
        let mut terminal = Terminal::new(TestBackend::new(width, height)).unwrap();
        terminal.draw(|frame| draw(frame, model)).unwrap();
        terminal.backend().to_string()
    }

    #[test]
    fn the_list_is_drawn_with_what_is_going_on() {
        let mut model = Model::new(None);
        assert!(screen(&mut model, 80, 10).contains("looking"));
        let torrents = (0..20).map(|number| Torrent { info_hash: InfoHash::new([number; 20]), ..example() });
        model.apply(Update { is_full: true, torrents: torrents.collect(), ..Update::default() });
        let text = screen(&mut model, 80, 10);
        for part in ["20 torrents, down 60.0 MiB/s", "debian.iso", "07070707", "1 to 7 of 20", "q quits"] {
            assert!(text.contains(part) == (part != "07070707"), "{part} in\n{text}");
        }
    }

    #[test]
    fn no_terminal_is_too_small() {
        let mut model = Model::new(None);
        model.apply(Update { is_full: true, torrents: vec![example()], ..Update::default() });
        for (width, height) in [(1, 1), (10, 2), (3, 40), (300, 3)] {
            screen(&mut model, width, height);
        }
    }

    #[test]
    fn states_have_colours() {
        let line = line("abababab  downloading  x".to_owned(), Some(&example()));
        assert_eq!(line.spans[1].content, "downloading");
        assert_eq!(line.spans[1].style.fg, Some(Color::Cyan));
    }
}
