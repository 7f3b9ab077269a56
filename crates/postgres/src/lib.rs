//! A private PostgreSQL: found on this machine, created, started, supervised and stopped by us.
//!
//! It serves `stalkerd up` and everything that needs a database for a while (tests, the check of the query files),
//! so that nobody has to set one up, and so that ours and the user's never meet: it listens on no port, only on a
//! socket in a folder that nobody else may enter.
//!
//! Four parties take part. The *owner* is the process that holds a [`PrivatePostgres`]. Its *keeper*, a thread,
//! holds a pipe to the *supervisor*, a process of ours that starts the *server* again when it dies and stops it
//! when the pipe ends: however the owner ends, SIGKILL included, the server does not outlive it.

#![expect(
    clippy::disallowed_methods,
    reason = "this crate is synchronous throughout: it waits in threads of its own"
)]

mod account;
mod cluster;
mod find;
mod keeper;
mod leftover;
mod lock;
mod place;
pub mod run;
mod server;
pub mod supervisor;

use std::path::{Path, PathBuf};
use std::sync::Arc;

use anyhow::Context;

use crate::account::Account;
use crate::keeper::Keeper;
use crate::place::Place;

/// Receives, one line each, what a person should be told: data placed elsewhere, the server started again.
pub type Notice = Arc<dyn Fn(&str) + Send + Sync>;

/// What [`PrivatePostgres::start`] needs to know.
pub struct Options {
    /// The folder to keep data, socket and log in; created when it is missing.
    pub dir: PathBuf,
    /// The folder that holds `initdb` and `postgres`; without it `PATH` and the usual places are searched.
    pub pg_bin: Option<PathBuf>,
    /// Whether data must survive a crash of the machine. Tests say no: without `fsync` they are several times faster.
    /// A crash of the server alone loses nothing either way.
    pub durable: bool,
    /// Whether the folder is removed once the server has stopped, however its owner ended.
    pub remove_at_end: bool,
    /// The executable `stalker-postgres`, which is started as the supervisor; see [`supervisor_beside_me`].
    pub supervisor: PathBuf,
    /// Who is told; called from the keeper's thread as well.
    pub notice: Notice,
}

/// A running private PostgreSQL. Dropping it lets the supervisor stop the server, without waiting for that.
pub struct PrivatePostgres {
    url: String,
    keeper: Keeper,
}

impl PrivatePostgres {
    /// Creates the cluster when there is none, starts the server and blocks until it accepts connections.
    ///
    /// # Errors
    /// No usable PostgreSQL was found, another process uses the folder, or the server did not come up within
    /// 60 s; the message then ends with the last lines of the server's log.
    pub fn start(options: Options) -> anyhow::Result<Self> {
        let place = Place::choose(&options.dir, &options.notice)?;
        let lock = lock::take(&place.lock_file())?;
        let account = Account::for_data(&place.data())?;
        let bin = find::server(options.pg_bin.as_deref(), &place.data(), &account)?;
        place.prepare(&account)?;
        cluster::create_if_missing(&bin, &place, &account, options.durable)?;
        let url = url(&place.socket_dir());
        let keeper = Keeper::start(&options, &place, &bin, lock)?;
        Ok(Self { url, keeper })
    }

    /// `postgres://stalker@localhost/stalker?host=/socket/folder`. The role is a superuser, so that tests can create
    /// databases; there is no password, because only the account that owns the socket's folder (and root) gets to it.
    pub fn url(&self) -> &str {
        &self.url
    }

    /// Stops the server and waits until it has ended: at most about 20 s.
    pub fn stop(self) {
        self.keeper.stop();
    }
}

/// The executable `stalker-postgres` in the folder of the running one, where a build and an installation put it.
///
/// # Errors
/// It is not there.
pub fn supervisor_beside_me() -> anyhow::Result<PathBuf> {
    let me = std::env::current_exe().context("cannot tell which executable this is")?;
    let supervisor = me.with_file_name("stalker-postgres");
    anyhow::ensure!(
        supervisor.is_file(),
        "{} is missing: build it too (cargo build --bins)",
        supervisor.display()
    );
    Ok(supervisor)
}

/// The host is a parameter because a socket's folder has slashes, which a URL's host part cannot hold.
fn url(socket_dir: &Path) -> String {
    use std::fmt::Write as _;
    use std::os::unix::ffi::OsStrExt as _;
    let mut url = String::from("postgres://stalker@localhost/stalker?host=");
    for &byte in socket_dir.as_os_str().as_bytes() {
        if byte.is_ascii_alphanumeric() || b"/-._~".contains(&byte) {
            url.push(char::from(byte));
        } else {
            write!(url, "%{byte:02X}").expect("a String takes every write");
        }
    }
    url
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn url_escapes_what_a_query_cannot_hold() {
        assert_eq!(
            url(Path::new("/var/lib/x-1")),
            "postgres://stalker@localhost/stalker?host=/var/lib/x-1"
        );
        assert_eq!(
            url(Path::new("/a b/ü&c")),
            "postgres://stalker@localhost/stalker?host=/a%20b/%C3%BC%26c"
        );
    }
}
