//! `stalkerd notifications`: what is on its way, and what a channel has refused for good (semantics.md, decision 8).

use std::fmt::Write as _;

use anyhow::ensure;
use clap::Subcommand;
use serde_json::json;
use stalker_db::audit::{self, Deed};
use stalker_db::notifications::dead_letters;

use crate::settings::Settings;
use crate::tools::{actor, plain, with_database};

#[derive(Subcommand)]
pub(crate) enum NotificationsCommand {
    /// Notifications that wait, are being sent, or were refused: dead letters
    List,
    /// Tries dead letters again
    Retry {
        /// Their ids; without any, all of them
        ids: Vec<i64>,
    },
}

/// Does it; returns what to print.
pub(crate) fn run(command: NotificationsCommand, settings: &Settings) -> anyhow::Result<String> {
    with_database(settings, async |pools| {
        let mut text = String::new();
        match command {
            NotificationsCommand::List => {
                writeln!(text, "ID\tCHANNEL\tKIND\tALERT\tSTATE\tATTEMPTS\tWHY")?;
                for n in dead_letters::unfinished(&pools.durable).await? {
                    writeln!(
                        text,
                        "{}\t{}\t{}\t{}\t{}\t{}\t{}",
                        n.notification_id,
                        n.channel,
                        n.kind,
                        n.alert_id,
                        n.state,
                        n.attempts,
                        plain(n.reason.as_deref().unwrap_or("-"))
                    )?;
                }
            }
            NotificationsCommand::Retry { ids } => {
                let wanted = (!ids.is_empty()).then_some(ids.as_slice());
                let mut tx = pools.durable.begin().await?;
                let retried = dead_letters::retry(&mut tx, wanted, None).await?;
                for id in &ids {
                    ensure!(
                        retried.contains(id),
                        "notification {id} is no dead letter of an alert that still needs it; \
                         `stalkerd notifications list` shows them"
                    );
                }
                let deed = Deed {
                    action: "notifications retry",
                    subject: "notifications".to_owned(),
                    before: None,
                    after: Some(json!(retried)),
                };
                audit::write(&mut tx, &actor(), deed).await?;
                tx.commit().await?;
                writeln!(text, "tried again: {}", retried.len())?;
            }
        }
        Ok(text)
    })
}
