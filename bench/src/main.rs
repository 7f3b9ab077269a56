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
mod proof;
mod receiver;
mod report;
mod scenario;
mod scripts;
mod stand_in;
mod system;
mod table;
mod worker;

use std::path::{Path, PathBuf};

use anyhow::{Context, anyhow};
use clap::{Parser, Subcommand, ValueEnum};
use database::{Database, Server};
use scenario::{Bench, Options, SHORT, Scenario};
use tokio::signal::unix::{SignalKind, signal};

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
    /// What to measure [default: those that take a few minutes at most]
    scenarios: Vec<Scenario>,
    /// All of them: about an hour
    #[arg(long, conflicts_with = "scenarios")]
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
    Part { name: String },
}

#[tokio::main]
async fn main() -> anyhow::Result<()> {
    rustls::crypto::ring::default_provider()
        .install_default()
        .ok()
        .context("a crypto provider is set already")?;
    let arguments = Arguments::parse();
    match &arguments.part {
        Some(Role::Part { name }) => end(play(name).await),
        None => measure(&arguments).await,
    }
}

/// Ends a part at once: a read of the input that is under way would hold up one whose work is over.
#[expect(
    clippy::print_stderr,
    clippy::disallowed_methods,
    reason = "a person must see why; and returning would wait for that read"
)]
fn end(played: anyhow::Result<()>) -> ! {
    if let Err(error) = &played {
        eprintln!("{error:?}");
    }
    std::process::exit(i32::from(played.is_err()))
}

async fn play(name: &str) -> anyhow::Result<()> {
    tracing_subscriber::fmt()
        .with_writer(std::io::stderr)
        .with_max_level(tracing_subscriber::filter::LevelFilter::ERROR)
        .init();
    let mut asked = child::questions();
    match name {
        "agents" => agents::run(child::task(&mut asked).await?, asked).await,
        "component" => component::run(child::task(&mut asked).await?, asked).await,
        "receiver" => receiver::run(child::task(&mut asked).await?, asked).await,
        "worker" => worker::run(child::task(&mut asked).await?, asked).await,
        _ => anyhow::bail!("there is no part {name}"),
    }
}

/// Measures, and leaves nothing behind: no process and no database, also after an error or a signal.
async fn measure(arguments: &Arguments) -> anyhow::Result<()> {
    let server_url = arguments
        .database_url
        .as_deref()
        .context("DATABASE_URL is not set; `make bench` brings a server of its own")?;
    if let Some(file) = &arguments.json {
        can_be_written(file)?;
    }
    let bench = Bench {
        server: Server::reserve(server_url).await?,
        options: arguments.options.clone(),
    };
    let measured = tokio::select! {
        measured = run_scenarios(arguments, &bench) => measured,
        stopped = stopped() => stopped,
    };
    child::all_ended().await;
    measured.and(bench.server.drop_database().await)
}

/// Ends with an error when somebody wants us to end.
async fn stopped() -> anyhow::Result<()> {
    let mut interrupt = signal(SignalKind::interrupt())?;
    let mut terminate = signal(SignalKind::terminate())?;
    let mut hangup = signal(SignalKind::hangup())?;
    tokio::select! {
        _ = interrupt.recv() => Err(anyhow!("stopped by SIGINT")),
        _ = terminate.recv() => Err(anyhow!("stopped by SIGTERM")),
        _ = hangup.recv() => Err(anyhow!("stopped by SIGHUP")),
    }
}

#[expect(
    clippy::print_stdout,
    clippy::print_stderr,
    reason = "it talks to a person"
)]
async fn run_scenarios(arguments: &Arguments, bench: &Bench) -> anyhow::Result<()> {
    let database = Database::fresh(&bench.server).await?;
    let settings = database.settings().await?;
    database.pool.close().await;
    println!("PostgreSQL: {settings}");
    let scenarios = match (arguments.scenarios.as_slice(), arguments.long) {
        ([], false) => SHORT.to_vec(),
        ([], true) => Scenario::value_variants().to_vec(),
        (named, _) => named.to_vec(),
    };
    let mut reports = Vec::new();
    for scenario in scenarios {
        eprintln!("== {}", scenario.name());
        let report = scenario
            .run(bench)
            .await
            .with_context(|| scenario.name())?
            .with("postgres", settings.clone());
        eprintln!();
        println!("{}", table::of(&[&report]));
        reports.push(report);
        if let Some(file) = &arguments.json {
            std::fs::write(file, serde_json::to_vec_pretty(&reports)?)
                .with_context(|| format!("cannot write {}", file.display()))?;
        }
    }
    if reports.len() > 1 {
        println!("\n{}", table::of(&reports.iter().collect::<Vec<_>>()));
    }
    Ok(())
}

/// Better known before an hour of measuring than after it. What stands there is kept until there is something better.
fn can_be_written(file: &Path) -> anyhow::Result<()> {
    std::fs::File::options()
        .create(true)
        .append(true)
        .open(file)
        .with_context(|| format!("cannot write {}", file.display()))?;
    Ok(())
}
