//! Which processes are alive, and how far behind they are.

use chrono::{DateTime, Utc};
use sqlx::PgPool;

/// Says that a replica is alive. `behind_ms` is 0 for what has no windows.
///
/// # Errors
/// If the database does not answer.
pub async fn beat(
    pool: &PgPool,
    replica_id: i64,
    component: &str,
    hostname: &str,
    version: &str,
    behind_ms: i64,
) -> sqlx::Result<()> {
    sqlx::query!(
        r#"
        insert into replicas (replica_id, component, hostname, version, behind_ms) values ($1, $2, $3, $4, $5)
        on conflict (replica_id) do update set seen_at = now(), behind_ms = excluded.behind_ms
        "#,
        replica_id,
        component,
        hostname,
        version,
        behind_ms,
    )
    .execute(pool)
    .await?;
    Ok(())
}

/// Forgets a replica that ends.
///
/// # Errors
/// If the database does not answer; it is forgotten by the schedulers then.
pub async fn forget(pool: &PgPool, replica_id: i64) -> sqlx::Result<()> {
    sqlx::query!("delete from replicas where replica_id = $1", replica_id)
        .execute(pool)
        .await?;
    Ok(())
}

/// Forgets the replicas that have said nothing for an hour.
///
/// # Errors
/// If the database does not answer.
pub async fn forget_silent(pool: &PgPool) -> sqlx::Result<()> {
    sqlx::query!("delete from replicas where seen_at < now() - interval '1 hour'")
        .execute(pool)
        .await?;
    Ok(())
}

/// Whether a worker has said within the last ten seconds that it is alive.
///
/// # Errors
/// If the database does not answer.
pub async fn has_worker(pool: &PgPool) -> sqlx::Result<bool> {
    sqlx::query_scalar!(
        r#"select exists (select from replicas where component = 'worker' and seen_at > now() - interval '10 s') as "has_worker!""#
    )
    .fetch_one(pool)
    .await
}

/// A process that runs, or was killed within the hour.
#[derive(Debug, Clone)]
pub struct Replica {
    /// Identity.
    pub replica_id: i64,
    /// `api`, `scheduler` or `worker`.
    pub component: String,
    /// The machine that it runs on.
    pub hostname: String,
    /// Of its executable.
    pub version: String,
    /// When it began.
    pub started_at: DateTime<Utc>,
    /// When it last said that it is alive; it does so each second.
    pub seen_at: DateTime<Utc>,
    /// It has said so within the last ten seconds.
    pub is_alive: bool,
    /// Of a worker: milliseconds that it is behind.
    pub behind_ms: i64,
}

/// All replicas, by component and start.
///
/// # Errors
/// If the database does not answer.
pub async fn list(pool: &PgPool) -> sqlx::Result<Vec<Replica>> {
    sqlx::query_as!(
        Replica,
        r#"
        select replica_id, component, hostname, version, started_at, seen_at, seen_at > now() - interval '10 s' as "is_alive!", behind_ms
        from replicas order by component, started_at, replica_id
        "#
    )
    .fetch_all(pool)
    .await
}
