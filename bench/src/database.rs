//! A database of the benchmark's own, beside whatever else the server has: made anew for each scenario.

use anyhow::Context;
use sqlx::postgres::PgPoolOptions;
use sqlx::{Connection, PgConnection, PgPool};
use stalker_db::Pools;

/// Its name. What is in it is thrown away.
const NAME: &str = "stalker_bench";

/// An empty database with Stalker's schema.
#[derive(Debug, Clone)]
pub(crate) struct Database {
    pub(crate) url: String,
    pub(crate) pool: PgPool,
}

impl Database {
    /// Makes it on the server of `server_url`, in place of one that was left.
    pub(crate) async fn fresh(server_url: &str) -> anyhow::Result<Self> {
        drop_it(server_url).await?;
        let mut server = PgConnection::connect(server_url).await?;
        sqlx::query("create database stalker_bench")
            .execute(&mut server)
            .await
            .context(
                "cannot make the database stalker_bench; its own is all that a benchmark touches",
            )?;
        server.close().await?;
        let (address, options) = server_url.split_once('?').unwrap_or((server_url, ""));
        let (address, _) = address
            .rsplit_once('/')
            .context("a URL such as postgres://user@host/database is needed")?;
        let url = format!("{address}/{NAME}?{options}");
        let pools = Pools::new(&url, 8)?;
        stalker_db::migrate(&pools.durable).await?;
        pools.close().await;
        let pool = PgPoolOptions::new()
            .max_connections(4)
            .connect(&url)
            .await?;
        Ok(Self { url, pool })
    }

    /// What was set on the server that matters for speed, for whoever reads the figures.
    pub(crate) async fn settings(&self) -> anyhow::Result<serde_json::Value> {
        let settings: Vec<(String, String)> = sqlx::query_as(
            "select name, current_setting(name) from pg_settings
             where name in ('server_version', 'shared_buffers', 'fsync', 'synchronous_commit', 'full_page_writes', 'wal_compression',
                            'max_wal_size', 'checkpoint_timeout', 'wal_buffers', 'commit_delay', 'max_connections', 'autovacuum_naptime')
             order by name",
        )
        .fetch_all(&self.pool)
        .await?;
        Ok(settings
            .into_iter()
            .map(|(name, value)| (name, value.into()))
            .collect::<serde_json::Map<_, _>>()
            .into())
    }
}

/// Drops it, whoever is connected.
pub(crate) async fn drop_it(server_url: &str) -> anyhow::Result<()> {
    let mut server = PgConnection::connect(server_url)
        .await
        .context("cannot reach the server of DATABASE_URL")?;
    sqlx::query("drop database if exists stalker_bench with (force)")
        .execute(&mut server)
        .await?;
    server.close().await?;
    Ok(())
}
