//! The clusters that a server knows.

use clap::Subcommand;
use serde_json::{Value, json};

use super::stats::{age, bad, failing, is_silent, number};
use crate::client::Client;
use crate::failure::Failure;
use crate::output::{Answer, Cell, Shown, Table, Text, Tone};

/// What can be done with clusters.
#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Clusters, whether they can be reached, and how their checks are
    #[command(visible_alias = "ls")]
    List,
}

impl Command {
    /// # Errors
    /// Why it could not be done.
    pub(crate) async fn run(&self, client: &Client) -> Result<Answer, Failure> {
        match self {
            Self::List => list(client).await,
        }
    }
}

async fn list(client: &Client) -> Result<Answer, Failure> {
    let clusters = client.one("/global/clusters", "clusters").await?["clusters"].take();
    let stats = client.one("/stats/all", "all").await?["all"].take();
    let columns = [
        "CLUSTER",
        "STATE",
        "AGE",
        "CHECKS",
        "FAILING",
        "FLAPPING",
        "SUSPENDED",
        "DUE",
        "ADDRESS",
        "ERROR",
    ];
    let mut table = Table::new(&columns, "no clusters");
    for (cluster, numbers) in stats.as_object().into_iter().flatten() {
        table.row([
            cluster.into(),
            match is_silent(numbers) {
                false => Cell::toned("reachable", Tone::Good),
                true => Cell::toned("unreachable", Tone::Bad),
            },
            age(numbers),
            number(numbers, "checks"),
            bad(numbers, "failing"),
            number(numbers, "flapping"),
            number(numbers, "suspended"),
            number(numbers, "qsize"),
            address(&clusters[cluster]).into(),
            error(numbers, &clusters[cluster]).into(),
        ]);
    }
    Ok(Answer::Shown(Shown {
        is_alerting: failing(&stats),
        text: Text::Table(table),
        document: json!({"clusters": clusters, "all": stats}),
    }))
}

/// What is wrong: with the numbers; else with what schedulers found.
fn error<'a>(numbers: &'a Value, cluster: &'a Value) -> &'a str {
    let errors = [&numbers["error"], &cluster["error"]];
    let first = errors.into_iter().find_map(Value::as_str);
    first.unwrap_or_default()
}

/// The one that was asked has no address among the others.
fn address(cluster: &Value) -> &str {
    cluster["host"].as_str().unwrap_or("this one")
}
