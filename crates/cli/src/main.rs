//! `stalker`: what people and scripts do with a cluster, over HTTP only. Called as `stalker-client` it takes the original's
//! options, as `stalkly` it is `stalker top`.

#![allow(clippy::print_stdout, clippy::print_stderr)] // it talks to whoever called it

mod client;
mod commands;
mod completions;
mod confirm;
mod context;
mod each;
mod editor;
mod failure;
mod original;
mod output;
mod times;
mod top;

use std::ffi::OsString;
use std::io::{IsTerminal as _, Write as _};
use std::path::Path;
use std::process::ExitCode;

use clap::Parser;

use commands::Command;
use context::ServerArgs;
use failure::{Code, Failure};
use output::{Answer, Colours, Form, Look};

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
    /// Whether to use colours
    #[arg(
        long,
        global = true,
        value_enum,
        default_value_t,
        value_name = "WHEN",
        help_heading = "Output"
    )]
    color: Colours,
    /// Show it again every so many seconds, until Ctrl-C
    #[arg(
        long,
        global = true,
        value_name = "SECONDS",
        num_args = 0..=1,
        require_equals = true,
        default_missing_value = "2",
        value_parser = clap::value_parser!(u32).range(1..=3600),
        help_heading = "Output"
    )]
    watch: Option<u32>,
    /// Exit with 1 if anything that is shown is alerting
    #[arg(
        // several commands take a check by this name
        id = "fails_if_alerting",
        long = "check",
        global = true,
        conflicts_with = "watch",
        help_heading = "Output"
    )]
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
    let ended = runtime.block_on(run(arguments));
    // a name that is still being looked up is not waited for
    runtime.shutdown_background();
    match ended {
        Ok(code) => code,
        Err(failure) => complain(&failure),
    }
}

fn complain(failure: &Failure) -> ExitCode {
    eprintln!("stalker: {}", failure);
    failure.code.into()
}

async fn run(arguments: Arguments) -> Result<ExitCode, Failure> {
    let look = || Look::of_output(arguments.color);
    if let Command::Top(top) = &arguments.command {
        let is_asked = arguments.watch.is_some() || arguments.check;
        if is_asked || arguments.output != Form::default() {
            return Err(
                Failure::usage("the full screen takes no --watch, --check or --output")
                    .hint("`stalker alerts list` and `stalker checks list` do"),
            );
        }
        return top.run(&arguments.server, look().is_coloured).await;
    }
    let mut is_first = true;
    loop {
        let answer = arguments.command.run(&arguments.server).await;
        let seconds = match (&answer, arguments.watch) {
            (Ok(Answer::Shown(_)), Some(seconds)) => seconds,
            // whoever watches wants to see it come back
            (Err(failure), Some(seconds)) if failure.code == Code::Unreachable && !is_first => {
                seconds
            }
            _ => {
                let answer = answer?;
                print(&answer.render(arguments.output, look())?)?;
                return Ok(code(&answer, arguments.check));
            }
        };
        match answer {
            Ok(answer) => {
                let text = answer.render(arguments.output, look())?;
                if !print(&format!("{}{text}", between(is_first)))? {
                    return Ok(ExitCode::SUCCESS);
                }
            }
            Err(failure) => eprintln!("stalker: {failure}"),
        }
        is_first = false;
        tokio::time::sleep(std::time::Duration::from_secs(seconds.into())).await;
    }
}

/// False if there is nobody left who reads: one who has seen enough, such as head, is no failure.
fn print(text: &str) -> Result<bool, Failure> {
    let mut out = std::io::stdout().lock();
    match out.write_all(text.as_bytes()).and_then(|()| out.flush()) {
        Ok(()) => Ok(true),
        Err(error) if error.kind() == std::io::ErrorKind::BrokenPipe => Ok(false),
        Err(error) => Err(Failure::usage(format!(
            "the answer cannot be written: {error}"
        ))),
    }
}

fn code(answer: &Answer, asked: bool) -> ExitCode {
    match answer {
        Answer::Shown(shown) if asked && shown.is_alerting => Code::Alerting.into(),
        Answer::Shown(_) => ExitCode::SUCCESS,
        Answer::Done(done) => {
            for failure in &done.failures {
                complain(failure);
            }
            done.failures
                .last()
                .map_or(ExitCode::SUCCESS, |failure| failure.code.into())
        }
    }
}

/// Before what is watched is shown anew: an empty screen, or in a file an empty line.
fn between(is_first: bool) -> &'static str {
    match (std::io::stdout().is_terminal(), is_first) {
        (true, _) => "\x1b[H\x1b[2J",
        (false, true) => "",
        (false, false) => "\n",
    }
}
