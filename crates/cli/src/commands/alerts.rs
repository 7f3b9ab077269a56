//! Alerts.

use clap::{Args, Subcommand};
use clap_complete::engine::ArgValueCompleter;
use serde_json::Value;

use super::part::Part;
use crate::client::{Client, escaped};
use crate::failure::Failure;
use crate::output::{Answer, Cell, Shown, Table, Text, Tone};
use crate::{completions, times};

/// What can be done with alerts.
#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Open alerts, or past ones
    #[command(visible_alias = "ls")]
    List(Box<Filter>),
    /// An alert, and what happened to it
    Show {
        /// Its id
        id: String,
    },
}

/// Which alerts are wanted: all that is given must be so.
#[derive(Debug, Args)]
pub(crate) struct Filter {
    /// Open and past ones
    #[arg(long, conflicts_with = "past")]
    all: bool,
    /// Past ones
    #[arg(long)]
    past: bool,
    /// What it is of
    #[arg(long, value_parser = ["check", "host", "flood", "cluster"])]
    kind: Option<String>,
    /// Of the host of this name, as it was then
    #[arg(long, add = ArgValueCompleter::new(completions::hosts))]
    host: Option<String>,
    /// Of hosts with this role
    #[arg(long)]
    role: Option<String>,
    /// Of checks of this name
    #[arg(long)]
    name: Option<String>,
    /// How bad it is
    #[arg(long, value_parser = ["warning", "critical", "unknown", "unreachable"])]
    status: Option<String>,
    /// Of checks that this person takes care of
    #[arg(long)]
    owner: Option<String>,
    /// Those of which nobody is told, for this reason
    #[arg(long, value_parser = ["priority 0", "flood", "maintenance", "flapping", "unreachable", "suspended", "recovered"])]
    suppression: Option<String>,
    /// Those for which this flood stands
    #[arg(long, value_name = "ID")]
    parent: Option<String>,
    /// Opened since then
    #[arg(long, value_name = "TIME", value_parser = times::at)]
    from: Option<i64>,
    /// Opened before then
    #[arg(long, value_name = "TIME", value_parser = times::at)]
    to: Option<i64>,
    #[command(flatten)]
    part: Part,
}

impl Command {
    /// # Errors
    /// Why it could not be done.
    pub(crate) async fn run(&self, client: &Client) -> Result<Answer, Failure> {
        match self {
            Self::List(filter) => list(client, filter).await,
            Self::Show { id } => show(client, id).await,
        }
    }
}

async fn list(client: &Client, filter: &Filter) -> Result<Answer, Failure> {
    let open = match (filter.all, filter.past) {
        (true, _) => None,
        (false, past) => Some((!past).to_string()),
    };
    let document = client
        .list(
            "/alerts",
            "alerts",
            &filter.part.of([
                ("open", open),
                ("kind", filter.kind.clone()),
                ("host", filter.host.clone()),
                ("role", filter.role.clone()),
                ("check", filter.name.clone()),
                ("status", filter.status.clone()),
                ("owner", filter.owner.clone()),
                ("suppression", filter.suppression.clone()),
                ("parent", filter.parent.clone()),
                ("from", filter.from.map(|at| at.to_string())),
                ("to", filter.to.map(|at| at.to_string())),
            ]),
        )
        .await?;
    let alerts = document["alerts"]
        .as_array()
        .map(Vec::as_slice)
        .unwrap_or_default();
    let mut table = Table::new(
        &[
            "ID",
            "STATE",
            "HOST",
            "CHECK",
            "OPENED",
            "CLOSED",
            "OWNER",
            "NOT TOLD",
            "OUTPUT",
            "KIND+",
            "PRIORITY+",
            "FLOOD+",
            "CHANNELS+",
        ],
        if open_only(filter) {
            "no open alerts"
        } else {
            "no alerts"
        },
    );
    for alert in alerts {
        let text = |field: &str| alert[field].as_str().unwrap_or_default();
        table.row([
            text("id").into(),
            state(alert),
            text("hostname").into(),
            text("check").into(),
            ago(&alert["opened"]).into(),
            ago(&alert["closed"]).into(),
            text("owner").into(),
            text("suppression").into(),
            text("out").into(),
            text("kind").into(),
            alert["priority"].to_string().into(),
            text("parent").into(),
            channels(alert).into(),
        ]);
    }
    Ok(Answer::Shown(Shown {
        is_alerting: alerts.iter().any(|alert| alert["closed"].is_null()),
        text: Text::Table(table),
        document,
    }))
}

fn open_only(filter: &Filter) -> bool {
    !filter.all && !filter.past
}

async fn show(client: &Client, id: &str) -> Result<Answer, Failure> {
    let document = client
        .one(&format!("/alerts/{}", escaped(id)), "alert")
        .await?;
    let alert = &document["alert"];
    let text = |field: &str| alert[field].as_str().unwrap_or_default();
    let closed = match text("close_reason") {
        "" => times::utc_and_ago(alert["closed"].as_i64()),
        why => format!("{}, {why}", times::utc_and_ago(alert["closed"].as_i64())),
    };
    let sheet = vec![
        (
            "alert",
            format!("{} of a {}", text("id"), text("kind")).into(),
        ),
        ("state", state(alert)),
        ("host", text("hostname").into()),
        ("check", text("check").into()),
        ("output", text("out").into()),
        (
            "opened",
            times::utc_and_ago(alert["opened"].as_i64()).into(),
        ),
        ("closed", closed.into()),
        ("owner", text("owner").into()),
        ("not told", text("suppression").into()),
        ("channels", channels(alert).into()),
        ("flood", text("parent").into()),
        ("priority", alert["priority"].to_string().into()),
    ];
    let mut table = Table::new(&["TIME", "EVENT", "CHANNEL", "WHY"], "nothing happened yet");
    for event in document["timeline"].as_array().into_iter().flatten() {
        let text = |field: &str| event[field].as_str().unwrap_or_default();
        table.row([
            times::utc(event["time"].as_i64()).into(),
            text("event").into(),
            text("channel").into(),
            text("why").into(),
        ]);
    }
    Ok(Answer::Shown(Shown {
        is_alerting: alert["closed"].is_null(),
        text: Text::Sheet(sheet, vec![("What happened", table)]),
        document,
    }))
}

/// How bad it is, or that it is over.
fn state(alert: &Value) -> Cell {
    if !alert["closed"].is_null() {
        return Cell::toned("over", Tone::Quiet);
    }
    match (alert["state"].as_str(), alert["kind"].as_str()) {
        (Some("warning"), _) => Cell::toned("warning", Tone::Warning),
        (Some(state), _) => Cell::toned(state, Tone::Bad),
        (None, kind) => Cell::toned(kind.unwrap_or_default(), Tone::Bad),
    }
}

fn ago(time: &Value) -> String {
    match times::ago(time.as_i64()) {
        ago if ago.is_empty() => ago,
        ago => format!("{ago} ago"),
    }
}

fn channels(alert: &Value) -> String {
    let channels = alert["channels"].as_array().into_iter().flatten();
    channels
        .filter_map(Value::as_str)
        .collect::<Vec<_>>()
        .join(", ")
}
