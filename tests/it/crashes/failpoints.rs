//! A worker kills itself at the worst places, one of several under two schedulers. And no build that is shipped has such
//! places.

use std::fs;
use std::os::unix::process::ExitStatusExt;
use std::path::Path;
use std::process::Command;

use nix::sys::signal::Signal;
use rand::Rng;
use stalker_tests::database::TestDatabase;
use stalker_tests::executables::{checkout, stalkerd};
use stalker_tests::rounds::rounds;
use stalker_tests::seed;
use stalker_tests::server::{Component, Installation};

use super::PATIENCE;
use super::cluster::Cluster;

#[tokio::test]
async fn killed_after_claim() {
    killed_among_others("after-claim").await;
}

#[tokio::test]
async fn killed_before_record() {
    killed_among_others("before-record").await;
}

#[tokio::test]
async fn killed_inside_record() {
    killed_among_others("inside-record").await;
}

#[tokio::test]
async fn killed_after_record() {
    killed_among_others("after-record").await;
}

/// The pager has it and nobody knows: it is told again, with the same key, and nothing else is.
#[tokio::test]
async fn killed_after_accept() {
    let mut cluster = Cluster::start().await;
    let mut workers = two_workers(&cluster).await;
    cluster.all_are_well().await;
    for _ in 0..rounds(1) {
        for turn in [Cluster::break_all, Cluster::mend_all] {
            // so that it is the victim who tells
            for worker in &mut workers {
                worker.process.terminate(PATIENCE).await;
            }
            turn(&mut cluster);
            somebody_dies(&mut cluster, "after-accept", 1).await;
            workers = two_workers(&cluster).await;
            cluster.recovers().await;
        }
        cluster.calm_down().await;
    }
    let twice = cluster.books_are_right().await;
    assert!(
        twice >= 2,
        "{twice} messages were told again, not both kinds"
    );
}

/// While two workers work on, one more dies early in an episode, and another early in its end.
async fn killed_among_others(place: &str) {
    let mut random = seed::random();
    let mut cluster = Cluster::start().await;
    let _workers = two_workers(&cluster).await;
    cluster.all_are_well().await;
    for _ in 0..rounds(1) {
        for turn in [Cluster::break_all, Cluster::mend_all] {
            turn(&mut cluster);
            somebody_dies(&mut cluster, place, random.random_range(1..4)).await;
            cluster.recovers().await;
        }
        cluster.calm_down().await;
    }
    cluster.books_are_right().await;
}

async fn two_workers(cluster: &Cluster) -> [Component; 2] {
    [cluster.worker().await, cluster.worker().await]
}

/// A worker starts that will kill itself when it has come to `place` so many times.
async fn somebody_dies(cluster: &mut Cluster, place: &str, times: u32) {
    let failpoint = format!("{place}:kill@{times}");
    let environment = [("STALKER_FAILPOINT", failpoint.as_str())];
    let mut victim = cluster
        .installation
        .start_with("worker", &environment)
        .await;
    let ended = victim.process.ended(PATIENCE).await;
    assert_eq!(ended.signal(), Some(Signal::SIGKILL as i32), "{ended}");
    cluster.worker_died();
}

/// A test that names a place that does not exist would prove nothing.
#[tokio::test]
async fn misspelt_failpoint_is_refused() {
    let database = TestDatabase::new().await;
    let installation = Installation::new(&database);
    for wrong in ["after-clam:kill", "after-claim:die", "after-claim"] {
        let environment = [("STALKER_FAILPOINT", wrong)];
        let (mut process, _) = installation.spawn_with("worker", &environment);
        let ended = process.ended(PATIENCE).await;
        let said = process.output();
        assert!(!ended.success() && said.contains(wrong), "{ended}: {said}");
    }
}

/// Without `debug_assertions` the module is empty: neither code nor names. Built alone, since a release of all takes
/// long; `make release-has-no-failpoints` looks into the whole one. That the search finds what is there is shown by the
/// executable under test.
#[test]
fn builds_without_assertions_have_no_failpoints() {
    let folder = tempfile::tempdir().expect("a temporary folder can be made");
    let object = folder.path().join("failpoint.o");
    let mut compiler = Command::new("rustc");
    compiler
        .args([
            "--edition",
            "2024",
            "--crate-type",
            "lib",
            "--crate-name",
            "failpoint",
        ])
        .args(["--emit", "obj", "-C", "debug-assertions=off", "-o"])
        .arg(&object)
        .arg(checkout().join("crates/db/src/failpoint.rs"));
    let built = compiler.output().expect("who has cargo has rustc");
    assert!(
        built.status.success(),
        "{}",
        String::from_utf8_lossy(&built.stderr)
    );
    assert!(fs::metadata(&object).is_ok_and(|file| file.len() > 0));

    let (is_clean, said) = searched(&object);
    assert!(is_clean, "{said}");
    let (is_clean, said) = searched(&stalkerd());
    assert!(!is_clean, "this one has them: {said}");
    for name in ["STALKER_FAILPOINT", "after-claim", "inside-record"] {
        assert!(said.contains(name), "{name} is not searched for: {said}");
    }
}

/// What `scripts/release-has-no-failpoints` says of a file.
fn searched(file: &Path) -> (bool, String) {
    let script = checkout().join("scripts/release-has-no-failpoints");
    let ended = Command::new(script).arg(file).output();
    let ended = ended.expect("the script runs");
    let said = String::from_utf8_lossy(&ended.stderr).into_owned();
    (ended.status.success(), said)
}
