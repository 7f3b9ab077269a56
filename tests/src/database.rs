//! A database of its own for every test.
//!
//! Migrating takes longer than most tests, so it is done once into a template, and each test gets a copy. The
//! template's name holds a hash of the migrations: a changed one makes a new template.

use std::thread;
use std::time::Duration;

use sha2::{Digest, Sha256};
use sqlx::postgres::{PgConnection, PgPool, PgPoolOptions};
use sqlx::{AssertSqlSafe, Connection, Executor};

/// Taken while the template is looked for and made: the tests of a run are many processes. Any number would do.
const TEMPLATE_LOCK: i64 = 0x5741_4c4b;

/// A migrated, empty database. Dropped, it is removed with everyone who is connected to it.
#[derive(Debug)]
pub struct TestDatabase {
    name: String,
    url: String,
    pool: PgPool,
}

/// Whose `now()` a database has.
#[derive(Debug, Clone, Copy)]
enum Clock {
    System,
    /// One that [`TestDatabase::advance`] moves. Nothing else differs.
    Settable,
}

impl TestDatabase {
    /// A new database.
    ///
    /// # Panics
    /// If `STALKER_TEST_DATABASE_URL` is not set or its server does not answer.
    pub async fn new() -> Self {
        Self::copy(Clock::System).await
    }

    /// A new database whose `now()` can be moved by [`TestDatabase::advance`]: an hour's outage becomes a test of one
    /// second. Views, functions and defaults are bound to that clock, since it was there when they were made.
    ///
    /// # Panics
    /// As [`TestDatabase::new`].
    pub async fn with_clock() -> Self {
        Self::copy(Clock::Settable).await
    }

    /// Its address, for `DATABASE_URL`.
    #[must_use]
    pub fn url(&self) -> &str {
        &self.url
    }

    /// Connections of the test's own.
    #[must_use]
    pub fn pool(&self) -> &PgPool {
        &self.pool
    }

    /// Moves the clock forward, for everybody and from their next statement on.
    ///
    /// # Panics
    /// If this database was not made by [`TestDatabase::with_clock`].
    pub async fn advance(&self, by: Duration) {
        sqlx::query("call clock.advance(make_interval(secs => $1))")
            .bind(by.as_secs_f64())
            .execute(&self.pool)
            .await
            .expect("the database has a settable clock");
    }

    async fn copy(clock: Clock) -> Self {
        let mut server = connect(&server_url()).await;
        let template = template(&mut server, clock).await;
        let name = format!(
            "stalker_test_{}_{:08x}",
            std::process::id(),
            rand::random::<u32>()
        );
        run(
            &mut server,
            format!("create database {name} template {template}"),
        )
        .await;
        if matches!(clock, Clock::Settable) {
            use_clock(&mut server, &name).await;
        }
        let url = url_of(&name);
        let pool = PgPoolOptions::new()
            .max_connections(10)
            .connect_lazy(&url)
            .expect("the URL was good a moment ago");
        Self { name, url, pool }
    }
}

impl Drop for TestDatabase {
    fn drop(&mut self) {
        // A drop cannot wait, and the test's runtime may be gone: another thread with a runtime of its own can.
        let name = self.name.clone();
        let remove = move || {
            let runtime = tokio::runtime::Builder::new_current_thread()
                .enable_all()
                .build()
                .expect("a runtime starts");
            runtime.block_on(async {
                // Also the end of a test that stopped the server: then there is nothing left to remove.
                if let Ok(mut server) = PgConnection::connect(&server_url()).await {
                    let _ = server
                        .execute(AssertSqlSafe(format!(
                            "drop database if exists {name} with (force)"
                        )))
                        .await;
                }
            });
        };
        let _ = thread::spawn(remove).join();
    }
}

/// The name of the template, which is made if this is the first test that needs it.
async fn template(server: &mut PgConnection, clock: Clock) -> String {
    let kind = match clock {
        Clock::System => "plain",
        Clock::Settable => "clock",
    };
    let template = format!("stalker_template_{kind}_{}", hash_of_migrations());
    sqlx::query("select pg_advisory_lock($1)")
        .bind(TEMPLATE_LOCK)
        .execute(&mut *server)
        .await
        .expect("the lock can be had");
    let is_there: bool =
        sqlx::query_scalar("select exists (select from pg_database where datname = $1)")
            .bind(&template)
            .fetch_one(&mut *server)
            .await
            .expect("the databases can be listed");
    if !is_there {
        make_template(server, &template, clock).await;
    }
    sqlx::query("select pg_advisory_unlock($1)")
        .bind(TEMPLATE_LOCK)
        .execute(&mut *server)
        .await
        .expect("the lock can be given back");
    template
}

/// Makes it under another name first: what bears the template's name is complete.
async fn make_template(server: &mut PgConnection, template: &str, clock: Clock) {
    let unfinished = format!("{template}_new");
    run(
        server,
        format!("drop database if exists {unfinished} with (force)"),
    )
    .await;
    run(server, format!("create database {unfinished}")).await;
    if matches!(clock, Clock::Settable) {
        let mut inside = connect(&url_of(&unfinished)).await;
        inside
            .execute(SETTABLE_CLOCK)
            .await
            .expect("the clock can be made");
        inside.close().await.expect("a connection closes");
        use_clock(server, &unfinished).await;
    }
    let pool = PgPoolOptions::new()
        .max_connections(2)
        .connect(&url_of(&unfinished))
        .await
        .expect("the new database answers");
    stalker_db::migrate(&pool)
        .await
        .expect("the migrations run on an empty database");
    pool.close().await;
    run(
        server,
        format!("alter database {unfinished} rename to {template}"),
    )
    .await;
}

/// A `now()` of our own that hides Postgres's from whoever has `clock` first in the search path. The shift is a literal
/// in its body, and moving it replaces the function: so the planner sees through it, as through the real one, and a
/// statement that compares 200,000 rows with it costs what it costs in service.
const SETTABLE_CLOCK: &str = "
    create schema clock;
    create table clock.shift (total interval not null);
    insert into clock.shift values ('0');
    create function clock.now() returns timestamptz stable language sql as 'select pg_catalog.now()';
    create procedure clock.advance(by interval) language plpgsql as $$
    declare
        shift interval;
    begin
        update clock.shift set total = total + by returning total into shift;
        execute format('create or replace function clock.now() returns timestamptz stable language sql as %L',
                       format('select pg_catalog.now() + %L::interval', shift));
    end $$;
";

/// A database's settings are not copied with it, so every copy needs this again.
async fn use_clock(server: &mut PgConnection, database: &str) {
    run(
        server,
        format!("alter database {database} set search_path = clock, public, pg_catalog"),
    )
    .await;
}

/// Of those that are built in here, whatever the folder holds by now: they are what the template is made with.
fn hash_of_migrations() -> String {
    let mut hash = Sha256::new();
    for migration in stalker_db::MIGRATOR.iter() {
        hash.update(migration.version.to_le_bytes());
        hash.update(&migration.checksum);
    }
    hash.finalize()
        .iter()
        .take(6)
        .map(|byte| format!("{byte:02x}"))
        .collect()
}

#[expect(
    clippy::disallowed_methods,
    reason = "the tests' own configuration has no other way in"
)]
fn server_url() -> String {
    std::env::var("STALKER_TEST_DATABASE_URL").expect(
        "STALKER_TEST_DATABASE_URL is not set: it names the Postgres server on which each test makes its own database. \
         Run `make test`, which starts a private one; DATABASE_URL is yours and never used",
    )
}

/// The test server's URL with another database in it.
fn url_of(database: &str) -> String {
    let url = server_url();
    let (address, options) = url.split_once('?').unwrap_or((&url, ""));
    let (host, _) = address
        .rsplit_once('/')
        .expect("STALKER_TEST_DATABASE_URL ends with /DATABASE");
    format!("{host}/{database}?{options}")
}

async fn connect(url: &str) -> PgConnection {
    PgConnection::connect(url).await.unwrap_or_else(|error| {
        panic!("the server of STALKER_TEST_DATABASE_URL does not answer: {error}")
    })
}

/// Runs a statement whose names cannot be parameters; all of them are ours.
async fn run(server: &mut PgConnection, sql: String) {
    server
        .execute(AssertSqlSafe(sql.clone()))
        .await
        .unwrap_or_else(|error| panic!("{sql}: {error}"));
}
