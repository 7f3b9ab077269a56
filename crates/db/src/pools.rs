//! Connections: how many, with which settings, and whether the schema behind them is the one we know.

use std::str::FromStr;
use std::time::Duration;

use sqlx::migrate::Migrator;
use sqlx::postgres::{PgConnectOptions, PgPool, PgPoolOptions};

/// The migrations that this executable brings along.
pub static MIGRATOR: Migrator = sqlx::migrate!("../../migrations");

/// Begins a transaction in which, whatever the statistics say, each row is looked up by its key. Recorders look rows up in
/// the order of their batch, which is that of ids, in which rows must be locked: a small table would be read whole instead,
/// and its rows locked as they lie. Duties look at what a small index holds, whose size no statistics know: all that ever
/// was would be read instead.
pub(crate) const BEGIN_BY_KEY: &str = "begin; set local enable_hashjoin = off; set local enable_mergejoin = off; set local enable_seqscan = off; \
     set local plan_cache_mode = force_generic_plan";

/// Begins a transaction for a page of a list that can be filtered in many ways: planned for what is asked, so that each
/// filter finds its index, and rows are looked up one by one, since a page is small and what it is taken from is not.
pub(crate) const BEGIN_LIST: &str = "begin; set local enable_hashjoin = off; set local enable_mergejoin = off; set local plan_cache_mode = force_custom_plan";

/// As [`BEGIN_LIST`], for what no index tells apart: read in the order of the list, so that all of its pages together read
/// the table once, where sorting would read it once for each.
pub(crate) const BEGIN_LIST_IN_ORDER: &str = "begin; set local enable_hashjoin = off; set local enable_mergejoin = off; set local plan_cache_mode = force_custom_plan; \
     set local enable_sort = off";

/// For every statement of a connection as [`BEGIN_BY_KEY`], and no statement is planned twice: planning a claim takes as long as
/// claiming thirty checks.
const BY_KEY: [(&str, &str); 4] = [
    ("enable_hashjoin", "off"),
    ("enable_mergejoin", "off"),
    ("enable_seqscan", "off"),
    ("plan_cache_mode", "force_generic_plan"),
];

/// The two pools of a process.
#[derive(Debug, Clone)]
pub struct Pools {
    /// Commits wait for the disk: everything that must survive a crash of the database.
    pub durable: PgPool,
    /// Commits do not wait, and rows are looked up by key: claims, and batches in which nothing changed. A crash of the
    /// database repeats at most the last fraction of a second of them.
    pub relaxed: PgPool,
}

impl Pools {
    /// Prepares up to `max_connections` connections, three quarters of them durable. None is opened yet, so a
    /// database that is not there shows when it is first used.
    ///
    /// # Errors
    /// If `url` is not a Postgres URL.
    pub fn new(url: &str, max_connections: u32) -> sqlx::Result<Self> {
        let relaxed = (max_connections / 4).max(2);
        let durable = max_connections.saturating_sub(relaxed).max(2);
        Ok(Self {
            durable: pool(url, durable, &[("synchronous_commit", "on")])?,
            relaxed: pool(
                url,
                relaxed,
                &[&[("synchronous_commit", "off")], &BY_KEY[..]].concat(),
            )?,
        })
    }

    /// Closes both pools and waits until their connections are given back.
    pub async fn close(&self) {
        self.durable.close().await;
        self.relaxed.close().await;
    }
}

fn pool(url: &str, size: u32, own: &[(&str, &str)]) -> sqlx::Result<PgPool> {
    let options = PgConnectOptions::from_str(url)?
        .application_name("stalker")
        .options(own.iter().copied())
        .options([
            // a claim would spend 116 ms on being compiled
            ("jit", "off"),
            // a transaction that is held open stops pruning of the hot table for everybody
            ("idle_in_transaction_session_timeout", "5s"),
            ("statement_timeout", "30s"),
        ]);
    Ok(PgPoolOptions::new()
        .max_connections(size)
        .acquire_timeout(Duration::from_secs(5))
        .connect_lazy_with(options))
}

/// Brings the schema up to this executable's migrations. Safe to call from many processes at once.
///
/// # Errors
/// If the database cannot be reached, or was migrated by a newer version.
pub async fn migrate(pool: &PgPool) -> Result<(), sqlx::migrate::MigrateError> {
    MIGRATOR.run(pool).await
}

/// Whether the database's migrations are exactly this executable's.
///
/// # Errors
/// If the database does not answer; a schema that was never migrated is `false`.
pub async fn is_migrated(pool: &PgPool) -> sqlx::Result<bool> {
    // Not checked at compile time: the table is sqlx's own and absent from a fresh database.
    let applied = sqlx::query_as::<_, (i64, Vec<u8>)>(
        "select version, checksum from _sqlx_migrations where success order by version",
    )
    .fetch_all(pool)
    .await;
    let applied = match applied {
        Err(sqlx::Error::Database(error)) if error.code().as_deref() == Some("42P01") => {
            return Ok(false);
        }
        applied => applied?,
    };
    let ours = MIGRATOR
        .iter()
        .map(|migration| (migration.version, migration.checksum.to_vec()));
    Ok(ours.eq(applied))
}

/// Whether an error says that the database is away or busy, so that the same statement may succeed later. Every
/// other error is about the statement or its values.
#[must_use]
pub fn is_passing(error: &sqlx::Error) -> bool {
    match error {
        sqlx::Error::Io(_)
        | sqlx::Error::Tls(_)
        | sqlx::Error::PoolTimedOut
        | sqlx::Error::PoolClosed
        | sqlx::Error::WorkerCrashed
        | sqlx::Error::Protocol(_) => true,
        // connection exceptions, insufficient resources, operator intervention, rollbacks (deadlock), lock not available
        sqlx::Error::Database(error) => error.code().is_some_and(|code| {
            ["08", "53", "57", "40", "55", "25"]
                .iter()
                .any(|class| code.starts_with(class))
        }),
        _ => false,
    }
}
