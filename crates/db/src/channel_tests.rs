//! Messages that somebody asks for, to see whether a channel works: asked by the API, sent by any worker.

use chrono::{DateTime, Utc};
use sqlx::{PgConnection, PgPool};

use crate::notifications::{Attempt, dead_letters};

/// A test that a worker has taken.
#[derive(Debug, Clone)]
pub struct ClaimedTest {
    /// The test.
    pub test_id: i64,
    /// The channel to try.
    pub channel: String,
    /// Who wants to know.
    pub asked_by: String,
    /// Since when.
    pub asked_at: DateTime<Utc>,
}

/// What has become of a test.
#[derive(Debug, Clone)]
pub struct Test {
    /// A worker has taken it.
    pub has_begun: bool,
    /// It was tried, and this is how it ended.
    pub has_ended: bool,
    /// Milliseconds from the beginning to the answer.
    pub latency_ms: Option<i32>,
    /// HTTP status, if there was an answer.
    pub http_status: Option<i32>,
    /// Why it was not accepted.
    pub error: Option<String>,
    /// The beginning of the receiver's answer.
    pub answer: Option<String>,
}

/// Asks for a test; its id, or `None` if no such channel is configured. Those of yesterday are forgotten.
///
/// # Errors
/// If the database does not answer.
pub async fn ask(
    conn: &mut PgConnection,
    channel: &str,
    asked_by: &str,
) -> sqlx::Result<Option<i64>> {
    sqlx::query_scalar!(
        r#"
        with forgotten as (delete from channel_tests where asked_at < now() - interval '1 day')
        insert into channel_tests (channel, asked_by)
        select name, $2 from channels where name = $1 and retired_at is null
        returning test_id
        "#,
        channel,
        asked_by,
    )
    .fetch_optional(conn)
    .await
}

/// Takes up to `free` tests of these channels that somebody asked for within the last minute. A test that dies with its worker is not
/// sent again: whoever asked for it sees that it did not end.
///
/// # Errors
/// If the database does not answer.
pub async fn claim(
    pool: &PgPool,
    channels: &[String],
    free: usize,
) -> sqlx::Result<Vec<ClaimedTest>> {
    sqlx::query_as!(
        ClaimedTest,
        r#"
        with asked as materialized (
            select test_id from channel_tests
            where began_at is null and channel = any ($1) and asked_at > now() - interval '1 min'
            order by test_id limit $2 for no key update skip locked)
        update channel_tests set began_at = now()
        where test_id = any (array(select test_id from asked))
        returning test_id, channel, asked_by, asked_at
        "#,
        channels,
        i64::try_from(free).unwrap_or(i64::MAX),
    )
    .fetch_all(pool)
    .await
}

/// Writes down how a test ended; `error` is none if it was accepted, and then a disabled channel is enabled again, and its
/// dead letters have another try.
///
/// # Errors
/// If the database does not answer.
pub async fn settle(
    pool: &PgPool,
    test: &ClaimedTest,
    attempt: &Attempt,
    error: Option<&str>,
) -> sqlx::Result<()> {
    let mut tx = pool.begin().await?;
    sqlx::query!(
        "update channel_tests set ended_at = now(), latency_ms = $2, http_status = $3, error = $4, answer = $5 where test_id = $1",
        test.test_id,
        attempt.latency_ms,
        attempt.http_status,
        error,
        attempt.answer,
    )
    .execute(&mut *tx)
    .await?;
    if error.is_none() {
        let enabled = sqlx::query!(
            "update channels set disabled_at = null, disabled_why = null where name = $1 and disabled_at is not null",
            test.channel,
        )
        .execute(&mut *tx)
        .await?;
        if enabled.rows_affected() > 0 {
            dead_letters::retry(&mut tx, None, Some(&test.channel)).await?;
        }
    }
    tx.commit().await
}

/// What has become of it.
///
/// # Errors
/// If the database does not answer, or knows no such test.
pub async fn find(pool: &PgPool, test_id: i64) -> sqlx::Result<Test> {
    sqlx::query_as!(
        Test,
        r#"
        select began_at is not null as "has_begun!", ended_at is not null as "has_ended!", latency_ms, http_status, error, answer
        from channel_tests where test_id = $1
        "#,
        test_id,
    )
    .fetch_one(pool)
    .await
}
