//! Hours are what their samples are, whoever makes them and however often.

use rand::Rng;
use sqlx::types::chrono::{DateTime, Utc};
use stalker_db::samples::{Sample, insert, roll_up_next, summarize};
use stalker_tests::database::TestDatabase;
use stalker_tests::seed;

use super::*;

/// Hours of what was rolled up, and what they should be. Sums are exact: the values are whole numbers.
const HOURS: &str = "select concat_ws(' ', series_id, hour, n, min, max, sum) from sample_hours order by series_id, hour";
const OF_SAMPLES: &str = "select concat_ws(' ', series_id, date_trunc('hour', at, 'UTC'), count(*), min(value), max(value), sum(value))
    from samples where at < (select rolled_until from sample_roll_up) group by series_id, date_trunc('hour', at, 'UTC')
    order by series_id, date_trunc('hour', at, 'UTC')";

/// Samples of five series at random times of the next so many seconds.
async fn add_samples(pool: &PgPool, random: &mut impl Rng, n: usize, within_s: i64) {
    let now: DateTime<Utc> = sqlx::query_scalar("select now()")
        .fetch_one(pool)
        .await
        .expect("a clock");
    let samples: Vec<Sample> = (0..n)
        .map(|_| Sample {
            series_id: random.random_range(1..=5),
            at: now + Duration::from_micros(random.random_range(0..within_s as u64 * 1_000_000)),
            value: f64::from(random.random_range(-1000..1000)),
        })
        .collect();
    insert(pool, &samples)
        .await
        .expect("samples can be written");
}

#[tokio::test]
async fn hours_are_the_sum_of_their_samples() {
    let mut random = seed::random();
    let database = TestDatabase::with_clock().await;
    let pool = database.pool();
    add_samples(pool, &mut random, 3000, 4 * 3600).await;
    database.advance(5 * HOUR).await;
    summarize(pool)
        .await
        .expect("the index is brought up to date");
    while roll_up_next(pool).await.expect("a slice") {}
    let hours = rows(pool, HOURS).await;
    assert!(hours.len() >= 20, "{hours:?}");
    assert_eq!(hours, rows(pool, OF_SAMPLES).await);
    assert_eq!(
        rows(pool, "select sum(n)::text from sample_hours").await,
        ["3000"]
    );

    // once more: nothing is counted twice; and what comes later is added
    assert!(!roll_up_next(pool).await.expect("nothing to do"));
    add_samples(pool, &mut random, 500, 1800).await;
    database.advance(HOUR / 2).await;
    while roll_up_next(pool).await.expect("a slice") {}
    assert_eq!(rows(pool, HOURS).await, rows(pool, OF_SAMPLES).await);
}

/// The last two minutes may still be incomplete.
#[tokio::test]
async fn what_may_still_come_is_waited_for() {
    let database = TestDatabase::with_clock().await;
    let pool = database.pool();
    // the database is a copy of one that may be some slices old
    while roll_up_next(pool).await.expect("a slice") {}
    let left = "update sample_roll_up set rolled_until = rolled_until + interval '10 min'
                returning ceil(extract(epoch from rolled_until + interval '12 min' - now()))::text";
    let left: u64 = rows(pool, left).await[0].parse().expect("seconds");
    database.advance(Duration::from_secs(left - 5)).await;
    assert!(
        !roll_up_next(pool).await.expect("an answer"),
        "5 s too early"
    );
    database.advance(Duration::from_secs(5)).await;
    assert!(roll_up_next(pool).await.expect("an answer"));
    assert!(!roll_up_next(pool).await.expect("an answer"));
}

/// Two schedulers at once, and both are killed again and again.
#[tokio::test]
async fn doubled_and_killed_it_counts_nothing_twice() {
    let mut random = seed::random();
    let database = TestDatabase::with_clock().await;
    let pool = database.pool();
    add_samples(pool, &mut random, 20_000, 8 * 3600).await;
    database.advance(9 * HOUR).await;
    for _ in 0..60 {
        let mut lives = || Duration::from_micros(random.random_range(100..8000));
        let (one, other) = (lives(), lives());
        // an abandoned one leaves a transaction that its connection rolls back
        let _ = tokio::join!(
            tokio::time::timeout(one, roll_up_next(pool)),
            tokio::time::timeout(other, roll_up_next(pool)),
        );
    }
    until_seen("nothing is left to do", PATIENCE, async || {
        let did = roll_up_next(pool).await.expect("a slice");
        let left = "select count(*)::text from sample_roll_up where rolled_until < now() - interval '12 min'";
        (did, rows(pool, left).await[0].clone())
    }, |(did, left)| !did && left == "0").await;
    assert_eq!(rows(pool, HOURS).await, rows(pool, OF_SAMPLES).await);
    assert_eq!(
        rows(pool, "select sum(n)::text from sample_hours").await,
        ["20000"]
    );
}

/// After a standstill of months, slices in which nothing is are not gone through one by one.
#[tokio::test]
async fn an_empty_backlog_is_one_step() {
    let database = TestDatabase::with_clock().await;
    database.advance(100 * DAY).await;
    assert!(roll_up_next(database.pool()).await.expect("a step"));
    assert!(!roll_up_next(database.pool()).await.expect("nothing left"));
}
