//! Notes about hosts.

use clap::{Args, Subcommand};
use clap_complete::engine::ArgValueCompleter;
use serde_json::{Value, json};

use crate::client::{Client, escaped};
use crate::context::user_of_this_system;
use crate::failure::Failure;
use crate::output::{Answer, Shown, Table, Text, printable};
use crate::{completions, editor, times};

/// What can be done with notes.
#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// The latest notes about a host
    #[command(visible_alias = "ls")]
    List(Notes),
    /// Adds a note about a host
    Add(Note),
}

/// Whose notes.
#[derive(Debug, Args)]
pub(crate) struct Notes {
    /// Name or address of the host
    #[arg(add = ArgValueCompleter::new(completions::hosts))]
    host: String,
    /// At most so many of the latest
    #[arg(long, default_value = "10", value_parser = clap::value_parser!(u32).range(1..=1000))]
    limit: u32,
}

/// A note to be added.
#[derive(Debug, Args)]
pub(crate) struct Note {
    /// Name or address of the host
    #[arg(add = ArgValueCompleter::new(completions::hosts))]
    host: String,
    /// The text; - takes it from standard input; without it $STALKER_EDITOR, $EDITOR or vi is started
    text: Option<String>,
}

impl Command {
    /// # Errors
    /// Why it could not be done.
    pub(crate) async fn run(&self, client: &Client) -> Result<Answer, Failure> {
        match self {
            Self::List(notes) => notes.list(client).await,
            Self::Add(note) => note.add(client).await,
        }
    }
}

impl Notes {
    /// # Errors
    /// If there is no such host.
    pub(crate) async fn list(&self, client: &Client) -> Result<Answer, Failure> {
        let path = format!("/notes/{}", escaped(&self.host));
        let limit = [("limit", Some(self.limit.to_string()))];
        let document = client.list(&path, "notes", &limit).await?;
        Ok(Answer::Shown(Shown {
            text: Text::Plain(whole(&document)),
            is_alerting: false,
            document,
        }))
    }
}

impl Note {
    /// # Errors
    /// If there is no such host, or no text.
    pub(crate) async fn add(&self, client: &Client) -> Result<Answer, Failure> {
        let text = editor::text(self.text.as_deref())?;
        // of whoever is signed in the server knows better
        let body = json!({"user": user_of_this_system(), "note": text});
        let path = format!("/notes/{}", escaped(&self.host));
        let answer = client.post(&path, &body).await?;
        Ok(Answer::done(format!("noted about {}", self.host), answer))
    }
}

/// Notes as they were written, one below the other.
fn whole(document: &Value) -> String {
    let notes = document["notes"].as_array().into_iter().flatten();
    let notes: Vec<_> = notes
        .map(|note| {
            let text = |field: &str| note[field].as_str().unwrap_or_default();
            let time = times::utc(note["ts"].as_i64());
            let failing = match failing(note) {
                names if names.is_empty() => "nothing was failing".to_owned(),
                names => format!("failing then: {names}"),
            };
            let lines: String = text("note")
                .lines()
                .map(|line| format!("  {}\n", printable(line)))
                .collect();
            format!("{time}  {}, {failing}\n{lines}", printable(text("user")))
        })
        .collect();
    match notes.as_slice() {
        [] => "no notes\n".to_owned(),
        notes => notes.join("\n"),
    }
}

/// Notes as lines of a table.
pub(crate) fn table(document: &Value) -> Table {
    let mut table = Table::new(&["TIME", "USER", "NOTE", "FAILING THEN+"], "no notes");
    for note in document["notes"].as_array().into_iter().flatten() {
        let text = |field: &str| note[field].as_str().unwrap_or_default();
        table.row([
            times::utc(note["ts"].as_i64()).into(),
            text("user").into(),
            text("note").into(),
            failing(note).into(),
        ]);
    }
    table
}

fn failing(note: &Value) -> String {
    let names = note["alerting"].as_array().into_iter().flatten();
    let names: Vec<_> = names.filter_map(Value::as_str).map(printable).collect();
    names.join(" ")
}
