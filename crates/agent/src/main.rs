//! `stalker-agent`: reads the command line and dispatches.

#![allow(clippy::print_stdout)] // `checks` talks to a person

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::Context;
use clap::{Parser, Subcommand};
use stalker_agent::checks::{CheckSet, collect};
use stalker_agent::config::{Config, DEFAULT_FILE};
use tokio::signal::unix::{SignalKind, signal};
use tokio_util::sync::CancellationToken;

/// Runs this host's Nagios-style check scripts when a Stalker server asks for them, and registers them with it.
///
/// Checks are the sections of the configuration and the executable files in its `script_dir`. Every key may be
/// overridden by an environment variable: STALKER_AGENT__MAIN__LISTEN_PORT is listen_port of [main]. Changes of the
/// files are noticed; SIGHUP makes the agent look at once.
#[derive(Parser)]
#[command(name = "stalker-agent", version)]
struct Arguments {
    #[command(subcommand)]
    command: Option<Command>,
    /// The configuration, an INI file.
    #[arg(long, alias = "conf", global = true, value_name = "FILE", default_value = DEFAULT_FILE)]
    config: PathBuf,
    /// Accepted for existing init scripts: the agent never leaves the foreground.
    #[arg(long, global = true)]
    foreground: bool,
    /// End when standard input ends: whoever started the agent holds the other end, and takes it along.
    #[arg(long, global = true)]
    until_stdin_ends: bool,
}

#[derive(Subcommand)]
enum Command {
    /// Listen, register and run checks until SIGTERM (what happens without a command).
    Start,
    /// Print the checks that would be registered, and what is wrong with the others.
    Checks,
}

fn main() -> ExitCode {
    match dispatch(Arguments::parse()) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("stalker-agent: {error:#}");
            ExitCode::FAILURE
        }
    }
}

fn dispatch(arguments: Arguments) -> anyhow::Result<()> {
    let config = Config::load(&arguments.config)?;
    match arguments.command.unwrap_or(Command::Start) {
        Command::Start => start(config, arguments.until_stdin_ends),
        Command::Checks => print_checks(&config),
    }
}

fn start(config: Config, until_stdin_ends: bool) -> anyhow::Result<()> {
    stalker_agent::log::init(&config.settings.log);
    // Waiting for scripts takes no thread, but starting one does, until the system has loaded it: a second thread
    // answers meanwhile. More would only make the agent larger.
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .enable_all()
        .max_blocking_threads(4)
        .build()
        .context("cannot start the runtime")?;
    runtime.block_on(async {
        let shutdown = CancellationToken::new();
        let mut terminate = signal(SignalKind::terminate()).context("cannot listen for SIGTERM")?;
        let mut interrupt = signal(SignalKind::interrupt()).context("cannot listen for SIGINT")?;
        if until_stdin_ends {
            let stop = shutdown.clone();
            // not a task: the runtime would wait for its read when everything else has ended
            std::thread::spawn(move || {
                let _ = std::io::copy(&mut std::io::stdin(), &mut std::io::sink());
                stop.cancel();
            });
        }
        let stop = shutdown.clone();
        tokio::spawn(async move {
            tokio::select! {
                _ = terminate.recv() => {}
                _ = interrupt.recv() => {}
            }
            stop.cancel();
        });
        stalker_agent::run(config, shutdown).await
    })
}

fn print_checks(config: &Config) -> anyhow::Result<()> {
    let found = collect(config, &CheckSet::new(), |_| false);
    for report in config.warnings.iter().chain(&found.reports) {
        eprintln!("{report}");
    }
    let registered: BTreeMap<_, _> = found
        .checks
        .iter()
        .map(|(name, check)| (name, &check.registered))
        .collect();
    println!(
        "{}",
        serde_json::to_string_pretty(&registered).context("cannot print the checks")?
    );
    Ok(())
}
