//! `stalkerd user`: who may sign in.

use std::fmt::Write as _;
use std::io::{BufRead as _, IsTerminal as _, stdin};

use anyhow::{Context, bail, ensure};
use clap::{Args, Subcommand, ValueEnum};
use serde_json::json;
use stalker_api::{passwords, secret};
use stalker_db::audit::{self, Deed};
use stalker_db::users::{self, Change};

use crate::settings::Settings;
use crate::tools::{actor, plain, with_database};

#[derive(Subcommand)]
pub(crate) enum UserCommand {
    /// Adds a user; prints the password, if one was made
    Add {
        /// The name to sign in with
        username: String,
        /// What they may do
        #[arg(long, value_enum, default_value_t = Access::Viewer)]
        access: Access,
        /// Where mail reaches them
        #[arg(long, default_value = "")]
        email: String,
        #[command(flatten)]
        password: PasswordArgs,
    },
    /// Gives a user another password, which ends their sessions
    Passwd {
        /// The user's name
        username: String,
        #[command(flatten)]
        password: PasswordArgs,
    },
    /// All users
    List,
    /// Deletes a user, and ends their sessions
    Delete {
        /// The user's name
        username: String,
    },
}

#[derive(Args)]
pub(crate) struct PasswordArgs {
    /// Reads the password as one line from standard input; without this, one is made and printed
    #[arg(long)]
    stdin: bool,
}

/// What a user or a key may do.
#[derive(Clone, Copy, ValueEnum)]
pub(crate) enum Access {
    /// Looks
    Viewer,
    /// Steers runs, alerts and messages
    Operator,
    /// Decides who may do what, and deletes
    Admin,
}

impl Access {
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Viewer => "viewer",
            Self::Operator => "operator",
            Self::Admin => "admin",
        }
    }
}

/// Does it; returns what to print.
pub(crate) fn run(command: UserCommand, settings: &Settings) -> anyhow::Result<String> {
    match command {
        UserCommand::Add {
            username,
            access,
            email,
            password,
        } => add(&username, access, &email, &password, settings),
        UserCommand::Passwd { username, password } => passwd(&username, &password, settings),
        UserCommand::List => with_database(settings, async |pools| {
            let mut text = "USER\tACCESS\tEMAIL\n".to_owned();
            for user in users::page(&pools.durable, "", i64::MAX).await? {
                let (name, email) = (plain(&user.username), plain(&user.email));
                writeln!(text, "{name}\t{}\t{email}", user.access)?;
            }
            Ok(text)
        }),
        UserCommand::Delete { username } => with_database(settings, async |pools| {
            let mut tx = pools.durable.begin().await?;
            let user = users::find(&mut tx, &username).await?;
            let user = user.with_context(|| unknown(&username))?;
            users::delete(&mut tx, user.user_id).await?;
            let before = json!({ "username": user.username, "role": user.access });
            let deed = deed("user delete", &username, Some(before), None);
            audit::write(&mut tx, &actor(), deed).await?;
            tx.commit().await?;
            Ok(format!("{} is deleted\n", plain(&username)))
        }),
    }
}

fn add(
    username: &str,
    access: Access,
    email: &str,
    password: &PasswordArgs,
    settings: &Settings,
) -> anyhow::Result<String> {
    ensure!(
        !username.trim().is_empty()
            && username.trim() == username
            && username.chars().count() <= 100
            && username != "me"
            && !username.chars().any(|c| c.is_control() || c == '/'),
        "a user's name has 1 to 100 characters, no slash, and is not `me`"
    );
    let (password, told) = password.take()?;
    with_database(settings, async |pools| {
        let hash = passwords::hash(&password).await;
        let mut tx = pools.durable.begin().await?;
        ensure!(
            users::add(&mut tx, username, email, "default", access.name(), &hash).await?,
            "there is a user {username} already; `stalkerd user passwd` gives another password"
        );
        let after = json!({ "username": username, "email": email, "role": access.name() });
        let deed = deed("user add", username, None, Some(after));
        audit::write(&mut tx, &actor(), deed).await?;
        tx.commit().await?;
        Ok(format!(
            "{username} may sign in, with access {}\n{told}",
            access.name()
        ))
    })
}

fn passwd(username: &str, password: &PasswordArgs, settings: &Settings) -> anyhow::Result<String> {
    let (password, told) = password.take()?;
    with_database(settings, async |pools| {
        let change = Change {
            password_hash: Some(passwords::hash(&password).await),
            ..Change::default()
        };
        let mut tx = pools.durable.begin().await?;
        let user = users::find(&mut tx, username).await?;
        let user = user.with_context(|| unknown(username))?;
        users::change(&mut tx, user.user_id, &change).await?;
        let after = json!({ "password": "changed" });
        let deed = deed("user passwd", username, None, Some(after));
        audit::write(&mut tx, &actor(), deed).await?;
        tx.commit().await?;
        Ok(format!(
            "{} has another password, and is signed out everywhere\n{told}",
            plain(username)
        ))
    })
}

impl PasswordArgs {
    /// The password, and what to tell of it.
    fn take(&self) -> anyhow::Result<(String, String)> {
        if !self.stdin {
            let password = secret::password();
            let told = format!("password: {password}\n");
            return Ok((password, told));
        }
        if stdin().is_terminal() {
            bail!(
                "with --stdin the password comes from a file or another program, where nobody sees it"
            );
        }
        let mut line = String::new();
        stdin().lock().read_line(&mut line)?;
        let password = line.trim_end_matches(['\n', '\r']).to_owned();
        if let Some(why) = passwords::refused(&password) {
            bail!("the password {why}");
        }
        Ok((password, String::new()))
    }
}

fn unknown(username: &str) -> String {
    format!("there is no user {username}; `stalkerd user list` shows them")
}

fn deed(
    action: &'static str,
    username: &str,
    before: Option<serde_json::Value>,
    after: Option<serde_json::Value>,
) -> Deed<'static> {
    Deed {
        action,
        subject: format!("user {username}"),
        before,
        after,
    }
}
