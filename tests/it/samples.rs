//! Perfdata: what plugins print becomes samples of series, and samples become hours; whatever happens to them, alerts do
//! not notice.

mod arrival;
mod hostile;
mod outage;
mod retention;
mod roll_up;
mod upgrade;

use std::time::Duration;

use sqlx::PgPool;
use stalker_tests::until::until_seen;

const PATIENCE: Duration = Duration::from_secs(20);
const MINUTE: Duration = Duration::from_secs(60);
const HOUR: Duration = Duration::from_secs(3600);
const DAY: Duration = Duration::from_secs(86_400);

/// Rows of one text each.
async fn rows(pool: &PgPool, sql: &'static str) -> Vec<String> {
    sqlx::query_scalar(sql)
        .fetch_all(pool)
        .await
        .unwrap_or_else(|error| panic!("{sql}: {error}"))
}

/// Waits until these are the values, by label and then in their order, of all samples.
async fn values_are(pool: &PgPool, expected: &[&str]) {
    let values = async || {
        rows(
            pool,
            "select label || '=' || value from samples join series using (series_id) order by label, at, value",
        )
        .await
    };
    until_seen("the samples are there", PATIENCE, values, |values| {
        values == expected
    })
    .await;
}

async fn execute(pool: &PgPool, sql: &'static str) {
    sqlx::raw_sql(sql)
        .execute(pool)
        .await
        .unwrap_or_else(|error| panic!("{sql}: {error}"));
}
