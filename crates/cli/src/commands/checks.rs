//! Checks.

use clap::{Args, Subcommand};
use serde_json::Value;

use crate::client::{Client, escaped};
use crate::failure::Failure;
use crate::output::{Answer, Cell, Shown, Table, Text, Tone};
use crate::times;

/// What can be done with checks.
#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Checks, and how they are
    #[command(visible_alias = "ls")]
    List(Filter),
}

/// Which checks are wanted: all that is given must be so.
#[derive(Debug, Args)]
pub(crate) struct Filter {
    /// Of the host of this name or address
    #[arg(long)]
    host: Option<String>,
    /// Of hosts with this role
    #[arg(long)]
    role: Option<String>,
    /// Of this name
    #[arg(long)]
    name: Option<String>,
    /// ok, warning, critical or unknown
    #[arg(long, value_parser = ["ok", "warning", "critical", "unknown"])]
    status: Option<String>,
    /// Those that this person takes care of
    #[arg(long)]
    owner: Option<String>,
    /// At most so many
    #[arg(long)]
    limit: Option<u32>,
}

impl Command {
    /// # Errors
    /// Why it could not be done.
    pub(crate) async fn run(&self, client: &Client) -> Result<Answer, Failure> {
        match self {
            Self::List(filter) => list(client, filter).await,
        }
    }
}

async fn list(client: &Client, filter: &Filter) -> Result<Answer, Failure> {
    let document = client
        .list(
            "/checks",
            &[
                ("host", filter.host.clone()),
                ("role", filter.role.clone()),
                ("check", filter.name.clone()),
                ("status", filter.status.clone()),
                ("owner", filter.owner.clone()),
                ("limit", filter.limit.map(|limit| limit.to_string())),
            ],
        )
        .await?;
    Ok(shown(document, "checks"))
}

/// A list of checks; `field` is where the API put it.
pub(crate) fn shown(document: Value, field: &str) -> Answer {
    let mut table = Table::new(
        &[
            "STATE",
            "HOST",
            "CHECK",
            "SINCE",
            "OWNER",
            "OUTPUT",
            "ID+",
            "INTERVAL+",
            "PRIORITY+",
            "FLAGS+",
        ],
        "no checks",
    );
    let checks = document[field]
        .as_array()
        .map(Vec::as_slice)
        .unwrap_or_default();
    for check in checks {
        let text = |field: &str| check[field].as_str().unwrap_or_default();
        let number = |field: &str| check[field].as_i64().unwrap_or_default();
        table.row([
            state(check),
            text("hostname").into(),
            text("check").into(),
            times::ago(check["since"].as_i64()).into(),
            text("owner").into(),
            text("out").into(),
            text("id").into(),
            format!("{} s", number("interval")).into(),
            number("priority").to_string().into(),
            flags(check).into(),
        ]);
    }
    let is_alerting = checks.iter().any(|check| check["status"] == false);
    Answer::Shown(Shown {
        is_alerting,
        text: Text::Table(table),
        document,
    })
}

/// The state of a check, in the colour of its urgency.
pub(crate) fn state(check: &Value) -> Cell {
    match check["state"].as_str() {
        Some(ok @ "ok") => Cell::toned(ok, Tone::Good),
        Some(warning @ "warning") => Cell::toned(warning, Tone::Warning),
        Some(other) => Cell::toned(other, Tone::Bad),
        None => Cell::toned("new", Tone::Quiet),
    }
}

fn flags(check: &Value) -> String {
    [
        "suspended",
        "in_maintenance",
        "flapping",
        "pending",
        "stale",
    ]
    .into_iter()
    .filter(|flag| check[flag] == true)
    .map(|flag| flag.replace('_', " "))
    .collect::<Vec<_>>()
    .join(", ")
}

/// The path of a check that is named by its id, or as `HOST:CHECK`.
pub(crate) fn path_of_id(id: &str) -> String {
    format!("/checks/id/{}", escaped(id))
}
