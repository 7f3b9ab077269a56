//! Keys of the API.

use chrono::TimeDelta;
use clap::{Args, Subcommand};
use serde_json::{Value, json};

use super::part::Part;
use crate::client::{Client, escaped};
use crate::confirm::Confirmed;
use crate::failure::Failure;
use crate::output::{Answer, Cell, Table, Tone};
use crate::times;

/// What can be done with keys.
#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Keys: what they are for, not the keys themselves
    #[command(visible_alias = "ls")]
    List(Part),
    /// Makes a key, and prints it: it is never shown again
    Create(Create),
    /// Revokes a key for good
    Revoke {
        /// Its id
        id: String,
        #[command(flatten)]
        confirmed: Confirmed,
    },
}

/// A key to be made.
#[derive(Debug, Args)]
pub(crate) struct Create {
    /// What it is for
    name: String,
    /// What it may do; with register, agents register, and nothing else can be done
    #[arg(long, value_parser = ["viewer", "operator", "admin", "register"])]
    access: String,
    /// Only for hosts with this role
    #[arg(long)]
    role: Vec<String>,
    /// How long it holds, such as 1d; without it, until it is revoked
    #[arg(long = "for", value_name = "TIME", value_parser = times::lasting)]
    lasts: Option<TimeDelta>,
}

impl Command {
    /// # Errors
    /// Why it could not be done.
    pub(crate) async fn run(&self, client: &Client) -> Result<Answer, Failure> {
        match self {
            Self::List(part) => list(client, part).await,
            Self::Create(new) => create(client, new).await,
            Self::Revoke { id, confirmed } => {
                confirmed.ask(&format!("Revoke key {id} for good?"))?;
                let answer = client.delete(&format!("/keys/{}", escaped(id))).await?;
                Ok(Answer::done(format!("key {id} is revoked"), answer))
            }
        }
    }
}

async fn list(client: &Client, part: &Part) -> Result<Answer, Failure> {
    let document = client.list("/keys", "keys", &part.of([])).await?;
    let columns = [
        "ID",
        "NAME",
        "ACCESS",
        "ROLES",
        "STATE",
        "LAST USED",
        "EXPIRES",
        "MADE BY",
        "CREATED+",
    ];
    let mut table = Table::new(&columns, "no keys");
    for key in document["keys"].as_array().into_iter().flatten() {
        let text = |field: &str| key[field].as_str().unwrap_or_default();
        let scope = key["scope"].as_array().into_iter().flatten();
        let scope: Vec<_> = scope.filter_map(Value::as_str).collect();
        table.row([
            text("id").into(),
            text("name").into(),
            text("access").into(),
            scope.join(", ").into(),
            state(key),
            times::utc(key["last_used"].as_i64()).into(),
            times::utc(key["expires"].as_i64()).into(),
            text("made_by").into(),
            times::utc(key["created"].as_i64()).into(),
        ]);
    }
    Ok(Answer::table(table, document))
}

fn state(key: &Value) -> Cell {
    if key["revoked"].is_i64() {
        return Cell::toned("revoked", Tone::Quiet);
    }
    match key["expires"].as_i64() {
        Some(expires) if expires <= times::from_now(TimeDelta::zero()) => {
            Cell::toned("expired", Tone::Quiet)
        }
        _ => Cell::toned("valid", Tone::Good),
    }
}

async fn create(client: &Client, new: &Create) -> Result<Answer, Failure> {
    let body = json!({
        "name": new.name,
        "access": new.access,
        "scope": (!new.role.is_empty()).then_some(&new.role),
        "expires": new.lasts.map(times::from_now),
    });
    let document = client.post("/keys", &body).await?;
    client.require(document["key"].is_string(), "key")?;
    // alone on its line, so that it can be put into a file; and something done, which --watch does not repeat
    let key = document["key"].as_str().unwrap_or_default().to_owned();
    Ok(Answer::done(key, document))
}
