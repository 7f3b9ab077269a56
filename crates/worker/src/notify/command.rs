//! Provider `command`: the original's shell command, without the shell. A program of the configuration's is started for each
//! message; what came from a host reaches it only as data, on standard input and in the environment.

use std::io;
use std::os::unix::process::ExitStatusExt;
use std::path::Path;
use std::pin::pin;
use std::process::{ExitStatus, Stdio};
use std::time::Duration;

use anyhow::{Context, ensure};
use futures::FutureExt;
use futures::future::{BoxFuture, FusedFuture, join};
use nix::sys::signal::{Signal, killpg};
use nix::unistd::{AccessFlags, Pid, access};
use reqwest::Client;
use serde::Deserialize;
use serde_json::json;
use stalker_domain::plugin_output::clip;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::unix::pipe;
use tokio::process::{Child, ChildStdin, Command};
use tokio::time::{Instant, sleep, timeout, timeout_at};

use super::text::Escape;
use super::{Answer, Failure, Message, Protocol, clip_characters};

/// Programs that may run at the same time.
const CONCURRENCY: usize = 4;
/// What a program says of a failure that will pass: `EX_TEMPFAIL` of `sysexits.h`.
const FAILED_FOR_NOW: i32 = 75;
/// Bytes of its output that are kept with the attempt.
const EXCERPT: usize = 1024;
/// Bytes of it that are said in the reason.
const SAID: usize = 200;
/// Characters of a variable.
const VARIABLE_MAX: usize = 2048;
/// What it sees of our environment; above all not our secrets.
const INHERITED: [&str; 3] = ["PATH", "HOME", "LANG"];
/// How long its pipes are served when it has ended: a daemon that it started may hold them for ever.
const PIPE_GRACE: Duration = Duration::from_secs(1);
/// How often a program is tried that somebody still writes to.
const BUSY_PAUSE: Duration = Duration::from_millis(50);

/// Settings of `[channels.NAME] provider = "command"`.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct CommandChannel {
    /// The program, by its whole path, and its arguments.
    pub command: Vec<String>,
}

impl Protocol for CommandChannel {
    fn validate(&self) -> anyhow::Result<()> {
        let program = self.command.first().context("command is empty")?;
        let path = Path::new(program);
        ensure!(path.is_absolute(), "command: {program} is no whole path");
        ensure!(
            path.is_file() && access(path, AccessFlags::X_OK).is_ok(),
            "command: {program} is no file that may be executed"
        );
        ensure!(
            !self.command.iter().any(|word| word.contains('\0')),
            "command: an argument has a NUL"
        );
        Ok(())
    }

    /// Its program: an argument may be a secret.
    fn address(&self) -> String {
        self.command.first().cloned().unwrap_or_default()
    }

    fn concurrency(&self) -> usize {
        CONCURRENCY
    }

    fn send<'a>(&'a self, _client: &'a Client, message: &'a Message<'_>) -> BoxFuture<'a, Answer> {
        run(&self.command, message).boxed()
    }
}

async fn run(command: &[String], message: &Message<'_>) -> Answer {
    let deadline = Instant::now() + message.timeout;
    let (mut child, output) = match start(command, message, deadline).await {
        Ok(started) => started,
        Err(error) => return not_started(&error),
    };
    // after the child, so that it goes before it: the group's number is nobody else's as long as the child is not reaped
    let mut group = Group::of(&child);
    let mut kept = Vec::new();
    let input = input(message);
    let ended = {
        let stdin = child.stdin.take();
        let mut pipes = pin!(join(write(stdin, input.as_bytes()), read(output, &mut kept)).fuse());
        let ended = timeout_at(deadline, async {
            loop {
                tokio::select! {
                    ended = child.wait() => break ended,
                    _ = &mut pipes, if !pipes.is_terminated() => {}
                }
            }
        })
        .await;
        if ended.is_ok() {
            group.has_ended();
        }
        if ended.is_ok() && !pipes.is_terminated() {
            // running out of this time is an ordinary end of reading
            let _ = timeout(PIPE_GRACE, pipes).await;
        }
        ended
    };
    judged(ended.ok(), message.timeout, &text(&kept))
}

/// Starts it, with one pipe for all that it says; while somebody still writes to its file, waits for that to end.
async fn start(
    words: &[String],
    message: &Message<'_>,
    deadline: Instant,
) -> io::Result<(Child, pipe::Receiver)> {
    let (program, arguments) = words.split_first().ok_or(io::ErrorKind::InvalidInput)?;
    let (reader, writer) = io::pipe()?;
    let mut command = Command::new(program);
    command
        .args(arguments)
        .env_clear()
        // passed on as they are, not settings of ours
        .envs(
            INHERITED
                .iter()
                .filter_map(|name| Some((name, std::env::var_os(name)?))),
        )
        .envs(variables(message))
        .current_dir("/")
        .stdin(Stdio::piped())
        .stdout(writer.try_clone()?)
        .stderr(writer)
        .process_group(0)
        .kill_on_drop(true);
    loop {
        match command.spawn() {
            Err(error)
                if error.kind() == io::ErrorKind::ExecutableFileBusy
                    && Instant::now() < deadline =>
            {
                sleep(BUSY_PAUSE).await;
            }
            // our own end for writing goes with the command, so that reading ends
            child => return Ok((child?, pipe::Receiver::from_owned_fd(reader.into())?)),
        }
    }
}

/// What scripts in a shell need, by name; everything is on standard input.
fn variables(message: &Message<'_>) -> Vec<(&'static str, String)> {
    let facts = &message.facts;
    let variables = [
        ("STALKER_KIND", facts.kind.clone()),
        ("STALKER_STATE", facts.state.to_owned()),
        ("STALKER_HOST", facts.host.clone()),
        ("STALKER_IP", facts.ip.clone()),
        ("STALKER_CHECK", facts.check.clone()),
        ("STALKER_SUMMARY", facts.summary.clone()),
        ("STALKER_OUTPUT", facts.output.clone()),
        ("STALKER_PRIORITY", facts.priority.to_string()),
        ("STALKER_SINCE", facts.since.clone()),
        ("STALKER_UNTIL", facts.until.clone().unwrap_or_default()),
        ("STALKER_URL", facts.url.clone().unwrap_or_default()),
        ("STALKER_CHANNEL", facts.channel.clone()),
        ("STALKER_KEY", message.notification.dedup_key.clone()),
        ("STALKER_ID", message.id()),
    ];
    variables
        .map(|(name, value)| {
            (
                name,
                clip_characters(&value.replace('\0', ""), VARIABLE_MAX),
            )
        })
        .into()
}

/// What is known, and what would be said of it.
fn input(message: &Message<'_>) -> String {
    let mut input = json!(message.facts);
    input["id"] = json!(message.id());
    input["dedup_key"] = json!(message.notification.dedup_key);
    input["subject"] = json!(message.subject(Escape::Plain));
    input["body"] = json!(message.body(Escape::Plain));
    format!("{input}\n")
}

/// A program need not read what it is told.
async fn write(stdin: Option<ChildStdin>, input: &[u8]) {
    if let Some(mut stdin) = stdin {
        let _ = stdin.write_all(input).await;
    }
}

/// Reads until the last writer has closed its end. What is beyond the excerpt is read as well: a full pipe would hold the
/// program.
async fn read(mut output: pipe::Receiver, kept: &mut Vec<u8>) {
    let mut chunk = vec![0; 4 * 1024];
    // a pipe that cannot be read has ended, as far as we are concerned
    while let Ok(length @ 1..) = output.read(&mut chunk).await {
        // a little more than is kept, so that no character at the cut looks broken
        let room = EXCERPT + 4 - kept.len();
        kept.extend_from_slice(&chunk[..length.min(room)]);
    }
}

/// PostgreSQL keeps no NUL.
fn text(output: &[u8]) -> String {
    let text = String::from_utf8_lossy(output).replace('\0', "\u{FFFD}");
    clip(text.trim(), EXCERPT).to_owned()
}

/// Its process group, which is killed unless the program has ended by itself; also if nobody waits for it any more.
struct Group(Option<Pid>);

impl Group {
    fn of(child: &Child) -> Self {
        let pid = child.id().and_then(|pid| i32::try_from(pid).ok());
        Self(pid.map(Pid::from_raw))
    }

    fn has_ended(&mut self) {
        self.0 = None;
    }
}

impl Drop for Group {
    fn drop(&mut self) {
        if let Some(group) = self.0 {
            // one that cannot be killed is gone
            let _ = killpg(group, Signal::SIGKILL);
        }
    }
}

/// It was there at the start: somebody may be about to replace it.
fn not_started(error: &io::Error) -> Answer {
    Answer {
        failure: Some(Failure::Passing {
            why: format!("the command cannot be started: {error}"),
            retry_after: None,
        }),
        may_have_arrived: false,
        http_status: None,
        excerpt: None,
    }
}

/// 0 is accepted. 75, a signal, and no end in time: nobody knows what it has done, it is tried again. Every other code says no.
fn judged(ended: Option<io::Result<ExitStatus>>, timeout: Duration, output: &str) -> Answer {
    let passing = |why: String| Failure::Passing {
        why,
        retry_after: None,
    };
    let failure = match ended {
        None => Some(passing(format!(
            "the command did not end within {} s and was killed",
            timeout.as_secs()
        ))),
        Some(Err(error)) => Some(passing(format!(
            "what became of the command is not known: {error}"
        ))),
        Some(Ok(status)) => match (status.code(), status.signal()) {
            (Some(0), _) => None,
            (Some(FAILED_FOR_NOW), _) => Some(passing(ended_with("code 75", output))),
            (Some(code), _) => Some(Failure::Final(ended_with(&format!("code {code}"), output))),
            (None, signal) => {
                let signal = signal.unwrap_or_default();
                Some(passing(ended_with(&format!("signal {signal}"), output)))
            }
        },
    };
    Answer {
        may_have_arrived: !matches!(failure, Some(Failure::Final(_))),
        failure,
        http_status: None,
        excerpt: Some(output.to_owned()),
    }
}

fn ended_with(what: &str, output: &str) -> String {
    let said = clip(output, SAID);
    let colon = if said.is_empty() { "" } else { ": " };
    format!("the command ended with {what}{colon}{said}")
}
