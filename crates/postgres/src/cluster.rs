//! Creating the cluster: once per folder.

use std::io::Write as _;
use std::path::Path;
use std::process::{Command, Stdio};

use anyhow::{Context, ensure};

use crate::account::Account;
use crate::place::Place;

/// Makes `DIR/data` with the superuser and the database `stalker`, unless it is there.
///
/// It grows under another name and is renamed when it is whole: a start that was killed half-way leaves nothing that
/// looks like data.
pub(crate) fn create_if_missing(
    bin: &Path,
    place: &Place,
    account: &Account,
    durable: bool,
) -> anyhow::Result<()> {
    if place.has_data() {
        return Ok(());
    }
    let growing = place.dir().join("data.new");
    if growing.exists() {
        std::fs::remove_dir_all(&growing)
            .with_context(|| format!("cannot remove {}", growing.display()))?;
    }
    std::fs::create_dir(&growing)
        .with_context(|| format!("cannot create {}", growing.display()))?;
    account.take_over(&growing)?;

    let mut initdb = account.command(&bin.join("initdb"));
    // `trust` is safe where the socket's folder is the lock: mode 0700, no TCP. A password would have to lie in a file
    // that the same account can read. Locale C sorts alike everywhere and lets an ordinary index serve prefixes.
    initdb
        .args([
            "--username=stalker",
            "--auth=trust",
            "--encoding=UTF8",
            "--locale=C",
            "--pgdata",
        ])
        .arg(&growing);
    if !durable {
        initdb.arg("--no-sync");
    }
    feed(initdb, "").context("initdb failed")?;

    // Single-user mode instead of psql: a server's package need not bring a client.
    let mut single = account.command(&bin.join("postgres"));
    single
        .args(["--single", "-j", "-c", "exit_on_error=true", "-D"])
        .arg(&growing)
        .arg("postgres");
    feed(single, "create database stalker;\n").context("cannot create the database")?;

    std::fs::rename(&growing, place.data()).context("cannot rename the new cluster")?;
    Ok(())
}

/// Runs `command` on `input`; what it printed is part of the error when it fails.
fn feed(mut command: Command, input: &str) -> anyhow::Result<()> {
    let mut child = command
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .with_context(|| format!("cannot run {}", command.get_program().to_string_lossy()))?;
    // A child that ended before it read says why on stderr; a broken pipe would only hide that.
    let _ = child
        .stdin
        .take()
        .expect("stdin is piped")
        .write_all(input.as_bytes());
    let output = child.wait_with_output()?;
    ensure!(
        output.status.success(),
        "{}\n{}{}",
        output.status,
        String::from_utf8_lossy(&output.stdout),
        String::from_utf8_lossy(&output.stderr)
    );
    Ok(())
}
