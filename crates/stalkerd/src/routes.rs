//! `stalkerd routes`: which alerts concern which channels (semantics.md, decision 5).

use std::fmt::Write as _;

use anyhow::{Context, bail, ensure};
use clap::{Args, Subcommand, ValueEnum};
use serde_json::json;
use stalker_db::audit::{self, Deed};
use stalker_db::routes;
use stalker_db::routes::rehearsal::{self, Concerned, Rehearsed};
use stalker_domain::status::Status;

use crate::settings::Settings;
use crate::tools::{actor, plain, with_database};

#[derive(Subcommand)]
pub(crate) enum RoutesCommand {
    /// Applies the routes that the workers were last started with to the alerts that are open now
    ///
    /// Routes are otherwise asked when an alert opens, and again when it gets worse. A channel that was told stays, so
    /// that its resolve comes.
    Reapply,
    /// Says who would be told of an alert, and by which route; fails if nobody would be
    ///
    /// By the channels and routes of this configuration, which need not be live yet. Nothing is changed, nobody is told.
    Test(TestArgs),
}

#[derive(Args)]
pub(crate) struct TestArgs {
    /// The host's name
    #[arg(long, value_name = "NAME", required_unless_present = "cluster")]
    host: Option<String>,
    /// The id of another cluster, which cannot be reached
    #[arg(long, value_name = "ID", conflicts_with_all = ["host", "check", "status", "priority", "role", "kind"])]
    cluster: Option<String>,
    /// The check's name; without it, the host itself cannot be reached
    #[arg(long, value_name = "NAME")]
    check: Option<String>,
    /// What the check is, or unreachable; without it critical
    #[arg(long)]
    status: Option<AlertStatus>,
    /// 1 most urgent, 2; without it, the check's own, else 1
    #[arg(long, value_name = "N")]
    priority: Option<u8>,
    /// Roles of the host, several by commas; without it, those that it has
    #[arg(long, value_name = "ROLE", value_delimiter = ',')]
    role: Vec<String>,
    /// How the check is probed; without it as it is, else by an agent
    #[arg(long)]
    kind: Option<Kind>,
}

#[derive(Clone, Copy, ValueEnum)]
enum Kind {
    Agent,
}

#[derive(Clone, Copy, ValueEnum)]
enum AlertStatus {
    Warning,
    Critical,
    Unknown,
    /// Of a host, without --check
    Unreachable,
}

/// Does it; returns what to print.
pub(crate) fn run(command: RoutesCommand, settings: &Settings) -> anyhow::Result<String> {
    match command {
        RoutesCommand::Reapply => with_database(settings, async |pools| {
            let mut tx = pools.durable.begin().await?;
            let routes::Reapplied { added, removed } = routes::reapply(&mut tx).await?;
            let deed = Deed {
                action: "routes reapply",
                subject: "routes".to_owned(),
                before: None,
                after: Some(json!({ "added": added, "removed": removed })),
            };
            audit::write(&mut tx, &actor(), deed).await?;
            tx.commit().await?;
            Ok(format!(
                "open alerts concern {added} further channels; {removed} that nobody had told yet are taken away\n"
            ))
        }),
        RoutesCommand::Test(args) => test(&rehearsed(args)?, settings),
    }
}

fn rehearsed(args: TestArgs) -> anyhow::Result<Rehearsed> {
    let status = match (&args.check, args.status) {
        (Some(_), None | Some(AlertStatus::Critical)) => Some(Status::Critical),
        (Some(_), Some(AlertStatus::Warning)) => Some(Status::Warning),
        (Some(_), Some(AlertStatus::Unknown)) => Some(Status::Unknown),
        (None, None | Some(AlertStatus::Unreachable)) => None,
        (Some(_), Some(AlertStatus::Unreachable)) => {
            bail!("a host is unreachable, not a check: leave out --check")
        }
        (None, Some(_)) => bail!("say by --check which check that is; a host alone is unreachable"),
    };
    let is_given = !args.role.is_empty();
    let roles = args.role.into_iter().filter(|role| !role.is_empty());
    Ok(Rehearsed {
        is_cluster: args.cluster.is_some(),
        hostname: args.cluster.or(args.host).unwrap_or_default(),
        roles: is_given.then(|| roles.collect()),
        check_name: args.check,
        kind: args.kind.map(|Kind::Agent| "agent".to_owned()),
        // above 2 counts as 2
        priority: args.priority.map(|priority| priority.min(2).into()),
        status: status.map(Status::code),
    })
}

fn test(alert: &Rehearsed, settings: &Settings) -> anyhow::Result<String> {
    let worker = settings.for_worker();
    let (channels, routes) = worker.rows();
    let concerned = with_database(settings, async |pools| {
        rehearsal::rehearse(&pools.durable, alert, &channels, &routes)
            .await
            .context("cannot ask the database")
    })?;
    let roles = concerned.roles.as_ref().with_context(|| {
        format!(
            "no host {} is registered: say by --role which roles it is to have; --role \"\" is none",
            plain(&alert.hostname)
        )
    })?;
    let alert = in_words(alert, &concerned, roles);
    ensure!(
        concerned.priority > 0,
        "{alert}: nobody would be told, for priority 0 is only shown"
    );
    ensure!(
        !channels.is_empty(),
        "{alert}: nobody would be told, for this configuration has no channels"
    );
    ensure!(
        !concerned.channels.is_empty(),
        "{alert}: nobody would be told, for no route matches"
    );
    let mut text = format!("{alert}:\n");
    for channel in &concerned.channels {
        let name = &channel.name;
        write!(text, "{name} is told ({})", channel.why)?;
        let mut from = name;
        let mut fallback = worker.channels[name].fallback.as_ref();
        while let Some(to) = fallback {
            write!(text, "; what {from} does not take goes to {to}")?;
            from = to;
            fallback = settings.channels[to].fallback.as_ref();
        }
        if let Some(why) = &channel.disabled_why {
            write!(text, "; but {name} is disabled now: {}", plain(why))?;
        }
        writeln!(text)?;
    }
    Ok(text)
}

fn in_words(alert: &Rehearsed, concerned: &Concerned, roles: &[String]) -> String {
    let host = plain(&alert.hostname);
    let roles = match roles {
        [] => "no roles".to_owned(),
        roles => format!("roles {}", plain(&roles.join(", "))),
    };
    let priority = concerned.priority;
    if alert.is_cluster {
        return format!("cluster {host} (kind cluster, priority {priority}) is unreachable");
    }
    match (&alert.check_name, alert.status) {
        (Some(check), Some(code)) => format!(
            "{} on {host} ({roles}; kind {}, priority {priority}) is {}",
            plain(check),
            concerned.kind,
            Status::from_exit_code(code.into()).name(),
        ),
        _ => format!("{host} ({roles}; priority {priority}) is unreachable"),
    }
}
