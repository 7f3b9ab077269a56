//! Called as `stalker-client`: the original's options, configuration and lines, on which scripts rely.
//!
//! Better than it: an exit code that is not zero where something failed, hosts in a stable order, and no control
//! characters of what hosts and people have written.

mod configuration;
mod lists;
mod says;

use std::ffi::OsString;
use std::process::ExitCode;

use clap::Parser;

use crate::client::Client;
use crate::failure::Failure;
pub(crate) use configuration::{configured, is_of_this_folder};

/// stalkerweb cli
#[derive(Debug, Parser)]
#[command(
    name = "stalker-client",
    infer_long_args = true,
    // of an option that is given twice, the last one
    args_override_self = true,
    disable_version_flag = true
)]
struct Options {
    /// Get alerting
    #[arg(short, long)]
    alerting: bool,
    /// Get pending
    #[arg(short, long)]
    pending: bool,
    /// Get suspended
    #[arg(short, long)]
    suspended: bool,
    /// Print out json
    #[arg(short, long)]
    verbose: bool,
    /// Recheck check with given id
    #[arg(long, value_name = "ID")]
    recheck: Option<String>,
    /// Remove all checks for given host or ip
    #[arg(long, value_name = "HOST")]
    remove: Option<String>,
    /// Remove check with given id
    #[arg(long, value_name = "ID")]
    remove_check: Option<String>,
    /// List all checks for given host or ip
    #[arg(short, long, value_name = "HOST")]
    list: Option<String>,
    /// Show the history of HOST:CHECK
    #[arg(long, value_name = "HOST:CHECK")]
    state_log: Option<String>,
    /// Claim a given check id until it clears
    #[arg(short, long, value_name = "ID")]
    claim: Option<String>,
    /// Release claim on a given check id
    #[arg(short, long, value_name = "ID")]
    unclaim: Option<String>,
    /// Add a note to a host: the argument, or what is written in an editor
    #[arg(short = 'n', long, value_name = "HOST")]
    add_note: Option<String>,
    /// List notes for a host
    #[arg(short = 'L', long, value_name = "HOST")]
    list_notes: Option<String>,
    /// Use this as the username in place of the shell owner
    #[arg(short = 'U', long, value_name = "NAME")]
    user: Option<String>,
    /// The text of a note
    arguments: Vec<String>,
}

/// Does what the original would have done; 1 if any of it failed.
pub(crate) fn run(arguments: &[OsString]) -> ExitCode {
    let mut options = Options::parse_from(arguments);
    options.alerting |= arguments.len() <= 1;
    let server = match configuration::required() {
        Ok(server) => server,
        Err(message) => {
            says::line(&message);
            return ExitCode::FAILURE;
        }
    };
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build();
    let done = runtime
        .map_err(|error| Failure::usage(format!("cannot begin: {error}")))
        .and_then(|runtime| runtime.block_on(perform(&Client::new(server)?, &options)));
    match done {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(failure) => {
            eprintln!("stalker-client: {failure}");
            ExitCode::FAILURE
        }
    }
}

/// All that was asked for, in the original's order. False if the server refused some of it.
async fn perform(client: &Client, options: &Options) -> Result<bool, Failure> {
    let mut is_well = true;
    if let Some(target) = &options.state_log {
        is_well &= lists::state_log(client, target).await?;
    }
    if let Some(id) = &options.recheck {
        is_well &= says::recheck(client, id).await?;
    }
    if let Some(id) = &options.remove_check {
        is_well &= says::remove_check(client, id, id).await?;
    }
    if let Some(host) = &options.remove {
        is_well &= says::remove(client, host).await?;
    }
    if let Some(id) = &options.claim {
        is_well &= says::claim(client, id, options.user.as_deref()).await?;
    }
    if let Some(id) = &options.unclaim {
        is_well &= says::unclaim(client, id).await?;
    }
    if let Some(host) = &options.list {
        is_well &= lists::list(client, host).await?;
    }
    if let Some(host) = &options.add_note {
        let text = options.arguments.first().map(String::as_str);
        is_well &= says::add_note(client, host, text, options.user.as_deref()).await?;
    }
    if let Some(host) = &options.list_notes {
        is_well &= lists::notes(client, host).await?;
    }
    if options.alerting {
        lists::alerting(client, options.verbose).await?;
    }
    if options.pending {
        lists::pending(client, options.verbose).await?;
    }
    if options.suspended {
        lists::suspended(client, options.verbose).await?;
    }
    Ok(is_well)
}

/// What the server refused is said as the original said it; what did not answer at all ends everything.
fn refusal(failure: Failure, not_found: &str) -> Result<bool, Failure> {
    match failure.status {
        Some(404) => says::line(not_found),
        Some(status) => says::line(&says::failed(status)),
        None => return Err(failure),
    }
    Ok(false)
}
