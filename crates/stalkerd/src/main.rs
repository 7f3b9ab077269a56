//! `stalkerd`: the one server executable. Its subcommand is its role; this file only dispatches.

mod alerts;
mod components;
mod doctor;
mod hosts;
mod keys;
mod log;
mod maintenance;
mod notifications;
mod private_file;
mod routes;
mod settings;
mod signals;
mod tools;
mod up;
mod users;

use std::path::{Path, PathBuf};
use std::process::ExitCode;

use anyhow::{Context, ensure};
use clap::{Args, Parser, Subcommand};
use settings::Settings;

/// The server of Stalker: monitoring on Postgres.
///
/// Agents run checks on hosts and register them. Workers run what is due, schedulers do what happens because time
/// passed, the API shows and steers. Any number of each may run against one database.
#[derive(Parser)]
#[command(version, propagate_version = true)]
struct Cli {
    #[command(subcommand)]
    command: Command,
    /// Settings on top of the built-in ones; may be given several times, later ones winning
    ///
    /// Without it /etc/stalker/stalkerd.toml is read, if it is there; `up` reads stalkerd.toml of its home first.
    #[arg(long, global = true, value_name = "FILE")]
    config: Vec<PathBuf>,
}

#[derive(Subcommand)]
enum Command {
    /// Everything on this machine, with nothing to set up: what `make run` starts
    ///
    /// Makes a home with fresh keys, a private PostgreSQL (or uses DATABASE_URL), migrates it, runs api, scheduler
    /// and worker, and one agent with checks of this machine. Ctrl-C stops all of it in order.
    Up(up::UpArgs),
    /// The three components in one process, against an existing database
    All(RunArgs),
    /// Serves the REST API: agents register here, people and clients look here
    Api(RunArgs),
    /// Does what happens only because time passed: sweeps, owed notifications, history
    Scheduler(RunArgs),
    /// Runs the checks that are due and sends the notifications that are owed
    Worker(RunArgs),
    /// Brings the database's schema up to this version, and ends
    Migrate,
    /// Prints the API's OpenAPI document
    Openapi {
        /// An older one: fails, and says where, if a client that relies on it could no longer
        #[arg(long, value_name = "FILE")]
        keeps: Option<PathBuf>,
    },
    /// Prints the settings in force as TOML, secrets hidden
    Config,
    /// Who may sign in
    #[command(subcommand)]
    User(users::UserCommand),
    /// Keys of programs, and of agents that register
    #[command(subcommand)]
    Key(keys::KeyCommand),
    /// Shows hosts with the certificates that they are pinned to, resets pins, and releases names
    #[command(subcommand)]
    Hosts(hosts::HostsCommand),
    /// Declares where people work, so that nobody is told of what happens there
    #[command(subcommand)]
    Maintenance(maintenance::MaintenanceCommand),
    /// Shows open alerts, and tells the story of one: who was told, who was not, and why
    Alerts(alerts::AlertsArgs),
    /// Shows what is owed and checks what must be true; fails, and says what to do, if something is broken
    Doctor,
    /// Says which alerts concern which channels
    #[command(subcommand)]
    Routes(routes::RoutesCommand),
    /// Shows what is on its way and what was refused, and tries it again
    #[command(subcommand)]
    Notifications(notifications::NotificationsCommand),
}

/// What every running component takes.
#[derive(Args)]
struct RunArgs {
    /// Written as JSON when everything listens: {"pid": …, "api": "http://…"}
    #[arg(long, value_name = "FILE")]
    ready_file: Option<PathBuf>,
}

fn main() -> ExitCode {
    let cli = Cli::parse();
    match dispatch(cli) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            complain(&error);
            ExitCode::FAILURE
        }
    }
}

#[expect(clippy::print_stderr, reason = "an executable talks to its user")]
fn complain(error: &anyhow::Error) {
    eprintln!("stalkerd: {error:#}");
}

#[expect(
    clippy::print_stdout,
    reason = "these commands print what they are asked for"
)]
fn dispatch(cli: Cli) -> anyhow::Result<()> {
    rustls::crypto::ring::default_provider()
        .install_default()
        .ok();
    let config = cli.config.as_slice();
    match cli.command {
        Command::Openapi { keeps: None } => print!("{}", stalker_api::openapi_yaml()),
        Command::Openapi { keeps: Some(older) } => keeps_promises(&older)?,
        Command::Config => print!("{}", settings::shown(config)?),
        Command::Up(args) => up::run(args, config)?,
        Command::All(args) => components::run(
            &Settings::read(config)?,
            components::Which::ALL,
            args.ready_file,
        )?,
        Command::Api(args) => components::run(
            &Settings::read(config)?,
            components::Which::API,
            args.ready_file,
        )?,
        Command::Scheduler(args) => components::run(
            &Settings::read(config)?,
            components::Which::SCHEDULER,
            args.ready_file,
        )?,
        Command::Worker(args) => components::run(
            &Settings::read(config)?,
            components::Which::WORKER,
            args.ready_file,
        )?,
        Command::Migrate => components::migrate(&Settings::read(config)?)?,
        Command::Hosts(command) => print!("{}", hosts::run(command, &Settings::read(config)?)?),
        Command::User(command) => print!("{}", users::run(command, &Settings::read(config)?)?),
        Command::Key(command) => print!("{}", keys::run(command, &Settings::read(config)?)?),
        Command::Maintenance(command) => {
            print!("{}", maintenance::run(command, &Settings::read(config)?)?);
        }
        Command::Alerts(args) => print!("{}", alerts::run(args, &Settings::read(config)?)?),
        Command::Doctor => {
            let report = doctor::run(&Settings::read(config)?)?;
            print!("{}", report.text);
            report.verdict()?;
        }
        Command::Routes(command) => {
            print!("{}", routes::run(command, &Settings::read(config)?)?);
        }
        Command::Notifications(command) => {
            print!("{}", notifications::run(command, &Settings::read(config)?)?);
        }
    }
    Ok(())
}

fn keeps_promises(older: &Path) -> anyhow::Result<()> {
    let text = std::fs::read_to_string(older)
        .with_context(|| format!("cannot read {}", older.display()))?;
    let broken = stalker_api::broken_promises(&text)
        .with_context(|| format!("{} is no OpenAPI document", older.display()))?;
    ensure!(
        broken.is_empty(),
        "clients may rely on what is not so any more:\n  {}",
        broken.join("\n  ")
    );
    Ok(())
}
