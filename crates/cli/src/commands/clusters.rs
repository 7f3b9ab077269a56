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
            state(numbers, &clusters[cluster]),
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

/// What it is for us. One may well be there, and not let us in.
fn state(numbers: &Value, cluster: &Value) -> Cell {
    let is_there = cluster["answered"].is_number() && cluster["failing"].is_null();
    match (is_silent(numbers), is_there) {
        (false, _) => Cell::toned("reachable", Tone::Good),
        (true, true) => Cell::toned("in trouble", Tone::Bad),
        (true, false) => Cell::toned("unreachable", Tone::Bad),
    }
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
