//! What became of a check.

use clap::Args;
use serde_json::Value;

use super::list::state;
use super::named::One;
use crate::client::{Client, escaped};
use crate::failure::Failure;
use crate::output::{Answer, Table};
use crate::times;

/// Whose history, and how much of it.
#[derive(Debug, Args)]
pub(crate) struct History {
    #[command(flatten)]
    one: One,
    /// At most so many of the latest
    #[arg(long, default_value = "10", value_parser = clap::value_parser!(u32).range(1..=1000))]
    limit: u32,
}

impl History {
    /// # Errors
    /// If there is no such check.
    pub(crate) async fn show(&self, client: &Client) -> Result<Answer, Failure> {
        let path = self.one.find(client).await?.path;
        let found = client.one(&path, "check").await?;
        let name = |field: &str| escaped(found["check"][field].as_str().unwrap_or_default());
        let path = format!("/state_log/{}/{}", name("hostname"), name("check"));
        let limit = [("limit", Some(self.limit.to_string()))];
        let document = client.list(&path, "state_log", &limit).await?;
        Ok(Answer::table(table(&document), document))
    }
}

/// State changes as lines.
pub(crate) fn table(document: &Value) -> Table {
    let mut table = Table::new(
        &["TIME", "STATE", "", "OWNER", "OUTPUT"],
        "no state changes yet",
    );
    for change in document["state_log"].as_array().into_iter().flatten() {
        let text = |field: &str| change[field].as_str().unwrap_or_default();
        table.row([
            times::utc(change["last"].as_i64()).into(),
            state(change),
            // what has failed often enough to open an alert
            if change["hard"] == true { "hard" } else { "" }.into(),
            text("owner").into(),
            text("out").into(),
        ]);
    }
    table
}
