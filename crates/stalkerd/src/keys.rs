//! `stalkerd key`: keys of programs, and of agents that register.

use std::fmt::Write as _;
use std::time::Duration;

use anyhow::{Context, ensure};
use chrono::{DateTime, TimeDelta, Utc};
use clap::{Args, Subcommand, ValueEnum};
use serde_json::json;
use stalker_api::secret;
use stalker_db::api_keys::{self, CONFIGURED, Listed};
use stalker_db::audit::{self, Deed};

use crate::maintenance::lasting;
use crate::settings::Settings;
use crate::tools::{actor, plain, time, with_database};

/// The API tells times until then.
const FAR: DateTime<Utc> = DateTime::from_timestamp(253_402_300_800, 0).expect("it is in range");

#[derive(Subcommand)]
pub(crate) enum KeyCommand {
    /// Makes a key and prints it: it is shown now, and never again
    Create(CreateArgs),
    /// Revokes a key, for good
    Revoke {
        /// Its number
        id: i64,
    },
    /// All keys, without what is secret of them
    List,
}

#[derive(Args)]
pub(crate) struct CreateArgs {
    /// What it is for
    name: String,
    /// What it opens
    #[arg(long, value_enum, default_value_t = Opens::Viewer)]
    access: Opens,
    /// It sees and steers only hosts with this role; may be given several times
    #[arg(long, value_name = "ROLE")]
    role: Vec<String>,
    /// How long it opens anything, as 90s, 30m, 2h, 365d; without it, for ever
    #[arg(long = "for", value_name = "TIME", value_parser = lasting)]
    lasts: Option<Duration>,
}

#[derive(Clone, Copy, ValueEnum)]
enum Opens {
    /// Looks
    Viewer,
    /// Steers runs, alerts and messages
    Operator,
    /// Decides who may do what, and deletes
    Admin,
    /// Agents register with it, and it opens nothing else
    Register,
}

impl Opens {
    fn name(self) -> &'static str {
        match self {
            Self::Viewer => "viewer",
            Self::Operator => "operator",
            Self::Admin => "admin",
            Self::Register => "register",
        }
    }
}

/// Does it; returns what to print.
pub(crate) fn run(command: KeyCommand, settings: &Settings) -> anyhow::Result<String> {
    match command {
        KeyCommand::Create(args) => create(&args, settings),
        KeyCommand::Revoke { id } => with_database(settings, async |pools| {
            let mut tx = pools.durable.begin().await?;
            let key = api_keys::find_listed(&mut tx, id).await?;
            let key = key
                .with_context(|| format!("there is no key {id}; `stalkerd key list` shows them"))?;
            api_keys::revoke(&mut tx, id).await?;
            let before = json!({ "name": key.name, "access": key.access });
            audit::write(
                &mut tx,
                &actor(),
                deed("key revoke", id, Some(before), None),
            )
            .await?;
            tx.commit().await?;
            let returns = match key.name == CONFIGURED && key.made_by.is_empty() {
                true => {
                    "; while it is an api.api_key, the next start of that server brings it back"
                }
                false => "",
            };
            Ok(format!(
                "key {id} ({}) opens nothing any more{returns}\n",
                plain(&key.name)
            ))
        }),
        KeyCommand::List => with_database(settings, async |pools| {
            table(&api_keys::page(&pools.durable, 0, i64::MAX).await?)
        }),
    }
}

fn create(args: &CreateArgs, settings: &Settings) -> anyhow::Result<String> {
    let name = args.name.trim();
    ensure!(
        !name.is_empty() && name != CONFIGURED && name.chars().count() <= 100,
        "a key's name has 1 to 100 characters, and is not `{CONFIGURED}`"
    );
    ensure!(
        args.role.is_empty() || matches!(args.access, Opens::Viewer | Opens::Operator),
        "--role is only for keys with access viewer or operator"
    );
    ensure!(
        args.role.iter().all(|role| !role.trim().is_empty()),
        "--role is empty: it would match nothing"
    );
    with_database(settings, async |pools| {
        let (key, actor) = (secret::key(), actor());
        let expires_at = args
            .lasts
            .map(|lasts| {
                let end = Utc::now().checked_add_signed(TimeDelta::from_std(lasts).ok()?)?;
                (!lasts.is_zero() && end < FAR).then_some(end)
            })
            .map(|end| end.context("--for must be at least 1s, and end before the year 10000"))
            .transpose()?;
        let new = api_keys::New {
            key: &key,
            name,
            access: args.access.name(),
            scope: (!args.role.is_empty()).then_some(args.role.as_slice()),
            expires_at,
            made_by: &actor.name,
        };
        let mut tx = pools.durable.begin().await?;
        let id = api_keys::add(&mut tx, &new).await?;
        let after = json!({ "name": name, "access": args.access.name(), "scope": new.scope, "expires": expires_at.map(|at| at.timestamp()) });
        audit::write(&mut tx, &actor, deed("key create", id, None, Some(after))).await?;
        tx.commit().await?;
        Ok(format!("{key}\n"))
    })
}

fn table(keys: &[Listed]) -> anyhow::Result<String> {
    let mut text =
        "ID\tNAME\tACCESS\tROLES\tMADE BY\tCREATED\tEXPIRES\tLAST USED\tREVOKED\n".to_owned();
    for key in keys {
        let at = |at: Option<_>| at.map_or_else(|| "-".to_owned(), time);
        let roles = key
            .scope
            .as_ref()
            .map_or_else(|| "all".to_owned(), |roles| roles.join(","));
        writeln!(
            text,
            "{}\t{}\t{}\t{}\t{}\t{}\t{}\t{}\t{}",
            key.key_id,
            plain(&key.name),
            key.access,
            plain(&roles),
            plain(if key.made_by.is_empty() {
                "-"
            } else {
                &key.made_by
            }),
            time(key.created_at),
            at(key.expires_at),
            at(key.last_used_at),
            at(key.revoked_at),
        )?;
    }
    Ok(text)
}

fn deed(
    action: &'static str,
    key_id: i64,
    before: Option<serde_json::Value>,
    after: Option<serde_json::Value>,
) -> Deed<'static> {
    Deed {
        action,
        subject: format!("key {key_id}"),
        before,
        after,
    }
}
