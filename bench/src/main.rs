//! `stalker-bench`: how many checks a second this machine, this database and this version of Stalker can do, how late
//! they are, and what they cost.

mod agents;
mod child;
mod lateness;
mod load;
mod receiver;
mod scripts;
mod stand_in;
mod worker;

use anyhow::Context;
use clap::{Parser, Subcommand};

#[derive(Debug, Parser)]
#[command(version, about, args_conflicts_with_subcommands = true)]
struct Arguments {
    #[command(subcommand)]
    part: Option<Role>,
}

#[derive(Debug, Subcommand)]
enum Role {
    /// A process that is measured; started by stalker-bench itself.
    #[command(hide = true)]
    Part { name: String, task: String },
}

#[tokio::main]
async fn main() -> anyhow::Result<()> {
    rustls::crypto::ring::default_provider()
        .install_default()
        .ok()
        .context("a crypto provider is set already")?;
    let arguments = Arguments::parse();
    match arguments.part {
        Some(Role::Part { name, task }) => play(&name, &task).await,
        None => Ok(()),
    }
}

async fn play(name: &str, task: &str) -> anyhow::Result<()> {
    match name {
        "agents" => agents::run(serde_json::from_str(task)?).await,
        "receiver" => receiver::run().await,
        "worker" => worker::run(serde_json::from_str(task)?).await,
        _ => anyhow::bail!("there is no part {name}"),
    }
}
