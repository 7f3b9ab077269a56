//! `stalkerd maintenance`: where people work, so that nobody is told of what happens there (semantics.md, decision 6).

use std::fmt::Write as _;
use std::time::Duration;

use anyhow::{Context, bail, ensure};
use chrono::{DateTime, Utc};
use clap::{Args, Subcommand};
use serde_json::{Value, json};
use stalker_db::audit::{self, Deed};
use stalker_db::maintenances::{self, End, Ended, Maintenance, NewMaintenance, Which};

use crate::settings::Settings;
use crate::tools::{actor, plain, time, with_database};

#[derive(Subcommand)]
pub(crate) enum MaintenanceCommand {
    /// Declares a maintenance: while it lasts what it matches is run and shown, and nobody is told
    ///
    /// What is still broken at its end is told then; what was told before and recovers meanwhile is resolved at once. All
    /// given options must match, of one option any value; * stands for any text and ? for one character.
    Add(AddArgs),
    /// Maintenances in force and to come
    List {
        /// Those that are over as well
        #[arg(long)]
        all: bool,
    },
    /// Ends one that is in force now, or deletes one that is to come
    End {
        /// Its number
        id: i64,
    },
}

#[derive(Args)]
pub(crate) struct AddArgs {
    /// Names of hosts
    #[arg(long, value_name = "GLOB")]
    host: Vec<String>,
    /// Roles of hosts
    #[arg(long, value_name = "GLOB")]
    role: Vec<String>,
    /// Names of checks; the alert of a host that is down has none
    #[arg(long, value_name = "GLOB")]
    check: Vec<String>,
    /// When it begins, as 2030-01-31T22:00:00Z; without it, now
    #[arg(long, value_name = "TIME", value_parser = rfc3339)]
    start: Option<DateTime<Utc>>,
    #[command(flatten)]
    end: EndArgs,
    /// Who declares it; without it, the user of this system
    #[arg(long, value_name = "NAME")]
    author: Option<String>,
    /// What for
    #[arg(long, value_name = "TEXT")]
    reason: String,
}

#[derive(Args)]
#[group(required = true, multiple = false)]
struct EndArgs {
    /// When it is over, as 2030-02-01T02:00:00Z
    #[arg(long, value_name = "TIME", value_parser = rfc3339)]
    end: Option<DateTime<Utc>>,
    /// How long it lasts, as 90s, 30m, 2h, 1d
    #[arg(long = "for", value_name = "TIME", value_parser = lasting)]
    lasts: Option<Duration>,
}

/// Does it; returns what to print.
pub(crate) fn run(command: MaintenanceCommand, settings: &Settings) -> anyhow::Result<String> {
    match command {
        MaintenanceCommand::Add(args) => add(&new(args)?, settings),
        MaintenanceCommand::List { all } => with_database(settings, async |pools| {
            let which = Which {
                with_past: all,
                ..Which::default()
            };
            let mut listed = maintenances::page(&pools.durable, &which, 0, i64::MAX).await?;
            listed.sort_by_key(|maintenance| maintenance.starts_at);
            table(&listed)
        }),
        MaintenanceCommand::End { id } => with_database(settings, async |pools| {
            let mut tx = pools.durable.begin().await?;
            let ended = maintenances::end(&mut tx, id).await?;
            let state = json!({ "over": true });
            audit::write(&mut tx, &actor(), deed("maintenance end", id, state)).await?;
            if matches!(ended, Ended::Now | Ended::BeforeItsStart) {
                tx.commit().await?;
            }
            match ended {
                Ended::Now => Ok(format!("maintenance {id} is over\n")),
                Ended::BeforeItsStart => {
                    Ok(format!("maintenance {id} had not begun, and is deleted\n"))
                }
                Ended::WasOver => bail!("maintenance {id} was over already"),
                Ended::Unknown => bail!(
                    "there is no maintenance {id}; `stalkerd maintenance list --all` shows them"
                ),
            }
        }),
    }
}

fn add(new: &NewMaintenance, settings: &Settings) -> anyhow::Result<String> {
    with_database(settings, async |pools| {
        let mut tx = pools.durable.begin().await?;
        let added = maintenances::add(&mut tx, new).await?;
        let state = json!({
            "starts": added.starts_at.timestamp(), "ends": added.ends_at.timestamp(), "hosts": new.hosts, "roles": new.roles,
            "checks": new.checks, "author": new.author, "reason": new.reason,
        });
        let deed = deed("maintenance add", added.maintenance_id, state);
        audit::write(&mut tx, &actor(), deed).await?;
        tx.commit().await?;
        // a host may be added before its maintenance begins, so that this is no error
        let reach = match maintenances::reach(&pools.durable, added.maintenance_id).await? {
            0 => "\nwarning: it matches no check of today: are the names right?".to_owned(),
            n => format!("; of today's checks it matches {n}"),
        };
        Ok(format!(
            "maintenance {} from {} to {}{reach}\n",
            added.maintenance_id,
            time(added.starts_at),
            time(added.ends_at)
        ))
    })
}

fn deed(action: &'static str, maintenance_id: i64, after: Value) -> Deed<'static> {
    Deed {
        action,
        subject: format!("maintenance {maintenance_id}"),
        before: None,
        after: Some(after),
    }
}

fn new(args: AddArgs) -> anyhow::Result<NewMaintenance> {
    for (option, patterns) in [
        ("--host", &args.host),
        ("--role", &args.role),
        ("--check", &args.check),
    ] {
        ensure!(
            patterns.iter().all(|pattern| !pattern.is_empty()),
            "{option} is empty: it would match nothing"
        );
    }
    ensure!(
        !args.reason.trim().is_empty(),
        "--reason is empty: who is not told will want to know why"
    );
    let end = match (args.end.end, args.end.lasts) {
        (Some(at), _) => End::At(at),
        (None, Some(lasts)) => End::After(lasts),
        (None, None) => bail!("say when it is over, by --end or --for"),
    };
    Ok(NewMaintenance {
        starts_at: args.start,
        end,
        hosts: args.host,
        roles: args.role,
        checks: args.check,
        author: match args.author {
            Some(author) => author,
            None => user()?,
        },
        reason: args.reason,
    })
}

fn user() -> anyhow::Result<String> {
    let user = nix::unistd::User::from_uid(nix::unistd::getuid())
        .ok()
        .flatten();
    Ok(user
        .context("cannot tell who you are; say it by --author")?
        .name)
}

fn table(maintenances: &[Maintenance]) -> anyhow::Result<String> {
    let mut text = "ID\tWHEN\tSTART\tEND\tHOSTS\tROLES\tCHECKS\tAUTHOR\tREASON\n".to_owned();
    let any = |patterns: &Option<Vec<String>>| {
        patterns
            .as_ref()
            .map_or_else(|| "*".to_owned(), |patterns| plain(&patterns.join(",")))
    };
    for m in maintenances {
        writeln!(
            text,
            "{}\t{}\t{}\t{}\t{}\t{}\t{}\t{}\t{}",
            m.maintenance_id,
            m.phase,
            time(m.starts_at),
            time(m.ends_at),
            any(&m.hosts),
            any(&m.roles),
            any(&m.checks),
            plain(&m.author),
            plain(&m.reason)
        )?;
    }
    Ok(text)
}

fn rfc3339(text: &str) -> Result<DateTime<Utc>, String> {
    match DateTime::parse_from_rfc3339(text) {
        Ok(time) => Ok(time.to_utc()),
        Err(error) => Err(format!("{error}; a time is written 2030-01-31T22:00:00Z")),
    }
}

/// One whole number with its unit. Nobody asks for more, so this needs no library.
pub(crate) fn lasting(text: &str) -> Result<Duration, String> {
    let parsed = [('s', 1), ('m', 60), ('h', 3600), ('d', 86_400)]
        .into_iter()
        .find_map(|(unit, seconds)| {
            let number: u64 = text.strip_suffix(unit)?.parse().ok()?;
            number.checked_mul(seconds)
        });
    parsed
        .map(Duration::from_secs)
        .ok_or_else(|| "a time span is written 90s, 30m, 2h or 1d".to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn time_spans() {
        let s = |text: &str| lasting(text).ok().map(|span| span.as_secs());
        assert_eq!(
            ["90s", "30m", "2h", "1d", "0s"].map(s),
            [Some(90), Some(1800), Some(7200), Some(86_400), Some(0)]
        );
        assert_eq!(
            ["", "90", "h", "-1h", "1.5h", "1w", "300000000000000000d"].map(s),
            [None; 7]
        );
    }
}
