//! Checks.

mod acts;
mod history;
mod list;
mod named;
mod overrides;
mod samples;

use clap::Subcommand;
use serde_json::json;

use crate::client::{Client, escaped};
use crate::confirm::Confirmed;
use crate::failure::Failure;
use crate::output::{Answer, Shown, Text};
use crate::times;

pub(crate) use list::table;
use named::{Named, One};

/// What can be done with checks. A check is named `HOST:CHECK`, `HOST/CHECK` or by its id.
#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Checks, and how they are
    #[command(visible_alias = "ls")]
    List(list::Filter),
    /// A check, with its latest state changes
    Show {
        #[command(flatten)]
        one: One,
        /// Of this other cluster, where its state changes stay
        #[arg(long)]
        cluster: Option<String>,
    },
    /// Runs checks now
    #[command(visible_alias = "recheck")]
    Run(Named),
    /// Runs checks at a time
    Reschedule {
        #[command(flatten)]
        named: Named,
        #[command(flatten)]
        when: acts::When,
    },
    /// Stops running checks, until they are resumed
    Suspend(Named),
    /// Runs suspended checks again
    Resume(Named),
    /// Takes ownership of failing checks, until they recover: nobody is told of them again
    Own {
        #[command(flatten)]
        named: Named,
        /// Who takes it; without it, who signed in, or the user of this system
        #[arg(long = "as", value_name = "NAME")]
        owner: Option<String>,
    },
    /// Gives up the ownership of checks
    Disown(Named),
    /// The latest state changes of a check
    History(history::History),
    /// What a check has measured
    Samples(samples::Samples),
    /// What people say of a check in place of its agent
    #[command(subcommand)]
    Override(overrides::Command),
    /// Deletes checks. An agent that still offers them brings them back as new ones
    #[command(visible_alias = "rm")]
    Delete {
        #[command(flatten)]
        named: Named,
        #[command(flatten)]
        confirmed: Confirmed,
    },
}

impl Command {
    /// # Errors
    /// Why it could not be done.
    pub(crate) async fn run(&self, client: &Client) -> Result<Answer, Failure> {
        match self {
            Self::List(filter) => filter.list(client).await,
            Self::Show { one, cluster } => show(client, one, cluster.as_deref()).await,
            Self::Run(named) => acts::run(client, named).await,
            Self::Reschedule { named, when } => acts::reschedule(client, named, when).await,
            Self::Suspend(named) => acts::suspend(client, named).await,
            Self::Resume(named) => acts::resume(client, named).await,
            Self::Own { named, owner } => acts::own(client, named, owner.as_deref()).await,
            Self::Disown(named) => acts::disown(client, named).await,
            Self::History(history) => history.show(client).await,
            Self::Samples(samples) => samples.show(client).await,
            Self::Override(command) => command.run(client).await,
            Self::Delete { named, confirmed } => acts::delete(client, named, confirmed).await,
        }
    }
}

async fn show(client: &Client, one: &One, cluster: Option<&str>) -> Result<Answer, Failure> {
    let path = one.find_in(client, cluster).await?.path;
    let check = client.one(&path, "check").await?["check"].take();
    let text = |field: &str| check[field].as_str().unwrap_or_default();
    let number = |field: &str| check[field].as_i64().unwrap_or_default();
    let path = format!(
        "/state_log/{}/{}",
        escaped(text("hostname")),
        escaped(text("check"))
    );
    let mut log = match cluster {
        None => client.list(&path, "state_log", &[]).await?,
        Some(_) => json!({"state_log": []}),
    };
    let latency = check["latency_ms"].as_f64().unwrap_or_default();
    let sheet = vec![
        ("check", text("check").into()),
        (
            "host",
            format!("{} ({})", text("hostname"), text("ip")).into(),
        ),
        ("state", list::state(&check)),
        ("since", times::utc_and_ago(check["since"].as_i64()).into()),
        ("output", text("out").into()),
        ("measured", text("perfdata").into()),
        ("owner", text("owner").into()),
        ("flags", list::flags(&check).into()),
        ("failing runs", number("fail_count").to_string().into()),
        (
            "last run",
            format!(
                "{}, took {latency:.0} ms",
                times::utc(check["last"].as_i64())
            )
            .into(),
        ),
        ("next run", times::utc(check["next"].as_i64()).into()),
        (
            "runs every",
            format!(
                "{} s, {} s while it fails",
                number("interval"),
                number("follow_up")
            )
            .into(),
        ),
        ("priority", number("priority").to_string().into()),
        ("id", text("id").into()),
    ];
    let changes = match cluster {
        None => vec![("State changes, the latest last", history::table(&log))],
        Some(_) => Vec::new(),
    };
    Ok(Answer::Shown(Shown {
        is_alerting: check["status"] == false,
        text: Text::Sheet(sheet, changes),
        document: json!({"check": check, "state_log": log["state_log"].take()}),
    }))
}
