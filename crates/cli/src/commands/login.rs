//! Signing in to a server, and out of it.

use std::io::{IsTerminal as _, Write as _};
use std::path::PathBuf;
use std::time::Duration;

use clap::Args;
use serde_json::json;

use super::secret;
use crate::client::Client;
use crate::context::{Context, Contexts, Credentials, Server, ServerArgs, address};
use crate::failure::{Code, Failure};
use crate::output::Answer;

/// Where to, and as whom.
#[derive(Debug, Args)]
pub(crate) struct Login {
    /// The server's address, such as `https://stalker.example.net`
    server: String,
    /// What to call the context; without it, the server's name
    #[arg(long)]
    name: Option<String>,
    /// Sign in as this user; without it, it is asked for
    #[arg(long, conflicts_with_all = ["key_file", "key_stdin"])]
    user: Option<String>,
    /// Take the password from the first line of standard input, without asking
    #[arg(long, requires = "user")]
    password_stdin: bool,
    /// Store the key that is the first line of this file
    #[arg(long, value_name = "FILE", conflicts_with = "key_stdin")]
    key_file: Option<PathBuf>,
    /// Store the key that is the first line of standard input
    #[arg(long)]
    key_stdin: bool,
}

impl Login {
    /// # Errors
    /// If the server does not answer, or refuses.
    pub(crate) async fn run(&self, args: &ServerArgs) -> Result<Answer, Failure> {
        let url = address(&self.server)?;
        let mut contexts = Contexts::read()?;
        let name = match &self.name {
            Some(name) => name.clone(),
            None => default_name(&url),
        };
        let mut server = Server {
            ca_file: args.ca_file(),
            timeout: Duration::from_secs(args.timeout),
            ..Server::at(url)
        };
        warn_of_plain_text(&server.url);
        let key = match &self.key_file {
            Some(file) => Some(secret::from_file(file)?),
            None if self.key_stdin => Some(secret::from_standard_input()?),
            None => None,
        };
        let who = match key {
            Some(key) => {
                server.credentials = Credentials::Key(key);
                // any key can read this, but for one with which agents register
                Client::new(server.clone())?.get("/checks?limit=0").await?;
                "with a key".to_owned()
            }
            None => {
                let (user, session) = self.sign_in(&server).await?;
                server.credentials = Credentials::Session(session);
                let client = Client::new(server.clone())?;
                let me = client.get("/user/me").await?;
                client.require(me["username"].is_string(), "username")?;
                server.user = Some(user.clone());
                format!("as {user}")
            }
        };
        let url = server.url.clone();
        contexts.contexts.insert(name.clone(), Context::of(server));
        contexts.current = Some(name.clone());
        let file = contexts.write()?;
        Ok(Answer::done(
            format!(
                "signed in to {url} {who}; it is the current context {name:?}, in {}",
                file.display()
            ),
            json!({"context": name, "url": url}),
        ))
    }

    async fn sign_in(&self, server: &Server) -> Result<(String, String), Failure> {
        let user = match &self.user {
            Some(user) => user.clone(),
            None => ask_user()?,
        };
        let password = match self.password_stdin {
            true => secret::from_standard_input()?,
            false => secret::ask("Password: ")?,
        };
        let client = Client::new(server.clone())?;
        let session = client.sign_in(&user, &password).await?;
        Ok((user, session))
    }
}

fn ask_user() -> Result<String, Failure> {
    if !std::io::stdin().is_terminal() {
        return Err(Failure::usage("nobody is here to sign in")
            .hint("say --key-file FILE, --key-stdin, or --user NAME --password-stdin"));
    }
    eprint!("User: ");
    std::io::stderr().flush().ok();
    secret::from_standard_input()
}

/// The server's name in its address, with the port if it says one.
fn default_name(url: &str) -> String {
    let rest = url.split_once("://").map_or(url, |(_, rest)| rest);
    let authority = rest.split('/').next().unwrap_or(rest);
    authority.rsplit('@').next().unwrap_or(authority).to_owned()
}

/// Over a wire that others can read.
fn warn_of_plain_text(url: &str) {
    let host = reqwest::Url::parse(url)
        .ok()
        .and_then(|url| url.host_str().map(str::to_owned))
        .unwrap_or_default();
    let is_near = host == "localhost" || host.starts_with("127.") || host == "[::1]";
    if url.starts_with("http://") && !is_near {
        eprintln!(
            "stalker: warning: without https everybody on the way to {host} can read what you type"
        );
    }
}

/// Ends the session of the named or current context, and forgets the context.
///
/// # Errors
/// If there is none, or the server does not answer: then it is kept, so that it can be tried again.
pub(crate) async fn log_out(args: &ServerArgs) -> Result<Answer, Failure> {
    let mut contexts = Contexts::read()?;
    let name = args
        .context
        .clone()
        .or_else(|| contexts.current.clone())
        .ok_or_else(|| Failure::usage("you are not signed in"))?;
    let context = contexts.find(&name)?;
    let mut server = context.server();
    server.timeout = Duration::from_secs(args.timeout);
    let said = match &server.credentials {
        Credentials::Session(_) => {
            Client::new(server)?.sign_out().await.map_err(|failure| match failure.code {
                Code::Unreachable => failure.hint(format!(
                    "the session lives on; try again, or forget it with `stalker context delete {name}`"
                )),
                _ => failure,
            })?;
            "the session is over"
        }
        _ => "its key is forgotten here; whoever else has it can use it until it is revoked",
    };
    contexts.remove(&name);
    contexts.write()?;
    Ok(Answer::done(
        format!("signed out of {name:?}: {said}"),
        json!({"context": name}),
    ))
}
