//! The private PostgreSQL, as the executable `stalker-postgres`: it serves, survives, and leaves nothing behind.

use std::fs;
use std::path::Path;
use std::time::{Duration, Instant};

use nix::sys::signal::Signal;
use stalker_tests::executables;
use stalker_tests::private_postgres::{PrivatePostgres, reachable_folder, run};
use stalker_tests::process::{Process, child_of, command, is_alive, signal};
use stalker_tests::until::{until, until_seen};

/// From the start to the first connection, and for an end: a cluster is made in half a second on an idle machine.
const PATIENCE: Duration = Duration::from_secs(30);

/// The command is told the address, the exit code is its own, and the temporary folder is gone afterwards.
#[tokio::test]
async fn runs_a_command_and_leaves_nothing() {
    let folder = reachable_folder();
    let script = "echo url=$DATABASE_URL; exit 7";
    let mut process = Process::start(
        "run",
        run(&["--temporary"], script).env("TMPDIR", folder.path()),
    );
    let status = process.ended(PATIENCE).await;
    assert_eq!(status.code(), Some(7), "{}", process.output());
    assert!(
        process.output().contains("url=postgres://"),
        "{}",
        process.output()
    );
    assert_eq!(
        names(folder.path()),
        [""; 0],
        "the temporary folder was not removed"
    );
}

/// A command that ends by a signal, and one that does not exist, are told as a shell would.
#[tokio::test]
async fn passes_on_how_its_command_ended() {
    let mut killed = Process::start("killed", &mut run(&["--temporary"], "kill -9 $$"));
    let mut absent = command(&executables::stalker_postgres());
    let mut absent = Process::start("absent", absent.args(["run", "--", "/does/not/exist"]));
    assert_eq!(killed.ended(PATIENCE).await.code(), Some(128 + 9));
    assert_eq!(absent.ended(PATIENCE).await.code(), Some(127));
}

/// The server's death by SIGKILL: nothing that was committed is lost, and it is back at the same address.
#[tokio::test]
async fn killed_comes_back_at_the_same_url() {
    let running = PrivatePostgres::start().await;
    let server = running.server().await;
    sqlx::query("create table kept as select 1 as row")
        .execute(&mut running.connect().await)
        .await
        .expect("a table can be made");

    signal(server, Signal::SIGKILL);
    let killed = Instant::now();
    running.server_after(server).await;
    assert!(
        killed.elapsed() < Duration::from_secs(10),
        "back after {:?}",
        killed.elapsed()
    );
    let kept: i64 = sqlx::query_scalar("select count(*) from kept")
        .fetch_one(&mut running.connect().await)
        .await
        .expect("the table is there");
    assert_eq!(kept, 1);
}

/// The supervisor's death: another one takes its place, the server stays or comes back, and the end is clean.
#[tokio::test]
async fn without_its_supervisor_is_supervised_again() {
    let mut running = PrivatePostgres::start().await;
    let supervisor =
        child_of(running.process.pid(), "stalker-postgres").expect("there is a supervisor");
    let server = running.server().await;
    signal(supervisor, Signal::SIGKILL);
    until("there is another supervisor", PATIENCE, async || {
        child_of(running.process.pid(), "stalker-postgres").filter(|pid| *pid != supervisor)
    })
    .await;
    let now = until("the server answers", PATIENCE, async || {
        running.server_if_up().await
    })
    .await;
    running.process.terminate(PATIENCE).await;
    assert!(
        !is_alive(server) && !is_alive(now),
        "a server outlived `run`"
    );
    assert_eq!(
        names(running.temporary.path()),
        [""; 0],
        "the temporary folder was not removed"
    );
}

/// The owner's death by SIGKILL, in which nobody can clean up: the server ends by itself.
#[tokio::test]
async fn ends_with_its_owner() {
    let mut running = PrivatePostgres::start().await;
    let server = running.server().await;
    assert_eq!(
        names(running.temporary.path()).len(),
        1,
        "the data lie in the temporary folder"
    );
    running.process.kill();
    until_seen(
        "the server has ended",
        PATIENCE,
        async || is_alive(server),
        |alive| !alive,
    )
    .await;
    let left = async || names(running.temporary.path());
    until_seen(
        "the temporary folder is removed",
        PATIENCE,
        left,
        Vec::is_empty,
    )
    .await;
}

/// SIGTERM goes to the command, and the server ends after it.
#[tokio::test]
async fn is_terminated_in_order() {
    let mut running = PrivatePostgres::start().await;
    let server = running.server().await;
    assert_eq!(
        running.process.terminate(PATIENCE).await.code(),
        Some(128 + 15)
    );
    assert!(!is_alive(server), "the server outlived `run`");
}

/// Data that are kept: a second owner is refused by name, and a next start continues, also after a SIGKILL of all.
#[tokio::test]
async fn keeps_a_folder_for_one_owner() {
    let folder = reachable_folder();
    let dir = folder.path().join("pg");
    let option = ["--dir", dir.to_str().expect("temporary paths are text")];
    let mut first = PrivatePostgres::with(&option, reachable_folder()).await;
    let mut connection = first.connect().await;
    sqlx::query("create table kept as select 1 as row")
        .execute(&mut connection)
        .await
        .expect("a table can be made");
    let server = first.server().await;

    let mut second = Process::start("second", &mut run(&option, "echo never"));
    assert_eq!(second.ended(PATIENCE).await.code(), Some(125));
    let told = second.output();
    assert!(
        told.contains(&format!("in use by process {}", first.process.pid()))
            && !told.contains("never"),
        "{told}"
    );

    // Worst case: owner and supervisor die together, so that nobody stops the server.
    let supervisor =
        child_of(first.process.pid(), "stalker-postgres").expect("there is a supervisor");
    signal(supervisor, Signal::SIGSTOP);
    first.process.kill();
    signal(supervisor, Signal::SIGKILL);
    assert!(
        is_alive(server),
        "the server is left over, which is what the next start has to deal with"
    );

    let third = PrivatePostgres::with(&option, reachable_folder()).await;
    let mut connection = third.connect().await;
    let kept: i64 = sqlx::query_scalar("select count(*) from kept")
        .fetch_one(&mut connection)
        .await
        .expect("the table is there");
    assert_eq!(kept, 1);
}

fn names(folder: &Path) -> Vec<String> {
    let entries = fs::read_dir(folder).expect("the folder is there").flatten();
    entries
        .map(|entry| entry.file_name().to_string_lossy().into_owned())
        .collect()
}
