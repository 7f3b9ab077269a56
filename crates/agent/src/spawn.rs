//! Starting a script.

use std::io;
use std::process::Stdio;
use std::time::Duration;

use tokio::process::{Child, Command};
use tokio::time::{Instant, sleep};

use crate::check::Check;
use crate::config::ENV_PREFIX;
use crate::script::ScriptError;

/// How often a script is tried that somebody still writes to.
const BUSY_PAUSE: Duration = Duration::from_millis(50);

/// Starts the script; while somebody still writes to its file, waits for that to end.
pub(crate) async fn spawn(check: &Check, deadline: Instant) -> Result<Child, ScriptError> {
    let mut command = command(check);
    loop {
        match command.spawn() {
            Err(error)
                if error.kind() == io::ErrorKind::ExecutableFileBusy
                    && Instant::now() < deadline =>
            {
                sleep(BUSY_PAUSE).await;
            }
            spawned => {
                return spawned.map_err(|source| ScriptError::NotStarted {
                    cmd: check.cmd.display().to_string(),
                    source,
                });
            }
        }
    }
}

fn command(check: &Check) -> Command {
    let mut command = if check.shell {
        let mut shell = Command::new("/bin/sh");
        shell
            .arg("-c")
            .arg(format!("{} {}", check.cmd.display(), check.args));
        shell
    } else {
        let mut script = Command::new(&check.cmd);
        script.args(&check.words);
        script
    };
    for (name, _) in std::env::vars_os() {
        if name.to_string_lossy().starts_with(ENV_PREFIX) {
            command.env_remove(name);
        }
    }
    command
        .env("LC_ALL", "C")
        .envs(&check.env)
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .process_group(0)
        .kill_on_drop(true);
    command
}
