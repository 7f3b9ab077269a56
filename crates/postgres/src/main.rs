//! `stalker-postgres`: a private PostgreSQL around a command, and the supervisor of every private PostgreSQL.

use std::ffi::OsString;
use std::io::Write as _;
use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::Arc;

use anyhow::Context as _;
use clap::{Parser, Subcommand};
use stalker_postgres::{run, supervisor};

/// A private PostgreSQL: it listens on no port and ends with whoever started it.
#[derive(Parser)]
#[command(version)]
struct Cli {
    #[command(subcommand)]
    command: Action,
}

#[derive(Subcommand)]
enum Action {
    /// Run a command with a private PostgreSQL around it.
    ///
    /// The exit code is the command's; 128+n when signal n ended it, 127 when it does not exist, 125 when PostgreSQL
    /// could not be started.
    Run {
        /// Keep the data in this folder, safe against crashes.
        #[arg(long, conflicts_with = "temporary")]
        dir: Option<PathBuf>,
        /// Use a temporary folder, without fsync, and remove it at the end (this is the default).
        #[arg(long)]
        temporary: bool,
        /// The folder that holds `initdb` and `postgres` [default: from PATH, else the newest in /usr/lib/postgresql]
        #[arg(long)]
        pg_bin: Option<PathBuf>,
        /// The environment variable that tells the command the URL.
        #[arg(long, value_name = "NAME", default_value = "DATABASE_URL")]
        url_as: String,
        /// The command and its arguments.
        #[arg(last = true, required = true)]
        command: Vec<OsString>,
    },
    /// Keep a server running until standard input ends. Started by the library, not by hand.
    #[command(hide = true)]
    Supervise {
        #[arg(long)]
        bin: PathBuf,
        #[arg(long)]
        dir: PathBuf,
        #[arg(long)]
        durable: bool,
        #[arg(long)]
        remove_at_end: bool,
    },
}

fn main() -> ExitCode {
    match Cli::parse().command {
        Action::Run {
            dir,
            temporary: _,
            pg_bin,
            url_as,
            command,
        } => {
            let result = std::env::current_exe()
                .context("cannot tell which executable this is")
                .and_then(|me| {
                    let notice = Arc::new(|line: &str| say(&format!("stalker-postgres: {line}")));
                    run::run(run::Task {
                        dir,
                        pg_bin,
                        url_as,
                        command,
                        supervisor: me,
                        notice,
                    })
                });
            match result {
                Ok(code) => ExitCode::from(code),
                Err(error) => {
                    say(&format!("stalker-postgres: {error:#}"));
                    ExitCode::from(125)
                }
            }
        }
        Action::Supervise {
            bin,
            dir,
            durable,
            remove_at_end,
        } => {
            match supervisor::supervise(&supervisor::Task {
                bin,
                dir,
                durable,
                remove_at_end,
            }) {
                Ok(()) => ExitCode::SUCCESS,
                Err(error) => {
                    say(&format!("{error:#}"));
                    ExitCode::FAILURE
                }
            }
        }
    }
}

/// Unlike `eprintln!` it does not panic when nobody listens any more, as after the owner was killed.
fn say(line: &str) {
    let _ = writeln!(std::io::stderr(), "{line}");
}
