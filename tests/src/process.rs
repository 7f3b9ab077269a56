//! An executable as a child process, whose output is kept and shown if the test fails.

use std::fs;
use std::io::{BufRead, BufReader, Read};
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use nix::sys::signal::{Signal, kill, killpg};
use nix::unistd::Pid;

use crate::until::until;

/// What a child may see of our environment: what it needs to start. Above all not the user's `DATABASE_URL`.
const INHERITED: [&str; 6] = ["PATH", "HOME", "USER", "TMPDIR", "LANG", "RUST_BACKTRACE"];

/// A command with nothing of our environment but what executables need to be found and to write, and nothing to read.
#[must_use]
pub fn command(executable: &Path) -> Command {
    let mut command = Command::new(executable);
    command.env_clear().stdin(Stdio::null());
    command.envs(
        INHERITED
            .iter()
            .filter_map(|name| Some((name, std::env::var_os(name)?))),
    );
    command
}

/// A running child in a process group of its own. Dropped, it is killed with its group.
#[derive(Debug)]
pub struct Process {
    name: String,
    child: Child,
    lines: Arc<Mutex<Vec<String>>>,
    readers: Vec<JoinHandle<()>>,
}

impl Process {
    /// Starts `command`; `name` marks its lines in the output of a failed test.
    ///
    /// # Panics
    /// If it cannot be started.
    #[must_use]
    pub fn start(name: &str, command: &mut Command) -> Self {
        let mut child = command
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .process_group(0)
            .spawn()
            .unwrap_or_else(|error| panic!("{name} does not start: {error}: {command:?}"));
        let lines = Arc::new(Mutex::new(Vec::new()));
        let stdout = child.stdout.take().expect("stdout was piped");
        let stderr = child.stderr.take().expect("stderr was piped");
        let readers = vec![collect(stdout, &lines), collect(stderr, &lines)];
        Self {
            name: name.to_owned(),
            child,
            lines,
            readers,
        }
    }

    /// Its process id, also after it has ended.
    #[must_use]
    pub fn pid(&self) -> u32 {
        self.child.id()
    }

    /// What it has printed so far, both streams, in the order of arrival.
    #[must_use]
    pub fn output(&self) -> String {
        self.lines
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .join("\n")
    }

    /// Sends a signal to the process alone, not to its group.
    ///
    /// # Panics
    /// If it has ended and was waited for.
    pub fn signal(&self, signal: Signal) {
        kill(self.nix_pid(), signal)
            .unwrap_or_else(|error| panic!("{signal} does not reach {}: {error}", self.name));
    }

    /// SIGKILL, as a crash: nothing of it gets to clean up. Its children are left to themselves.
    pub fn kill(&mut self) -> ExitStatus {
        self.signal(Signal::SIGKILL);
        self.child.wait().expect("a child can be waited for")
    }

    /// SIGSTOP: it sleeps without knowing, as a machine that was suspended.
    pub fn suspend(&self) {
        self.signal(Signal::SIGSTOP);
    }

    /// SIGCONT after [`Process::suspend`].
    pub fn resume(&self) {
        self.signal(Signal::SIGCONT);
    }

    /// SIGTERM, then waits for the end.
    ///
    /// # Panics
    /// If it has not ended after `deadline`.
    pub async fn terminate(&mut self, deadline: Duration) -> ExitStatus {
        self.signal(Signal::SIGTERM);
        self.ended(deadline).await
    }

    /// Waits until it has ended by itself, and until all that it printed has arrived.
    ///
    /// # Panics
    /// If it has not ended after `deadline`.
    pub async fn ended(&mut self, deadline: Duration) -> ExitStatus {
        let what = format!("{} ends", self.name);
        let child = &mut self.child;
        let status = until(&what, deadline, async || {
            child.try_wait().expect("a child can be waited for")
        })
        .await;
        // A grandchild may hold the pipes open for longer, so this is worth one moment and not an error.
        let readers = &self.readers;
        let read = async || readers.iter().all(JoinHandle::is_finished).then_some(());
        let _ = tokio::time::timeout(
            Duration::from_secs(1),
            until("its output arrives", Duration::MAX, read),
        )
        .await;
        status
    }

    /// Whether it is still running.
    #[must_use]
    pub fn is_running(&mut self) -> bool {
        self.child
            .try_wait()
            .expect("a child can be waited for")
            .is_none()
    }

    fn nix_pid(&self) -> Pid {
        pid(self.child.id())
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        // An error means that the whole group has ended already.
        let _ = killpg(self.nix_pid(), Signal::SIGKILL);
        let _ = self.child.wait();
        if thread::panicking() {
            for line in self
                .lines
                .lock()
                .unwrap_or_else(PoisonError::into_inner)
                .iter()
            {
                eprintln!("{}: {line}", self.name);
            }
        }
    }
}

/// Whether a process with this id exists and is no zombie: also of processes that are not our children.
#[must_use]
pub fn is_alive(pid: u32) -> bool {
    stat(Path::new(&format!("/proc/{pid}"))).is_some_and(|(state, _)| state != 'Z' && state != 'X')
}

/// The parent of a process that is given as its folder in /proc.
#[must_use]
pub fn parent_of(process: &Path) -> Option<u32> {
    stat(process).map(|(_, parent)| parent)
}

/// A child of a process by the child's name, of which Linux keeps 15 letters.
///
/// # Panics
/// If there is no /proc.
#[must_use]
pub fn child_of(pid: u32, name: &str) -> Option<u32> {
    let processes = fs::read_dir("/proc")
        .expect("/proc can be read")
        .flatten()
        .map(|entry| entry.path());
    let mut children = processes.filter(|process| parent_of(process) == Some(pid));
    let short = name.get(..15).unwrap_or(name);
    let child = children.find(|child| {
        fs::read_to_string(child.join("comm")).is_ok_and(|comm| comm.trim() == short)
    })?;
    child.file_name()?.to_str()?.parse().ok()
}

/// State and parent: `pid (name) state ppid …`, where the name may hold anything.
fn stat(process: &Path) -> Option<(char, u32)> {
    let stat = fs::read_to_string(process.join("stat")).ok()?;
    let mut fields = stat.rsplit_once(')')?.1.split_whitespace();
    Some((fields.next()?.chars().next()?, fields.next()?.parse().ok()?))
}

/// Sends a signal to a process that is not our child, such as a server that a child has started.
///
/// # Panics
/// If there is no such process.
pub fn signal(id: u32, signal: Signal) {
    kill(pid(id), signal)
        .unwrap_or_else(|error| panic!("{signal} does not reach process {id}: {error}"));
}

fn pid(id: u32) -> Pid {
    Pid::from_raw(id.try_into().expect("process ids fit in an i32"))
}

fn collect(stream: impl Read + Send + 'static, lines: &Arc<Mutex<Vec<String>>>) -> JoinHandle<()> {
    let lines = Arc::clone(lines);
    thread::spawn(move || {
        for line in BufReader::new(stream).split(b'\n').map_while(Result::ok) {
            lines
                .lock()
                .unwrap_or_else(PoisonError::into_inner)
                .push(String::from_utf8_lossy(&line).into_owned());
        }
    })
}
