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
    /// Something was done.
    Done(Done),
}

/// What was done.
#[derive(Debug)]
pub(crate) struct Done {
    /// For programs.
    pub(crate) document: Value,
    /// The same for people.
    pub(crate) lines: Vec<String>,
    /// What could not be done beside it.
    pub(crate) failures: Vec<Failure>,
}

impl Answer {
    /// One thing was done.
    pub(crate) fn done(line: impl Into<String>, document: Value) -> Self {
        Self::Done(Done {
            document,
            lines: vec![line.into()],
            failures: Vec::new(),
        })
    }

    /// A table of what the API answers, in which nothing can be alerting.
    pub(crate) fn table(table: Table, document: Value) -> Self {
        Self::Shown(Shown {
            document,
            text: Text::Table(table),
            is_alerting: false,
        })
    }
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

impl Cell {
    fn drawn(&self, look: Look) -> TableCell {
        let cell = TableCell::new(&self.text);
        match self.tone.colour() {
            Some(colour) if look.is_coloured => cell.fg(colour),
            _ => cell,
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
        // a column in which nobody has anything to say takes the room of another
        let says = |n: usize| self.rows.iter().any(|row| !row[n].text.is_empty());
        let shown: Vec<usize> = (0..self.columns.len())
            .filter(|n| is_wide || (!self.columns[*n].is_wide && says(*n)))
            .collect();
        let mut table = bare((!is_wide).then_some(look.width).flatten());
        table.set_header(shown.iter().map(|n| {
            let cell = TableCell::new(self.columns[*n].name);
            if look.is_coloured {
                cell.add_attribute(Attribute::Bold)
            } else {
                cell
            }
        }));
        for row in &self.rows {
            let mut row = Row::from(
                shown
                    .iter()
                    .map(|n| row[*n].drawn(look))
                    .collect::<Vec<_>>(),
            );
            if !is_wide {
                row.max_height(1);
            }
            table.add_row(row);
        }
        lines(table, look)
    }
}

/// A table without any lines between its cells.
fn bare(width: Option<u16>) -> comfy_table::Table {
    let mut table = comfy_table::Table::new();
    table
        .load_style(presets::NOTHING)
        .set_truncation_indicator("…");
    match width {
        Some(width) => table
            .set_content_arrangement(ContentArrangement::Dynamic)
            .set_width(width),
        None => table.set_content_arrangement(ContentArrangement::Disabled),
    };
    table
}

fn lines(mut table: comfy_table::Table, look: Look) -> String {
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

/// Whether to use colours.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, ValueEnum)]
pub(crate) enum Colours {
    /// On a terminal, unless `NO_COLOR` is set
    #[default]
    Auto,
    /// Always
    Always,
    /// Never
    Never,
}

impl Look {
    /// Of standard output: colour and a limit on a terminal only.
    pub(crate) fn of_output(colours: Colours) -> Self {
        let is_terminal = std::io::stdout().is_terminal();
        let wants_none = std::env::var_os("NO_COLOR").is_some_and(|value| !value.is_empty());
        let is_coloured = match colours {
            Colours::Auto => is_terminal && !wants_none,
            Colours::Always => true,
            Colours::Never => false,
        };
        // the library that paints would ask NO_COLOR once more
        ratatui::crossterm::style::force_color_output(is_coloured);
        Self {
            is_coloured,
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
            Self::Done(done) => &done.document,
        };
        let unwritable = |error: &dyn std::fmt::Display| {
            Failure::usage(format!("the answer cannot be written: {error}"))
        };
        match form {
            Form::Json => serde_json::to_string_pretty(document)
                .map(|text| format!("{}\n", escaped(&text)))
                .map_err(|error| unwritable(&error)),
            Form::Yaml => {
                yaml_serde::to_string(&tamed(document)).map_err(|error| unwritable(&error))
            }
            Form::Table | Form::Wide => Ok(match self {
                Self::Done(done) => done
                    .lines
                    .iter()
                    .map(|line| format!("{}\n", printable(line)))
                    .collect(),
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
                let mut table = bare(look.width);
                for (name, cell) in properties.iter().filter(|(_, cell)| !cell.text.is_empty()) {
                    table.add_row([TableCell::new(name), cell.drawn(look)]);
                }
                let mut text = lines(table, look);
                for (title, table) in parts {
                    let _ = write!(text, "\n{title}\n{}", table.render(look, is_wide));
                }
                text
            }
        }
    }
}

/// JSON in which what could steer a terminal stands as its escape: to whoever reads JSON it is the same.
pub(crate) fn escaped(json: &str) -> String {
    let mut text = String::with_capacity(json.len());
    for c in json.chars() {
        match c {
            // between the values; within them it is escaped already
            '\n' => text.push(c),
            c if is_steering(c) => {
                let _ = write!(text, "\\u{:04x}", u32::from(c));
            }
            c => text.push(c),
        }
    }
    text
}

/// For YAML, which is read by people: what would steer a terminal stands as in tables.
fn tamed(document: &Value) -> Value {
    match document {
        Value::String(text) if text.contains(|c| is_steering(c) && c != '\n') => {
            let tame = |c| {
                if is_steering(c) && c != '\n' {
                    '\u{fffd}'
                } else {
                    c
                }
            };
            Value::String(text.chars().map(tame).collect())
        }
        Value::Array(values) => values.iter().map(tamed).collect(),
        Value::Object(map) => {
            let map = map.iter().map(|(name, value)| (name.clone(), tamed(value)));
            Value::Object(map.collect())
        }
        other => other.clone(),
    }
}

/// What moves the cursor, rings the bell, or turns the direction of writing around.
fn is_steering(c: char) -> bool {
    c.is_control()
        || matches!(c, '\u{200e}' | '\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}')
}

/// What came from a host must not move the cursor, ring the bell or look like another line.
pub(crate) fn printable(text: &str) -> String {
    text.chars()
        .map(|c| match c {
            '\n' | '\t' => ' ',
            c if is_steering(c) => '\u{fffd}',
            c => c,
        })
        .collect()
}
