//! Maintenances.

use chrono::TimeDelta;
use clap::{Args, Subcommand};
use clap_complete::engine::ArgValueCompleter;
use reqwest::Method;
use serde_json::{Value, json};

use super::part::Part;
use crate::client::{Client, escaped};
use crate::completions;
use crate::confirm::Confirmed;
use crate::failure::Failure;
use crate::output::{Answer, Cell, Shown, Table, Text, Tone};
use crate::times;

/// What can be done with maintenances.
#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Maintenances in force and to come
    #[command(visible_alias = "ls")]
    List(Filter),
    /// Declares a maintenance: what it matches runs and is shown, and nobody is told
    Add(Add),
    /// A maintenance
    Show {
        /// Its id
        id: String,
    },
    /// Gives a maintenance another end
    Change {
        /// Its id
        id: String,
        #[command(flatten)]
        end: End,
    },
    /// Ends a maintenance now, or deletes one that is to come; what is broken then is told
    End {
        /// Its id
        id: String,
        #[command(flatten)]
        confirmed: Confirmed,
    },
}

/// Which maintenances are wanted: all that is given must be so.
#[derive(Debug, Args)]
pub(crate) struct Filter {
    /// Those that are over as well
    #[arg(long)]
    past: bool,
    /// Those that the host of this name or address is in
    #[arg(long, add = ArgValueCompleter::new(completions::hosts))]
    host: Option<String>,
    #[command(flatten)]
    part: Part,
}

/// Of what, for how long, and why. What is given must all match, of several of a kind any one.
#[derive(Debug, Args)]
pub(crate) struct Add {
    #[command(flatten)]
    whom: Whom,
    #[command(flatten)]
    end: End,
    /// When it begins, such as 2030-01-31T22:00:00+01:00, or "2030-01-31 22:00" in UTC; without it, now
    #[arg(long, value_name = "TIME", value_parser = times::at)]
    start: Option<i64>,
    /// What for: whoever is not told will want to know
    #[arg(long)]
    reason: String,
}

#[derive(Debug, Args)]
#[group(required = true, multiple = true)]
struct Whom {
    /// Names of hosts; * stands for any text and ? for one character
    #[arg(long, value_name = "NAME")]
    host: Vec<String>,
    /// Roles of hosts
    #[arg(long)]
    role: Vec<String>,
    /// Names of checks; the alert of a host that is down has none
    #[arg(long, value_name = "NAME")]
    name: Vec<String>,
}

#[derive(Debug, Args)]
#[group(required = true, multiple = false)]
pub(crate) struct End {
    /// How long it lasts, such as 90s, 30m, 2h, 1d
    #[arg(long = "for", value_name = "TIME", value_parser = times::lasting)]
    lasts: Option<TimeDelta>,
    /// When it is over
    #[arg(long, value_name = "TIME", value_parser = times::at)]
    until: Option<i64>,
}

impl Command {
    /// # Errors
    /// Why it could not be done.
    pub(crate) async fn run(&self, client: &Client) -> Result<Answer, Failure> {
        match self {
            Self::List(filter) => list(client, filter).await,
            Self::Add(add) => declare(client, add).await,
            Self::Show { id } => {
                let document = client.get(&path(id)).await?;
                client.require(document["reason"].is_string(), "reason")?;
                Ok(Answer::Shown(Shown {
                    is_alerting: false,
                    text: Text::Sheet(sheet(&document), Vec::new()),
                    document,
                }))
            }
            Self::Change { id, end } => change(client, id, end).await,
            Self::End { id, confirmed } => {
                let (seen, version) = client.versioned(&path(id)).await?;
                let what = seen["reason"].as_str().unwrap_or_default();
                confirmed.ask(&format!("End maintenance {id} ({what})?"))?;
                let answer = client
                    .change(Method::DELETE, &path(id), None, version)
                    .await?;
                Ok(Answer::done(format!("maintenance {id} is over"), answer))
            }
        }
    }
}

fn path(id: &str) -> String {
    format!("/maintenances/{}", escaped(id))
}

async fn list(client: &Client, filter: &Filter) -> Result<Answer, Failure> {
    let past = ("past", filter.past.then(|| "true".to_owned()));
    let filters = filter.part.of([past, ("host", filter.host.clone())]);
    let document = client
        .list("/maintenances", "maintenances", &filters)
        .await?;
    let columns = ["ID", "PHASE", "OF", "BEGINS", "ENDS", "AUTHOR", "REASON"];
    let mut table = Table::new(&columns, "no maintenances");
    for maintenance in document["maintenances"].as_array().into_iter().flatten() {
        let text = |field: &str| maintenance[field].as_str().unwrap_or_default();
        table.row([
            text("id").into(),
            phase(maintenance),
            whom(maintenance).into(),
            times::utc(maintenance["starts"].as_i64()).into(),
            times::utc(maintenance["ends"].as_i64()).into(),
            text("author").into(),
            text("reason").into(),
        ]);
    }
    Ok(Answer::table(table, document))
}

async fn declare(client: &Client, add: &Add) -> Result<Answer, Failure> {
    let all = |names: &[String]| (!names.is_empty()).then(|| json!(names));
    let said = [
        ("hosts", all(&add.whom.host)),
        ("roles", all(&add.whom.role)),
        ("checks", all(&add.whom.name)),
        ("starts", add.start.map(Value::from)),
        ("ends", add.end.until.map(Value::from)),
        (
            "lasts",
            add.end.lasts.map(|lasts| lasts.num_seconds().into()),
        ),
        ("reason", Some(json!(add.reason))),
    ];
    let said = said.into_iter();
    let body: serde_json::Map<_, _> = said
        .filter_map(|(field, value)| Some((field.to_owned(), value?)))
        .collect();
    let answer = client.post("/maintenances", &body.into()).await?;
    let maintenance = &answer["maintenance"];
    client.require(maintenance.is_object(), "maintenance")?;
    let warning = match answer["reach"].as_i64() {
        Some(0) => ", which may be a mistake",
        _ => "",
    };
    let line = format!(
        "maintenance {} until {}; checks and clusters that it matches today: {}{warning}",
        maintenance["id"].as_str().unwrap_or_default(),
        times::utc(maintenance["ends"].as_i64()),
        answer["reach"],
    );
    Ok(Answer::done(line, answer))
}

async fn change(client: &Client, id: &str, end: &End) -> Result<Answer, Failure> {
    let (_, version) = client.versioned(&path(id)).await?;
    let ends = end
        .until
        .unwrap_or_else(|| times::from_now(end.lasts.unwrap_or_default()));
    let body = json!({ "ends": ends });
    let answer = client
        .change(Method::POST, &path(id), Some(&body), version)
        .await?;
    let until = times::utc(Some(ends));
    Ok(Answer::done(
        format!("maintenance {id} lasts until {until}"),
        answer,
    ))
}

fn sheet(maintenance: &Value) -> Vec<(&'static str, Cell)> {
    let text = |field: &str| maintenance[field].as_str().unwrap_or_default();
    vec![
        ("maintenance", text("id").into()),
        ("phase", phase(maintenance)),
        ("of", whom(maintenance).into()),
        ("begins", times::utc(maintenance["starts"].as_i64()).into()),
        ("ends", times::utc(maintenance["ends"].as_i64()).into()),
        ("author", text("author").into()),
        ("reason", text("reason").into()),
    ]
}

fn phase(maintenance: &Value) -> Cell {
    match maintenance["phase"].as_str() {
        Some(now @ "now") => Cell::toned(now, Tone::Warning),
        other => Cell::toned(other.unwrap_or_default(), Tone::Quiet),
    }
}

/// All that it names.
fn whom(maintenance: &Value) -> String {
    ["hosts", "roles", "checks"]
        .into_iter()
        .filter_map(|field| {
            let names = maintenance[field]
                .as_array()?
                .iter()
                .filter_map(Value::as_str);
            let names: Vec<_> = names.collect();
            (!names.is_empty()).then(|| format!("{field} {}", names.join(", ")))
        })
        .collect::<Vec<_>>()
        .join("; ")
}
