//! Samples as people look at them: of a time, in steps.

use chrono::{DateTime, Utc};
use sqlx::PgPool;

use crate::pools::BEGIN_LIST;

/// What was measured within one step.
#[derive(Debug, Clone, PartialEq)]
pub struct Point {
    /// Of which series.
    pub series_id: i64,
    /// When the step begins.
    pub at: DateTime<Utc>,
    /// How many samples there are.
    pub n: i64,
    /// The least.
    pub min: f64,
    /// Their mean.
    pub mean: f64,
    /// The greatest.
    pub max: f64,
}

/// The samples of these series from `from` until before `to`, in steps of `step_s` seconds, which begin at multiples of
/// that. Steps of whole hours are made of hours as far as samples are rolled up into these; others of samples, which are
/// not kept as long. A step without samples has no point.
///
/// # Errors
/// If the database does not answer.
pub async fn of_series(
    pool: &PgPool,
    series_ids: &[i64],
    from: DateTime<Utc>,
    to: DateTime<Utc>,
    step_s: i32,
) -> sqlx::Result<Vec<Point>> {
    let mut tx = pool.begin_with(BEGIN_LIST).await?;
    sqlx::query_as!(
        Point,
        r#"
        with hours as (
            select h.series_id, h.hour as at, h.n::bigint as n, h.min, h.max, h.sum
            from sample_hours h
            where $4::integer % 3600 = 0 and h.series_id = any ($1) and h.hour >= $2 and h.hour < $3),
        single as (
            select s.series_id, s.at, 1::bigint as n, s.value as min, s.value as max, s.value as sum
            from samples s
            where s.series_id = any ($1) and s.at >= $2 and s.at < $3
              -- what is in the hours is not counted twice
              and ($4 % 3600 <> 0 or s.at >= (select rolled_until from sample_roll_up)))
        select series_id as "series_id!", date_bin(make_interval(secs => $4), at, timestamptz 'epoch') as "at!",
               sum(n)::bigint as "n!", min(min) as "min!", sum(sum) / sum(n) as "mean!", max(max) as "max!"
        from (select * from hours union all select * from single) as measured
        group by 1, 2 order by 1, 2
        "#,
        series_ids,
        from,
        to,
        step_s,
    )
    .fetch_all(&mut *tx)
    .await
}
