//! The benchmark itself: that it counts what happens, with its real parts, on a server that has other databases. What the
//! figures are is not looked at: here other tests share the machine.

use std::fs;
use std::time::Duration;

use nix::sys::signal::Signal;
use serde_json::Value;
use stalker_tests::database::TestDatabase;
use stalker_tests::executables;
use stalker_tests::process::{Process, command, is_alive, parent_of};
use stalker_tests::until::until;

/// Runs some scenarios with few checks, and returns what they wrote.
async fn measured(arguments: &[&str]) -> (Value, String) {
    let database = TestDatabase::new().await;
    let folder = tempfile::tempdir().expect("a folder can be made");
    let file = folder.path().join("figures.json");
    let mut command = command(&executables::stalker_bench());
    command
        .args(arguments)
        .arg("--json")
        .arg(&file)
        .env("DATABASE_URL", database.url());
    let mut process = Process::start("stalker-bench", &mut command);
    let ended = process.ended(Duration::from_secs(100)).await;
    let said = process.output();
    assert!(ended.success(), "{said}");
    assert!(!is_left(&database).await, "its database is gone");
    let figures = std::fs::read(&file).expect("figures were written");
    (
        serde_json::from_slice(&figures).expect("they are JSON"),
        said,
    )
}

/// Whether the server has the benchmark's database.
async fn is_left(database: &TestDatabase) -> bool {
    sqlx::query_scalar("select exists (select from pg_database where datname = 'stalker_bench')")
        .fetch_one(database.pool())
        .await
        .expect("the server answers")
}

/// A benchmark on the server of this database, in the environment of somebody who has an installation of Stalker.
fn bench(database: &TestDatabase, arguments: &[&str]) -> Process {
    let mut command = command(&executables::stalker_bench());
    command
        .args(arguments)
        .env("DATABASE_URL", database.url())
        .env(
            "STALKER__DATABASE__URL",
            "postgres://nobody@127.0.0.1:1/live",
        )
        .env("STALKER__NO_SUCH_SETTING", "1");
    Process::start("stalker-bench", &mut command)
}

/// In the middle of a measurement that takes a minute: all its processes, when a scheduler and a worker are there.
async fn in_the_middle(process: &Process) -> Vec<u32> {
    until("it measures", Duration::from_secs(60), async || {
        let all = below(process.pid());
        let names: Vec<String> = all
            .iter()
            .filter_map(|pid| fs::read_to_string(format!("/proc/{pid}/comm")).ok())
            .collect();
        let count = |name: &str| names.iter().filter(|found| found.trim() == name).count();
        // one part is above the scheduler, the other is the worker
        (count("stalkerd") == 1 && count("stalker-bench") == 2).then_some(all)
    })
    .await
}

/// All processes below this one.
fn below(pid: u32) -> Vec<u32> {
    let processes = fs::read_dir("/proc").expect("/proc can be read").flatten();
    let children: Vec<u32> = processes
        .filter(|entry| parent_of(&entry.path()) == Some(pid))
        .filter_map(|entry| entry.file_name().to_str()?.parse().ok())
        .collect();
    let further = children.iter().flat_map(|child| below(*child));
    let further: Vec<u32> = further.collect();
    [children, further].concat()
}

const MINUTE: [&str; 7] = [
    "engine",
    "--checks",
    "400",
    "--interval",
    "2",
    "--seconds",
    "60",
];

#[tokio::test]
async fn benchmark_that_is_stopped_leaves_nothing() {
    let database = TestDatabase::new().await;
    let mut process = bench(&database, &MINUTE);
    let parts = in_the_middle(&process).await;
    assert!(is_left(&database).await, "it has a database");

    let mut second = bench(&database, &MINUTE);
    assert!(!second.ended(Duration::from_secs(30)).await.success());
    assert!(
        second.output().contains("another stalker-bench"),
        "{}",
        second.output()
    );

    let ended = process.terminate(Duration::from_secs(60)).await;
    assert!(!ended.success());
    assert!(
        process.output().contains("stopped by SIGTERM"),
        "{}",
        process.output()
    );
    assert!(!is_left(&database).await, "its database is gone");
    let left: Vec<_> = parts.into_iter().filter(|pid| is_alive(*pid)).collect();
    assert_eq!(left, [] as [u32; 0], "its processes are gone");
}

#[tokio::test]
async fn benchmark_that_is_killed_leaves_no_process() {
    let database = TestDatabase::new().await;
    let mut process = bench(&database, &MINUTE);
    let parts = in_the_middle(&process).await;
    process.kill();
    until("its processes end", Duration::from_secs(60), async || {
        (!parts.iter().any(|pid| is_alive(*pid))).then_some(())
    })
    .await;
    sqlx::query("drop database stalker_bench with (force)")
        .execute(database.pool())
        .await
        .expect("what it could not do any more can be done");
}

#[tokio::test]
async fn benchmark_whose_component_dies_says_so() {
    let database = TestDatabase::new().await;
    let mut process = bench(&database, &MINUTE);
    let parts = in_the_middle(&process).await;
    let is_scheduler = |pid: &&u32| {
        fs::read_to_string(format!("/proc/{pid}/comm")).is_ok_and(|name| name.trim() == "stalkerd")
    };
    let scheduler = parts.iter().find(is_scheduler).expect("it was there");
    stalker_tests::process::signal(*scheduler, Signal::SIGKILL);
    let ended = process.ended(Duration::from_secs(60)).await;
    assert!(!ended.success());
    assert!(
        process.output().contains("stalkerd scheduler has ended"),
        "{}",
        process.output()
    );
    assert!(!is_left(&database).await, "its database is gone");
}

#[tokio::test]
async fn benchmark_counts_what_happens() {
    let small = ["--checks", "400", "--interval", "2", "--seconds", "4"];
    let (figures, said) = measured(&[&["engine", "https"], &small[..]].concat()).await;
    for (scenario, figures) in ["engine", "https"]
        .iter()
        .zip(figures.as_array().expect("a list"))
    {
        assert_eq!(figures["scenario"], *scenario);
        let number = |name: &str| {
            figures[name]
                .as_f64()
                .unwrap_or_else(|| panic!("{name} is no number: {figures}"))
        };
        assert_eq!(number("offered_runs_per_s"), 200.0);
        // each check twice in four seconds, whatever else the machine does, unless it is late by half a period
        assert!((100.0..300.0).contains(&number("runs_per_s")), "{figures}");
        assert!(
            (1.0..3.0).contains(&number("updates_per_run")),
            "claimed and recorded: {figures}"
        );
        assert!(
            figures["lateness_ms"]["max"].as_u64() >= figures["lateness_ms"]["p50"].as_u64(),
            "{figures}"
        );
        assert!(
            figures["cpu_us_per_run"]["postgres"].as_f64() > Some(0.0),
            "{figures}"
        );
        assert!(
            number("wal_bytes_per_run_with_page_images") > 100.0,
            "{figures}"
        );
        assert!(said.contains(scenario), "{said}");
    }
    assert!(figures[0]["connections"].is_null(), "{figures}");
    assert!(figures[1]["connections"].is_u64(), "{figures}");
    assert!(
        said.contains("MISSED runs/s >= 30000"),
        "400 checks cannot be 30,000 runs a second: {said}"
    );
}

#[tokio::test]
async fn benchmark_says_what_it_needs() {
    let mut nobody = command(&executables::stalker_bench());
    nobody
        .arg("engine")
        .env("DATABASE_URL", "postgres://nobody@127.0.0.1:1/nothing");
    let mut process = Process::start("stalker-bench", &mut nobody);
    let ended = process.ended(Duration::from_secs(30)).await;
    assert!(!ended.success());
    assert!(
        process.output().contains("DATABASE_URL"),
        "{}",
        process.output()
    );
}

#[tokio::test]
async fn benchmark_refuses_what_it_cannot_measure() {
    let database = TestDatabase::new().await;
    let also = if database.url().contains('?') {
        '&'
    } else {
        '?'
    };
    let own = format!("{}{also}dbname=stalker_bench", database.url());
    for (arguments, url, why) in [
        (
            &["engine", "--seconds", "0"][..],
            database.url(),
            "1..=86400",
        ),
        (&["engine", "--long"], database.url(), "cannot be used with"),
        (
            &["growth", "--checks", "10"],
            database.url(),
            "takes neither --checks nor --interval",
        ),
        (
            &["snapshot_held", "--seconds", "60"],
            database.url(),
            "--seconds 70",
        ),
        (
            &["engine", "--json", "/proc/figures.json"],
            database.url(),
            "cannot write",
        ),
        (&["engine"], &own, "name another one"),
    ] {
        let mut command = command(&executables::stalker_bench());
        command.args(arguments).env("DATABASE_URL", url);
        let mut process = Process::start("stalker-bench", &mut command);
        let ended = process.ended(Duration::from_secs(60)).await;
        assert!(!ended.success());
        assert!(
            process.output().contains(why),
            "{arguments:?}: {}",
            process.output()
        );
    }
}
