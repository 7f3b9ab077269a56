//! Checks put straight into the tables, for tests of what happens to many of them.

use sqlx::PgPool;

/// What has become of the added checks so far.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Past {
    /// They have never run.
    None,
    /// Their last run was ok, and said [`OUT`].
    Healthy,
}

/// What healthy checks say.
pub const OUT: &str = "OK - simulated";

/// Adds `n` checks of `interval_s` seconds with random phases to one new host, all waiting for their next phase.
///
/// # Panics
/// If the tables are not as expected.
pub async fn add_checks(pool: &PgPool, hostname: &str, n: i32, interval_s: i32, past: Past) {
    let host: i64 = sqlx::query_scalar(
        "insert into hosts (hostname, ip) values ($1, '127.0.0.1') returning host_id",
    )
    .bind(hostname)
    .fetch_one(pool)
    .await
    .expect("a host can be added");
    sqlx::query(
        "with made as (
             insert into checks (host_id, name, declared_interval_s, declared_follow_up_s)
             select $1, 'check_' || i, $3, $3 from generate_series(1, $2) as i
             returning check_id),
         placed as (
             select check_id, floor(random() * $3 * 1000)::integer as phase_ms,
                    floor(extract(epoch from now()) * 1000)::bigint as now_ms, $3 * 1000::bigint as i_ms
             from made)
         insert into check_state (check_id, interval_s, phase_ms, due_at, status, since, out)
         select check_id, $3, phase_ms,
                timestamptz 'epoch' + (((now_ms - phase_ms) / i_ms + 1) * i_ms + phase_ms) * interval '1 ms',
                case when $4 then 0 end, case when $4 then now() end, case when $4 then $5 else '' end
         from placed",
    )
    .bind(host)
    .bind(n)
    .bind(interval_s)
    .bind(past == Past::Healthy)
    .bind(OUT)
    .execute(pool)
    .await
    .expect("checks can be added");
}

/// Makes all checks due now, out of turn, and then not before half of their interval: their own phase, which is random,
/// could come while a test lasts, and a second run would be right.
///
/// # Panics
/// If the tables are not as expected.
pub async fn make_due_now(pool: &PgPool) {
    sqlx::query(
        "with t as (select floor(extract(epoch from now()) * 1000)::bigint as ms)
         update check_state s
         set rush_at = now(), phase_ms = (t.ms + s.interval_s * 500::bigint) % (s.interval_s * 1000::bigint),
             due_at = now() + make_interval(secs => s.interval_s / 2)
         from t",
    )
    .execute(pool)
    .await
    .expect("checks can be moved");
}
