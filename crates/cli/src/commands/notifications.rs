//! Notifications.

use clap::{Args, Subcommand};
use clap_complete::engine::ArgValueCompleter;
use serde_json::Value;

use super::part::Part;
use crate::client::{Client, escaped};
use crate::each::{Thing, each};
use crate::failure::Failure;
use crate::output::{Answer, Cell, Table, Tone};
use crate::{completions, times};

/// What can be done with notifications.
#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Notifications, and what became of them
    #[command(visible_alias = "ls")]
    List(Filter),
    /// Tries refused notifications again
    Retry {
        /// Their ids
        #[arg(required = true, value_name = "ID")]
        ids: Vec<String>,
    },
}

/// Which notifications are wanted: all that is given must be so.
#[derive(Debug, Args)]
pub(crate) struct Filter {
    /// Of this alert
    #[arg(long, value_name = "ID")]
    alert: Option<String>,
    /// Of alerts of the host of this name
    #[arg(long, add = ArgValueCompleter::new(completions::hosts))]
    host: Option<String>,
    /// To this channel
    #[arg(long, add = ArgValueCompleter::new(completions::channels))]
    channel: Option<String>,
    /// What became of it
    #[arg(long, value_parser = ["pending", "sending", "accepted", "refused", "dropped", "superseded"])]
    state: Option<String>,
    #[command(flatten)]
    part: Part,
}

impl Command {
    /// # Errors
    /// Why it could not be done.
    pub(crate) async fn run(&self, client: &Client) -> Result<Answer, Failure> {
        match self {
            Self::List(filter) => list(client, filter).await,
            Self::Retry { ids } => {
                let things: Vec<_> = ids
                    .iter()
                    .map(|id| Thing {
                        path: format!("/notifications/{}/retry", escaped(id)),
                        name: format!("notification {id}"),
                    })
                    .collect();
                let retry = async |path: &str| client.post(path, &Value::Null).await;
                Ok(each(&things, "is tried again", async |thing| {
                    retry(&thing.path).await
                })
                .await)
            }
        }
    }
}

async fn list(client: &Client, filter: &Filter) -> Result<Answer, Failure> {
    let document = client
        .list(
            "/notifications",
            "notifications",
            &filter.part.of([
                ("alert", filter.alert.clone()),
                ("host", filter.host.clone()),
                ("channel", filter.channel.clone()),
                ("state", filter.state.clone()),
            ]),
        )
        .await?;
    let mut table = Table::new(
        &[
            "ID", "STATE", "KIND", "CHANNEL", "HOST", "CHECK", "CREATED", "TRIES", "REASON",
            "ALERT+", "KEY+", "NEXT+",
        ],
        "no notifications",
    );
    for notification in document["notifications"].as_array().into_iter().flatten() {
        let text = |field: &str| notification[field].as_str().unwrap_or_default();
        let tries = notification["attempts"].as_array().map_or(0, Vec::len);
        table.row([
            text("id").into(),
            state(text("state")),
            text("kind").into(),
            text("channel").into(),
            text("hostname").into(),
            text("check").into(),
            times::utc(notification["created"].as_i64()).into(),
            tries.to_string().into(),
            text("reason").into(),
            text("alert").into(),
            text("key").into(),
            times::utc(notification["next"].as_i64()).into(),
        ]);
    }
    Ok(Answer::table(table, document))
}

fn state(state: &str) -> Cell {
    let tone = match state {
        "accepted" => Tone::Good,
        "pending" | "sending" => Tone::Warning,
        "refused" => Tone::Bad,
        _ => Tone::Quiet,
    };
    Cell::toned(state, tone)
}
