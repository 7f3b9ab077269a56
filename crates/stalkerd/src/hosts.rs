//! `stalkerd hosts`: the certificates that agents are pinned to (semantics.md, decision 10).

use std::fmt::Write as _;
use std::path::PathBuf;

use anyhow::{Context, ensure};
use clap::Subcommand;
use stalker_db::{Pools, pins};

use crate::components::runtime;
use crate::settings::Settings;

#[derive(Subcommand)]
pub(crate) enum HostsCommand {
    /// Every host with its address and the SHA-256 of the certificate that it must show
    List,
    /// Forgets a host's certificate: it is pinned to the one that it shows next
    Unpin {
        /// The host's name
        hostname: String,
    },
}

/// Does it; returns what to print.
pub(crate) fn run(command: HostsCommand, settings: &Settings) -> anyhow::Result<String> {
    let url = database_url(settings)?;
    runtime()?.block_on(async {
        let pools = Pools::new(&url, 8).context("database.url")?;
        let mut text = String::new();
        match command {
            HostsCommand::List => {
                writeln!(text, "HOST\tADDRESS\tPINNED BY\tCERTIFICATE SHA-256")?;
                for pin in pins::list(&pools.durable).await? {
                    let cert = pin.cert_sha256.as_deref().unwrap_or("not pinned yet");
                    let origin = pin.cert_origin.as_deref().unwrap_or("-");
                    writeln!(
                        text,
                        "{}\t{}:{}\t{origin}\t{cert}",
                        pin.hostname, pin.ip, pin.port
                    )?;
                }
            }
            HostsCommand::Unpin { hostname } => {
                ensure!(
                    pins::reset(&pools.durable, &hostname).await?,
                    "no host is called {hostname}; `stalkerd hosts list` shows them"
                );
                writeln!(
                    text,
                    "{hostname} is pinned to the certificate that it shows next"
                )?;
            }
        }
        Ok(text)
    })
}

/// The configured database, else that of the `stalkerd up` that runs in this folder or in STALKER_HOME.
fn database_url(settings: &Settings) -> anyhow::Result<String> {
    settings
        .database_url()
        .map(str::to_owned)
        .or_else(|missing| {
            let home =
                std::env::var_os("STALKER_HOME").map_or_else(|| ".stalker".into(), PathBuf::from);
            let ready = std::fs::read(home.join("ready.json")).ok();
            let ready: Option<serde_json::Value> =
                ready.and_then(|text| serde_json::from_slice(&text).ok());
            let url = ready.as_ref().and_then(|ready| ready["database"].as_str());
            url.map(str::to_owned).ok_or(missing)
        })
}
