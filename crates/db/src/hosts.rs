//! Hosts as people look at them, and their end.

use std::collections::BTreeMap;

use sqlx::PgPool;
use sqlx::types::Json;
use stalker_domain::wire::RegisteredCheck;

use crate::{alerts, checks, registrations};

/// A host with the definitions of its checks.
#[derive(Debug, Clone)]
pub struct Host {
    /// Identity, in the order of which lists are read.
    pub host_id: i64,
    /// Its name, unique in a cluster.
    pub hostname: String,
    /// Where its agent is called.
    pub ip: String,
    /// The port on which its agent listens.
    pub port: i32,
    /// Its labels.
    pub roles: Vec<String>,
    /// What its agent calls itself; `None` for the original's.
    pub agent_version: Option<String>,
    /// The certificate that its agent must show: lower-case hex SHA-256.
    pub cert_sha256: Option<String>,
    /// How that certificate became known: `registered` or `first_seen`.
    pub cert_origin: Option<String>,
    /// Its checks by name, as registered.
    pub checks: Json<BTreeMap<String, RegisteredCheck>>,
}

/// The next at most `limit` hosts whose ids are above `after`, by id.
///
/// # Errors
/// If the database does not answer.
pub async fn page(pool: &PgPool, after: i64, limit: i64) -> sqlx::Result<Vec<Host>> {
    select(pool, None, after, limit).await
}

/// One host, by its id.
///
/// # Errors
/// If the database does not answer.
pub async fn find(pool: &PgPool, host_id: i64) -> sqlx::Result<Option<Host>> {
    Ok(select(pool, Some(host_id), 0, 1).await?.pop())
}

async fn select(
    pool: &PgPool,
    host_id: Option<i64>,
    after: i64,
    limit: i64,
) -> sqlx::Result<Vec<Host>> {
    sqlx::query_as!(
        Host,
        r#"
        select h.host_id, h.hostname, h.ip, h.port, h.roles, h.agent_version, h.cert_sha256, h.cert_origin,
            coalesce(c.checks, '{}') as "checks!: Json<BTreeMap<String, RegisteredCheck>>"
        from (
            select * from hosts
            where host_id > $2 and ($1::bigint is null or host_id = $1) order by host_id limit $3
        ) as h
        left join lateral (
            select jsonb_object_agg(k.name, jsonb_build_object(
                'cmd', k.cmd, 'args', k.args, 'interval', k.interval_s, 'follow_up', k.follow_up_s, 'priority', k.priority,
                'timeout', k.timeout_s, 'alert_threshold', k.alert_threshold, 'flap_threshold', k.flap_threshold,
                'flap_window', k.flap_window_s)) as checks
            from checks k where k.host_id = h.host_id and k.removed_at is null
        ) as c on true
        order by h.host_id
        "#,
        host_id,
        after,
        limit
    )
    .fetch_all(pool)
    .await
}

/// The host of this name, else the first host with this address.
///
/// # Errors
/// If the database does not answer.
pub async fn find_id(pool: &PgPool, name_or_ip: &str) -> sqlx::Result<Option<i64>> {
    sqlx::query_scalar!(
        "select host_id from hosts where hostname = $1 or ip = $1 order by hostname = $1 desc, host_id limit 1",
        name_or_ip
    )
    .fetch_optional(pool)
    .await
}

/// Deletes a host and its checks; history stays, their alerts close with reason `removed`. False if there is no
/// such host.
///
/// # Errors
/// If the database does not answer.
pub async fn delete(pool: &PgPool, host_id: i64) -> sqlx::Result<bool> {
    let mut tx = pool.begin().await?;
    let Some(hostname) =
        sqlx::query_scalar!("select hostname from hosts where host_id = $1", host_id)
            .fetch_optional(&mut *tx)
            .await?
    else {
        return Ok(false);
    };
    // a registration of this host adds its checks before or after, never in between
    registrations::lock(&mut tx, &hostname).await?;
    let check_ids = sqlx::query_scalar!(
        "delete from checks where host_id = $1 returning check_id",
        host_id
    )
    .fetch_all(&mut *tx)
    .await?;
    checks::delete_states(&mut tx, &check_ids).await?;
    let deleted = sqlx::query!("delete from hosts where host_id = $1", host_id)
        .execute(&mut *tx)
        .await?;
    alerts::close(&mut tx, &check_ids, &[host_id], "removed").await?;
    tx.commit().await?;
    Ok(deleted.rows_affected() == 1)
}
