//! Partitions of history: made ahead of time, dropped when they are old. Duties of the scheduler.

use sqlx::PgPool;

/// Makes the partitions of today and the next seven days.
///
/// # Errors
/// If the database does not answer.
pub async fn make_ahead(pool: &PgPool) -> sqlx::Result<()> {
    sqlx::query!("select make_state_changes_partition((now() at time zone 'UTC')::date + d) from generate_series(0, 7) as d")
        .fetch_all(pool)
        .await?;
    Ok(())
}

/// Drops the history of all days more than `keep_days` ago; returns how many.
///
/// # Errors
/// If the database does not answer.
pub async fn drop_old(pool: &PgPool, keep_days: i32) -> sqlx::Result<i32> {
    let dropped = sqlx::query_scalar!(
        "select drop_state_changes_partitions((now() at time zone 'UTC')::date - $1::int)",
        keep_days
    )
    .fetch_one(pool)
    .await?;
    Ok(dropped.unwrap_or(0))
}
