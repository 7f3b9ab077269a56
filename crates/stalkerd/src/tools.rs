//! What the tools share: `stalkerd hosts`, `maintenance`, `alerts`, … each ask the database something and print it.

use std::path::PathBuf;
use std::time::Duration;

use anyhow::{Context, ensure};
use chrono::{DateTime, SecondsFormat, Utc};
use nix::unistd::{User, gethostname, getuid};
use stalker_db::audit::{Actor, Kind};
use stalker_db::{Pools, doctor, is_migrated, is_passing};

use crate::components::runtime;
use crate::settings::Settings;

/// How long a database may take to let us in.
const ANSWER: Duration = Duration::from_secs(5);

/// Does `work` with the database of these settings, which answers and has this version's schema.
pub(crate) fn with_database<T>(
    settings: &Settings,
    work: impl AsyncFnOnce(Pools) -> anyhow::Result<T>,
) -> anyhow::Result<T> {
    let (url, source) = database_url(settings)?;
    runtime()?.block_on(async {
        let pools = Pools::new(&url, 8).with_context(|| format!("the URL of {source}"))?;
        let place = doctor::place(&pools.durable);
        let cannot = || format!("cannot use the database at {place}, of {source}");
        let answered = tokio::time::timeout(ANSWER, doctor::answer(&pools.durable)).await;
        let answered = answered.with_context(|| format!("it does not answer within {ANSWER:?}"));
        let answered = answered.and_then(|answered| {
            answered.map_err(|error| match is_passing(&error) {
                true => anyhow::Error::new(error).context("it does not answer"),
                false => anyhow::Error::new(error).context("it does not let us in"),
            })
        });
        answered.with_context(cannot)?;
        ensure!(
            is_migrated(&pools.durable).await.with_context(cannot)?,
            "{}: its schema is not this version's; run the `stalkerd migrate` of the newest version here, and stop what is older",
            cannot()
        );
        work(pools).await
    })
}

/// The configured database, else that of the `stalkerd up` that runs in this folder or in STALKER_HOME; and who says so.
fn database_url(settings: &Settings) -> anyhow::Result<(String, String)> {
    let missing = match settings.database_url() {
        Ok(url) => {
            let source = "the configuration (database.url, DATABASE_URL)";
            return Ok((url.to_owned(), source.to_owned()));
        }
        Err(missing) => missing,
    };
    let home = std::env::var_os("STALKER_HOME").map_or_else(|| ".stalker".into(), PathBuf::from);
    let file = home.join("ready.json");
    let ready: Option<serde_json::Value> = std::fs::read(&file)
        .ok()
        .and_then(|text| serde_json::from_slice(&text).ok());
    let url = ready.as_ref().and_then(|ready| ready["database"].as_str());
    let source = format!(
        "{} (written by a `stalkerd up`, which may have been killed)",
        file.display()
    );
    Ok((url.ok_or(missing)?.to_owned(), source))
}

/// Whoever calls a command, for the audit: the user of this system, and who became it by sudo.
pub(crate) fn actor() -> Actor {
    let user = User::from_uid(getuid()).ok().flatten();
    let user = user.map_or_else(|| getuid().to_string(), |user| user.name);
    let sudo = std::env::var_os("SUDO_USER").filter(|_| getuid().is_root());
    let machine = gethostname().unwrap_or_default();
    Actor {
        kind: Kind::Command,
        id: None,
        name: match sudo {
            Some(person) => format!("{} as {user}", plain(&person.to_string_lossy())),
            None => user,
        },
        address: machine.to_string_lossy().into_owned(),
        on_behalf_of: None,
    }
}

/// A time as every tool prints and reads it.
pub(crate) fn time(at: DateTime<Utc>) -> String {
    at.to_rfc3339_opts(SecondsFormat::Secs, true)
}

/// What came from a host or a person, for a terminal and for one field of a line: control characters, which could move
/// the cursor or forge a line, are shown and not obeyed.
pub(crate) fn plain(text: &str) -> String {
    text.chars()
        .flat_map(|c| {
            let (shown, escaped) = match c.is_control() {
                true => (None, Some(c.escape_default())),
                false => (Some(c), None),
            };
            shown.into_iter().chain(escaped.into_iter().flatten())
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn control_characters_are_shown() {
        assert_eq!(plain("größe\t1\n\u{1b}[2J"), "größe\\t1\\n\\u{1b}[2J");
    }
}
