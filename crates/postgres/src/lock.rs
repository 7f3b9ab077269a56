//! One owner per folder.
//!
//! The lock belongs to the open file, and the supervisor is given that same open file: the folder stays locked until
//! both have ended, so the next start never meets a server that is still being stopped.

use std::fs::{File, OpenOptions, TryLockError};
use std::io::{Read as _, Write as _};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::Path;
use std::time::{Duration, Instant};

use anyhow::{Context, bail};
use nix::errno::Errno;
use nix::sys::signal::kill;
use nix::unistd::Pid;

/// A supervisor without owner needs up to 15 s for its server.
const PATIENCE: Duration = Duration::from_secs(20);

/// Locks `path` and writes our process id into it. Waits while a supervisor whose owner was killed ends.
pub(crate) fn take(path: &Path) -> anyhow::Result<File> {
    let mut file = OpenOptions::new()
        .read(true)
        .write(true)
        .create(true)
        .truncate(false)
        .mode(0o600)
        .open(path)
        .with_context(|| format!("cannot open {}", path.display()))?;
    let started = Instant::now();
    loop {
        match file.try_lock() {
            Ok(()) => break,
            Err(TryLockError::Error(error)) => {
                return Err(error).with_context(|| format!("cannot lock {}", path.display()));
            }
            Err(TryLockError::WouldBlock) => {
                let folder = path.parent().unwrap_or(path).display();
                match owner(path) {
                    Some(pid) if !is_alive(pid) => {}
                    Some(pid) => {
                        bail!("the private PostgreSQL in {folder} is in use by process {pid}")
                    }
                    None => {
                        bail!("the private PostgreSQL in {folder} is in use by another process")
                    }
                }
                if started.elapsed() > PATIENCE {
                    bail!(
                        "the private PostgreSQL in {folder} is still being stopped after its owner was killed"
                    );
                }
                std::thread::sleep(Duration::from_millis(100));
            }
        }
    }
    file.set_len(0)?;
    writeln!(file, "{}", std::process::id())?;
    Ok(file)
}

fn owner(path: &Path) -> Option<Pid> {
    let mut text = String::new();
    File::open(path).ok()?.read_to_string(&mut text).ok()?;
    text.trim().parse().ok().map(Pid::from_raw)
}

fn is_alive(pid: Pid) -> bool {
    // EPERM means that it is alive, and somebody else's.
    matches!(kill(pid, None), Ok(()) | Err(Errno::EPERM))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_second_is_told_who_has_it() {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let path = folder.path().join("lock");
        let first = take(&path).expect("nobody has it");
        let error = take(&path).expect_err("the first has it").to_string();
        assert!(
            error.ends_with(&format!("in use by process {}", std::process::id())),
            "{error}"
        );
        drop(first);
        take(&path).expect("free again");
    }
}
