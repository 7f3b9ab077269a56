//! Users.

use clap::{Args, Subcommand};
use reqwest::Method;
use serde_json::{Value, json};

use super::part::Part;
use super::secret;
use crate::client::{Client, escaped};
use crate::confirm::Confirmed;
use crate::failure::Failure;
use crate::output::{Answer, Shown, Table, Text};

/// What can be done with users.
#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Users, and what they may do
    #[command(visible_alias = "ls")]
    List(Part),
    /// A user
    Show {
        /// Their name; without it, you
        #[arg(default_value = "me")]
        username: String,
    },
    /// Adds a user; asks for their password
    Create {
        /// Their name
        username: String,
        #[command(flatten)]
        details: Details,
        #[command(flatten)]
        from: From,
    },
    /// Changes a user; what is not named stays
    Change {
        /// Their name
        username: String,
        #[command(flatten)]
        details: Details,
    },
    /// Sets a new password, which ends all sessions of the user
    #[command(visible_alias = "password")]
    Passwd {
        /// Their name; without it, you
        #[arg(default_value = "me")]
        username: String,
        #[command(flatten)]
        from: From,
    },
    /// Deletes a user; their sessions end
    #[command(visible_alias = "rm")]
    Delete {
        /// Their name
        username: String,
        #[command(flatten)]
        confirmed: Confirmed,
    },
}

/// What is known of a user.
#[derive(Debug, Args)]
pub(crate) struct Details {
    /// What they may do
    #[arg(long, value_parser = ["viewer", "operator", "admin"])]
    role: Option<String>,
    /// Where mail reaches them
    #[arg(long)]
    email: Option<String>,
    /// How the user interface looks
    #[arg(long)]
    theme: Option<String>,
}

/// Where a password comes from.
#[derive(Debug, Args)]
pub(crate) struct From {
    /// Take the password from the first line of standard input, without asking
    #[arg(long)]
    password_stdin: bool,
}

impl Details {
    fn body(&self) -> Value {
        let said = [
            ("role", &self.role),
            ("email", &self.email),
            ("theme", &self.theme),
        ];
        said.into_iter()
            .filter_map(|(field, value)| Some((field.to_owned(), json!(value.as_ref()?))))
            .collect::<serde_json::Map<_, _>>()
            .into()
    }
}

impl Command {
    /// # Errors
    /// Why it could not be done.
    pub(crate) async fn run(&self, client: &Client) -> Result<Answer, Failure> {
        match self {
            Self::List(part) => list(client, part).await,
            Self::Show { username } => show(client, username).await,
            Self::Create {
                username,
                details,
                from,
            } => {
                let mut body = details.body();
                body["username"] = json!(username);
                body["password"] = json!(secret::new_password(from.password_stdin)?);
                let answer = client.post("/user", &body).await?;
                Ok(Answer::done(format!("{username} can sign in"), answer))
            }
            Self::Change { username, details } => {
                let body = details.body();
                if body == json!({}) {
                    return Err(Failure::usage("nothing is to change").hint(
                        "say --role, --email or --theme; `stalker users passwd` sets a password",
                    ));
                }
                let (_, version) = client.versioned(&path(username)).await?;
                let path = path(username);
                let answer = client
                    .change(Method::POST, &path, Some(&body), version)
                    .await?;
                Ok(Answer::done(format!("{username} is changed"), answer))
            }
            Self::Passwd { username, from } => {
                let body = json!({"password": secret::new_password(from.password_stdin)?});
                let answer = client.post(&path(username), &body).await?;
                let whose = if username == "me" { "your" } else { "their" };
                let line =
                    format!("the password is set; {whose} sessions have ended, so sign in again");
                Ok(Answer::done(line, answer))
            }
            Self::Delete {
                username,
                confirmed,
            } => {
                confirmed.ask(&format!("Delete the user {username}?"))?;
                let answer = client.delete(&path(username)).await?;
                Ok(Answer::done(format!("{username} is deleted"), answer))
            }
        }
    }
}

fn path(username: &str) -> String {
    format!("/user/{}", escaped(username))
}

async fn list(client: &Client, part: &Part) -> Result<Answer, Failure> {
    let document = client.list("/user", "users", &part.of([])).await?;
    let mut table = Table::new(&["NAME", "ROLE", "EMAIL", "THEME+"], "no users");
    for user in document["users"].as_array().into_iter().flatten() {
        let text = |field: &str| user[field].as_str().unwrap_or_default();
        table.row([
            text("username").into(),
            text("role").into(),
            text("email").into(),
            text("theme").into(),
        ]);
    }
    Ok(Answer::table(table, document))
}

async fn show(client: &Client, username: &str) -> Result<Answer, Failure> {
    let document = client.get(&path(username)).await?;
    client.require(document["username"].is_string(), "username")?;
    let text = |field: &str| document[field].as_str().unwrap_or_default();
    let sheet = vec![
        ("name", text("username").into()),
        ("role", text("role").into()),
        ("email", text("email").into()),
        ("theme", text("theme").into()),
    ];
    Ok(Answer::Shown(Shown {
        is_alerting: false,
        text: Text::Sheet(sheet, Vec::new()),
        document,
    }))
}
