//! Channels.

use clap::Subcommand;
use clap_complete::engine::ArgValueCompleter;
use serde_json::Value;

use crate::client::{Client, escaped};
use crate::failure::{Code, Failure};
use crate::output::{Answer, Cell, Done, Shown, Table, Text, Tone};
use crate::{completions, times};

/// What can be done with channels.
#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Channels, and how they do
    #[command(visible_alias = "ls")]
    List,
    /// Which alerts concern which channels
    Routes,
    /// Sends a test message; exits with 3 if it is not accepted
    Test {
        /// The channel's name
        #[arg(add = ArgValueCompleter::new(completions::channels))]
        name: String,
    },
}

impl Command {
    /// # Errors
    /// Why it could not be done.
    pub(crate) async fn run(&self, client: &Client) -> Result<Answer, Failure> {
        match self {
            Self::List => list(client).await,
            Self::Routes => routes(client).await,
            Self::Test { name } => test(client, name).await,
        }
    }
}

async fn list(client: &Client) -> Result<Answer, Failure> {
    let document = client.list("/channels", "channels", &[]).await?;
    let mut table = Table::new(
        &[
            "CHANNEL",
            "PROVIDER",
            "STATE",
            "WAITING",
            "REFUSED",
            "LAST ACCEPTED",
            "WHY",
            "FALLBACK",
            "ADDRESS+",
            "PREFIX+",
        ],
        "no channels: nobody is told of anything",
    );
    let channels = document["channels"]
        .as_array()
        .map(Vec::as_slice)
        .unwrap_or_default();
    for channel in channels {
        let text = |field: &str| channel[field].as_str().unwrap_or_default();
        table.row([
            text("name").into(),
            text("provider").into(),
            state(channel),
            channel["pending"].to_string().into(),
            channel["dead_letters"].to_string().into(),
            times::utc(channel["last_accepted"].as_i64()).into(),
            text("disabled_why").into(),
            text("fallback").into(),
            text("address").into(),
            text("prefix").into(),
        ]);
    }
    Ok(Answer::Shown(Shown {
        is_alerting: channels.iter().any(|channel| channel["disabled"].is_i64()),
        text: Text::Table(table),
        document,
    }))
}

fn state(channel: &Value) -> Cell {
    if channel["disabled"].is_i64() {
        Cell::toned("disabled", Tone::Bad)
    } else if channel["retired"].is_i64() {
        Cell::toned("retired", Tone::Quiet)
    } else {
        Cell::toned("in use", Tone::Good)
    }
}

async fn routes(client: &Client) -> Result<Answer, Failure> {
    let document = client.list("/channels/routes", "routes", &[]).await?;
    let mut table = Table::new(
        &["N", "MATCHES", "CHANNELS", "THEN"],
        "no routes: every channel is told of every alert",
    );
    for route in document["routes"].as_array().into_iter().flatten() {
        let then = match route["continue"] == true {
            true => "goes on",
            false => "stops",
        };
        table.row([
            route["position"].to_string().into(),
            matches(&route["match"]).into(),
            joined(&route["channels"]).into(),
            then.into(),
        ]);
    }
    Ok(Answer::table(table, document))
}

fn matches(of: &Value) -> String {
    let parts: Vec<_> = of
        .as_object()
        .into_iter()
        .flatten()
        .filter(|(_, patterns)| patterns.is_array())
        .map(|(field, patterns)| format!("{field} {}", joined(patterns)))
        .collect();
    match parts.as_slice() {
        [] => "everything".to_owned(),
        parts => parts.join("; "),
    }
}

fn joined(values: &Value) -> String {
    let values = values.as_array().into_iter().flatten();
    let words = values.map(|value| {
        value
            .as_str()
            .map_or_else(|| value.to_string(), str::to_owned)
    });
    words.collect::<Vec<_>>().join(", ")
}

async fn test(client: &Client, name: &str) -> Result<Answer, Failure> {
    let path = format!("/channels/{}/test", escaped(name));
    let document = client.post(&path, &Value::Null).await?;
    client.require(document["accepted"].is_boolean(), "accepted")?;
    let took = document["latency_ms"]
        .as_i64()
        .map(|ms| format!(" after {ms} ms"))
        .unwrap_or_default();
    if document["accepted"] == true {
        return Ok(Answer::done(format!("{name} accepted it{took}"), document));
    }
    let why = document["error"].as_str().unwrap_or("it does not say why");
    let failure = Failure::new(Code::Refused, format!("{name} did not accept it: {why}"))
        .hint("look at its settings in the server's configuration, section [channels]");
    Ok(Answer::Done(Done {
        document,
        lines: Vec::new(),
        failures: vec![failure],
    }))
}
