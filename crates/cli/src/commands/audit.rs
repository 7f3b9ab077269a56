//! Who did what.

use clap::{Args, Subcommand};
use serde_json::Value;

use super::part::Part;
use crate::client::Client;
use crate::failure::Failure;
use crate::output::{Answer, Table};
use crate::times;

/// What can be done with the audit: nothing but to read it.
#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// What was done, the oldest first, or with --newest the other way round
    #[command(visible_alias = "ls")]
    List(Filter),
}

/// Which entries are wanted: all that is given must be so.
#[derive(Debug, Args)]
pub(crate) struct Filter {
    /// By this user, key or agent
    #[arg(long)]
    actor: Option<String>,
    /// Of this kind, such as `set_owner`
    #[arg(long)]
    action: Option<String>,
    /// To this, such as "check 17"
    #[arg(long)]
    subject: Option<String>,
    /// Since then
    #[arg(long, value_name = "TIME", value_parser = times::at)]
    from: Option<i64>,
    /// Before then
    #[arg(long, value_name = "TIME", value_parser = times::at)]
    to: Option<i64>,
    /// The newest first
    #[arg(long)]
    newest: bool,
    #[command(flatten)]
    part: Part,
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
            "/audit",
            "audit",
            &filter.part.of([
                ("actor", filter.actor.clone()),
                ("action", filter.action.clone()),
                ("subject", filter.subject.clone()),
                ("from", filter.from.map(|at| at.to_string())),
                ("to", filter.to.map(|at| at.to_string())),
                ("newest", filter.newest.then(|| "true".to_owned())),
            ]),
        )
        .await?;
    let columns = [
        "TIME", "ACTOR", "KIND", "FROM", "FOR", "ACTION", "SUBJECT", "ID+", "BEFORE+", "AFTER+",
    ];
    let mut table = Table::new(&columns, "nobody did anything");
    for entry in document["audit"].as_array().into_iter().flatten() {
        let text = |field: &str| entry[field].as_str().unwrap_or_default();
        let json = |field: &str| match &entry[field] {
            Value::Null => String::new(),
            value => value.to_string(),
        };
        table.row([
            times::utc(entry["time"].as_i64()).into(),
            text("actor").into(),
            text("actor_kind").into(),
            text("address").into(),
            text("on_behalf_of").into(),
            text("action").into(),
            text("subject").into(),
            text("id").into(),
            json("before").into(),
            json("after").into(),
        ]);
    }
    Ok(Answer::table(table, document))
}
