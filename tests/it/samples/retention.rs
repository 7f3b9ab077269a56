//! What is old goes, as whole partitions.

use stalker_tests::stage::Stage;

use super::*;

const HOURS: &str = "select count(*) from sample_hours";
const SAMPLES: &str = "select count(*) from samples";
const SERIES: &str = "select count(*) from series";

/// Waits until a count is zero; duties that were done too early, or gave way to a lock, get some more time.
async fn goes(stage: &Stage, sql: &'static str, more: Duration) {
    for _ in 0..3 {
        stage.advance(more).await;
        let done = "select count(*) from duties where due_at <= now() or lease is not null";
        until_seen(
            "duties are done",
            PATIENCE,
            async || stage.count(done).await,
            |n| *n == 0,
        )
        .await;
    }
    assert_eq!(stage.count(sql).await, 0, "{sql}");
}

#[tokio::test]
async fn samples_go_first_then_hours_then_series() {
    let mut stage = Stage::new().await;
    stage.host("web1", &["check_a"]).await;
    stage.answer(&["web1/check_a"], 0, "OK | a=1 b=1");
    stage.run_all().await;
    until_seen(
        "samples",
        PATIENCE,
        async || stage.count(SAMPLES).await,
        |n| *n == 2,
    )
    .await;
    stage.suspend("web1/check_a", true).await;
    stage.advance(HOUR).await;
    until_seen(
        "hours",
        PATIENCE,
        async || stage.count(HOURS).await,
        |n| *n == 2,
    )
    .await;

    stage.advance(13 * DAY).await;
    assert_eq!(stage.count(SAMPLES).await, 2, "they are kept for 14 days");
    stage.advance(2 * DAY).await;
    goes(&stage, SAMPLES, HOUR).await;
    let partitions = "select count(*) from pg_inherits where inhparent = 'samples'::regclass";
    assert!((9..=23).contains(&stage.count(partitions).await));
    assert_eq!(stage.count(HOURS).await, 2);
    stage.advance(380 * DAY).await;
    stage.advance(HOUR).await;
    assert_eq!(
        (stage.count(HOURS).await, stage.count(SERIES).await),
        (2, 2),
        "they are kept for 400 days"
    );
    stage.advance(40 * DAY).await;
    goes(&stage, HOURS, HOUR).await;
    goes(&stage, SERIES, HOUR).await;
}

/// No scheduler made a partition: the default one takes it, and gives it back later.
#[tokio::test]
async fn samples_without_a_partition_are_kept() {
    let mut stage = Stage::empty(&[], |_| {}).await;
    stage.start_worker();
    stage.host("web1", &["check_a"]).await;
    stage.advance(60 * DAY).await;
    stage.answer(&["web1/check_a"], 0, "OK | a=1");
    stage.run_all().await;
    // one, or two if it was due just then
    let values = "select label || '=' || value from samples join series using (series_id)";
    let are_there =
        |values: &Vec<String>| !values.is_empty() && values.iter().all(|value| value == "a=1");
    let look = async || rows(stage.pool(), values).await;
    let before = until_seen("the samples are there", PATIENCE, look, are_there).await;
    let elsewhere = "select count(*) from samples where tableoid <> 'samples_default'::regclass";
    assert_eq!(stage.count(elsewhere).await, 0);
    stage.start_scheduler();
    // not an hour: it could be another day, whose partition is not the one that was missed
    goes(&stage, "select count(*) from samples_default", MINUTE).await;
    let after = rows(stage.pool(), values).await;
    assert!(
        are_there(&after) && after.len() >= before.len(),
        "{after:?}"
    );
}

/// Whoever holds a table back for a moment must not cost an hour of partitions.
#[tokio::test]
async fn a_duty_that_gave_way_is_tried_again_in_a_minute() {
    let stage = Stage::new().await;
    let duty = async || {
        rows(
            stage.pool(),
            "select coalesce((last_error is not null)::text || ' ' || (due_at <= last_at + interval '1 min')::text, 'not yet done') from duties where name = 'samples'",
        )
        .await
    };
    until_seen("it was done", PATIENCE, duty, |duty| {
        duty == &["false false"]
    })
    .await;
    // so has every other: one that waits for the table would be under way for as long as it is held
    let undone = async || {
        rows(
            stage.pool(),
            "select name from duties where last_at is null",
        )
        .await
    };
    until_seen("all were done", PATIENCE, undone, Vec::is_empty).await;
    let mut holder = stage.pool().begin().await.expect("a transaction");
    sqlx::query("lock table samples in access exclusive mode")
        .execute(&mut *holder)
        .await
        .expect("nobody else holds it for long");
    stage.advance(8 * DAY).await;
    until_seen("it gave way, and is due soon", PATIENCE, duty, |duty| {
        duty == &["true true"]
    })
    .await;
    holder.rollback().await.expect("it can be let go");
    stage.advance(MINUTE).await;
    until_seen("it is done", PATIENCE, duty, |duty| {
        duty == &["false false"]
    })
    .await;
}
