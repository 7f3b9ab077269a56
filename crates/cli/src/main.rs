//! `stalker`: what people and scripts do with a cluster, over HTTP only. Called as `stalker-client` it takes the original's
//! options, as `stalkly` it is `stalker top`.

#![allow(clippy::print_stdout, clippy::print_stderr)] // it talks to whoever called it

mod client;
mod commands;
mod context;
mod failure;
mod original;
mod output;
mod times;

use std::ffi::OsString;
use std::io::Write as _;
use std::path::Path;
use std::process::ExitCode;

use clap::Parser;

use commands::Command;
use context::ServerArgs;
use failure::{Code, Failure};
use output::{Form, Look};

/// What people and scripts do with a Stalker cluster.
///
/// Exit codes: 0 done; 1 something is alerting, with --check; 2 the command line is wrong; 3 the server refused;
/// 4 no server answered.
#[derive(Debug, Parser)]
#[command(name = "stalker", version, propagate_version = true)]
struct Arguments {
    #[command(subcommand)]
    command: Command,
    #[command(flatten)]
    server: ServerArgs,
    /// The form of the answer
    #[arg(
        short,
        long,
        global = true,
        value_enum,
        default_value_t,
        help_heading = "Output"
    )]
    output: Form,
    /// Show it again every so many seconds
    #[arg(long, global = true, value_name = "SECONDS", num_args = 0..=1, default_missing_value = "2", value_parser = clap::value_parser!(u32).range(1..=3600), help_heading = "Output")]
    watch: Option<u32>,
    /// Exit with 1 if anything that is shown is alerting
    #[arg(long, global = true, help_heading = "Output")]
    check: bool,
}

fn main() -> ExitCode {
    rustls::crypto::ring::default_provider()
        .install_default()
        .ok();
    clap_complete::CompleteEnv::with_factory(<Arguments as clap::CommandFactory>::command)
        .complete();
    let mut arguments: Vec<OsString> = std::env::args_os().collect();
    let called = arguments
        .first()
        .map(|called| Path::new(called).file_name().unwrap_or_default().to_owned());
    match called.as_deref().and_then(|name| name.to_str()) {
        Some("stalker-client") => return original::run(&arguments),
        Some("stalkly") => arguments.insert(1, "top".into()),
        _ => {}
    }
    let arguments = Arguments::parse_from(arguments);
    let runtime = match tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
    {
        Ok(runtime) => runtime,
        Err(error) => return complain(&Failure::usage(format!("cannot begin: {error}"))),
    };
    match runtime.block_on(run(arguments)) {
        Ok(code) => code,
        Err(failure) => complain(&failure),
    }
}

fn complain(failure: &Failure) -> ExitCode {
    eprintln!("stalker: {}", failure);
    failure.code.into()
}

async fn run(arguments: Arguments) -> Result<ExitCode, Failure> {
    loop {
        let answer = arguments.command.run(&arguments.server).await;
        let Some(seconds) = arguments.watch else {
            return show(&arguments, answer?);
        };
        // whoever watches wants to see it come back
        match answer {
            Ok(answer) => {
                clear();
                show(&arguments, answer)?;
            }
            Err(failure) if failure.code == Code::Unreachable => eprintln!("stalker: {failure}"),
            Err(failure) => return Err(failure),
        }
        tokio::time::sleep(std::time::Duration::from_secs(seconds.into())).await;
    }
}

fn show(arguments: &Arguments, answer: output::Answer) -> Result<ExitCode, Failure> {
    let text = answer.render(arguments.output, Look::of_output())?;
    let mut out = std::io::stdout().lock();
    // a reader that has seen enough, such as head, is no failure
    if out
        .write_all(text.as_bytes())
        .and_then(|()| out.flush())
        .is_err()
    {
        return Ok(ExitCode::SUCCESS);
    }
    Ok(match answer {
        output::Answer::Shown(shown) if arguments.check && shown.is_alerting => {
            Code::Alerting.into()
        }
        _ => ExitCode::SUCCESS,
    })
}

/// Before what is watched is shown anew: the terminal's screen, or an empty line in a file.
fn clear() {
    use std::io::IsTerminal as _;
    if std::io::stdout().is_terminal() {
        print!("\x1b[H\x1b[2J");
    } else {
        println!();
    }
}
