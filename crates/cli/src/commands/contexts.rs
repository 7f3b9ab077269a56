//! Contexts: the servers that somebody has signed in to. Nothing here is asked of a server.

use clap::Subcommand;
use clap_complete::engine::ArgValueCompleter;
use serde_json::json;

use crate::completions;
use crate::context::{Contexts, Credentials};
use crate::failure::Failure;
use crate::output::{Answer, Cell, Table, Tone};

/// What can be done with contexts.
#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Contexts, and which one is in use
    #[command(visible_alias = "ls")]
    List,
    /// Uses this one from now on
    Use {
        /// Its name
        #[arg(add = ArgValueCompleter::new(completions::contexts))]
        name: String,
    },
    /// Forgets it, without a word to its server
    #[command(visible_alias = "rm")]
    Delete {
        /// Its name
        #[arg(add = ArgValueCompleter::new(completions::contexts))]
        name: String,
    },
}

impl Command {
    /// # Errors
    /// If there is no such context, or their file cannot be read or written.
    pub(crate) fn run(&self) -> Result<Answer, Failure> {
        let mut contexts = Contexts::read()?;
        match self {
            Self::List => Ok(list(&contexts)),
            Self::Use { name } => {
                contexts.find(name)?;
                contexts.current = Some(name.clone());
                contexts.write()?;
                let line = format!("{name:?} is the current context");
                Ok(Answer::done(line, json!({"context": name})))
            }
            Self::Delete { name } => {
                contexts.find(name)?;
                contexts.remove(name);
                contexts.write()?;
                let line = format!("{name:?} is forgotten");
                Ok(Answer::done(line, json!({"context": name})))
            }
        }
    }
}

fn list(contexts: &Contexts) -> Answer {
    let mut table = Table::new(
        &["", "CONTEXT", "SERVER", "BY", "USER"],
        "no contexts: stalker login URL makes one",
    );
    let mut document = Vec::new();
    for (name, context) in &contexts.contexts {
        let is_current = contexts.current.as_ref() == Some(name);
        let by = match context.server().credentials {
            Credentials::Key(_) => "key",
            Credentials::Session(_) => "session",
            Credentials::None => "nothing",
        };
        let user = context.user.as_deref().unwrap_or_default();
        table.row([
            Cell::toned(if is_current { "*" } else { "" }, Tone::Good),
            name.into(),
            context.url.as_str().into(),
            by.into(),
            user.into(),
        ]);
        document.push(json!({
            "name": name, "url": context.url, "by": by, "user": context.user, "current": is_current,
        }));
    }
    Answer::table(table, json!({"contexts": document}))
}
