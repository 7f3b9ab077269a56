//! The hosts and checks of a load, put straight into the tables: registering a million checks is not what is measured.

use std::time::Duration;

use sqlx::PgPool;

use crate::load::{Agents, CHECKS_PER_HOST, Load};

/// PostgreSQL's insufficient_privilege.
const NOT_ALLOWED: &str = "42501";

/// Where the agents are that the hosts' checks call.
#[derive(Debug, Clone)]
pub(crate) struct Address {
    pub(crate) port: u16,
    /// Lower-case hex SHA-256 of the certificate.
    pub(crate) cert_sha256: String,
}

/// Checks that are written and vacuumed in a second, with much to spare.
const FILLED_PER_S: u32 = 20_000;

/// Adds hosts and checks, healthy so far, each waiting for its next time on the grid. Without an address nobody is there.
pub(crate) async fn fill(
    pool: &PgPool,
    load: &Load,
    hosts: Option<u32>,
    address: Option<&Address>,
) -> sqlx::Result<()> {
    let hosts = hosts.unwrap_or(load.checks.div_ceil(CHECKS_PER_HOST));
    // what became due while all this is written would be late, at the beginning and for long
    let ready_in = Duration::from_secs(u64::from(2 + load.checks / FILLED_PER_S));
    let ready_at = tokio::time::Instant::now() + ready_in;
    sqlx::query(
        "insert into hosts (hostname, ip, port, cert_sha256, cert_origin, agent_version)
         select 'bench' || i, '127.0.0.1', $2, $3, case when $3 is not null then 'registered' end, 'bench'
         from generate_series(1, $1::int) as i",
    )
    .bind(i64::from(hosts))
    .bind(address.map_or(5050, |address| i32::from(address.port)))
    .bind(address.map(|address| &address.cert_sha256))
    .execute(pool)
    .await?;
    // the interleaving is that of life: neighbours in a table are rarely neighbours in time
    sqlx::query(
        "with made as (
             insert into checks (host_id, name, cmd, declared_interval_s, declared_follow_up_s)
             select 1 + i % $2::int, 'check_' || case when $4 then i / $2::int else i end, '/usr/lib/nagios/plugins/check_load', $3::int, $3::int from generate_series(0, $1::int - 1) as i
             returning check_id),
         placed as (
             select check_id, floor(random() * $3 * 1000)::integer as phase_ms,
                    floor(extract(epoch from now() + make_interval(secs => $5)) * 1000)::bigint as ready_ms, $3 * 1000::bigint as i_ms
             from made)
         insert into check_state (check_id, interval_s, phase_ms, due_at, status, since, out)
         select check_id, $3, phase_ms, timestamptz 'epoch' + (((ready_ms - phase_ms) / i_ms + 1) * i_ms + phase_ms) * interval '1 ms',
                0, now(), 'OK - not run yet'
         from placed",
    )
    .bind(i64::from(load.checks))
    .bind(i64::from(hosts))
    .bind(i64::from(load.interval_s))
    // one real agent is many hosts, and has as many scripts as each of them has checks
    .bind(load.agents == Agents::Elsewhere)
    .bind(ready_in.as_secs_f64())
    .execute(pool)
    .await?;
    sqlx::query("vacuum (analyze) hosts, checks, check_state")
        .execute(pool)
        .await?;
    checkpoint(pool).await?;
    tokio::time::sleep_until(ready_at).await;
    Ok(())
}

/// So that the measurement does not write what filling has left. Who may not ask for it measures without.
async fn checkpoint(pool: &PgPool) -> sqlx::Result<()> {
    match sqlx::query("checkpoint").execute(pool).await {
        Err(sqlx::Error::Database(error)) if error.code().as_deref() == Some(NOT_ALLOWED) => Ok(()),
        Err(error) => Err(error),
        Ok(_) => Ok(()),
    }
}
