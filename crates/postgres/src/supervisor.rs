//! The supervisor: a process between owner and server.
//!
//! A process and not a thread, because it must still be there when the owner is gone. Not the kernel's signal on a
//! parent's death either: that follows the spawning *thread* and cannot be set without `unsafe`.
//!
//! Standard input is the pipe from the owner: its end means stop. Standard error is the pipe to the owner's keeper, a
//! line per event; the line `ready` means that connections are accepted. Standard output is the folder's lock file,
//! held open and never written to.

use std::io::{Read as _, Write as _};
use std::path::{Path, PathBuf};
use std::process::{Child, ExitStatus};
use std::sync::mpsc::{Receiver, RecvTimeoutError, channel};
use std::time::{Duration, Instant};

use nix::unistd::Pid;

use crate::account::Account;
use crate::place::Place;
use crate::{leftover, server};

/// The line that tells the keeper that connections are accepted.
pub(crate) const READY: &str = "ready";

const FIRST_PAUSE: Duration = Duration::from_millis(100);
const LONGEST_PAUSE: Duration = Duration::from_secs(10);
/// A server that ran this long was healthy: the next pause is short again.
const HEALTHY: Duration = Duration::from_secs(30);
/// A server that never became ready in so many tries will not: its owner should show the log and give up.
const FIRST_TRIES: u32 = 5;

/// What a supervisor is told on its command line.
pub struct Task {
    /// The folder of `postgres`.
    pub bin: PathBuf,
    /// The folder of the private PostgreSQL, as chosen by its owner.
    pub dir: PathBuf,
    /// See [`crate::Options::durable`].
    pub durable: bool,
    /// See [`crate::Options::remove_at_end`].
    pub remove_at_end: bool,
}

/// Starts the server, starts it again whenever it ends, and stops it at the end of standard input or at SIGTERM.
///
/// # Errors
/// The server cannot be started, or never came up.
pub fn supervise(task: &Task) -> anyhow::Result<()> {
    let place = Place::at(&task.dir);
    let account = Account::for_data(&place.data())?;
    let stop = stop_requests()?;
    stop_leftover(&place.data())?;

    let mut pause = FIRST_PAUSE;
    let mut failed_tries = 0;
    loop {
        leftover::remove_stale_pid_file(&place.data())?;
        let started = Instant::now();
        let mut child = server::spawn(&task.bin, &place, &account, task.durable)?;
        let run = watch(&mut child, &place.data(), &stop)?;
        let Some(status) = run.ended else {
            server::stop(pid_of(&child), || Ok(child.try_wait()?.is_some()))?;
            break;
        };
        if run.was_ready {
            failed_tries = 0;
        } else {
            failed_tries += 1;
            anyhow::ensure!(
                failed_tries < FIRST_TRIES,
                "PostgreSQL does not come up ({status})"
            );
        }
        if started.elapsed() > HEALTHY {
            pause = FIRST_PAUSE;
        }
        report(&format!(
            "PostgreSQL ended ({status}); it is started again in {} ms",
            pause.as_millis()
        ));
        if stop.recv_timeout(pause) != Err(RecvTimeoutError::Timeout) {
            break;
        }
        pause = (pause * 2).min(LONGEST_PAUSE);
    }
    Ok(place.clean_up(task.remove_at_end)?)
}

/// One life of the server.
struct Run {
    was_ready: bool,
    /// `None` when it still runs and is to be stopped.
    ended: Option<ExitStatus>,
}

fn watch(child: &mut Child, data: &Path, stop: &Receiver<()>) -> anyhow::Result<Run> {
    let mut was_ready = false;
    loop {
        if let Some(status) = child.try_wait()? {
            return Ok(Run {
                was_ready,
                ended: Some(status),
            });
        }
        if !was_ready
            && leftover::running(data)
                .is_some_and(|found| found.ready && found.pid == pid_of(child))
        {
            was_ready = true;
            report(READY);
        }
        // Looking is cheaper than a second thread in wait(), and cannot signal a number that was reused meanwhile.
        let look_again = Duration::from_millis(if was_ready { 100 } else { 20 });
        if stop.recv_timeout(look_again) != Err(RecvTimeoutError::Timeout) {
            return Ok(Run {
                was_ready,
                ended: None,
            });
        }
    }
}

/// One message per reason to stop: the owner's end of the pipe was closed, or a signal.
fn stop_requests() -> anyhow::Result<Receiver<()>> {
    let (sender, receiver) = channel();
    let from_signal = sender.clone();
    let mut signals = signal_hook::iterator::Signals::new([signal_hook::consts::SIGTERM])?;
    std::thread::spawn(move || signals.forever().all(|_| from_signal.send(()).is_ok()));
    std::thread::spawn(move || {
        // Nothing is ever written: an error is as good an end as the end.
        let _ = std::io::stdin().read_to_end(&mut Vec::new());
        let _ = sender.send(());
    });
    Ok(receiver)
}

/// A supervisor killed with SIGKILL leaves its server behind. It is stopped rather than adopted: only a parent
/// learns at once that its child has ended.
fn stop_leftover(data: &Path) -> anyhow::Result<()> {
    let Some(found) = leftover::running(data) else {
        return Ok(());
    };
    report(&format!(
        "a PostgreSQL (process {}) was left over from a killed start: it is stopped first",
        found.pid
    ));
    server::stop(found.pid, || Ok(leftover::running(data).is_none()))
}

fn pid_of(child: &Child) -> Pid {
    Pid::from_raw(i32::try_from(child.id()).expect("process ids are positive and below 2^22"))
}

/// The keeper may be gone already; nobody is left to tell then.
fn report(line: &str) {
    let _ = writeln!(std::io::stderr(), "{line}");
}
