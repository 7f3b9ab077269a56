//! Finding what no claiming window will: lost leases, rows that were passed over, and a clock that went back.

use sqlx::PgPool;

/// Puts such checks into the rush lane, at most as many a second as the steady rate (and at least 200), which is
/// also how fast the backlog of an outage is worked off. Returns how many.
///
/// # Errors
/// If the database does not answer.
pub async fn rush_what_was_lost(pool: &PgPool) -> sqlx::Result<u64> {
    let done = sqlx::query!(
        r#"
        with n as (
            select greatest(200, ceil(sum(1.0 / interval_s)))::bigint as steady
            from check_state where not suspended and not removed),
        lost as materialized (
            select check_id from check_state
            where not suspended and not removed and rush_at is null
              and (leased_until < now()                                                        -- a lease ran out
                or (leased_until is null and due_at < now() - interval '2 s')                  -- in nobody's window
                or (leased_until is null and due_at > now() + make_interval(secs => interval_s + 1)))  -- the database's clock went back
            limit (select steady from n) for no key update skip locked)
        update check_state set rush_at = now() where check_id = any (array(select check_id from lost))
        "#
    )
    .execute(pool)
    .await?;
    Ok(done.rows_affected())
}
