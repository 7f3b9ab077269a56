//! `stalkerd routes`: which alerts concern which channels (semantics.md, decision 5).

use std::fmt::Write as _;

use clap::Subcommand;
use stalker_db::routes;

use crate::settings::Settings;
use crate::tools::with_database;

#[derive(Subcommand)]
pub(crate) enum RoutesCommand {
    /// Applies the routes that the workers were last started with to the alerts that are open now
    ///
    /// Routes are otherwise asked when an alert opens, and again when it gets worse. A channel that was told stays, so
    /// that its resolve comes.
    Reapply,
}

/// Does it; returns what to print.
pub(crate) fn run(command: RoutesCommand, settings: &Settings) -> anyhow::Result<String> {
    with_database(settings, async |pools| {
        let mut text = String::new();
        match command {
            RoutesCommand::Reapply => {
                let routes::Reapplied { added, removed } = routes::reapply(&pools.durable).await?;
                writeln!(
                    text,
                    "open alerts concern {added} further channels; {removed} that nobody had told yet are taken away"
                )?;
            }
        }
        Ok(text)
    })
}
