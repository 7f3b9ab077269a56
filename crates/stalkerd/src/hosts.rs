//! `stalkerd hosts`: the certificates that agents are pinned to (semantics.md, decision 10), and whose a name is.

use std::fmt::Write as _;

use anyhow::Context;
use clap::Subcommand;
use serde_json::{Value, json};
use stalker_db::audit::{self, Deed};
use stalker_db::{hosts, pins};

use crate::settings::Settings;
use crate::tools::{actor, with_database};

#[derive(Subcommand)]
pub(crate) enum HostsCommand {
    /// Every host with its address and the SHA-256 of the certificate that it must show
    List,
    /// Forgets a host's certificate: it is pinned to the one that it shows next
    Unpin {
        /// The host's name
        hostname: String,
    },
    /// Forgets the token of a host's agent: the next agent that registers by this name is given one
    Release {
        /// The host's name
        hostname: String,
    },
}

/// Does it; returns what to print.
pub(crate) fn run(command: HostsCommand, settings: &Settings) -> anyhow::Result<String> {
    with_database(settings, async |pools| {
        let mut text = String::new();
        match command {
            HostsCommand::List => {
                writeln!(text, "HOST\tADDRESS\tTOKEN\tPINNED BY\tCERTIFICATE SHA-256")?;
                for pin in pins::list(&pools.durable).await? {
                    let cert = pin.cert_sha256.as_deref().unwrap_or("not pinned yet");
                    let origin = pin.cert_origin.as_deref().unwrap_or("-");
                    let token = if pin.has_token { "yes" } else { "no" };
                    writeln!(
                        text,
                        "{}\t{}:{}\t{token}\t{origin}\t{cert}",
                        pin.hostname, pin.ip, pin.port
                    )?;
                }
            }
            HostsCommand::Unpin { hostname } => {
                let mut tx = pools.durable.begin().await?;
                let pin = pins::reset(&mut tx, &hostname).await?;
                let pin = pin.with_context(|| unknown(&hostname))?;
                let before =
                    json!({ "cert_sha256": pin.cert_sha256, "cert_origin": pin.cert_origin });
                audit::write(&mut tx, &actor(), deed("hosts unpin", &hostname, before)).await?;
                tx.commit().await?;
                writeln!(
                    text,
                    "{hostname} is pinned to the certificate that it shows next"
                )?;
            }
            HostsCommand::Release { hostname } => {
                let mut tx = pools.durable.begin().await?;
                let had_token = hosts::release(&mut tx, &hostname).await?;
                let had_token = had_token.with_context(|| unknown(&hostname))?;
                let before = json!({ "token": had_token });
                audit::write(&mut tx, &actor(), deed("hosts release", &hostname, before)).await?;
                tx.commit().await?;
                writeln!(
                    text,
                    "{hostname} belongs to the next agent that registers by this name"
                )?;
            }
        }
        Ok(text)
    })
}

fn unknown(hostname: &str) -> String {
    format!("no host is called {hostname}; `stalkerd hosts list` shows them")
}

fn deed(action: &'static str, hostname: &str, before: Value) -> Deed<'static> {
    Deed {
        action,
        subject: format!("host {hostname}"),
        before: Some(before),
        after: None,
    }
}
