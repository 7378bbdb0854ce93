//! Tables that align, and fit the terminal: of a narrow one columns of less use are left out, and long text is cut.

use comfy_table::{
    Attribute, Cell, CellAlignment, Color, ColumnConstraint, ContentArrangement, Row, presets,
};
use protocol::control::State;
use protocol::printable::printable;

/// Columns that text which may be cut gets at least, before other columns are left out.
const MIN_TEXT_WIDTH: u16 = 16;
/// Blanks between columns.
const GAP: u16 = 2;

/// A column.
#[derive(Debug, Clone, Copy)]
pub struct Column {
    title: &'static str,
    is_number: bool,
    /// Text that may be cut.
    is_text: bool,
    /// What is left out first where there is no room, from 1; 0 for what never is.
    spare: u8,
}

impl Column {
    /// A column of words.
    pub const fn word(title: &'static str) -> Self {
        Self { title, is_number: false, is_text: false, spare: 0 }
    }

    /// A column of numbers.
    pub const fn number(title: &'static str) -> Self {
        Self { title, is_number: true, is_text: false, spare: 0 }
    }

    /// A column of text that is cut where there is no room for it.
    pub const fn text(title: &'static str) -> Self {
        Self { title, is_number: false, is_text: true, spare: 0 }
    }

    /// The same, to be left out in a narrow terminal: those with 1 first.
    pub const fn spare(self, spare: u8) -> Self {
        Self { spare, ..self }
    }

    fn alignment(self) -> CellAlignment {
        if self.is_number { CellAlignment::Right } else { CellAlignment::Left }
    }
}

/// Rows in columns.
#[derive(Debug)]
pub struct Table {
    columns: &'static [Column],
    inner: comfy_table::Table,
}

impl Table {
    /// A table without rows.
    pub fn new(columns: &'static [Column]) -> Self {
        let mut inner = comfy_table::Table::new();
        inner.load_style(presets::NOTHING).set_truncation_indicator("…");
        let title = |column: &Column| {
            Cell::new(column.title).set_alignment(column.alignment()).add_attribute(Attribute::Bold)
        };
        inner.set_header(columns.iter().map(title).collect::<Vec<_>>());
        Self { columns, inner }
    }

    /// Adds a row, a cell for each column. One that is the name of a state is coloured as that.
    pub fn row(&mut self, cells: impl IntoIterator<Item = String>) {
        let mut row = Row::new();
        for (column, text) in self.columns.iter().zip(cells) {
            let cell = Cell::new(printable(&text)).set_alignment(column.alignment());
            let state = Some(&text).filter(|_| column.title == "STATE").and_then(|text| text.parse().ok());
            row.add_cell(match state.and_then(color) {
                Some(color) => cell.fg(color),
                None => cell,
            });
        }
        row.max_height(1);
        self.inner.add_row(row);
    }

    /// The lines, none longer than `width` columns as far as that can be.
    pub fn lines(mut self, width: Option<u16>, has_color: bool) -> Vec<String> {
        if has_color {
            crossterm::style::force_color_output(true);
            self.inner.enforce_styling();
        } else {
            self.inner.force_no_tty();
        }
        self.fit(width);
        // A last column of words ends where they end.
        self.inner.lines().map(|line| line.trim_end().to_owned()).collect()
    }

    fn fit(&mut self, width: Option<u16>) {
        let last = self.columns.len().saturating_sub(1);
        let widths = self.inner.column_max_content_widths();
        let hidden = width.map(|width| hidden(self.columns, &widths, width)).unwrap_or_default();
        for (index, column) in self.columns.iter().enumerate() {
            let Some(it) = self.inner.column_mut(index) else { continue };
            it.set_padding((0, if index == last { 0 } else { GAP }));
            if hidden.contains(&index) {
                it.set_constraint(ColumnConstraint::Hidden);
            } else if !column.is_text {
                it.set_constraint(ColumnConstraint::ContentWidth);
            }
        }
        match width {
            Some(width) => self.inner.set_content_arrangement(ContentArrangement::Dynamic).set_width(width),
            None => self.inner.set_content_arrangement(ContentArrangement::Disabled),
        };
    }
}

/// Which columns are left out of a terminal of `width`, when their content has `widths`.
fn hidden(columns: &[Column], widths: &[u16], width: u16) -> Vec<usize> {
    let need = |(index, column): (usize, &Column)| {
        let content = widths.get(index).copied().unwrap_or(0);
        u32::from(if column.is_text { content.min(MIN_TEXT_WIDTH) } else { content }) + u32::from(GAP)
    };
    let mut needed: u32 = columns.iter().enumerate().map(need).sum::<u32>().saturating_sub(u32::from(GAP));
    let mut spare: Vec<usize> = (0..columns.len()).collect();
    let order = |index: &usize| columns.get(*index).map_or(0, |column| column.spare);
    spare.retain(|index| order(index) > 0);
    spare.sort_by_key(order);
    let mut hidden = Vec::new();
    for index in spare {
        if needed <= u32::from(width) {
            break;
        }
        needed -= columns.get(index).map_or(0, |column| need((index, column)));
        hidden.push(index);
    }
    hidden
}

/// What a state looks like.
fn color(state: State) -> Option<Color> {
    match state {
        State::Error => Some(Color::Red),
        State::Downloading | State::Metadata => Some(Color::Cyan),
        State::Seeding => Some(Color::Green),
        State::Checking => Some(Color::Yellow),
        State::Queued | State::Paused => None,
    }
}
