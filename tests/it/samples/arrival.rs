//! From a plugin's output to rows.

use stalker_tests::stage::Stage;

use super::*;

#[tokio::test]
async fn what_a_run_measured_becomes_samples_of_series() {
    let mut stage = Stage::new().await;
    stage.host("web1", &["check_a", "check_b"]).await;
    let a = "OK | 'a b'=1500ms;1000:2000;@5;0;9000 c=U d=3KiB x=1,5 last=1 last=2";
    stage.answer(&["web1/check_a"], 0, a);
    stage.run(&["web1/check_a"]).await;
    values_are(stage.pool(), &["a b=1.5", "d=3072", "last=2"]).await;

    let series = "select concat_ws(' ', label, unit, raw_unit, warn, crit, min, max) from series order by label";
    let first = ["a b s ms 1000:2000 @5 0 9", "d B KiB", "last  "];
    assert_eq!(rows(stage.pool(), series).await, first);
    // the time is the database's
    let late =
        "select count(*) from samples where at not between now() - interval '20 s' and now()";
    assert_eq!(stage.count(late).await, 0);

    // A second run finds the series. Another check with the same labels has its own.
    stage.answer(&["web1/check_b"], 1, "SLOW | d=7B");
    stage.run(&["web1/check_a", "web1/check_b"]).await;
    let twice = [
        "a b=1.5", "a b=1.5", "d=7", "d=3072", "d=3072", "last=2", "last=2",
    ];
    let values = "select label || '=' || value from samples join series using (series_id) order by label, value";
    until_seen(
        "the second samples",
        PATIENCE,
        async || rows(stage.pool(), values).await,
        |v| *v == twice,
    )
    .await;
    assert_eq!(stage.count("select count(*) from series").await, 4);
}

/// What was gathered is written before a worker ends; the next one knows the series again, and what has changed of them.
#[tokio::test]
async fn a_worker_that_stops_loses_none_and_the_next_one_knows_the_series() {
    let mut stage = Stage::new().await;
    stage.host("web1", &["check_a"]).await;
    stage.answer(&["web1/check_a"], 0, "OK | a=1;5 b=2");
    stage.run_all().await;
    stage.workers.remove(0).stop().await;
    let values =
        "select label || '=' || value from samples join series using (series_id) order by 1";
    assert_eq!(rows(stage.pool(), values).await, ["a=1", "b=2"]);
    let series =
        "select series_id || ' ' || label || ' ' || coalesce(warn, '') from series order by label";
    let before = rows(stage.pool(), series).await;

    stage.answer(&["web1/check_a"], 0, "OK | a=3;6 b=4");
    stage.start_worker();
    stage.run_all().await;
    stage.workers.remove(0).stop().await;
    assert_eq!(
        rows(stage.pool(), values).await,
        ["a=1", "a=3", "b=2", "b=4"]
    );
    let after: Vec<String> = before.iter().map(|row| row.replace("a 5", "a 6")).collect();
    assert_eq!(rows(stage.pool(), series).await, after);
}

/// An agent that is not reached measures nothing.
#[tokio::test]
async fn an_unreachable_agent_has_no_samples() {
    let mut stage = Stage::new().await;
    stage.host("web1", &["check_a"]).await;
    stage.answer(&["web1/check_a"], 0, "OK | a=1");
    stage.run_all().await;
    values_are(stage.pool(), &["a=1"]).await;
    stage.go_down("web1").await;
    stage.run_all().await;
    stage.workers.remove(0).stop().await;
    values_are(stage.pool(), &["a=1"]).await;
}
