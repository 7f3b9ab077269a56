//! The schedulers' own due rows: claimed like checks, so that any number of schedulers share them.

use sqlx::PgPool;
use sqlx::postgres::types::PgInterval;

/// A duty that this process has taken.
#[derive(Debug, Clone)]
pub struct ClaimedDuty {
    /// Its name, as in the table.
    pub name: String,
}

/// Takes one duty that is due, for `lease_s` seconds; none is due: none.
///
/// # Errors
/// If the database does not answer.
pub async fn claim_due(
    pool: &PgPool,
    lease: i64,
    lease_s: i32,
) -> sqlx::Result<Option<ClaimedDuty>> {
    sqlx::query_as!(
        ClaimedDuty,
        r#"
        update duties set lease = $1, leased_until = now() + make_interval(secs => $2::int)
        where name = (
            select name from duties
            where due_at <= now() and (leased_until is null or leased_until < now())
            order by due_at limit 1 for no key update skip locked)
        returning name
        "#,
        lease,
        lease_s,
    )
    .fetch_optional(pool)
    .await
}

/// Records how a duty went and when it is due again: a period after it was due, or after now if that has passed. What
/// failed is tried again in a minute, however long its period. False if the lease ran out meanwhile.
///
/// # Errors
/// If the database does not answer; the lease runs out then, and the duty is done again.
pub async fn finish(
    pool: &PgPool,
    name: &str,
    lease: i64,
    took_ms: i32,
    error: Option<&str>,
) -> sqlx::Result<bool> {
    let done = sqlx::query!(
        r#"
        update duties
        set lease = null, leased_until = null, last_at = now(), last_ms = $3, last_error = $4,
            due_at = case when $4::text is not null then now() + make_interval(secs => least(every_s, 60))
                          when due_at + make_interval(secs => every_s) > now() then due_at + make_interval(secs => every_s)
                          else now() + make_interval(secs => every_s) end
        where name = $1 and lease = $2
        "#,
        name,
        lease,
        took_ms,
        error,
    )
    .execute(pool)
    .await?;
    Ok(done.rows_affected() == 1)
}

/// How long until the next duty is due, never negative.
///
/// # Errors
/// If the database does not answer.
pub async fn next_due(pool: &PgPool) -> sqlx::Result<std::time::Duration> {
    let wait: Option<PgInterval> = sqlx::query_scalar!(
        "select min(greatest(due_at, coalesce(leased_until, due_at)) - now()) from duties"
    )
    .fetch_one(pool)
    .await?;
    let micros = wait.map_or(1_000_000, |wait| {
        i64::from(wait.days) * 86_400_000_000 + wait.microseconds
    });
    Ok(std::time::Duration::from_micros(
        u64::try_from(micros).unwrap_or(0),
    ))
}
