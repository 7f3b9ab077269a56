//! Hosts as people look at them, and their end.

use std::collections::BTreeMap;

use sqlx::types::Json;
use sqlx::{PgConnection, PgPool};
use stalker_domain::wire::RegisteredCheck;

use crate::pools::BEGIN_LIST;
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
    /// Its agent has shown the token that it was given: nobody else can register by this name.
    pub has_token: bool,
    /// Its checks by name, as they hold.
    pub checks: Json<BTreeMap<String, RegisteredCheck>>,
}

/// Which hosts a list is of: all that is given must be so.
#[derive(Debug, Clone, Default)]
pub struct Which {
    /// This one.
    pub host_id: Option<i64>,
    /// Those with this role.
    pub role: Option<String>,
    /// Those with one of these roles: the scope of a key.
    pub scope: Option<Vec<String>>,
}

/// The next at most `limit` hosts of a list whose ids are above `after`, by id.
///
/// # Errors
/// If the database does not answer.
pub async fn page(pool: &PgPool, which: &Which, after: i64, limit: i64) -> sqlx::Result<Vec<Host>> {
    let mut tx = pool.begin_with(BEGIN_LIST).await?;
    sqlx::query_as!(
        Host,
        r#"
        select h.host_id, h.hostname, h.ip, h.port, h.roles, h.agent_version, h.cert_sha256, h.cert_origin,
            (h.token_hash is not null and h.token_is_shown) as "has_token!",
            coalesce(c.checks, '{}') as "checks!: Json<BTreeMap<String, RegisteredCheck>>"
        from (
            select * from hosts
            where host_id > $1 and ($3::bigint is null or host_id = $3)
              and ($4::text is null or roles @> array[$4]) and ($5::text[] is null or roles && $5)
            order by host_id limit $2
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
        after,
        limit,
        which.host_id,
        which.role.as_deref(),
        which.scope.as_deref(),
    )
    .fetch_all(&mut *tx)
    .await
}

/// One host, by its id.
///
/// # Errors
/// If the database does not answer.
pub async fn find(pool: &PgPool, host_id: i64) -> sqlx::Result<Option<Host>> {
    let which = Which {
        host_id: Some(host_id),
        ..Which::default()
    };
    Ok(page(pool, &which, 0, 1).await?.pop())
}

/// The host of this name, else the first host with this address; of those in this scope.
///
/// # Errors
/// If the database does not answer.
pub async fn find_id(
    pool: &PgPool,
    name_or_ip: &str,
    scope: Option<&[String]>,
) -> sqlx::Result<Option<i64>> {
    sqlx::query_scalar!(
        "select coalesce(
             (select host_id from hosts where hostname = $1 and ($2::text[] is null or roles && $2)),
             -- very many may be behind one address
             (select host_id from hosts where ip = $1 and ($2::text[] is null or roles && $2) order by host_id limit 1))",
        name_or_ip,
        scope,
    )
    .fetch_one(pool)
    .await
}

/// The host of this name, else all with this address: two of them at most, for that is how many tell that they are several.
///
/// # Errors
/// If the database does not answer.
pub async fn names(pool: &PgPool, name_or_ip: &str) -> sqlx::Result<Vec<String>> {
    let names = sqlx::query_scalar!(
        "select hostname from hosts where hostname = $1 or ip = $1 order by hostname = $1 desc, host_id limit 2",
        name_or_ip
    )
    .fetch_all(pool)
    .await?;
    let is_name = names.first().is_some_and(|name| name == name_or_ip);
    Ok(names
        .into_iter()
        .take(if is_name { 1 } else { 2 })
        .collect())
}

/// The name of the host of this id.
///
/// # Errors
/// If the database does not answer.
pub async fn name(conn: &mut PgConnection, host_id: i64) -> sqlx::Result<Option<String>> {
    sqlx::query_scalar!("select hostname from hosts where host_id = $1", host_id)
        .fetch_optional(conn)
        .await
}

/// Names that begin with `start`, and else addresses that do, in their order.
///
/// # Errors
/// If the database does not answer.
pub async fn beginning_with(
    pool: &PgPool,
    start: &str,
    scope: Option<&[String]>,
    limit: i64,
) -> sqlx::Result<Vec<String>> {
    let mut tx = pool.begin_with(BEGIN_LIST).await?;
    let pattern: String = start
        .chars()
        .flat_map(|c| match c {
            '\\' | '%' | '_' => vec!['\\', c],
            c => vec![c],
        })
        .chain(['%'])
        .collect();
    let names = sqlx::query_scalar!(
        "select hostname from hosts where hostname like $1 and ($2::text[] is null or roles && $2) order by hostname limit $3",
        pattern,
        scope,
        limit,
    )
    .fetch_all(&mut *tx)
    .await?;
    if !names.is_empty() {
        return Ok(names);
    }
    sqlx::query_scalar!(
        "select distinct ip from hosts where ip like $1 and ($2::text[] is null or roles && $2) order by ip limit $3",
        pattern,
        scope,
        limit,
    )
    .fetch_all(&mut *tx)
    .await
}

/// Forgets the token of a host, so that the next agent that registers by its name is given one. Gives whether it had one;
/// `None` if there is no such host.
///
/// # Errors
/// If the database does not answer.
pub async fn release(conn: &mut PgConnection, hostname: &str) -> sqlx::Result<Option<bool>> {
    sqlx::query_scalar!(
        r#"
        update hosts h set token_hash = null, token_is_shown = false
        from (select host_id, token_hash from hosts where hostname = $1 for no key update) as was
        where h.host_id = was.host_id
        returning was.token_hash is not null as "had_token!"
        "#,
        hostname
    )
    .fetch_optional(conn)
    .await
}

/// Deletes a host and its checks; history stays, their alerts close with reason `removed`. False if there is no
/// such host.
///
/// # Errors
/// If the database does not answer.
pub async fn delete(conn: &mut PgConnection, host_id: i64) -> sqlx::Result<bool> {
    let Some(hostname) = name(conn, host_id).await? else {
        return Ok(false);
    };
    // a registration of this host adds its checks before or after, never in between
    registrations::lock(conn, &hostname).await?;
    let check_ids = sqlx::query_scalar!(
        "delete from checks where host_id = $1 returning check_id",
        host_id
    )
    .fetch_all(&mut *conn)
    .await?;
    checks::delete_states(conn, &check_ids).await?;
    let deleted = sqlx::query!("delete from hosts where host_id = $1", host_id)
        .execute(&mut *conn)
        .await?;
    alerts::close(conn, &check_ids, &[host_id], "removed").await?;
    Ok(deleted.rows_affected() == 1)
}
