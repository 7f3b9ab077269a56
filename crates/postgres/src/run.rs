//! `stalker-postgres run`: a private PostgreSQL around a command.

use std::ffi::OsString;
use std::os::unix::process::ExitStatusExt as _;
use std::path::PathBuf;
use std::process::{Child, Command, ExitStatus};
use std::sync::mpsc::{Receiver, channel};
use std::time::Duration;

use anyhow::Context;
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use signal_hook::consts::{SIGHUP, SIGINT, SIGQUIT, SIGTERM};
use signal_hook::iterator::SignalsInfo;
use signal_hook::iterator::exfiltrator::origin::WithOrigin;
use signal_hook::low_level::siginfo::Cause;

use crate::{Notice, Options, PrivatePostgres};

/// What to run, and on which data.
pub struct Task {
    /// The folder to keep; `None` is a temporary one, without `fsync`, removed at the end.
    pub dir: Option<PathBuf>,
    /// See [`Options::pg_bin`].
    pub pg_bin: Option<PathBuf>,
    /// The environment variable that tells the command the URL.
    pub url_as: String,
    /// The command and its arguments; not empty.
    pub command: Vec<OsString>,
    /// See [`Options::supervisor`].
    pub supervisor: PathBuf,
    /// See [`Options::notice`].
    pub notice: Notice,
}

/// Runs the command and returns the code to exit with, as a shell would: the command's own, 128 + n when signal n
/// ended it, 127 when it does not exist, 126 when it cannot be run.
///
/// # Errors
/// PostgreSQL could not be started; the command was not run.
pub fn run(task: Task) -> anyhow::Result<u8> {
    // First, so that from here on a signal never ends us before the database is stopped.
    let signals = signals()?;
    let temporary = match task.dir {
        Some(_) => None,
        None => Some(
            tempfile::Builder::new()
                .prefix("stalker-pg-")
                .tempdir()
                .context("cannot make a folder")?,
        ),
    };
    let dir = task.dir.unwrap_or_else(|| {
        temporary
            .as_ref()
            .map(|dir| dir.path().to_owned())
            .unwrap_or_default()
    });
    let postgres = PrivatePostgres::start(Options {
        dir,
        pg_bin: task.pg_bin,
        durable: temporary.is_none(),
        remove_at_end: temporary.is_some(),
        supervisor: task.supervisor,
        notice: task.notice.clone(),
    })?;
    let code = match signals.try_recv() {
        // Asked to end while the database was starting.
        Ok(received) => 128_i32.saturating_add(received.number),
        Err(_) => command(
            &task.command,
            &task.url_as,
            postgres.url(),
            &signals,
            &task.notice,
        )?,
    };
    postgres.stop();
    Ok(u8::try_from(code).unwrap_or(u8::MAX))
}

fn command(
    words: &[OsString],
    url_as: &str,
    url: &str,
    signals: &Receiver<Received>,
    notice: &Notice,
) -> anyhow::Result<i32> {
    let (program, arguments) = words.split_first().context("no command given")?;
    let mut child = match Command::new(program)
        .args(arguments)
        .env(url_as, url)
        .spawn()
    {
        Ok(child) => child,
        Err(error) => {
            notice(&format!(
                "cannot run {}: {error}",
                program.to_string_lossy()
            ));
            return Ok(if error.kind() == std::io::ErrorKind::NotFound {
                127
            } else {
                126
            });
        }
    };
    let status = wait(&mut child, signals)?;
    Ok(status
        .code()
        .or_else(|| status.signal().map(|signal| 128 + signal))
        .unwrap_or(1))
}

/// Waits for the command, passing on what only we were sent.
fn wait(child: &mut Child, signals: &Receiver<Received>) -> anyhow::Result<ExitStatus> {
    loop {
        if let Some(status) = child.try_wait()? {
            return Ok(status);
        }
        if let Ok(received) = signals.recv_timeout(Duration::from_millis(20))
            && !received.by_terminal
        {
            // Reaped only above, so the number is still our child's.
            let pid = i32::try_from(child.id()).context("process id")?;
            let _ = kill(Pid::from_raw(pid), Signal::try_from(received.number)?);
        }
    }
}

/// A signal that we got.
struct Received {
    number: i32,
    /// A terminal's Ctrl-C goes to its whole foreground group, the command included: passed on, it would arrive
    /// twice, and many programs take the second for "now, by force".
    by_terminal: bool,
}

fn signals() -> anyhow::Result<Receiver<Received>> {
    let (sender, receiver) = channel();
    let mut signals = SignalsInfo::<WithOrigin>::new([SIGINT, SIGTERM, SIGHUP, SIGQUIT])?;
    std::thread::spawn(move || {
        signals.forever().all(|origin| {
            sender
                .send(Received {
                    number: origin.signal,
                    by_terminal: matches!(origin.cause, Cause::Kernel),
                })
                .is_ok()
        })
    });
    Ok(receiver)
}
