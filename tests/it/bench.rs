//! The benchmark itself: that it counts what happens, with its real parts, on a server that has other databases. What the
//! figures are is not looked at: here other tests share the machine.

use std::time::Duration;

use serde_json::Value;
use stalker_tests::database::TestDatabase;
use stalker_tests::executables;
use stalker_tests::process::{Process, command};

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
    let left: i64 =
        sqlx::query_scalar("select count(*) from pg_database where datname = 'stalker_bench'")
            .fetch_one(database.pool())
            .await
            .expect("the server answers");
    assert_eq!(left, 0, "its database is gone");
    let figures = std::fs::read(&file).expect("figures were written");
    (
        serde_json::from_slice(&figures).expect("they are JSON"),
        said,
    )
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
