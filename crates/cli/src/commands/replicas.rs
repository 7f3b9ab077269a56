//! The processes of a server.

use clap::Subcommand;

use crate::client::Client;
use crate::failure::Failure;
use crate::output::{Answer, Cell, Table, Tone};
use crate::times;

/// What can be done with replicas.
#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Those that run, and those that were killed within the hour
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
    let document = client.list("/replicas", "replicas", &[]).await?;
    let columns = [
        "COMPONENT",
        "STATE",
        "MACHINE",
        "VERSION",
        "STARTED",
        "LAST SEEN",
        "BEHIND",
        "ID+",
    ];
    let mut table = Table::new(&columns, "nothing runs");
    for replica in document["replicas"].as_array().into_iter().flatten() {
        let text = |field: &str| replica[field].as_str().unwrap_or_default();
        table.row([
            text("component").into(),
            match replica["alive"] == true {
                true => Cell::toned("alive", Tone::Good),
                false => Cell::toned("gone", Tone::Bad),
            },
            text("hostname").into(),
            text("version").into(),
            times::utc(replica["started"].as_i64()).into(),
            times::utc(replica["seen"].as_i64()).into(),
            format!("{} ms", replica["behind_ms"]).into(),
            text("id").into(),
        ]);
    }
    Ok(Answer::table(table, document))
}
