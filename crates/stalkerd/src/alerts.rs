//! `stalkerd alerts`: what is open, and why somebody was told or was not.

use std::fmt::Write as _;

use anyhow::ensure;
use clap::{Args, Subcommand};
use stalker_db::explanations::{self, Event, OpenAlert};
use stalker_domain::status::Status;

use crate::settings::Settings;
use crate::tools::{plain, time, with_database};

#[derive(Args)]
pub(crate) struct AlertsArgs {
    #[command(subcommand)]
    command: Option<AlertsCommand>,
}

#[derive(Subcommand)]
enum AlertsCommand {
    /// Alerts that are open now, the oldest first; this is done without a command too
    List,
    /// The story of one alert: whom it concerns, who was told when, who was not and why, and what it waits for
    Explain {
        /// Its number
        id: i64,
    },
}

/// Does it; returns what to print.
pub(crate) fn run(args: AlertsArgs, settings: &Settings) -> anyhow::Result<String> {
    with_database(settings, async |pools| {
        match args.command.unwrap_or(AlertsCommand::List) {
            AlertsCommand::List => table(&explanations::open_alerts(&pools.durable).await?),
            AlertsCommand::Explain { id } => {
                let events = explanations::explain_alert(&pools.durable, id).await?;
                ensure!(
                    !events.is_empty(),
                    "there is no alert {id}; `stalkerd alerts` shows those that are open"
                );
                story(&events)
            }
        }
    })
}

fn table(alerts: &[OpenAlert]) -> anyhow::Result<String> {
    let mut text = "ID\tKIND\tHOST\tCHECK\tSTATUS\tSINCE\tSUPPRESSED\tFLOOD\n".to_owned();
    let or_none = |text: &str| {
        if text.is_empty() {
            "-".to_owned()
        } else {
            plain(text)
        }
    };
    for alert in alerts {
        let status = alert
            .status
            .map(|code| Status::from_exit_code(code.into()).name());
        writeln!(
            text,
            "{}\t{}\t{}\t{}\t{}\t{}\t{}\t{}",
            alert.alert_id,
            alert.kind,
            or_none(&alert.hostname),
            or_none(&alert.check_name),
            status.unwrap_or("-"),
            time(alert.opened_at),
            alert.suppression.as_deref().unwrap_or("-"),
            alert
                .parent_id
                .map_or_else(|| "-".to_owned(), |id| id.to_string()),
        )?;
    }
    Ok(text)
}

fn story(events: &[Event]) -> anyhow::Result<String> {
    let mut text = "TIME\tCHANNEL\tEVENT\tWHY\n".to_owned();
    for event in events {
        writeln!(
            text,
            "{}\t{}\t{}\t{}",
            time(event.at),
            event.channel.as_deref().unwrap_or("-"),
            event.event,
            plain(&event.why)
        )?;
    }
    Ok(text)
}
