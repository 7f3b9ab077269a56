//! What is killed or falls asleep in the middle of its work: nothing is lost, and nothing is applied twice.

use std::time::{Duration, Instant};

use nix::sys::signal::Signal;
use sqlx::{Connection, PgConnection, PgPool};
use stalker_tests::agent::Agent;
use stalker_tests::database::TestDatabase;
use stalker_tests::private_postgres::PrivatePostgres;
use stalker_tests::process;
use stalker_tests::server::{CHECK_KEY, Component, Installation};
use stalker_tests::until::{until, until_seen};

const CHECKS: usize = 100;
/// Longer than a test: after its first run, which comes within 10 s, no check is due again.
const INTERVAL_S: u32 = 604_800;

/// A worker that is killed while its checks run: they run elsewhere once its leases are over, and are recorded once.
#[tokio::test]
async fn a_killed_workers_checks_run_elsewhere() {
    let stage = Stage::with_a_worker_in_mid_run().await;
    let Stage {
        mut first,
        agent,
        database,
        installation,
        ..
    } = stage;
    first.process.kill();
    agent.delay(Duration::ZERO);
    let second = installation.start("worker").await;
    all_have_a_result(database.pool(), CHECKS).await;
    assert!(
        agent.runs().values().all(|runs| *runs == 2),
        "each once by either: {:?}",
        agent.runs()
    );
    assert_eq!(history(database.pool()).await, vec![(0, CHECKS as i64)]);
    drop(second);
}

/// A worker that sleeps through its leases, as a machine that was suspended: what it brings afterwards is refused.
#[tokio::test]
async fn a_late_workers_outcomes_are_refused() {
    let stage = Stage::with_a_worker_in_mid_run().await;
    let Stage {
        first,
        agent,
        database,
        installation,
        ..
    } = stage;
    first.process.suspend();
    agent.delay(Duration::ZERO);
    for check in agent.runs().keys() {
        agent.answer(check, 0, "OK - the second");
    }
    let _second = installation.start("worker").await;
    all_have_a_result(database.pool(), CHECKS).await;
    first.process.resume();
    until(
        "the first is refused",
        Duration::from_secs(30),
        async || first.process.output().contains("refused").then_some(()),
    )
    .await;
    assert_eq!(history(database.pool()).await, vec![(0, CHECKS as i64)]);
}

/// PostgreSQL's death by SIGKILL: no component ends, and checks run again soon after it accepts connections.
#[tokio::test]
async fn results_come_again_after_postgres_was_killed() {
    let postgres = PrivatePostgres::start().await;
    let agent = Agent::start(CHECK_KEY).await;
    let installation = Installation::at(&postgres.url);
    let pool = PgPool::connect(&postgres.url)
        .await
        .expect("it accepts connections");
    stalker_db::migrate(&pool)
        .await
        .expect("an empty database can be migrated");
    let mut all = installation.start("all").await;
    register(&all, &agent, 20, 2).await;
    all_have_a_result(&pool, 20).await;
    pool.close().await;

    let server = postgres.server().await;
    process::signal(server, Signal::SIGKILL);
    postgres.server_after(server).await;
    let back = Instant::now();
    let mut connection = PgConnection::connect(&postgres.url)
        .await
        .expect("it accepts connections");
    let now: String = sqlx::query_scalar("select now()::text")
        .fetch_one(&mut connection)
        .await
        .expect("it answers");
    until("a new result", Duration::from_secs(30), async || {
        let newer = "select exists (select from check_state where last_at > $1::timestamptz)";
        let newer: bool = sqlx::query_scalar(newer)
            .bind(&now)
            .fetch_one(&mut connection)
            .await
            .expect("it answers");
        newer.then_some(())
    })
    .await;
    assert!(
        back.elapsed() < Duration::from_secs(10),
        "the first new result came after {:?}",
        back.elapsed()
    );
    assert!(all.process.is_running());
}

/// One worker that has called the agent for every check and has no answer yet.
struct Stage {
    database: TestDatabase,
    agent: Agent,
    installation: Installation,
    first: Component,
    _others: [Component; 2],
}

impl Stage {
    async fn with_a_worker_in_mid_run() -> Self {
        let database = TestDatabase::new().await;
        let agent = Agent::start(CHECK_KEY).await;
        // Longer than a request may take, so that nothing of it is ever answered in time.
        agent.delay(Duration::from_secs(60));
        // The shortest lease that these settings allow.
        let installation = Installation::new(&database)
            .set("worker.check_timeout", 10)
            .set("worker.lease", 16);
        let api = installation.start("api").await;
        let first = installation.start("worker").await;
        let scheduler = installation.start("scheduler").await;
        register(&api, &agent, CHECKS, INTERVAL_S).await;
        let running = async || agent.runs().len();
        until_seen("every check runs", Duration::from_secs(30), running, |n| {
            *n == CHECKS
        })
        .await;
        Self {
            database,
            agent,
            installation,
            first,
            _others: [api, scheduler],
        }
    }
}

async fn register(api: &Component, agent: &Agent, checks: usize, interval_s: u32) {
    let names: Vec<String> = (0..checks).map(|check| format!("check_{check}")).collect();
    let names: Vec<&str> = names.iter().map(String::as_str).collect();
    api.api()
        .register_simulated(agent, "host", &names, interval_s)
        .await;
}

async fn all_have_a_result(pool: &PgPool, n: usize) {
    let recorded = async || {
        sqlx::query_scalar::<_, i64>("select count(*) from check_state where last_at is not null and status = 0 and lease is null")
            .fetch_one(pool)
            .await
            .expect("the database answers")
    };
    until_seen(
        "every check has a result",
        Duration::from_secs(90),
        recorded,
        |seen| *seen == n as i64,
    )
    .await;
}

/// How many changes to each status history holds: everything that was ever applied to new checks.
async fn history(pool: &PgPool) -> Vec<(i16, i64)> {
    sqlx::query_as(
        "select coalesce(status, -1::smallint), count(*) from state_changes group by status",
    )
    .fetch_all(pool)
    .await
    .expect("the database answers")
}
