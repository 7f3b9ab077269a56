//! Components that are measured as they are shipped: `stalkerd`, built beside this executable. Each runs below a part that
//! ends it when its own input ends, since `stalkerd` itself watches none.

use std::path::PathBuf;
use std::process::{ExitStatus, Stdio};
use std::time::Duration;

use anyhow::{Context, bail, ensure};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use serde::{Deserialize, Serialize};
use tokio::process::{Child, Command};
use tokio::time::timeout;

use crate::child::{self, Part, Questions};

/// Until one that was asked to end has: longer than a run's lease.
const ENDS_WITHIN: Duration = Duration::from_secs(25);

/// An executable of this build.
pub(crate) fn executable(name: &str) -> anyhow::Result<PathBuf> {
    let path = std::env::current_exe()?.with_file_name(name);
    ensure!(
        path.is_file(),
        "{} is missing: cargo build --release --bin {name}",
        path.display()
    );
    Ok(path)
}

/// `stalkerd`, with nothing of an installation on this machine: neither its file nor its environment.
fn stalkerd(database_url: &str) -> anyhow::Result<Command> {
    let mut command = Command::new(executable("stalkerd")?);
    for (name, _) in std::env::vars_os() {
        if name.as_encoded_bytes().starts_with(b"STALKER__") {
            command.env_remove(name);
        }
    }
    command
        // a file that is named keeps it from reading the system's
        .args(["--config", "/dev/null"])
        .env("DATABASE_URL", database_url)
        .env("STALKER__DATABASE__URL", database_url)
        .env("STALKER__LOG__LEVEL", "warn")
        .stdin(Stdio::null());
    Ok(command)
}

/// What `stalkerd doctor` says of this database, whether it finds it well or not.
pub(crate) async fn doctor(database_url: &str) -> anyhow::Result<String> {
    let output = stalkerd(database_url)?.arg("doctor").output().await?;
    Ok(String::from_utf8_lossy(&[output.stdout, output.stderr].concat()).into_owned())
}

/// What the part of a component is told.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct Task {
    subcommand: String,
    database_url: String,
    /// Such as `("worker.slots", "400")`.
    settings: Vec<(String, String)>,
}

/// A running `stalkerd SUBCOMMAND`.
#[derive(Debug)]
pub(crate) struct Component {
    part: Part,
    /// Of `stalkerd` itself.
    pub(crate) pid: u32,
}

impl Component {
    /// Starts it on this database, with settings such as `("worker.slots", "400")`.
    pub(crate) async fn start(
        subcommand: &str,
        database_url: &str,
        settings: &[(&str, &str)],
    ) -> anyhow::Result<Self> {
        let owned = |(name, value): &(&str, &str)| ((*name).to_owned(), (*value).to_owned());
        let task = Task {
            subcommand: subcommand.to_owned(),
            database_url: database_url.to_owned(),
            settings: settings.iter().map(owned).collect(),
        };
        let part = Part::start("component", &task).await?;
        let mut part = part.named(&format!("stalkerd {subcommand}"));
        let pid = part.ask().await?;
        Ok(Self { part, pid })
    }

    /// An error that says how it ended, if it has.
    pub(crate) fn ensure_running(&mut self) -> anyhow::Result<()> {
        self.part.ensure_running()
    }

    /// Asks it to end, and waits until it has.
    pub(crate) async fn stop(self) -> anyhow::Result<()> {
        self.part.stop().await
    }
}

/// The part: starts it, says its process id, and ends it with the input. One that ends before is an error.
pub(crate) async fn run(task: Task, mut questions: Questions) -> anyhow::Result<()> {
    let set = task.settings.into_iter().map(|(name, value)| {
        let name = name.to_uppercase().replace('.', "__");
        (format!("STALKER__{name}"), value)
    });
    let mut child = stalkerd(&task.database_url)?
        .arg(&task.subcommand)
        .envs(set)
        .spawn()
        .context("cannot start stalkerd")?;
    let pid = child.id().context("it has just been started")?;
    tokio::select! {
        answered = child::answer(&mut questions, || pid) => answered?,
        status = child.wait() => bail!("stalkerd {} has ended: {}", task.subcommand, status?),
    }
    let status = end(&mut child).await?;
    ensure!(
        status.success(),
        "stalkerd {} has ended badly: {status}",
        task.subcommand
    );
    Ok(())
}

async fn end(child: &mut Child) -> anyhow::Result<ExitStatus> {
    if let Some(pid) = child.id() {
        kill(Pid::from_raw(i32::try_from(pid)?), Signal::SIGTERM)?;
    }
    match timeout(ENDS_WITHIN, child.wait()).await {
        Ok(status) => Ok(status?),
        Err(_) => {
            child.kill().await?;
            bail!("it does not end, and was killed")
        }
    }
}
