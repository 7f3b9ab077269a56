//! Components that are measured as they are shipped: `stalkerd`, built beside this executable.

use std::path::PathBuf;
use std::process::Stdio;

use anyhow::{Context, ensure};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use tokio::process::{Child, Command};

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

/// What `stalkerd doctor` says of this database, whether it finds it well or not.
pub(crate) async fn doctor(database_url: &str) -> anyhow::Result<String> {
    let mut command = Command::new(executable("stalkerd")?);
    let output = command
        .arg("doctor")
        .env("DATABASE_URL", database_url)
        .output()
        .await?;
    Ok(String::from_utf8_lossy(&[output.stdout, output.stderr].concat()).into_owned())
}

/// A running `stalkerd SUBCOMMAND`.
#[derive(Debug)]
pub(crate) struct Component {
    child: Child,
}

impl Component {
    /// Starts it on this database, with settings such as `("worker.slots", "400")`.
    pub(crate) fn start(
        subcommand: &str,
        database_url: &str,
        settings: &[(&str, &str)],
    ) -> anyhow::Result<Self> {
        let mut command = Command::new(executable("stalkerd")?);
        command
            .arg(subcommand)
            .env("DATABASE_URL", database_url)
            .env("STALKER__LOG__LEVEL", "warn")
            .envs(settings.iter().map(|(name, value)| {
                (
                    format!("STALKER__{}", name.to_uppercase().replace('.', "__")),
                    *value,
                )
            }))
            .stdin(Stdio::null())
            .kill_on_drop(true);
        Ok(Self {
            child: command.spawn().context("cannot start stalkerd")?,
        })
    }

    pub(crate) fn pid(&self) -> anyhow::Result<u32> {
        self.child.id().context("stalkerd has ended")
    }

    /// Asks it to end, and waits until it has.
    pub(crate) async fn stop(mut self) -> anyhow::Result<()> {
        let pid = Pid::from_raw(i32::try_from(self.pid()?)?);
        kill(pid, Signal::SIGTERM)?;
        self.child.wait().await?;
        Ok(())
    }
}
