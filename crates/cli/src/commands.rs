//! What can be asked for: one file per noun, one line here.

mod alerts;
mod audit;
mod channels;
mod checks;
mod clusters;
mod contexts;
mod hosts;
mod keys;
mod login;
mod maintenances;
mod notes;
mod notifications;
mod part;
mod replicas;
mod secret;
mod sessions;
mod stats;
mod users;

use clap::Subcommand;

use crate::client::Client;
use crate::context::ServerArgs;
use crate::failure::Failure;
use crate::output::Answer;

/// A noun, and what is to be done with it.
#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Checks: look at them, run, suspend, own or change them
    #[command(subcommand, alias = "check")]
    Checks(checks::Command),
    /// Hosts: look at them, their notes and certificates, delete them
    #[command(subcommand, alias = "host")]
    Hosts(hosts::Command),
    /// Alerts, open and past, and what became of each
    #[command(subcommand, alias = "alert")]
    Alerts(alerts::Command),
    /// Notes about hosts
    #[command(subcommand, alias = "note")]
    Notes(notes::Command),
    /// Maintenances: times in which nobody is told
    #[command(subcommand, alias = "maintenance")]
    Maintenances(maintenances::Command),
    /// Messages to channels, and what became of them
    #[command(subcommand, alias = "notification")]
    Notifications(notifications::Command),
    /// Channels: who is told, and whether that works
    #[command(subcommand, alias = "channel")]
    Channels(channels::Command),
    /// Keys of the API
    #[command(subcommand, alias = "key")]
    Keys(keys::Command),
    /// Users
    #[command(subcommand, alias = "user")]
    Users(users::Command),
    /// Your sessions
    #[command(subcommand, alias = "session")]
    Sessions(sessions::Command),
    /// The clusters that this one knows
    #[command(subcommand, alias = "cluster")]
    Clusters(clusters::Command),
    /// How many checks there are, and how they are
    Stats(stats::Stats),
    /// What is failing in all clusters, live, on the whole screen; also called as `stalkly`
    Top(crate::top::Args),
    /// The processes of the server
    #[command(subcommand, alias = "replica")]
    Replicas(replicas::Command),
    /// Who did what
    #[command(subcommand)]
    Audit(audit::Command),
    /// Signs in, or stores a key, and makes it the current context
    Login(login::Login),
    /// Ends the session, and forgets the context
    Logout,
    /// Contexts: the servers that you have signed in to
    #[command(subcommand, alias = "contexts")]
    Context(contexts::Command),
}

impl Command {
    /// # Errors
    /// Why it could not be done.
    pub(crate) async fn run(&self, server: &ServerArgs) -> Result<Answer, Failure> {
        let client = || Client::new(server.server()?);
        match self {
            Self::Checks(command) => command.run(&client()?).await,
            Self::Hosts(command) => command.run(&client()?).await,
            Self::Alerts(command) => command.run(&client()?).await,
            Self::Notes(command) => command.run(&client()?).await,
            Self::Maintenances(command) => command.run(&client()?).await,
            Self::Notifications(command) => command.run(&client()?).await,
            Self::Channels(command) => command.run(&client()?).await,
            Self::Keys(command) => command.run(&client()?).await,
            Self::Users(command) => command.run(&client()?).await,
            Self::Sessions(command) => command.run(&client()?).await,
            Self::Clusters(command) => command.run(&client()?).await,
            Self::Stats(stats) => stats.run(&client()?).await,
            Self::Replicas(command) => command.run(&client()?).await,
            Self::Audit(command) => command.run(&client()?).await,
            Self::Login(login) => login.run(server).await,
            Self::Logout => login::log_out(server).await,
            Self::Context(command) => command.run(),
            Self::Top(_) => {
                unreachable!("it has the screen for itself, and answers nothing: main runs it")
            }
        }
    }
}
