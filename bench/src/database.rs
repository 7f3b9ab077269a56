//! A database of the benchmark's own, beside whatever else the server has: made anew for each scenario.

use anyhow::{Context, ensure};
use sqlx::postgres::{PgConnectOptions, PgPoolOptions};
use sqlx::{Connection, PgConnection, PgPool};
use stalker_db::Pools;

/// Its name. What is in it is thrown away.
const NAME: &str = "stalker_bench";
/// Held by the benchmark that has the database. Any number would do.
const LOCK: i64 = 0x5741_4c4b_4245;

/// The server, on which this benchmark is the only one.
#[derive(Debug)]
pub(crate) struct Server {
    url: String,
    /// Where the lock is held.
    _reserved: PgConnection,
}

impl Server {
    /// Takes it.
    ///
    /// # Errors
    /// If it cannot be reached, if the URL is the benchmark's own database's, or if another benchmark has the server.
    pub(crate) async fn reserve(url: &str) -> anyhow::Result<Self> {
        let options: PgConnectOptions = url
            .parse()
            .context("DATABASE_URL is no URL such as postgres://user@host/database")?;
        ensure!(
            options.get_database() != Some(NAME),
            "DATABASE_URL names the database {NAME}, which the benchmark drops: name another one of the server, such as postgres"
        );
        // A lock belongs to a database, so all take it in the one that every server has, if they may.
        let common = PgConnection::connect_with(&options.clone().database("postgres")).await;
        let mut connection = match common {
            Ok(connection) => connection,
            Err(_) => PgConnection::connect_with(&options)
                .await
                .context("cannot reach the server of DATABASE_URL")?,
        };
        let is_ours: bool = sqlx::query_scalar("select pg_try_advisory_lock($1)")
            .bind(LOCK)
            .fetch_one(&mut connection)
            .await?;
        ensure!(is_ours, "another stalker-bench measures on this server");
        Ok(Self {
            url: url.to_owned(),
            _reserved: connection,
        })
    }

    /// Drops the benchmark's database, whoever is connected.
    pub(crate) async fn drop_database(&self) -> anyhow::Result<()> {
        let mut server = PgConnection::connect(&self.url).await?;
        sqlx::query("drop database if exists stalker_bench with (force)")
            .execute(&mut server)
            .await?;
        server.close().await?;
        Ok(())
    }
}

/// An empty database with Stalker's schema.
#[derive(Debug, Clone)]
pub(crate) struct Database {
    pub(crate) url: String,
    pub(crate) pool: PgPool,
}

impl Database {
    /// Makes it, in place of one that was left.
    pub(crate) async fn fresh(server: &Server) -> anyhow::Result<Self> {
        server.drop_database().await?;
        let mut connection = PgConnection::connect(&server.url).await?;
        sqlx::query("create database stalker_bench")
            .execute(&mut connection)
            .await
            .context(
                "cannot make the database stalker_bench; its own is all that a benchmark touches",
            )?;
        connection.close().await?;
        let url = beside(&server.url)?;
        let pool = PgPoolOptions::new()
            .max_connections(4)
            .connect(&url)
            .await?;
        let reached: String = sqlx::query_scalar("select current_database()")
            .fetch_one(&pool)
            .await?;
        ensure!(
            reached == NAME,
            "DATABASE_URL leads to the database {reached}, whatever name is put into it"
        );
        let pools = Pools::new(&url, 8)?;
        stalker_db::migrate(&pools.durable).await?;
        pools.close().await;
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

/// The URL of the benchmark's database on the server of another: the same user, host and options.
fn beside(url: &str) -> anyhow::Result<String> {
    let (scheme, rest) = url
        .split_once("://")
        .context("a URL such as postgres://user@host/database is needed")?;
    let (rest, _) = rest.split_once('#').unwrap_or((rest, ""));
    let (rest, query) = rest.split_once('?').unwrap_or((rest, ""));
    let authority = rest.split('/').next().unwrap_or_default();
    // it would win over the path
    let options: Vec<&str> = query
        .split('&')
        .filter(|pair| !pair.is_empty() && pair.split('=').next() != Some("dbname"))
        .collect();
    let query = match options.as_slice() {
        [] => String::new(),
        options => format!("?{}", options.join("&")),
    };
    Ok(format!("{scheme}://{authority}/{NAME}{query}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_url_leads_to_the_database_of_the_benchmark() {
        for (url, wanted) in [
            (
                "postgres://u:p@h:5/live",
                "postgres://u:p@h:5/stalker_bench",
            ),
            ("postgres://u@h", "postgres://u@h/stalker_bench"),
            (
                "postgres://u@h/a?dbname=live&sslmode=disable",
                "postgres://u@h/stalker_bench?sslmode=disable",
            ),
            (
                "postgres:///live?host=/run/pg&port=5",
                "postgres:///stalker_bench?host=/run/pg&port=5",
            ),
            (
                "postgres://u@h?options=-c%20a=b",
                "postgres://u@h/stalker_bench?options=-c%20a=b",
            ),
        ] {
            let made = beside(url).expect("it is a URL");
            assert_eq!(made, wanted);
            let options: PgConnectOptions = made.parse().expect("it is a URL");
            assert_eq!(options.get_database(), Some(NAME));
        }
    }
}
