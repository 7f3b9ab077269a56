//! What is old goes, as whole partitions.

use stalker_tests::stage::Stage;

use super::*;

const HOURS: &str = "select count(*) from sample_hours";
const SAMPLES: &str = "select count(*) from samples";
const SERIES: &str = "select count(*) from series";

/// Waits until a count is zero; duties that were done too early get further hours.
async fn goes(stage: &Stage, sql: &'static str) {
    for _ in 0..3 {
        stage.advance(HOUR).await;
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
    goes(&stage, SAMPLES).await;
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
    goes(&stage, HOURS).await;
    goes(&stage, SERIES).await;
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
    values_are(stage.pool(), &["a=1"]).await;
    assert_eq!(stage.count("select count(*) from samples_default").await, 1);
    stage.start_scheduler();
    let moved = async || stage.count("select count(*) from samples_default").await;
    until_seen("it has moved", PATIENCE, moved, |n| *n == 0).await;
    values_are(stage.pool(), &["a=1"]).await;
}
