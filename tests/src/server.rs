//! The real server executable: single components against a test's database, or `stalkerd up` with all it brings.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use serde_json::Value;
use tempfile::TempDir;

use crate::api::Api;
use crate::database::TestDatabase;
use crate::executables;
use crate::process::{Process, command};
use crate::until::until;

/// The keys of an [`Installation`]. No default of the server's is like them, so a test that uses them shows that
/// they were read.
pub const API_KEY: &str = "api-key-of-the-tests-0123456789abcdef";
/// See [`API_KEY`].
pub const REGISTER_KEY: &str = "register-key-of-the-tests-0123456789abcdef";
/// See [`API_KEY`].
pub const CHECK_KEY: &str = "check-key-of-the-tests-0123456789abcdef";

/// From a component's start until it listens; generous, since several tests share two cores.
const START: Duration = Duration::from_secs(30);
/// `stalkerd up` makes a database cluster first.
const UP: Duration = Duration::from_secs(60);

/// One configuration and one database, under which any number of components are started.
#[derive(Debug)]
pub struct Installation {
    home: TempDir,
    database_url: String,
    settings: toml::Table,
    started: AtomicUsize,
}

/// A component that is up. Dropped, it is killed.
#[derive(Debug)]
pub struct Component {
    /// The process, to be signalled.
    pub process: Process,
    /// What it wrote when it was up: `pid`, and `api` where it has one.
    pub ready: Value,
}

impl Installation {
    /// With keys of its own, the API at a port of the system's choice, and every other setting at its default.
    ///
    /// # Panics
    /// If there is no room for temporary files.
    #[must_use]
    pub fn new(database: &TestDatabase) -> Self {
        Self::at(database.url())
    }

    /// As [`Installation::new`], for a database that is not one of the test server's.
    ///
    /// # Panics
    /// As [`Installation::new`].
    #[must_use]
    pub fn at(database_url: &str) -> Self {
        let installation = Self {
            home: tempfile::tempdir().expect("a temporary folder can be made"),
            database_url: database_url.to_owned(),
            settings: toml::Table::new(),
            started: AtomicUsize::new(0),
        };
        installation
            .set("api.listen", "127.0.0.1:0")
            .set("api.api_key", API_KEY)
            .set("api.register_key", REGISTER_KEY)
            .set("worker.check_key", CHECK_KEY)
    }

    /// Sets `section.key`; sections may be nested, as in `channels.pager.url`.
    ///
    /// # Panics
    /// If a part of the name but the last already is something else than a section.
    #[must_use]
    pub fn set(mut self, name: &str, value: impl Into<toml::Value>) -> Self {
        let mut names = name.split('.');
        let key = names.next_back().expect("splitting always gives a part");
        let section = names.fold(&mut self.settings, |section, name| {
            let section = section
                .entry(name)
                .or_insert_with(|| toml::Table::new().into());
            section
                .as_table_mut()
                .unwrap_or_else(|| panic!("{name} is a section"))
        });
        section.insert(key.to_owned(), value.into());
        self
    }

    /// Forgets what [`Installation::set`] has set.
    ///
    /// # Panics
    /// If it is not a section and a key.
    #[must_use]
    pub fn unset(mut self, name: &str) -> Self {
        let (section, key) = name.split_once('.').expect("a section and a key");
        let section = self.settings.get_mut(section);
        let section = section.and_then(toml::Value::as_table_mut);
        section.expect("it is a section").remove(key);
        self
    }

    /// What [`Installation::set`] has set: a text.
    ///
    /// # Panics
    /// If it is not set, or no text.
    #[must_use]
    pub fn get(&self, name: &str) -> String {
        let (section, key) = name.split_once('.').expect("a section and a key");
        let value = self
            .settings
            .get(section)
            .and_then(|section| section.get(key));
        let value = value.and_then(toml::Value::as_str);
        value.unwrap_or_else(|| panic!("{name} is set")).to_owned()
    }

    /// Adds a generic HTTP channel, such as a [`crate::receiver::Receiver`].
    #[must_use]
    pub fn channel(self, name: &str, url: &str) -> Self {
        self.set(&format!("channels.{name}.provider"), "http")
            .set(&format!("channels.{name}.url"), url)
            .set(
                &format!("channels.{name}.service_key"),
                format!("service-key-of-{name}"),
            )
    }

    /// The folder of its files.
    #[must_use]
    pub fn home(&self) -> &Path {
        self.home.path()
    }

    /// Starts `stalkerd SUBCOMMAND`, a further replica with each call, and waits until it is up.
    ///
    /// # Panics
    /// If it is not up in time.
    pub async fn start(&self, subcommand: &str) -> Component {
        self.start_with(subcommand, &[]).await
    }

    /// As [`Installation::start`], with these variables in its environment.
    ///
    /// # Panics
    /// As [`Installation::start`].
    pub async fn start_with(&self, subcommand: &str, environment: &[(&str, &str)]) -> Component {
        let (process, ready_file) = self.spawn_with(subcommand, environment);
        let mut component = Component {
            process,
            ready: Value::Null,
        };
        component.ready = ready(&mut component.process, &ready_file, START).await;
        component
    }

    /// Runs `stalkerd ARGUMENTS` against its database, to the end; whether it succeeded, and what it said.
    ///
    /// # Panics
    /// If it does not end in time.
    pub async fn tool(&self, arguments: &[&str]) -> (bool, String) {
        // nothing to set, and nothing of this machine's
        self.tool_with(arguments, "").await
    }

    async fn tool_with(&self, arguments: &[&str], settings: &str) -> (bool, String) {
        let n = self.started.fetch_add(1, Ordering::Relaxed);
        let config = self.home().join(format!("tool-{n}.toml"));
        fs::write(&config, settings).expect("the configuration can be written");
        let mut command = command(&executables::stalkerd());
        command.args(arguments).arg("--config").arg(config);
        let mut process =
            Process::start("stalkerd", command.env("DATABASE_URL", &self.database_url));
        let ended = process.ended(START).await;
        (ended.success(), process.output())
    }

    /// As [`Installation::tool`], with the installation's settings, and these variables in its environment.
    ///
    /// # Panics
    /// As [`Installation::tool`].
    pub async fn configured_tool(
        &self,
        arguments: &[&str],
        environment: &[(&str, &str)],
    ) -> (bool, String) {
        let mut command = command(&executables::stalkerd());
        command.args(arguments).arg("--config").arg(self.config());
        command
            .env("DATABASE_URL", &self.database_url)
            .env("STALKER_HOME", self.home())
            .envs(environment.iter().copied());
        let mut process = Process::start("stalkerd", &mut command);
        let ended = process.ended(START).await;
        (ended.success(), process.output())
    }

    /// Starts it without waiting, for a test of what happens when it cannot come up. Gives the ready file as well.
    ///
    /// # Panics
    /// If the executable cannot be started at all.
    #[must_use]
    pub fn spawn(&self, subcommand: &str) -> (Process, PathBuf) {
        self.spawn_with(subcommand, &[])
    }

    /// As [`Installation::spawn`], with these variables in its environment.
    ///
    /// # Panics
    /// As [`Installation::spawn`].
    #[must_use]
    pub fn spawn_with(&self, subcommand: &str, environment: &[(&str, &str)]) -> (Process, PathBuf) {
        let n = self.started.fetch_add(1, Ordering::Relaxed);
        let ready_file = self.home().join(format!("ready-{n}.json"));
        let mut command = command(&executables::stalkerd());
        command
            .args([subcommand, "--config"])
            .arg(self.config())
            .arg("--ready-file")
            .arg(&ready_file);
        command
            .env("DATABASE_URL", &self.database_url)
            .env("STALKER_HOME", self.home())
            .envs(environment.iter().copied());
        (
            Process::start(&format!("{subcommand}-{n}"), &mut command),
            ready_file,
        )
    }

    /// A new file with its settings.
    fn config(&self) -> PathBuf {
        let n = self.started.fetch_add(1, Ordering::Relaxed);
        let config = self.home().join(format!("stalkerd-{n}.toml"));
        fs::write(&config, self.settings.to_string()).expect("the configuration can be written");
        config
    }
}

impl Component {
    /// A client of its API.
    ///
    /// # Panics
    /// If this component has none.
    #[must_use]
    pub fn api(&self) -> Api {
        let url = self.ready["api"]
            .as_str()
            .expect("this component has an API");
        Api::new(url, API_KEY, REGISTER_KEY)
    }
}

/// `stalkerd up`: a private PostgreSQL, all components and one agent. Dropped, it is killed, and ends the rest itself.
#[derive(Debug)]
pub struct Server {
    /// The process, to be signalled.
    pub process: Process,
    /// `ready.json`: `api`, `agent`, `database`, `pid`.
    pub ready: Value,
    home: PathBuf,
}

impl Server {
    /// Starts it in `home`, which may hold the data of an earlier one, and waits until all of it listens.
    ///
    /// # Panics
    /// If it is not up in time.
    pub async fn up(home: &Path) -> Self {
        Self::up_by(&mut command(&executables::stalkerd()), home).await
    }

    /// As [`Server::up`], by a command that starts `stalkerd` in its own way.
    ///
    /// # Panics
    /// If it is not up in time.
    pub async fn up_by(command: &mut Command, home: &Path) -> Self {
        // Of an earlier start that was killed.
        let ready_file = home.join("ready.json");
        let _ = fs::remove_file(&ready_file);
        command.arg("up").env("STALKER_HOME", home);
        command
            .env("STALKER__API__LISTEN", "127.0.0.1:0")
            .env("STALKER_AGENT__MAIN__LISTEN_PORT", "0");
        let mut process = Process::start("up", command);
        let ready = ready(&mut process, &ready_file, UP).await;
        Self {
            process,
            ready,
            home: home.to_owned(),
        }
    }

    /// A client of its API with the keys that it generated.
    ///
    /// # Panics
    /// If the files that hold them are not as documented.
    #[must_use]
    pub fn api(&self) -> Api {
        let url = self.ready["api"]
            .as_str()
            .expect("ready.json names the API");
        let client = fs::read_to_string(self.home.join("stalker-client.conf"))
            .expect("the client's configuration is there");
        let api_key = client
            .lines()
            .find_map(|line| line.strip_prefix("stalkerweb_api_key="))
            .expect("it holds the key");
        let server = fs::read_to_string(self.home.join("stalkerd.toml"))
            .expect("the server's configuration is there");
        let server: toml::Table = server.parse().expect("it is TOML");
        let register_key = server["api"]["register_key"]
            .as_str()
            .expect("it holds the register key");
        Api::new(url, api_key, register_key)
    }
}

/// Waits for the file that says that a component is up; one that has ended instead fails at once.
async fn ready(process: &mut Process, file: &Path, deadline: Duration) -> Value {
    until("the server is up", deadline, async || {
        assert!(
            process.is_running(),
            "it has ended instead of coming up:\n{}",
            process.output()
        );
        serde_json::from_slice(&fs::read(file).ok()?).ok()
    })
    .await
}
