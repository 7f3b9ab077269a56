//! The owner's side: a thread that keeps a supervisor alive and hears what it reports.

use std::fs::File;
use std::io::{BufRead as _, BufReader};
use std::os::unix::process::CommandExt as _;
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStderr, ChildStdin, Command, Stdio};
use std::sync::mpsc::{Sender, channel};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread::JoinHandle;
use std::time::Duration;

use anyhow::{Context, bail};

use crate::place::Place;
use crate::supervisor::READY;
use crate::{Notice, Options};

/// From the start to the first accepted connection; recovery after a crash included.
const STARTUP: Duration = Duration::from_secs(60);
/// Before another supervisor is started in place of one that died.
const PAUSE: Duration = Duration::from_secs(1);

/// Our end of the supervisor's standard input; `None` once it shall stop. The lock makes "the supervisor died" and
/// "we want it to end" exclude each other, so that none is started after [`Keeper::stop`].
type Pipe = Arc<Mutex<Option<ChildStdin>>>;

/// Holds the pipe whose end stops the server.
pub(crate) struct Keeper {
    pipe: Pipe,
    thread: Option<JoinHandle<()>>,
}

impl Keeper {
    /// Starts a supervisor and blocks until its server accepts connections.
    pub(crate) fn start(
        options: &Options,
        place: &Place,
        bin: &Path,
        lock: File,
    ) -> anyhow::Result<Self> {
        let recipe = Recipe {
            program: options.supervisor.clone(),
            bin: bin.to_owned(),
            dir: place.dir().to_owned(),
            durable: options.durable,
            remove_at_end: options.remove_at_end,
            lock,
        };
        let log_before = std::fs::metadata(place.log_file()).map_or(0, |log| log.len());
        let (supervisor, stdin) = recipe.spawn()?;
        let pipe = Arc::new(Mutex::new(Some(stdin)));
        let (ready, is_ready) = channel();
        let thread = {
            let (pipe, notice) = (Arc::clone(&pipe), Arc::clone(&options.notice));
            std::thread::Builder::new()
                .name("postgres-keeper".to_owned())
                .spawn(move || keep(&recipe, supervisor, &pipe, &notice, ready))?
        };
        // From here on an error drops the keeper, which stops the server.
        let keeper = Self {
            pipe,
            thread: Some(thread),
        };
        if is_ready.recv_timeout(STARTUP).is_err() {
            let log = log_tail(&place.log_file(), log_before);
            keeper.stop();
            bail!(
                "PostgreSQL does not accept connections; the end of {}:\n{log}",
                place.log_file().display()
            );
        }
        Ok(keeper)
    }

    pub(crate) fn stop(mut self) {
        close(&self.pipe);
        if let Some(thread) = self.thread.take() {
            thread.thread().unpark();
            // A panic of the keeper was printed when it happened, and the pipe is closed in any case.
            let _ = thread.join();
        }
    }
}

impl Drop for Keeper {
    fn drop(&mut self) {
        close(&self.pipe);
    }
}

fn guard(pipe: &Pipe) -> MutexGuard<'_, Option<ChildStdin>> {
    pipe.lock().unwrap_or_else(PoisonError::into_inner)
}

fn close(pipe: &Pipe) {
    guard(pipe).take();
}

/// The keeper's thread. `ready` is dropped, which ends the wait of [`Keeper::start`], when the first supervisor
/// gives up before its server was ever ready.
fn keep(
    recipe: &Recipe,
    first: (Child, ChildStderr),
    pipe: &Pipe,
    notice: &Notice,
    ready: Sender<()>,
) {
    let (mut supervisor, mut reports) = first;
    let mut ever_ready = false;
    loop {
        for line in BufReader::new(reports).lines().map_while(Result::ok) {
            if line != READY {
                notice(&line);
            } else if ever_ready {
                notice("PostgreSQL accepts connections again");
            } else {
                ever_ready = true;
                // The starter may have run out of patience.
                let _ = ready.send(());
            }
        }
        let ended = supervisor.wait();
        (supervisor, reports) = loop {
            let mut pipe = guard(pipe);
            if pipe.is_none() || !ever_ready {
                return;
            }
            notice(&match &ended {
                Ok(status) => {
                    format!("the supervisor of PostgreSQL ended ({status}): another one is started")
                }
                Err(error) => format!(
                    "the supervisor of PostgreSQL is lost ({error}): another one is started"
                ),
            });
            match recipe.spawn() {
                Ok((next, stdin)) => {
                    *pipe = Some(stdin);
                    break next;
                }
                Err(error) => notice(&format!("{error:#}; next try in {} s", PAUSE.as_secs())),
            }
            drop(pipe);
            std::thread::park_timeout(PAUSE);
        };
    }
}

/// How a supervisor is started, the first time and again.
struct Recipe {
    program: PathBuf,
    bin: PathBuf,
    dir: PathBuf,
    durable: bool,
    remove_at_end: bool,
    lock: File,
}

impl Recipe {
    fn spawn(&self) -> anyhow::Result<((Child, ChildStderr), ChildStdin)> {
        let mut command = Command::new(&self.program);
        command
            .arg("supervise")
            .arg("--bin")
            .arg(&self.bin)
            .arg("--dir")
            .arg(&self.dir);
        if self.durable {
            command.arg("--durable");
        }
        if self.remove_at_end {
            command.arg("--remove-at-end");
        }
        let mut supervisor = command
            .stdin(Stdio::piped())
            .stdout(self.lock.try_clone()?)
            .stderr(Stdio::piped())
            // Ctrl-C must reach the owner alone: it ends its other parts first, and the database last.
            .process_group(0)
            .spawn()
            .with_context(|| format!("cannot run {}", self.program.display()))?;
        let stdin = supervisor.stdin.take().expect("stdin is piped");
        let reports = supervisor.stderr.take().expect("stderr is piped");
        Ok(((supervisor, reports), stdin))
    }
}

/// The last lines that were added to the log since `from`.
fn log_tail(log: &Path, from: u64) -> String {
    let text = std::fs::read(log).unwrap_or_default();
    let from = usize::try_from(from).unwrap_or(0);
    let text = String::from_utf8_lossy(text.get(from..).unwrap_or(&text)).into_owned();
    let lines: Vec<_> = text.lines().collect();
    lines[lines.len().saturating_sub(15)..].join("\n")
}
