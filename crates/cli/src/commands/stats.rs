//! How many checks there are, and how they are.

use clap::Args;
use serde_json::Value;

use crate::client::{Client, escaped};
use crate::failure::Failure;
use crate::output::{Answer, Cell, Shown, Table, Text, Tone};

/// Of which cluster.
#[derive(Debug, Args)]
pub(crate) struct Stats {
    /// The id of another cluster, or all; without it, this one
    cluster: Option<String>,
}

impl Stats {
    /// # Errors
    /// If there is no such cluster.
    pub(crate) async fn run(&self, client: &Client) -> Result<Answer, Failure> {
        let document = match &self.cluster {
            None => client.get("/stats").await?,
            Some(cluster) => client.get(&format!("/stats/{}", escaped(cluster))).await?,
        };
        client.require(document.is_object(), "numbers")?;
        let numbers = match self.cluster.as_deref() {
            Some("all") => &document["all"],
            _ => &document,
        };
        Ok(Answer::Shown(Shown {
            text: Text::Table(table(numbers)),
            is_alerting: failing(numbers),
            document,
        }))
    }
}

/// Whether something fails in one of these clusters, or one cannot be reached.
pub(crate) fn failing(clusters: &Value) -> bool {
    let mut clusters = clusters.as_object().into_iter().flatten();
    clusters.any(|(_, numbers)| is_silent(numbers) || numbers["failing"].as_i64() != Some(0))
}

/// Whether a cluster does not answer: its numbers are old, or there are none.
pub(crate) fn is_silent(numbers: &Value) -> bool {
    numbers["error"].is_string() || !numbers["checks"].is_number()
}

/// How old its numbers are, of one that was asked through another.
pub(crate) fn age(numbers: &Value) -> Cell {
    match numbers["age"].as_i64() {
        Some(age) if is_silent(numbers) => Cell::toned(format!("{age} s"), Tone::Bad),
        Some(age) => format!("{age} s").into(),
        None => "".into(),
    }
}

fn table(clusters: &Value) -> Table {
    let columns = [
        "CLUSTER",
        "AGE",
        "CHECKS",
        "FAILING",
        "FLAPPING",
        "SUSPENDED",
        "DUE",
        "RUNNING",
        "REFUSED",
        "DISABLED CHANNELS",
    ];
    let mut table = Table::new(&columns, "no clusters");
    for (cluster, numbers) in clusters.as_object().into_iter().flatten() {
        table.row([
            cluster.into(),
            age(numbers),
            number(numbers, "checks"),
            bad(numbers, "failing"),
            number(numbers, "flapping"),
            number(numbers, "suspended"),
            number(numbers, "qsize"),
            number(numbers, "pending"),
            bad(numbers, "dead_letters"),
            bad(numbers, "disabled_channels"),
        ]);
    }
    table
}

/// A number, or that there is none: the cluster cannot be reached, or is one of the original's.
pub(crate) fn number(numbers: &Value, field: &str) -> Cell {
    match numbers[field].as_i64() {
        Some(number) => number.to_string().into(),
        None => Cell::toned("-", Tone::Quiet),
    }
}

/// One that should be zero.
pub(crate) fn bad(numbers: &Value, field: &str) -> Cell {
    match numbers[field].as_i64() {
        Some(0) => Cell::toned("0", Tone::Good),
        Some(number) => Cell::toned(number.to_string(), Tone::Bad),
        None => number(numbers, field),
    }
}
