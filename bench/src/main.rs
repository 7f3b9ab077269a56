//! `stalker-bench`: how many checks a second this machine, this database and this version of Stalker can do, how late
//! they are, and what they cost.

mod agents;
mod child;
mod component;
mod cpu;
mod database;
mod fleet;
mod lateness;
mod load;
mod meter;
mod receiver;
mod report;
mod scenario;
mod scripts;
mod stand_in;
mod system;
mod worker;

use std::path::PathBuf;

use anyhow::Context;
use clap::{Parser, Subcommand, ValueEnum};
use database::Database;
use scenario::{Bench, Options, SHORT, Scenario};

/// How many checks a second this machine, this database and this version of Stalker can do, how late they are, and what
/// they cost.
///
/// DATABASE_URL says on which server; there the database stalker_bench is made, and dropped at the end. Everything else
/// on that server is left alone, and shares the machine.
#[derive(Debug, Parser)]
#[command(version, args_conflicts_with_subcommands = true)]
struct Arguments {
    #[command(subcommand)]
    part: Option<Role>,
    /// What to measure [default: those that take half a minute each]
    scenarios: Vec<Scenario>,
    /// All of them: about an hour
    #[arg(long)]
    long: bool,
    #[command(flatten)]
    options: Options,
    /// The server on which the benchmark makes a database of its own; `make bench` brings one
    #[arg(long, env = "DATABASE_URL", hide_env_values = true)]
    database_url: Option<String>,
    /// Where the figures are written as JSON, one object per scenario
    #[arg(long, value_name = "FILE")]
    json: Option<PathBuf>,
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
    match &arguments.part {
        Some(Role::Part { name, task }) => play(name, task).await,
        None => measure(&arguments).await,
    }
}

async fn play(name: &str, task: &str) -> anyhow::Result<()> {
    tracing_subscriber::fmt()
        .with_writer(std::io::stderr)
        .with_max_level(tracing_subscriber::filter::LevelFilter::ERROR)
        .init();
    match name {
        "agents" => agents::run(serde_json::from_str(task)?).await,
        "receiver" => receiver::run().await,
        "worker" => worker::run(serde_json::from_str(task)?).await,
        _ => anyhow::bail!("there is no part {name}"),
    }
}

#[expect(
    clippy::print_stdout,
    clippy::print_stderr,
    reason = "it talks to a person"
)]
async fn measure(arguments: &Arguments) -> anyhow::Result<()> {
    let server_url = arguments
        .database_url
        .clone()
        .context("DATABASE_URL is not set; `make bench` brings a server of its own")?;
    let database = Database::fresh(&server_url).await?;
    let settings = database.settings().await?;
    database.pool.close().await;
    database::drop_it(&server_url).await?;
    println!("PostgreSQL: {settings}");
    let scenarios = match (arguments.scenarios.as_slice(), arguments.long) {
        ([], false) => SHORT.to_vec(),
        ([], true) => Scenario::value_variants().to_vec(),
        (named, _) => named.to_vec(),
    };
    let bench = Bench {
        server_url,
        options: arguments.options.clone(),
    };
    let mut reports = Vec::new();
    for scenario in scenarios {
        eprintln!("== {}", scenario.name());
        let report = scenario
            .run(&bench)
            .await?
            .with("postgres", settings.clone());
        eprintln!();
        println!("{}", report.lines());
        reports.push(report);
        if let Some(file) = &arguments.json {
            std::fs::write(file, serde_json::to_vec_pretty(&reports)?)
                .with_context(|| format!("cannot write {}", file.display()))?;
        }
    }
    Ok(())
}
