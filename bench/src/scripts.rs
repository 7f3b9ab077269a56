//! What `agent_scripts` puts under load: a plugin that costs next to nothing, a real agent that runs it, and the loop
//! that does nothing but start it, with which the agent is compared.

use std::fs;
use std::io::Read;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context, ensure};
use serde::Deserialize;
use tempfile::TempDir;
use tokio::process::{Child, ChildStdin, Command};
use tokio::time::sleep;

use crate::component::executable;
use crate::cpu;
use crate::system::CHECK_KEY;

/// A statically linked executable in a folder of its own.
#[derive(Debug)]
pub(crate) struct Plugin {
    folder: TempDir,
}

impl Plugin {
    /// Compiles it.
    pub(crate) async fn compile() -> anyhow::Result<Self> {
        let folder = tempfile::tempdir()?;
        let source = folder.path().join("plugin.c");
        fs::write(&source, include_str!("scripts/plugin.c"))?;
        let plugin = Self { folder };
        let compiled = Command::new("cc")
            .args(["-static", "-O2", "-o"])
            .args([plugin.path(), source])
            .output()
            .await
            .context(
                "agent_scripts compiles a plugin, and there is no cc (scripts/setup installs one)",
            )?;
        ensure!(
            compiled.status.success(),
            "cc cannot compile the plugin of agent_scripts: {}",
            String::from_utf8_lossy(&compiled.stderr)
        );
        Ok(plugin)
    }

    fn path(&self) -> PathBuf {
        self.folder.path().join("plugin")
    }

    /// Runs per second of as many threads as there are cores, that start the plugin, read what it prints and wait for its end: the most that
    /// anything could reach which does so.
    pub(crate) fn bare_spawns_per_s(&self, seconds: u32) -> anyhow::Result<f64> {
        let began = Instant::now();
        let end = began + Duration::from_secs(seconds.into());
        let runs = thread::scope(|scope| {
            let cores = thread::available_parallelism().map_or(2, usize::from);
            let threads: Vec<_> = (0..cores)
                .map(|_| scope.spawn(|| spawn_until(&self.path(), end)))
                .collect();
            threads
                .into_iter()
                .map(|thread| thread.join().expect("it does not panic"))
                .sum::<anyhow::Result<u32>>()
        })?;
        Ok(f64::from(runs) / began.elapsed().as_secs_f64())
    }
}

fn spawn_until(plugin: &Path, end: Instant) -> anyhow::Result<u32> {
    let mut runs = 0;
    let mut printed = Vec::new();
    while Instant::now() < end {
        let mut child = std::process::Command::new(plugin)
            .stdout(Stdio::piped())
            .spawn()?;
        printed.clear();
        let mut stdout = child.stdout.take().context("its output is piped")?;
        stdout.read_to_end(&mut printed)?;
        ensure!(child.wait()?.success(), "the plugin has failed");
        runs += 1;
    }
    Ok(runs)
}

/// A running `stalker-agent`, the one beside this executable, with its own defaults. It ends with this process.
#[derive(Debug)]
pub(crate) struct RealAgent {
    /// On 127.0.0.1.
    pub(crate) port: u16,
    /// Lower-case hex SHA-256 over its certificate's DER.
    pub(crate) cert_sha256: String,
    pid: u32,
    child: Child,
    input: ChildStdin,
    _folder: TempDir,
}

/// How long an agent may take to listen.
const START: Duration = Duration::from_secs(30);
/// An agent takes no script that was changed less than a second ago.
const SETTLING: Duration = Duration::from_millis(1100);

impl RealAgent {
    /// Starts one with the drop-ins `check_0`, `check_1`, … `check_(scripts - 1)`, all of them the plugin. There is no
    /// server for it to register with: whoever starts it writes its hosts into the database.
    pub(crate) async fn start(plugin: &Plugin, scripts: u32) -> anyhow::Result<Self> {
        let executable = executable("stalker-agent")?;
        let folder = tempfile::tempdir()?;
        let config = configure(folder.path(), plugin, scripts)?;
        sleep(SETTLING).await;
        let mut child = Command::new(executable)
            .args(["start", "--until-stdin-ends", "--config"])
            .arg(config)
            .stdin(Stdio::piped())
            .process_group(0)
            .spawn()?;
        let input = child.stdin.take().context("its input is piped")?;
        let ready = ready(&folder.path().join("state/ready.json"), &mut child).await?;
        Ok(Self {
            port: ready.port()?,
            cert_sha256: ready.cert_sha256,
            pid: ready.pid,
            child,
            input,
            _folder: folder,
        })
    }

    /// Microseconds of processor time that it and the scripts that have ended have used.
    pub(crate) fn cpu_us(&self) -> u64 {
        cpu::of(self.pid) + cpu::of_ended_children(self.pid)
    }

    /// An error that says how it ended, if it has.
    pub(crate) fn ensure_running(&mut self) -> anyhow::Result<()> {
        match self.child.try_wait()? {
            None => Ok(()),
            Some(status) => anyhow::bail!("the agent has ended: {status}"),
        }
    }

    /// Lets it end.
    pub(crate) async fn stop(self) -> anyhow::Result<()> {
        let Self {
            mut child, input, ..
        } = self;
        drop(input);
        let status = child.wait().await?;
        ensure!(status.success(), "the agent has ended badly: {status}");
        Ok(())
    }
}

/// Writes everything into the folder; returns the configuration's path.
fn configure(folder: &Path, plugin: &Plugin, scripts: u32) -> anyhow::Result<PathBuf> {
    let script_dir = folder.join("scripts");
    fs::create_dir(&script_dir)?;
    let first = script_dir.join("check_0");
    fs::copy(plugin.path(), &first)?;
    for n in 1..scripts {
        fs::hard_link(&first, script_dir.join(format!("check_{n}")))?;
    }
    let config = folder.join("agent.conf");
    let text = format!(
        "[main]\nlisten_addr = 127.0.0.1\nlisten_port = 0\nmaster_url = http://127.0.0.1:1\nregister_key = none\n\
         check_key = {CHECK_KEY}\nscript_dir = {}\nstate_dir = {}\nlog_level = error\n",
        script_dir.display(),
        folder.join("state").display(),
    );
    fs::write(&config, text)?;
    Ok(config)
}

/// Of what an agent writes when it listens.
#[derive(Debug, Deserialize)]
struct Ready {
    agent: String,
    cert_sha256: String,
    pid: u32,
}

impl Ready {
    fn port(&self) -> anyhow::Result<u16> {
        let port = self.agent.rsplit(':').next().unwrap_or_default();
        port.parse()
            .with_context(|| format!("the agent says that it is at {}", self.agent))
    }
}

async fn ready(file: &Path, child: &mut Child) -> anyhow::Result<Ready> {
    let began = Instant::now();
    loop {
        // It is written whole, or not there.
        if let Ok(text) = fs::read(file) {
            return Ok(serde_json::from_slice(&text)?);
        }
        if let Some(status) = child.try_wait()? {
            anyhow::bail!("the agent has ended at once: {status}");
        }
        ensure!(began.elapsed() < START, "the agent does not listen");
        sleep(Duration::from_millis(20)).await;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_plugin_prints_something_new_every_time() {
        let plugin = Plugin::compile().await.expect("cc is here");
        let run = || {
            let output = std::process::Command::new(plugin.path())
                .output()
                .expect("it runs");
            assert!(output.status.success());
            output.stdout
        };
        let (first, second) = (run(), run());
        assert_ne!(first, second);
        assert!((90..=120).contains(&first.len()), "{}", first.len());
        assert!(plugin.bare_spawns_per_s(1).expect("it runs") > 1.0);
    }
}
