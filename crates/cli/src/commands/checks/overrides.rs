//! What people say of a check in place of its agent.

use clap::{Args, Subcommand};
use reqwest::Method;
use serde_json::{Map, Value, json};

use super::named::One;
use crate::client::Client;
use crate::failure::Failure;
use crate::output::{Answer, Table};

/// What can be done with them.
#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// What its agent says, what people say, and what holds
    Show(One),
    /// Says something in place of the agent; what is not named stays
    Set {
        #[command(flatten)]
        one: One,
        #[command(flatten)]
        settings: Settings,
    },
    /// Takes it back: what the agent says holds again
    Reset {
        #[command(flatten)]
        one: One,
        /// Only this; without one, all of it
        #[arg(value_parser = FIELDS)]
        settings: Vec<String>,
    },
}

/// As the API calls them.
const FIELDS: [&str; 6] = [
    "interval",
    "follow_up",
    "priority",
    "alert_threshold",
    "flap_threshold",
    "flap_window",
];

/// The server says what is too much or too little.
#[derive(Debug, Args)]
#[group(required = true, multiple = true)]
pub(crate) struct Settings {
    /// Seconds between runs while ok
    #[arg(long, value_name = "SECONDS")]
    interval: Option<u32>,
    /// Seconds between runs while failing
    #[arg(long, value_name = "SECONDS")]
    follow_up: Option<u32>,
    /// 0 never notifies, 1 is the most urgent, 2
    #[arg(long)]
    priority: Option<u32>,
    /// Failing runs in a row until an alert opens
    #[arg(long, value_name = "RUNS")]
    alert_threshold: Option<u32>,
    /// Changes between ok and failing until it counts as flapping
    #[arg(long, value_name = "CHANGES")]
    flap_threshold: Option<u32>,
    /// Seconds within which those happen
    #[arg(long, value_name = "SECONDS")]
    flap_window: Option<u32>,
}

impl Command {
    /// # Errors
    /// Why it could not be done.
    pub(crate) async fn run(&self, client: &Client) -> Result<Answer, Failure> {
        match self {
            Self::Show(one) => {
                let path = format!("{}/overrides", one.find(client).await?.path);
                let document = client.one(&path, "effective").await?;
                Ok(Answer::table(table(&document), document))
            }
            Self::Set { one, settings } => {
                let said = [
                    settings.interval,
                    settings.follow_up,
                    settings.priority,
                    settings.alert_threshold,
                    settings.flap_threshold,
                    settings.flap_window,
                ];
                change(client, one, "is overridden", |overrides| {
                    for (field, value) in FIELDS.iter().zip(said) {
                        if let Some(value) = value {
                            overrides.insert((*field).to_owned(), json!(value));
                        }
                    }
                })
                .await
            }
            Self::Reset { one, settings } => {
                change(client, one, "is as its agent says", |overrides| {
                    overrides.retain(|field, _| !settings.is_empty() && !settings.contains(field));
                })
                .await
            }
        }
    }
}

/// The API takes all of it at once; whoever changes it between our look and our change is not overwritten.
async fn change(
    client: &Client,
    one: &One,
    done: &str,
    edit: impl FnOnce(&mut Map<String, Value>),
) -> Result<Answer, Failure> {
    let check = one.find(client).await?;
    let path = format!("{}/overrides", check.path);
    let (mut document, version) = client.versioned(&path).await?;
    let overrides = document["overrides"].as_object_mut();
    client.require(overrides.is_some(), "overrides")?;
    let mut overrides = overrides.map(std::mem::take).unwrap_or_default();
    edit(&mut overrides);
    let answer = client
        .change(Method::PUT, &path, Some(&json!(overrides)), version)
        .await?;
    Ok(Answer::done(format!("{} {done}", check.name), answer))
}

fn table(document: &Value) -> Table {
    let mut table = Table::new(&["SETTING", "AGENT", "PEOPLE", "HOLDS"], "no settings");
    for field in FIELDS {
        let said = |by: &str| match &document[by][field] {
            Value::Null => "-".to_owned(),
            value => value.to_string(),
        };
        table.row([
            field.into(),
            said("declared").into(),
            said("overrides").into(),
            said("effective").into(),
        ]);
    }
    table
}
