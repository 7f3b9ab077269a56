//! The tools of `stalkerd` for those who run an installation: each is the real executable, run to its end.

mod alerts;
mod doctor;
mod maintenance;
mod routes;
mod without_database;

use std::time::Duration;

use sqlx::PgPool;
use stalker_tests::database::TestDatabase;
use stalker_tests::server::Installation;

/// Several tests share two cores.
const PATIENCE: Duration = Duration::from_secs(30);

/// Runs a tool that must succeed; gives what it printed.
async fn stalkerd(database: &TestDatabase, arguments: &[&str]) -> String {
    let (succeeded, said) = run(database, arguments).await;
    assert!(succeeded, "{arguments:?}: {said}");
    said
}

/// Runs a tool that must fail; gives what it printed.
async fn refused(database: &TestDatabase, arguments: &[&str]) -> String {
    let (succeeded, said) = run(database, arguments).await;
    assert!(!succeeded, "{arguments:?} succeeded: {said}");
    said
}

/// Runs a tool; gives whether it succeeded, and what it printed.
async fn run(database: &TestDatabase, arguments: &[&str]) -> (bool, String) {
    Installation::new(database).tool(arguments).await
}

/// The fields of a table's lines, without its heading.
fn table(said: &str) -> Vec<Vec<&str>> {
    let lines = said.lines().skip(1);
    lines.map(|line| line.split('\t').collect()).collect()
}

async fn execute(pool: &PgPool, sql: &'static str) {
    sqlx::raw_sql(sql)
        .execute(pool)
        .await
        .unwrap_or_else(|error| panic!("{sql}: {error}"));
}
