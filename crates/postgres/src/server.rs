//! The server process: how it is started and stopped.

use std::fs::OpenOptions;
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::Path;
use std::process::{Child, Stdio};
use std::time::{Duration, Instant};

use anyhow::Context;
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

use crate::account::Account;
use crate::place::Place;

/// What everything here relies on; given on the command line, which no edited `postgresql.conf` overrides.
const SETTINGS: &[&str] = &[
    "listen_addresses=", // sockets only: no port is taken, nothing can be reached from another machine
    "port=5432",         // part of the socket's name
    "max_connections=300",
    "shared_buffers=256MB",
    "jit=off", // our statements run for a millisecond; compiling one takes a hundred
    "logging_collector=off",
    "log_line_prefix=%m [%p] %d ",
    "log_timezone=UTC",
    "timezone=UTC",
];

/// Nothing of a test outlives the machine. `synchronous_commit` stays: the order of commits is what tests look at.
const NOT_DURABLE: &[&str] = &["fsync=off", "full_page_writes=off"];

/// A fast shutdown writes a checkpoint; after this long the server is made to end without one, and recovers later.
const FAST_SHUTDOWN: Duration = Duration::from_secs(10);
const IMMEDIATE_SHUTDOWN: Duration = Duration::from_secs(5);
/// The log is put aside at a start when it has grown beyond this many bytes.
const LOG_LIMIT: u64 = 10_000_000;

pub(crate) fn spawn(
    bin: &Path,
    place: &Place,
    account: &Account,
    durable: bool,
) -> anyhow::Result<Child> {
    let path = place.log_file();
    if std::fs::metadata(&path).is_ok_and(|log| log.len() > LOG_LIMIT) {
        std::fs::rename(&path, path.with_extension("log.1"))?;
    }
    let log = OpenOptions::new()
        .append(true)
        .create(true)
        .mode(0o600)
        .open(&path)
        .with_context(|| format!("cannot open {}", path.display()))?;
    let mut command = account.command(&bin.join("postgres"));
    command
        .arg("-D")
        .arg(place.data())
        .arg("-c")
        .arg(socket_setting(&place.socket_dir()));
    for setting in SETTINGS
        .iter()
        .chain(NOT_DURABLE.iter().filter(|_| !durable))
    {
        command.args(["-c", setting]);
    }
    command
        .stdin(Stdio::null())
        .stdout(log.try_clone()?)
        .stderr(log)
        .spawn()
        .with_context(|| format!("cannot run {}", bin.join("postgres").display()))
}

/// The setting is a list, so a path with a comma or a space must stand in quotes.
fn socket_setting(folder: &Path) -> std::ffi::OsString {
    use std::os::unix::ffi::{OsStrExt as _, OsStringExt as _};
    let mut setting = b"unix_socket_directories=\"".to_vec();
    for &byte in folder.as_os_str().as_bytes() {
        setting.push(byte);
        if byte == b'"' {
            setting.push(byte);
        }
    }
    setting.push(b'"');
    std::ffi::OsString::from_vec(setting)
}

/// Stops the server `pid`: fast, then immediately, then by force. `ended` tells, and reaps if it is a child.
///
/// # Errors
/// It is not ours to signal, or it survived everything.
pub(crate) fn stop(
    pid: Pid,
    mut ended: impl FnMut() -> anyhow::Result<bool>,
) -> anyhow::Result<()> {
    for (signal, patience) in [
        (Signal::SIGINT, FAST_SHUTDOWN),
        (Signal::SIGQUIT, IMMEDIATE_SHUTDOWN),
        (Signal::SIGKILL, IMMEDIATE_SHUTDOWN),
    ] {
        if ended()? {
            return Ok(());
        }
        // It may have ended in between; then the next look tells.
        let _ = kill(pid, signal);
        let sent = Instant::now();
        while sent.elapsed() < patience {
            if ended()? {
                return Ok(());
            }
            std::thread::sleep(Duration::from_millis(20));
        }
    }
    anyhow::bail!("PostgreSQL (process {pid}) does not end")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_socket_folder_is_one_element_of_a_list() {
        let check = |path, expected: &str| assert_eq!(socket_setting(Path::new(path)), expected);
        check("/srv/pg/run", r#"unix_socket_directories="/srv/pg/run""#);
        check(r#"/a, b"c"#, r#"unix_socket_directories="/a, b""c""#);
    }
}
