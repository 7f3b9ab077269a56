//! What plugins measured: written in bulk, rolled up into hours.

mod binary_copy;
pub mod read;

use std::time::Duration;

use chrono::{DateTime, Utc};
use sqlx::PgPool;

/// How long after its time a sample may still be written. Whoever writes gives up then: the roll-up counts on it, which
/// takes for complete what is [`ROLL_UP_BEHIND`] old.
pub const WRITTEN_WITHIN: Duration = Duration::from_secs(60);
/// How far the roll-up stays behind, in seconds: [`WRITTEN_WITHIN`], and as long as a statement may take that began in
/// time (a connection 5 s, the statement 30 s, `pools.rs`). What came later would be missing in the hours.
const ROLL_UP_BEHIND: i32 = 120;

/// A number, and when it was so.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Sample {
    /// What it is a number of.
    pub series_id: i64,
    /// The database's time.
    pub at: DateTime<Utc>,
    /// In the series' unit.
    pub value: f64,
}

/// The greatest value that is a measurement, either way. The sum of an hour must not overflow: one host that prints
/// 1e308 twice would end the roll-up for all.
const VALUE_MAX: f64 = 1e300;

/// Whether a value can be kept: finite, and small enough to be added up.
#[must_use]
pub fn is_measurement(value: f64) -> bool {
    value.abs() <= VALUE_MAX // false for NaN
}

/// Writes samples, in their order. Those of a series should stand together, for the index's sake.
///
/// Not checked at compile time, for a macro cannot: a `copy` writes a page's rows with one record of the log. An `insert`
/// costs a fifth more time and half as much log again.
///
/// # Errors
/// If the database does not answer. It is never about a value: each is one that it can keep.
pub async fn insert(pool: &PgPool, samples: &[Sample]) -> sqlx::Result<()> {
    let mut conn = pool.acquire().await?;
    let statement = "copy samples (series_id, at, value) from stdin (format binary)";
    let mut copy = conn.copy_in_raw(statement).await?;
    copy.send(binary_copy::encode(samples)).await?;
    copy.finish().await?;
    Ok(())
}

/// The index by series would be read whole, and so would a day, where the index by time names a few pages: a bitmap of it
/// is what remains. Sorting is what is done with a day that has no statistics yet; the groups of a slice fit into this
/// memory up to about half a million series.
const BEGIN_ROLL_UP: &str = "begin; set local enable_indexscan = off; set local enable_seqscan = off; set local enable_sort = off; set local work_mem = '64MB'";

/// Lets the index by time know what was written since: [`roll_up_next`] finds its samples by it.
///
/// # Errors
/// If the database does not answer.
pub async fn summarize(pool: &PgPool) -> sqlx::Result<()> {
    sqlx::query!(
        "select summarize_samples((rolled_until at time zone 'UTC')::date) from sample_roll_up"
    )
    .fetch_all(pool)
    .await?;
    Ok(())
}

/// Adds the next ten minutes of samples to their hours, if they are over and complete. False if there are none yet, or
/// somebody else is about it.
///
/// One transaction, which begins by locking how far the roll-up is and ends by moving it: done twice or killed in the
/// middle, it counts nothing twice.
///
/// # Errors
/// If the database does not answer; nothing was done then.
pub async fn roll_up_next(pool: &PgPool) -> sqlx::Result<bool> {
    let mut tx = pool.begin_with(BEGIN_ROLL_UP).await?;
    let slice = sqlx::query!(
        r#"
        with behind as (
            select rolled_until as lo, date_bin('10 min', now() - make_interval(secs => $1::int), timestamptz 'epoch') as complete_until
            from sample_roll_up for no key update skip locked)
        select lo as "lo!",
               -- after a standstill there may be nothing at all in a month of slices
               case when complete_until > lo + interval '1 h' and not exists (select from samples where at >= lo and at < complete_until)
                    then complete_until else lo + interval '10 min' end as "hi!"
        from behind where complete_until > lo
        "#,
        ROLL_UP_BEHIND
    )
    .fetch_optional(&mut *tx)
    .await?;
    let Some(slice) = slice else {
        return Ok(false);
    };
    sqlx::query!(
        r#"
        insert into sample_hours as h (series_id, hour, n, min, max, sum)
        select series_id, date_trunc('hour', $1::timestamptz, 'UTC'), count(*), min(value), max(value), sum(value)
        from samples where at >= $1 and at < $2
        group by series_id
        on conflict (series_id, hour) do update
        set n = h.n + excluded.n, min = least(h.min, excluded.min), max = greatest(h.max, excluded.max), sum = h.sum + excluded.sum
        "#,
        slice.lo,
        slice.hi
    )
    .execute(&mut *tx)
    .await?;
    sqlx::query!("update sample_roll_up set rolled_until = $1", slice.hi)
        .execute(&mut *tx)
        .await?;
    tx.commit().await?;
    Ok(true)
}
