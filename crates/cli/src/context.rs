//! Which server, and who we are to it: contexts, kept in a file that only its owner may read.
//!
//! Which server, in this order: the context that is named, the address that is given (`--url`, `STALKER_URL`), the current
//! context, the original's configuration. `STALKER_API_KEY` goes before the key of any of them.

use std::collections::BTreeMap;
use std::io::Write as _;
use std::os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};
use std::time::Duration;
use std::{env, fs};

use clap_complete::engine::ArgValueCompleter;
use nix::unistd::{User, getuid};
use serde::{Deserialize, Serialize};

use crate::completions;
use crate::failure::Failure;
use crate::original;

/// A server, and how it knows us.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Server {
    /// Without a slash at the end.
    pub(crate) url: String,
    pub(crate) credentials: Credentials,
    /// Trusted besides the web's certificates.
    pub(crate) ca_file: Option<PathBuf>,
    /// How long it may be silent.
    pub(crate) timeout: Duration,
    /// Who signed in there.
    pub(crate) user: Option<String>,
}

impl Server {
    /// One of which nothing is known but its address.
    pub(crate) fn at(url: String) -> Self {
        Self {
            url,
            credentials: Credentials::None,
            ca_file: None,
            timeout: Duration::from_secs(30),
            user: None,
        }
    }
}

/// How a server knows us.
#[derive(Clone, PartialEq)]
pub(crate) enum Credentials {
    Key(String),
    /// A cookie, as it is shown.
    Session(String),
    None,
}

impl std::fmt::Debug for Credentials {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::Key(_) => "key",
            Self::Session(_) => "session",
            Self::None => "none",
        })
    }
}

/// The file of contexts.
#[derive(Debug, Default, Serialize, Deserialize)]
pub(crate) struct Contexts {
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) current: Option<String>,
    #[serde(default)]
    pub(crate) contexts: BTreeMap<String, Context>,
}

/// One of them.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct Context {
    pub(crate) url: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) key: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) session: Option<String>,
    /// Who signed in.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) user: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) ca_file: Option<PathBuf>,
}

impl Context {
    pub(crate) fn of(server: Server) -> Self {
        let (key, session) = match server.credentials {
            Credentials::Key(key) => (Some(key), None),
            Credentials::Session(session) => (None, Some(session)),
            Credentials::None => (None, None),
        };
        Self {
            url: server.url,
            key,
            session,
            user: server.user,
            ca_file: server.ca_file,
        }
    }

    pub(crate) fn server(&self) -> Server {
        let credentials = match (&self.key, &self.session) {
            (Some(key), _) => Credentials::Key(key.clone()),
            (None, Some(session)) => Credentials::Session(session.clone()),
            (None, None) => Credentials::None,
        };
        Server {
            credentials,
            ca_file: self.ca_file.clone(),
            user: self.user.clone(),
            ..Server::at(self.url.clone())
        }
    }
}

impl Contexts {
    /// # Errors
    /// If no context is called so.
    pub(crate) fn find(&self, name: &str) -> Result<&Context, Failure> {
        self.contexts.get(name).ok_or_else(|| {
            Failure::usage(format!("no context is called {name:?}"))
                .hint("`stalker context list` shows them")
        })
    }

    /// Forgets it. No other becomes the current one by itself: commands would go to a server that nobody chose.
    pub(crate) fn remove(&mut self, name: &str) {
        self.contexts.remove(name);
        self.current = self.current.take().filter(|current| current != name);
    }

    /// None yet, if there is no file.
    ///
    /// # Errors
    /// If there is one that cannot be read.
    pub(crate) fn read() -> Result<Self, Failure> {
        let file = file()?;
        let text = match fs::read_to_string(&file) {
            Ok(text) => text,
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => {
                return Ok(Self::default());
            }
            Err(error) => {
                return Err(Failure::usage(format!(
                    "cannot read {}: {error}",
                    file.display()
                )));
            }
        };
        // toml's own words repeat the line, and with it a key
        toml::from_str(&text).map_err(|error| {
            let line = error
                .span()
                .map_or(0, |span| text[..span.start.min(text.len())].lines().count());
            Failure::usage(format!(
                "{} is damaged near its line {line}",
                file.display()
            ))
            .hint("remove it, and sign in again: stalker login URL")
        })
    }

    /// Writes the file, for its owner's eyes only.
    ///
    /// # Errors
    /// If it cannot be written.
    pub(crate) fn write(&self) -> Result<PathBuf, Failure> {
        let file = file()?;
        let text = toml::to_string(self).map_err(|error| Failure::usage(error.to_string()))?;
        write_private(&file, &text)
            .map_err(|error| Failure::usage(format!("cannot write {}: {error}", file.display())))?;
        Ok(file)
    }
}

/// Whole or not at all: who reads it never sees half of it.
fn write_private(file: &Path, text: &str) -> std::io::Result<()> {
    if let Some(folder) = file.parent() {
        fs::DirBuilder::new()
            .recursive(true)
            .mode(0o700)
            .create(folder)?;
    }
    let partial = file.with_extension("partial");
    fs::remove_file(&partial).ok();
    let mut open = fs::OpenOptions::new()
        .write(true)
        .create_new(true)
        .mode(0o600)
        .open(&partial)?;
    open.write_all(text.as_bytes())?;
    fs::rename(&partial, file)
}

fn file() -> Result<PathBuf, Failure> {
    let folder = env::var_os("XDG_CONFIG_HOME")
        .map(PathBuf::from)
        .filter(|folder| folder.is_absolute());
    let folder = folder.or_else(|| Some(PathBuf::from(env::var_os("HOME")?).join(".config")));
    folder
        .map(|folder| folder.join("stalker/contexts.toml"))
        .ok_or_else(|| {
            Failure::usage(
                "neither XDG_CONFIG_HOME nor HOME is set, so there is no place for contexts",
            )
        })
}

/// What a call says about the server.
#[derive(Debug, Clone, clap::Args)]
pub(crate) struct ServerArgs {
    /// The context to use, instead of the current one; `stalker context list` shows them
    #[arg(
        long,
        global = true,
        value_name = "NAME",
        help_heading = "Server",
        add = ArgValueCompleter::new(completions::contexts)
    )]
    pub(crate) context: Option<String>,
    /// The server's address, as STALKER_URL; its key is STALKER_API_KEY's
    #[arg(long, global = true, value_name = "URL", help_heading = "Server")]
    pub(crate) url: Option<String>,
    /// Certificates, in PEM, that are trusted besides the web's, as STALKER_CA_FILE
    #[arg(long, global = true, value_name = "FILE", help_heading = "Server")]
    pub(crate) ca_file: Option<PathBuf>,
    /// How long the server may be silent
    #[arg(
        long,
        global = true,
        value_name = "SECONDS",
        default_value = "30",
        value_parser = clap::value_parser!(u64).range(1..=3600),
        help_heading = "Server"
    )]
    pub(crate) timeout: u64,
}

impl ServerArgs {
    /// The server to ask.
    ///
    /// # Errors
    /// If none is configured, or no context is called so.
    pub(crate) fn server(&self) -> Result<Server, Failure> {
        let (mut server, takes_key) = self.configured()?;
        if let Some(file) = self.ca_file() {
            server.ca_file = Some(file);
        }
        // on the command line everybody on the machine could read it
        if let Some(key) = variable("STALKER_API_KEY")?.filter(|_| takes_key) {
            server.credentials = Credentials::Key(key);
            server.user = None;
        }
        server.timeout = Duration::from_secs(self.timeout);
        Ok(server)
    }

    /// And whether the key of the environment may be for it: one that was chosen in another way is another server.
    fn configured(&self) -> Result<(Server, bool), Failure> {
        let contexts = Contexts::read()?;
        if let Some(name) = &self.context {
            return Ok((contexts.find(name)?.server(), false));
        }
        let of_environment = variable("STALKER_URL")?;
        let current = contexts.current.as_ref();
        let current = current.and_then(|current| contexts.contexts.get(current));
        if let Some(url) = self.url.as_ref().or(of_environment.as_ref()) {
            let takes_key = of_environment
                .as_ref()
                .is_none_or(|of_environment| of_environment == url);
            let url = address(url)?;
            // a session or key that was stored for this very address, and for no other
            let current = current.into_iter().filter(|context| context.url == url);
            let others = contexts
                .contexts
                .values()
                .filter(|context| context.url == url);
            let known = current.chain(others).next();
            let server = known.map_or_else(|| Server::at(url), Context::server);
            return Ok((server, takes_key));
        }
        if let Some(context) = current {
            return Ok((context.server(), true));
        }
        if let Some(server) = original::configured() {
            return Ok((server, !original::is_of_this_folder()));
        }
        let names: Vec<_> = contexts.contexts.into_keys().collect();
        Err(match names.is_empty() {
            true => Failure::usage("no server is configured")
                .hint("stalker login URL, or STALKER_URL and STALKER_API_KEY in the environment"),
            false => Failure::usage("no context is in use")
                .hint(format!("stalker context use NAME: {}", names.join(", "))),
        })
    }

    /// The one of this call, else that of the environment.
    pub(crate) fn ca_file(&self) -> Option<PathBuf> {
        let file = || env::var_os("STALKER_CA_FILE").filter(|file| !file.is_empty());
        self.ca_file.clone().or_else(|| Some(file()?.into()))
    }
}

/// What the environment says, if it says something.
fn variable(name: &str) -> Result<Option<String>, Failure> {
    let value = env::var_os(name).filter(|value| !value.is_empty());
    value
        .map(|value| {
            value.into_string().map_err(|_| {
                Failure::usage(format!("{name} is no text")).hint("set it again, or unset it")
            })
        })
        .transpose()
}

/// An address as it is kept: with its scheme, without a slash at the end.
///
/// # Errors
/// If it is none.
pub(crate) fn address(url: &str) -> Result<String, Failure> {
    let wrong = || {
        Failure::usage(format!("{url:?} is no address of a server"))
            .hint("such as https://stalker.example.net")
    };
    let parsed: reqwest::Url = url.parse().map_err(|_| wrong())?;
    // what stands there is shown, so a password would be as well
    let has_more =
        !parsed.username().is_empty() || parsed.password().is_some() || parsed.query().is_some();
    if !["http", "https"].contains(&parsed.scheme()) || parsed.host_str().is_none() || has_more {
        return Err(wrong());
    }
    Ok(url.trim_end_matches('/').to_owned())
}

/// Who sits before this machine, as the login shell has it; where there was none, as the system has it.
pub(crate) fn user_of_this_system() -> Option<String> {
    let variables = ["LOGNAME", "USER"].into_iter();
    let named = variables.filter_map(|name| env::var_os(name)?.into_string().ok());
    let mut named = named.filter(|name| !name.is_empty());
    named.next().or_else(|| {
        let user = User::from_uid(getuid()).ok().flatten();
        user.map(|user| user.name)
    })
}
