//! What a command has to say, in the form that was asked for. A table is for people, JSON and YAML are the API's answer.

use std::fmt::Write as _;
use std::io::IsTerminal as _;

use clap::ValueEnum;
use comfy_table::{Attribute, Cell as TableCell, Color, ContentArrangement, Row, presets};
use serde_json::Value;

use crate::failure::Failure;

/// What a command answers.
#[derive(Debug)]
pub(crate) enum Answer {
    /// Something to look at.
    Shown(Shown),
    /// Something was done: a line for people, and what the API answered.
    Done(String, Value),
}

/// Something to look at.
#[derive(Debug)]
pub(crate) struct Shown {
    /// The API's answer.
    pub(crate) document: Value,
    /// The same for people.
    pub(crate) text: Text,
    /// Whether any of it is alerting, for `--check`.
    pub(crate) is_alerting: bool,
}

/// The form for people.
#[derive(Debug)]
pub(crate) enum Text {
    Table(Table),
    /// One thing with its properties, and what belongs to it.
    Sheet(Vec<(&'static str, Cell)>, Vec<(&'static str, Table)>),
    Plain(String),
}

/// Lines and columns.
#[derive(Debug, Default)]
pub(crate) struct Table {
    columns: Vec<Column>,
    rows: Vec<Vec<Cell>>,
    /// Said instead of an empty table.
    nothing: &'static str,
}

#[derive(Debug, Clone, Copy)]
struct Column {
    name: &'static str,
    is_wide: bool,
}

/// What a value means, for those who see colours.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Tone {
    Plain,
    Good,
    Warning,
    Bad,
    Quiet,
}

/// One value.
#[derive(Debug, Clone)]
pub(crate) struct Cell {
    text: String,
    tone: Tone,
}

impl Cell {
    pub(crate) fn toned(text: impl AsRef<str>, tone: Tone) -> Self {
        Self {
            text: printable(text.as_ref()),
            tone,
        }
    }
}

impl<T: AsRef<str>> From<T> for Cell {
    fn from(text: T) -> Self {
        Self::toned(text, Tone::Plain)
    }
}

impl Table {
    /// `columns` by name; one that ends with `+` is shown in wide tables only. `nothing` is said if there are no rows.
    pub(crate) fn new(columns: &[&'static str], nothing: &'static str) -> Self {
        let columns = columns.iter().map(|name| match name.strip_suffix('+') {
            Some(name) => Column {
                name,
                is_wide: true,
            },
            None => Column {
                name,
                is_wide: false,
            },
        });
        Self {
            columns: columns.collect(),
            rows: Vec::new(),
            nothing,
        }
    }

    /// A value for each column.
    pub(crate) fn row<const N: usize>(&mut self, cells: [Cell; N]) {
        debug_assert_eq!(N, self.columns.len(), "a value for each column");
        self.rows.push(cells.into());
    }

    fn render(&self, look: Look, is_wide: bool) -> String {
        if self.rows.is_empty() {
            return format!("{}\n", self.nothing);
        }
        let shown: Vec<usize> = (0..self.columns.len())
            .filter(|n| is_wide || !self.columns[*n].is_wide)
            .collect();
        let mut table = comfy_table::Table::new();
        table
            .load_style(presets::NOTHING)
            .set_truncation_indicator("…");
        match look.width {
            Some(width) if !is_wide => table
                .set_content_arrangement(ContentArrangement::Dynamic)
                .set_width(width),
            _ => table.set_content_arrangement(ContentArrangement::Disabled),
        };
        table.set_header(shown.iter().map(|n| {
            let cell = TableCell::new(self.columns[*n].name);
            if look.is_coloured {
                cell.add_attribute(Attribute::Bold)
            } else {
                cell
            }
        }));
        for row in &self.rows {
            let cells = shown.iter().map(|n| {
                let Cell { text, tone } = &row[*n];
                let cell = TableCell::new(text);
                match (look.is_coloured, tone.colour()) {
                    (true, Some(colour)) => cell.fg(colour),
                    _ => cell,
                }
            });
            let mut row = Row::from(cells.collect::<Vec<_>>());
            if !is_wide {
                row.max_height(1);
            }
            table.add_row(row);
        }
        if look.is_coloured {
            table.enforce_styling();
        } else {
            table.force_no_tty();
        }
        let mut text = String::new();
        for line in table.lines() {
            // columns have a blank on both sides; lines neither begin nor end with one
            let line = line.strip_prefix(' ').unwrap_or(&line);
            let _ = writeln!(text, "{}", line.trim_end());
        }
        text
    }
}

impl Tone {
    fn colour(self) -> Option<Color> {
        match self {
            Self::Plain => None,
            Self::Good => Some(Color::Green),
            Self::Warning => Some(Color::Yellow),
            Self::Bad => Some(Color::Red),
            Self::Quiet => Some(Color::DarkGrey),
        }
    }
}

/// The form of an answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, ValueEnum)]
pub(crate) enum Form {
    /// For people, as wide as the terminal
    #[default]
    Table,
    /// For people, with everything
    Wide,
    /// The API's answer
    Json,
    /// The API's answer as YAML
    Yaml,
}

/// How the terminal is, if there is one.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Look {
    pub(crate) is_coloured: bool,
    /// None where nothing limits it.
    pub(crate) width: Option<u16>,
}

impl Look {
    /// Of standard output: colour and a limit on a terminal only.
    pub(crate) fn of_output() -> Self {
        let is_terminal = std::io::stdout().is_terminal();
        let wants_none = std::env::var_os("NO_COLOR").is_some_and(|value| !value.is_empty());
        Self {
            is_coloured: is_terminal && !wants_none,
            width: is_terminal
                .then(|| ratatui::crossterm::terminal::size().ok())
                .flatten()
                .map(|(columns, _)| columns.max(40)),
        }
    }
}

impl Answer {
    /// As it is printed, with a line end.
    ///
    /// # Errors
    /// If it cannot be written in this form.
    pub(crate) fn render(&self, form: Form, look: Look) -> Result<String, Failure> {
        let document = match self {
            Self::Shown(shown) => &shown.document,
            Self::Done(_, document) => document,
        };
        let unwritable = |error: &dyn std::fmt::Display| {
            Failure::usage(format!("the answer cannot be written: {error}"))
        };
        match form {
            Form::Json => serde_json::to_string_pretty(document)
                .map(|text| format!("{text}\n"))
                .map_err(|error| unwritable(&error)),
            Form::Yaml => yaml_serde::to_string(document).map_err(|error| unwritable(&error)),
            Form::Table | Form::Wide => Ok(match self {
                Self::Done(line, _) => format!("{}\n", printable(line)),
                Self::Shown(shown) => shown.text.render(look, form == Form::Wide),
            }),
        }
    }
}

impl Text {
    fn render(&self, look: Look, is_wide: bool) -> String {
        match self {
            Self::Plain(text) => text.clone(),
            Self::Table(table) => table.render(look, is_wide),
            Self::Sheet(properties, parts) => {
                let longest = properties
                    .iter()
                    .map(|(name, _)| name.chars().count())
                    .max()
                    .unwrap_or(0);
                let mut text = String::new();
                for (name, cell) in properties.iter().filter(|(_, cell)| !cell.text.is_empty()) {
                    let _ = writeln!(text, "{name:longest$}  {}", cell.text);
                }
                for (title, table) in parts {
                    let _ = write!(text, "\n{title}\n{}", table.render(look, is_wide));
                }
                text
            }
        }
    }
}

/// What came from a host must not move the cursor, ring the bell or look like another line.
pub(crate) fn printable(text: &str) -> String {
    text.chars()
        .map(|c| match c {
            '\n' | '\t' => ' ',
            // also what turns the direction of writing around
            c if c.is_control() || matches!(c, '\u{200e}' | '\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}') => '\u{fffd}',
            c => c,
        })
        .collect()
}
