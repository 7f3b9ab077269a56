//! The processes that are measured. Each reads its task from the first line of its standard input (not from its arguments,
//! which every user of the machine can see) and answers each further line with one line of JSON. It ends with its input,
//! so that none outlives the measurement, however that ends.

use std::process::{ExitStatus, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context, bail, ensure};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use serde::Serialize;
use serde::de::DeserializeOwned;
use tokio::io::{AsyncBufReadExt, AsyncWriteExt, BufReader, Lines, Stdin};
use tokio::process::{Child, ChildStdin, ChildStdout, Command};
use tokio::time::{sleep, timeout};

use crate::cpu;

/// Until a process whose input has ended has ended too: longer than a component of Stalker takes.
const ENDS_WITHIN: Duration = Duration::from_secs(30);

/// A process of this executable's that plays a part.
#[derive(Debug)]
pub(crate) struct Part {
    name: String,
    child: Child,
    input: ChildStdin,
    output: Lines<BufReader<ChildStdout>>,
}

impl Part {
    /// Starts `stalker-bench part NAME`, and tells it its task.
    pub(crate) async fn start(name: &str, task: &impl Serialize) -> anyhow::Result<Self> {
        // Not killed when dropped: it ends with its input, and takes with it what it has started.
        let mut child = Command::new(std::env::current_exe()?)
            .args(["part", name])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            // Ctrl-C is for us, who end everything in order
            .process_group(0)
            .spawn()
            .context("cannot start a process of my own")?;
        let mut input = child.stdin.take().context("no input")?;
        let output = child.stdout.take().context("no output")?;
        let mut task = serde_json::to_vec(task)?;
        task.push(b'\n');
        input.write_all(&task).await?;
        Ok(Self {
            name: name.to_owned(),
            child,
            input,
            output: BufReader::new(output).lines(),
        })
    }

    /// The same part by a name that tells it from others.
    pub(crate) fn named(self, name: &str) -> Self {
        Self {
            name: name.to_owned(),
            ..self
        }
    }

    pub(crate) fn pid(&self) -> anyhow::Result<u32> {
        let pid = self.child.id();
        pid.with_context(|| format!("{} has ended", self.name))
    }

    /// An error that says how it ended, if it has.
    pub(crate) fn ensure_running(&mut self) -> anyhow::Result<()> {
        match self.child.try_wait()? {
            None => Ok(()),
            Some(status) => bail!("{} has ended: {status}", self.name),
        }
    }

    /// What it says now.
    pub(crate) async fn ask<T: DeserializeOwned>(&mut self) -> anyhow::Result<T> {
        // a broken pipe is seen by the end of its output
        let _ = self.input.write_all(b"\n").await;
        let Some(line) = self.output.next_line().await? else {
            let status = self.ended().await?;
            bail!("{} has ended: {status}", self.name);
        };
        serde_json::from_str(&line).with_context(|| format!("{} said {line:?}", self.name))
    }

    /// Lets it end, and waits until it has.
    pub(crate) async fn stop(self) -> anyhow::Result<()> {
        let Self {
            name,
            mut child,
            input,
            ..
        } = self;
        drop(input);
        let status = timeout(ENDS_WITHIN, child.wait()).await;
        let status = status.with_context(|| format!("{name} does not end"))??;
        ensure!(status.success(), "{name} has ended badly: {status}");
        Ok(())
    }

    async fn ended(&mut self) -> anyhow::Result<ExitStatus> {
        let status = timeout(ENDS_WITHIN, self.child.wait()).await;
        Ok(status.with_context(|| format!("{} does not answer", self.name))??)
    }
}

/// Waits until all processes of ours have ended: after an error or a signal their inputs have been closed, and they are on
/// their way out. What does not go is killed.
pub(crate) async fn all_ended() {
    let own = std::process::id();
    let began = Instant::now();
    while !cpu::children(own).is_empty() {
        if began.elapsed() > ENDS_WITHIN {
            for pid in cpu::children(own).into_iter().flat_map(i32::try_from) {
                // an error means that it has just gone
                let _ = kill(Pid::from_raw(pid), Signal::SIGKILL);
            }
            return;
        }
        sleep(Duration::from_millis(50)).await;
    }
}

/// The side of the process: what it is asked.
pub(crate) type Questions = Lines<BufReader<Stdin>>;

/// The questions, of which the first is the task.
pub(crate) fn questions() -> Questions {
    BufReader::new(tokio::io::stdin()).lines()
}

/// What it is told to do.
pub(crate) async fn task<T: DeserializeOwned>(questions: &mut Questions) -> anyhow::Result<T> {
    let line = questions.next_line().await?.context("no task came")?;
    Ok(serde_json::from_str(&line)?)
}

/// Answers every question, until there are no more.
pub(crate) async fn answer<T: Serialize>(
    questions: &mut Questions,
    mut what: impl FnMut() -> T,
) -> anyhow::Result<()> {
    let mut output = tokio::io::stdout();
    while questions.next_line().await?.is_some() {
        let mut line = serde_json::to_vec(&what())?;
        line.push(b'\n');
        output.write_all(&line).await?;
        output.flush().await?;
    }
    Ok(())
}
