//! One's own sessions.

use clap::Subcommand;

use crate::client::{Client, escaped};
use crate::each::{Thing, each};
use crate::failure::Failure;
use crate::output::{Answer, Cell, Table, Tone};
use crate::times;

/// What can be done with sessions.
#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Where you are signed in
    #[command(visible_alias = "ls")]
    List,
    /// Ends sessions
    End {
        /// Their ids
        #[arg(required = true, value_name = "ID")]
        ids: Vec<String>,
    },
}

impl Command {
    /// # Errors
    /// Why it could not be done.
    pub(crate) async fn run(&self, client: &Client) -> Result<Answer, Failure> {
        match self {
            Self::List => list(client).await,
            Self::End { ids } => {
                let things: Vec<_> = ids
                    .iter()
                    .map(|id| Thing {
                        path: format!("/sessions/{}", escaped(id)),
                        name: format!("session {id}"),
                    })
                    .collect();
                let end = async |path: &str| client.delete(path).await;
                Ok(each(&things, "is over", async |thing| end(&thing.path).await).await)
            }
        }
    }
}

async fn list(client: &Client) -> Result<Answer, Failure> {
    let document = client.list("/sessions", "sessions", &[]).await?;
    let mut table = Table::new(
        &["ID", "", "FROM", "WITH", "BEGUN", "LAST USED"],
        "no sessions: a key is none",
    );
    for session in document["sessions"].as_array().into_iter().flatten() {
        let text = |field: &str| session[field].as_str().unwrap_or_default();
        let this = if session["current"] == true {
            "this one"
        } else {
            ""
        };
        table.row([
            text("id").into(),
            Cell::toned(this, Tone::Good),
            text("address").into(),
            text("agent").into(),
            times::utc(session["created"].as_i64()).into(),
            times::utc(session["seen"].as_i64()).into(),
        ]);
    }
    Ok(Answer::table(table, document))
}
