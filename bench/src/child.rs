//! The processes that are measured. Each is told what to do in one argument, and answers every line on its standard
//! input with one line of JSON; it ends with its input, so that none outlives the measurement.

use std::process::Stdio;

use anyhow::Context;
use serde::Serialize;
use serde::de::DeserializeOwned;
use tokio::io::{AsyncBufReadExt, AsyncWriteExt, BufReader, Lines};
use tokio::process::{Child, ChildStdin, ChildStdout, Command};

/// A process of this executable's that plays a part.
#[derive(Debug)]
pub(crate) struct Part {
    child: Child,
    input: ChildStdin,
    output: Lines<BufReader<ChildStdout>>,
}

impl Part {
    /// Starts `stalker-bench part NAME TASK`.
    pub(crate) fn start(name: &str, task: &impl Serialize) -> anyhow::Result<Self> {
        let mut child = Command::new(std::env::current_exe()?)
            .args(["part", name, &serde_json::to_string(task)?])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .kill_on_drop(true)
            .spawn()
            .context("cannot start a process of my own")?;
        let input = child.stdin.take().context("no input")?;
        let output = child.stdout.take().context("no output")?;
        Ok(Self {
            child,
            input,
            output: BufReader::new(output).lines(),
        })
    }

    pub(crate) fn pid(&self) -> anyhow::Result<u32> {
        self.child.id().context("a process of mine has ended")
    }

    /// What it says now.
    pub(crate) async fn ask<T: DeserializeOwned>(&mut self) -> anyhow::Result<T> {
        self.input.write_all(b"\n").await?;
        let line = self
            .output
            .next_line()
            .await?
            .context("a process of mine has ended")?;
        serde_json::from_str(&line).with_context(|| format!("a process of mine said {line:?}"))
    }

    /// Lets it end.
    pub(crate) async fn stop(self) -> anyhow::Result<()> {
        let Self {
            mut child, input, ..
        } = self;
        drop(input);
        child.wait().await?;
        Ok(())
    }
}

/// The side of the process: answers each line of the input, until its end.
pub(crate) async fn answer<T: Serialize>(mut what: impl FnMut() -> T) -> anyhow::Result<()> {
    let mut lines = BufReader::new(tokio::io::stdin()).lines();
    let mut output = tokio::io::stdout();
    while lines.next_line().await?.is_some() {
        let mut line = serde_json::to_vec(&what())?;
        line.push(b'\n');
        output.write_all(&line).await?;
        output.flush().await?;
    }
    Ok(())
}
