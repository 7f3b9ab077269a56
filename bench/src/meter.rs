//! What PostgreSQL has done so far, by its own counters.

use anyhow::Context;
use sqlx::PgPool;

use crate::cpu;

/// Its counters at one time.
#[derive(Debug, Clone)]
pub(crate) struct Reading {
    lsn: String,
    commits: i64,
    updates: i64,
    hot_updates: i64,
    cpu_us: Option<u64>,
    /// The database's Unix time.
    pub(crate) at_ms: i64,
    /// Bytes of `check_state` with its indexes.
    pub(crate) state_bytes: i64,
}

/// What it did between two readings.
#[derive(Debug, Clone)]
pub(crate) struct Work {
    pub(crate) commits: i64,
    /// Updates of `check_state`.
    pub(crate) updates: i64,
    /// Share of them that touched no index.
    pub(crate) hot_share: f64,
    pub(crate) wal_bytes: i64,
    /// Of them, records without images of whole pages and without what fills up the WAL's own pages; none where the
    /// extension `pg_walinspect` is not to be had.
    pub(crate) record_bytes: Option<i64>,
    /// Microseconds of processor time; none if it runs on another machine.
    pub(crate) cpu_us: Option<u64>,
}

/// The process above all others of the server, if that is on this machine.
pub(crate) async fn postmaster(pool: &PgPool) -> anyhow::Result<Option<u32>> {
    let backend: i32 = sqlx::query_scalar("select pg_backend_pid()")
        .fetch_one(pool)
        .await?;
    Ok(cpu::parent_of(backend.unsigned_abs(), "postgres"))
}

pub(crate) async fn read(pool: &PgPool, postmaster: Option<u32>) -> anyhow::Result<Reading> {
    let (lsn, commits, at_ms): (String, i64, i64) = sqlx::query_as(
        "select pg_current_wal_flush_lsn()::text, xact_commit, floor(extract(epoch from now()) * 1000)::bigint from pg_stat_database where datname = current_database()",
    )
    .fetch_one(pool)
    .await?;
    let (updates, hot_updates, state_bytes): (i64, i64, i64) = sqlx::query_as(
        "select n_tup_upd, n_tup_hot_upd, pg_total_relation_size(relid) from pg_stat_user_tables where relname = 'check_state'",
    )
    .fetch_one(pool)
    .await?;
    let cpu_us = postmaster.map(cpu::of_family);
    Ok(Reading {
        lsn,
        commits,
        updates,
        hot_updates,
        cpu_us,
        at_ms,
        state_bytes,
    })
}

/// Bytes of `check_state` with its indexes.
pub(crate) async fn state_bytes(pool: &PgPool) -> sqlx::Result<i64> {
    sqlx::query_scalar("select pg_total_relation_size('check_state')")
        .fetch_one(pool)
        .await
}

/// The work between two readings.
pub(crate) async fn between(pool: &PgPool, from: &Reading, to: &Reading) -> anyhow::Result<Work> {
    let wal_bytes: i64 =
        sqlx::query_scalar("select pg_wal_lsn_diff($1::text::pg_lsn, $2::text::pg_lsn)::bigint")
            .bind(&to.lsn)
            .bind(&from.lsn)
            .fetch_one(pool)
            .await
            .context("the server's WAL cannot be measured")?;
    let updates = to.updates - from.updates;
    Ok(Work {
        commits: to.commits - from.commits,
        updates,
        hot_share: (to.hot_updates - from.hot_updates) as f64 / updates.max(1) as f64,
        wal_bytes,
        record_bytes: record_bytes(pool, from, to).await,
        cpu_us: to
            .cpu_us
            .zip(from.cpu_us)
            .map(|(to, from)| to.saturating_sub(from)),
    })
}

/// Nothing without the extension, or if the segments were recycled meanwhile.
async fn record_bytes(pool: &PgPool, from: &Reading, to: &Reading) -> Option<i64> {
    sqlx::query("create extension if not exists pg_walinspect")
        .execute(pool)
        .await
        .ok()?;
    sqlx::query_scalar(
        "select sum(record_size)::bigint from pg_get_wal_stats($1::text::pg_lsn, $2::text::pg_lsn)",
    )
    .bind(&from.lsn)
    .bind(&to.lsn)
    .fetch_one(pool)
    .await
    .ok()
}
