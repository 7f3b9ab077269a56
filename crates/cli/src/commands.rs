//! What can be asked for: one file per noun, one line here.

mod checks;

use clap::Subcommand;

use crate::client::Client;
use crate::context::ServerArgs;
use crate::failure::Failure;
use crate::output::Answer;

/// A noun, and what is to be done with it.
#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Checks: look at them, run, suspend, own or change them
    #[command(subcommand, visible_alias = "check")]
    Checks(checks::Command),
}

impl Command {
    /// # Errors
    /// Why it could not be done.
    pub(crate) async fn run(&self, server: &ServerArgs) -> Result<Answer, Failure> {
        let client = || Client::new(server.server()?);
        match self {
            Self::Checks(command) => command.run(&client()?).await,
        }
    }
}
