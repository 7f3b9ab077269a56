//! Partitions by time: made ahead, dropped when they are old. Duties of the scheduler.

use sqlx::PgPool;

/// So long may schedulers be away before rows wait in the default partition.
const DAYS_AHEAD: i32 = 7;

/// A table that is partitioned by time.
#[derive(Debug, Clone, Copy)]
pub enum Partitioned {
    /// History, by day.
    StateChanges,
    /// What plugins measured, by day.
    Samples,
    /// Its roll-up, by month.
    SampleHours,
}

impl Partitioned {
    /// Its name, and what a partition holds.
    fn table_and_step(self) -> (&'static str, &'static str) {
        match self {
            Self::StateChanges => ("state_changes", "day"),
            Self::Samples => ("samples", "day"),
            Self::SampleHours => ("sample_hours", "month"),
        }
    }
}

/// Makes the partitions of today and the next seven days.
///
/// # Errors
/// If the database does not answer.
pub async fn make_ahead(pool: &PgPool, partitioned: Partitioned) -> sqlx::Result<()> {
    let (table, step) = partitioned.table_and_step();
    let mut made = Ok(());
    // each by itself, the last one first: today's may have to give way, and must not keep back those that nobody needs yet
    for days in (0..=DAYS_AHEAD).rev() {
        let one = sqlx::query!(
            "select make_partition($1::text::regclass, $2, (now() at time zone 'UTC')::date + $3::int)",
            table,
            step,
            days
        )
        .fetch_one(pool)
        .await;
        made = made.and(one.map(|_| ()));
    }
    made
}

/// Drops the partitions of which nothing is younger than `keep_days`; returns how many.
///
/// # Errors
/// If the database does not answer.
pub async fn drop_old(
    pool: &PgPool,
    partitioned: Partitioned,
    keep_days: i32,
) -> sqlx::Result<i32> {
    let (table, step) = partitioned.table_and_step();
    let dropped = sqlx::query_scalar!(
        "select drop_partitions($1::text::regclass, $2, (now() at time zone 'UTC')::date - $3::int)",
        table,
        step,
        keep_days
    )
    .fetch_one(pool)
    .await?;
    Ok(dropped.unwrap_or(0))
}
