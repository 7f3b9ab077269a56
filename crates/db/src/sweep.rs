//! Finding what no claiming window will: lost leases, rows that were passed over, and a clock that went back.

use sqlx::PgPool;

/// How many runs a second all checks together are due for. Reads the whole table: keep it for a while.
///
/// # Errors
/// If the database does not answer.
pub async fn steady_rate(pool: &PgPool) -> sqlx::Result<i64> {
    sqlx::query_scalar!(
        r#"select coalesce(ceil(sum(1.0 / interval_s)), 0)::bigint as "rate!" from check_state where not suspended and not removed"#
    )
    .fetch_one(pool)
    .await
}

/// Puts at most `most` such checks into the rush lane. Returns how many.
///
/// # Errors
/// If the database does not answer.
pub async fn rush_what_was_lost(pool: &PgPool, most: i64) -> sqlx::Result<u64> {
    let done = sqlx::query!(
        r#"
        -- a worker that is behind still comes to what lies before it
        with passed as materialized (
            select now() - interval '2 s' as passed_at
            union all
            select now() - interval '2 s' - behind_ms * interval '1 ms' from replicas
            where component = 'worker' and seen_at > now() - interval '5 s'),
        lost as materialized (
            select check_id from check_state
            where not suspended and not removed and rush_at is null
              and (leased_until < now()                                                        -- a lease ran out
                or (leased_until is null and due_at < (select min(passed_at) from passed))     -- in nobody's window
                or (leased_until is null and due_at > now() + make_interval(secs => interval_s + 1)))  -- the database's clock went back
            limit $1 for no key update skip locked)
        update check_state set rush_at = now() where check_id = any (array(select check_id from lost))
        "#,
        most,
    )
    .execute(pool)
    .await?;
    Ok(done.rows_affected())
}
