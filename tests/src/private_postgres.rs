//! A PostgreSQL of the test's own, for tests in which it is killed.

use std::fs::{self, Permissions};
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::Command;
use std::time::Duration;

use sqlx::{Connection, PgConnection};
use tempfile::TempDir;

use crate::executables;
use crate::process::{Process, command, parent_of};
use crate::until::until;

/// From the start to the first connection: a cluster is made in half a second on an idle machine.
const START: Duration = Duration::from_secs(30);

/// `stalker-postgres run` around a command that tells the address and then stays. Dropped, it is killed, and the server
/// ends with it.
#[derive(Debug)]
pub struct PrivatePostgres {
    /// The owner of the server, to be signalled.
    pub process: Process,
    /// The address of a database in it.
    pub url: String,
    /// Where its temporary files lie.
    pub temporary: TempDir,
}

impl PrivatePostgres {
    /// Starts one with temporary data.
    ///
    /// # Panics
    /// If it is not up in time.
    pub async fn start() -> Self {
        Self::with(&["--temporary"], reachable_folder()).await
    }

    /// Starts one with these options of `stalker-postgres run`.
    ///
    /// # Panics
    /// If it is not up in time.
    pub async fn with(options: &[&str], temporary: TempDir) -> Self {
        let mut command = run(options, "echo url=$DATABASE_URL; exec sleep 600");
        let process = Process::start("postgres", command.env("TMPDIR", temporary.path()));
        let url = async || {
            process
                .output()
                .lines()
                .find_map(|line| line.strip_prefix("url=").map(str::to_owned))
        };
        let url = until("PostgreSQL is up", START, url).await;
        Self {
            process,
            url,
            temporary,
        }
    }

    /// A new connection.
    ///
    /// # Panics
    /// If none is accepted.
    pub async fn connect(&self) -> PgConnection {
        PgConnection::connect(&self.url)
            .await
            .expect("it accepts connections")
    }

    /// The process id of the server, if it answers.
    pub async fn server_if_up(&self) -> Option<u32> {
        let mut connection = PgConnection::connect(&self.url).await.ok()?;
        let backend: i32 = sqlx::query_scalar("select pg_backend_pid()")
            .fetch_one(&mut connection)
            .await
            .ok()?;
        // every connection's own process is a child of the server
        parent_of(Path::new(&format!("/proc/{backend}")))
    }

    /// The process id of the server.
    ///
    /// # Panics
    /// If it does not answer.
    pub async fn server(&self) -> u32 {
        self.server_if_up().await.expect("the server answers")
    }

    /// Waits until a server answers that is another one than `old`, whose last processes may still be about.
    ///
    /// # Panics
    /// If there is none in time.
    pub async fn server_after(&self, old: u32) -> u32 {
        until("the server is back", START, async || {
            self.server_if_up().await.filter(|pid| *pid != old)
        })
        .await
    }
}

/// `stalker-postgres run` with these options around a shell script.
#[must_use]
pub fn run(options: &[&str], script: &str) -> Command {
    let mut command = command(&executables::stalker_postgres());
    command
        .arg("run")
        .args(options)
        .args(["--", "/bin/sh", "-c", script]);
    command
}

/// A temporary folder that the server's own account can reach.
///
/// # Panics
/// If there is no room for temporary files.
#[must_use]
pub fn reachable_folder() -> TempDir {
    let folder = tempfile::tempdir().expect("a temporary folder can be made");
    fs::set_permissions(folder.path(), Permissions::from_mode(0o755))
        .expect("our own folder can be opened to others");
    folder
}
