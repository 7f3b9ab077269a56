//! Lists of checks.

use clap::Args;
use clap_complete::engine::ArgValueCompleter;
use serde_json::Value;

use super::named::prefix;
use crate::client::{Client, escaped};
use crate::commands::part::Part;
use crate::completions;
use crate::failure::Failure;
use crate::output::{Answer, Cell, Shown, Table, Text, Tone};
use crate::times;

/// What another cluster said longer ago than this, in seconds, is old, where the server cannot say whether it is: younger
/// answers are only cached.
const OLD_S: f64 = 60.0;

/// Which checks are wanted: all that is given must be so.
#[derive(Debug, Args)]
#[command(group(clap::ArgGroup::new("state_or_host").args(["state", "host"])))]
pub(crate) struct Filter {
    /// Of the host of this name or address
    #[arg(long, add = ArgValueCompleter::new(completions::hosts))]
    host: Option<String>,
    /// Of hosts with this role
    #[arg(long)]
    role: Option<String>,
    /// Of this name
    #[arg(long)]
    name: Option<String>,
    /// By the result of their last run
    #[arg(long, value_parser = ["ok", "warning", "critical", "unknown"])]
    status: Option<String>,
    /// Those that this person takes care of
    #[arg(long)]
    owner: Option<String>,
    /// In this state, whatever their host, role, name, status and owner: failing, held by a worker, in a maintenance, suspended
    #[arg(
        long,
        value_parser = ["alerting", "pending", "in_maintenance", "suspended"],
        conflicts_with_all = ["host", "role", "name", "status", "owner"]
    )]
    state: Option<String>,
    /// Of those that are alerting, only those that have failed as often as it takes for an alert
    #[arg(long, requires = "state")]
    hard: bool,
    /// Of this other cluster, those of a host or in a state; `stalker clusters list` shows which there are
    #[arg(long, requires = "state_or_host", conflicts_with_all = ["hard", "role", "name", "status", "owner"])]
    cluster: Option<String>,
    #[command(flatten)]
    part: Part,
}

impl Filter {
    /// # Errors
    /// If there is no list to be had.
    pub(crate) async fn list(&self, client: &Client) -> Result<Answer, Failure> {
        if let Some(cluster) = &self.cluster {
            let prefix = prefix(Some(cluster));
            if let Some(host) = &self.host {
                let path = format!("{prefix}/checks/host/{}", escaped(host));
                let document = client.list(&path, "checks", &self.part.of([])).await?;
                return Ok(Answer::Shown(shown(document, &["checks"])));
            }
            let state = self.state.as_deref().unwrap_or_default();
            return in_state_of(client, cluster, state, &self.part.of([])).await;
        }
        if let Some(state) = &self.state {
            let hard = ("hard", self.hard.then(|| "true".to_owned()));
            let path = format!("/checks/state/{state}");
            let document = client.list(&path, state, &self.part.of([hard])).await?;
            return Ok(Answer::Shown(shown(document, &[state])));
        }
        let document = client
            .list(
                "/checks",
                "checks",
                &self.part.of([
                    ("host", self.host.clone()),
                    ("role", self.role.clone()),
                    ("check", self.name.clone()),
                    ("status", self.status.clone()),
                    ("owner", self.owner.clone()),
                ]),
            )
            .await?;
        Ok(Answer::Shown(shown(document, &["checks"])))
    }
}

/// What another cluster says, by way of ours: `{CLUSTER: {STATE: […], "age": seconds, "error": why it is old}}`.
async fn in_state_of(
    client: &Client,
    cluster: &str,
    state: &str,
    part: &[(&str, Option<String>)],
) -> Result<Answer, Failure> {
    let path = format!("/global/{}/checks/state/{state}", escaped(cluster));
    let document = client.list_within(&path, &[cluster, state], part).await?;
    let age = document[cluster]["age"].as_f64().unwrap_or_default();
    let mut shown = shown(document, &[cluster, state]);
    let found = &shown.document[cluster];
    let error = found["error"].as_str();
    // one that can say why it is old says by that whether it is
    let is_old = match found.get("error") {
        Some(_) => error.is_some(),
        None => age >= OLD_S,
    };
    let why = error.map_or_else(String::new, |error| format!(": {error}"));
    // nobody knows what is so there now
    shown.is_alerting |= is_old;
    if let Text::Table(table) = &mut shown.text
        && is_old
    {
        let table = std::mem::take(table);
        let since = format!("{cluster} does not answer{why}; it was so {age:.0} s ago");
        shown.text = Text::Sheet(vec![("old", since.into())], vec![("Checks", table)]);
    }
    Ok(Answer::Shown(shown))
}

/// `at` is where the API put the list.
fn shown(document: Value, at: &[&str]) -> Shown {
    let checks = at.iter().fold(&document, |value, field| &value[field]);
    let checks = checks.as_array().map(Vec::as_slice).unwrap_or_default();
    Shown {
        is_alerting: checks.iter().any(|check| check["status"] == false),
        text: Text::Table(table(checks)),
        document,
    }
}

/// Checks as lines.
pub(crate) fn table(checks: &[Value]) -> Table {
    let mut table = Table::new(
        &[
            "STATE",
            "HOST",
            "CHECK",
            "SINCE",
            "OWNER",
            "FLAGS",
            "OUTPUT",
            "ID+",
            "INTERVAL+",
            "PRIORITY+",
        ],
        "no checks",
    );
    for check in checks {
        let text = |field: &str| check[field].as_str().unwrap_or_default();
        let number = |field: &str| check[field].as_i64().unwrap_or_default();
        table.row([
            state(check),
            text("hostname").into(),
            text("check").into(),
            times::ago(check["since"].as_i64()).into(),
            text("owner").into(),
            flags(check).into(),
            text("out").into(),
            text("id").into(),
            format!("{} s", number("interval")).into(),
            number("priority").to_string().into(),
        ]);
    }
    table
}

/// The state of a check, in the colour of its urgency.
pub(crate) fn state(check: &Value) -> Cell {
    match check["state"].as_str() {
        Some(ok @ "ok") => Cell::toned(ok, Tone::Good),
        Some(warning @ "warning") => Cell::toned(warning, Tone::Warning),
        Some(other) => Cell::toned(other, Tone::Bad),
        // the original's checks have no such field
        None => match check["status"].as_bool() {
            Some(true) => Cell::toned("ok", Tone::Good),
            Some(false) => Cell::toned("failing", Tone::Bad),
            None => Cell::toned("new", Tone::Quiet),
        },
    }
}

/// What else is so.
pub(crate) fn flags(check: &Value) -> String {
    [
        ("suspended", "suspended"),
        ("in_maintenance", "maintenance"),
        ("flapping", "flapping"),
        ("pending", "running"),
        ("stale", "stale"),
    ]
    .into_iter()
    .filter(|(flag, _)| check[flag] == true)
    .map(|(_, word)| word)
    .collect::<Vec<_>>()
    .join(", ")
}
