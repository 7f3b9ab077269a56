//! What dies or sleeps in the middle of its work: nothing is lost, and nothing is applied twice.

mod accepted;
mod cluster;
mod failpoints;
mod kills;
mod pauses;
mod repeats;
mod told;

use std::fs;
use std::path::Path;
use std::time::{Duration, Instant};

use nix::sys::signal::Signal;
use sqlx::{Connection, PgPool};
use stalker_tests::agent::Agent;
use stalker_tests::database::TestDatabase;
use stalker_tests::fixture::make_due_now;
use stalker_tests::private_postgres::PrivatePostgres;
use stalker_tests::process;
use stalker_tests::receiver::Receiver;
use stalker_tests::server::{CHECK_KEY, Component, Installation};
use stalker_tests::until::{stays, until, until_seen};

const CHECKS: usize = 20;
/// Nothing is due a second time while a test lasts.
const INTERVAL_S: u32 = 3600;
/// The shortest that the settings allow: longer than a request, which may take [`TIMEOUT_S`] + 5.
const LEASE_S: u32 = 7;
const TIMEOUT_S: u32 = 1;
/// The lease, a sweep that finds it lost, and a claim.
const TAKEN_OVER: Duration = Duration::from_secs(20);
const PATIENCE: Duration = Duration::from_secs(30);
/// Longer than a component waits for a connection, so that each has found out that there is none.
const OUTAGE: Duration = Duration::from_secs(8);

/// SIGKILL in mid-run: another worker runs the checks when the leases have run out, and each failure counts once.
#[tokio::test]
async fn killed_workers_checks_run_elsewhere() {
    let mut stage = Stage::in_mid_run(Duration::from_mins(10)).await;
    stage.worker.process.kill();
    let leased = "select count(*) from check_state where leased_until >= now()";
    assert_eq!(
        count(stage.pool(), leased).await,
        CHECKS as i64,
        "the dead one's leases stand"
    );
    stage.agent_says(2, "CRITICAL - the second");
    let _scheduler = stage.installation.start("scheduler").await;
    let _second = stage.installation.start("worker").await;

    stage.each_failed_once("CRITICAL - the second").await;
    let runs = stage.agent.runs();
    assert!(
        runs.values().all(|n| *n == 2),
        "each once by either: {runs:?}"
    );
}

/// A worker that slept through its leases, as a machine that was suspended: what it brings afterwards is refused, and
/// what the other recorded stands.
#[tokio::test]
async fn late_outcomes_are_refused() {
    let stage = Stage::in_mid_run(Duration::from_secs(2)).await;
    stage.worker.process.suspend();
    stage.agent_says(1, "WARNING - the second");
    let _scheduler = stage.installation.start("scheduler").await;
    let _second = stage.installation.start("worker").await;
    stage.each_failed_once("WARNING - the second").await;

    stage.worker.process.resume();
    stage.first_is_refused().await;
    stage.each_failed_once("WARNING - the second").await;
}

/// The same if nobody has taken its checks over: a lease that has run out covers nothing.
#[tokio::test]
async fn late_outcomes_are_refused_though_nobody_else_ran() {
    let stage = Stage::in_mid_run(Duration::from_secs(2)).await;
    stage.worker.process.suspend();
    let leased = "select count(*) from check_state where leased_until >= now()";
    let leased = async || count(stage.pool(), leased).await;
    until_seen("the leases have run out", TAKEN_OVER, leased, |n| *n == 0).await;

    stage.worker.process.resume();
    stage.first_is_refused().await;
    let recorded = "select count(*) from check_state where last_at is not null or fails > 0";
    assert_eq!(count(stage.pool(), recorded).await, 0);
    assert_eq!(
        count(stage.pool(), "select count(*) from state_changes").await,
        0
    );

    // And the checks are not lost.
    stage.agent_says(2, "CRITICAL - again");
    let _scheduler = stage.installation.start("scheduler").await;
    stage.each_failed_once("CRITICAL - again").await;
}

/// SIGKILL of PostgreSQL, with each component as a process of its own: none ends, and results come again soon, however
/// patient the components have become meanwhile.
#[tokio::test]
async fn postgres_may_be_killed() {
    let postgres = PrivatePostgres::start().await;
    let pool = PgPool::connect(&postgres.url)
        .await
        .expect("it accepts connections");
    stalker_db::migrate(&pool)
        .await
        .expect("an empty database can be migrated");
    let agent = Agent::start(CHECK_KEY).await;
    let installation = Installation::at(&postgres.url);
    let mut components = Vec::new();
    for subcommand in ["api", "scheduler", "worker"] {
        components.push(installation.start(subcommand).await);
    }
    let api = components[0].api();
    let names = names();
    let names: Vec<&str> = names.iter().map(String::as_str).collect();
    api.register_simulated(&agent, "web1", &names, 1).await;
    let recorded = "select count(*) from check_state where last_at is not null";
    let recorded = async || count(&pool, recorded).await;
    until_seen("all have run", PATIENCE, recorded, |n| *n == CHECKS as i64).await;
    pool.close().await;

    let server = postgres.server().await;
    let supervisor = process::parent_of(Path::new(&format!("/proc/{server}"))).expect("it has one");
    process::signal(supervisor, Signal::SIGSTOP);
    process::signal(server, Signal::SIGKILL);
    let gone = async || postgres.server_if_up().await;
    until_seen(
        "its last process has ended",
        PATIENCE,
        gone,
        Option::is_none,
    )
    .await;
    stays("nobody starts it again", OUTAGE, gone, Option::is_none).await;
    process::signal(supervisor, Signal::SIGCONT);
    postgres.server_after(server).await;
    let back = Instant::now();
    let mut connection = postgres.connect().await;
    let since = "select extract(epoch from now())::float8";
    let since: f64 = sqlx::query_scalar(since)
        .fetch_one(&mut connection)
        .await
        .expect("it answers");
    let newer = "select count(*) from check_state where extract(epoch from last_at)::float8 > $1 and lease is null";
    let mut newer = async || -> i64 {
        sqlx::query_scalar(newer)
            .bind(since)
            .fetch_one(&mut connection)
            .await
            .expect("it answers")
    };
    until("a new result", PATIENCE, async || {
        (newer().await > 0).then_some(())
    })
    .await;
    let took = back.elapsed();
    assert!(
        took < Duration::from_secs(10),
        "the first new result came after {took:?}"
    );
    until("a new result of every check", PATIENCE, async || {
        (newer().await == CHECKS as i64).then_some(())
    })
    .await;
    connection.close().await.expect("a connection closes");
    for component in &mut components {
        assert!(
            component.process.is_running(),
            "{}",
            component.process.output()
        );
    }
    let ok = until("the API answers", PATIENCE, async || {
        let (status, body) = api.get("/checks/").await;
        (status == 200).then_some(body)
    });
    assert_eq!(ok.await["checks"].as_array().map(Vec::len), Some(CHECKS));
}

/// While the pause file exists no check is claimed, and what is owed is sent all the same.
#[tokio::test]
async fn pause_file_stops_checks_and_no_notifications() {
    let agent = Agent::start(CHECK_KEY).await;
    agent.answer("check_a", 2, "CRITICAL - down");
    let receiver = Receiver::start().await;
    receiver.answer_next([503]);
    let database = TestDatabase::new().await;
    let installation = Installation::new(&database).channel("pager", receiver.url());
    let pause = installation.home().join("pause");
    let installation = installation
        .set(
            "worker.pause_file",
            pause.to_str().expect("temporary paths are text"),
        )
        .set("alerts.alert_threshold", 1);
    let all = installation.start("all").await;
    all.api()
        .register_simulated(&agent, "web1", &["check_a"], 1)
        .await;
    let tried = async || receiver.received().len();
    until_seen("the pager is tried", PATIENCE, tried, |n| *n == 1).await;

    fs::write(&pause, "").expect("a file can be made");
    // One claim may have been under way.
    let runs = agent.runs_of("check_a");
    let accepted = async || (receiver.accepted().len(), agent.runs_of("check_a"));
    let (_, paused) = until_seen("the pager is told", PATIENCE, accepted, |(n, _)| *n == 1).await;
    assert!(
        paused <= runs + 1,
        "{runs} runs before the pause and {paused} after it"
    );
    let still = async || agent.runs_of("check_a");
    stays("nothing runs", Duration::from_secs(2), still, |n| {
        *n == paused
    })
    .await;

    fs::remove_file(&pause).expect("it is there");
    until_seen("it runs on", PATIENCE, still, |n| *n >= paused + 2).await;
}

/// A worker whose runs are all under way, for an agent that answers `CRITICAL - the first` after a delay.
struct Stage {
    database: TestDatabase,
    agent: Agent,
    installation: Installation,
    worker: Component,
    _api: Component,
}

impl Stage {
    async fn in_mid_run(delay: Duration) -> Self {
        let database = TestDatabase::new().await;
        let agent = Agent::start(CHECK_KEY).await;
        let installation = Installation::new(&database)
            .set("worker.check_timeout", TIMEOUT_S)
            .set("worker.lease", LEASE_S)
            .set("alerts.alert_threshold", 1);
        let api = installation.start("api").await;
        let names = names();
        let names: Vec<&str> = names.iter().map(String::as_str).collect();
        api.api()
            .register_simulated(&agent, "web1", &names, INTERVAL_S)
            .await;
        make_due_now(database.pool()).await;
        let stage = Self {
            worker: installation.start("worker").await,
            database,
            agent,
            installation,
            _api: api,
        };
        stage.agent_says(2, "CRITICAL - the first");
        stage.agent.delay(delay);
        let running = async || stage.agent.runs().len();
        until_seen("all run", PATIENCE, running, |n| *n == CHECKS).await;
        stage
    }

    fn pool(&self) -> &PgPool {
        self.database.pool()
    }

    /// What it says from the next request on, at once.
    fn agent_says(&self, status: i32, out: &str) {
        self.agent.delay(Duration::ZERO);
        for name in names() {
            self.agent.answer(&name, status, out);
        }
    }

    /// Waits until every check has failed with this text, and looks whether anything says that it did so twice.
    async fn each_failed_once(&self, out: &str) {
        let seen = "select out, fails, hard, lease is not null, count(*) from check_state group by 1, 2, 3, 4";
        let seen = async || -> Vec<(String, i32, bool, bool, i64)> {
            sqlx::query_as(seen)
                .fetch_all(self.pool())
                .await
                .expect("the database answers")
        };
        let wanted = [(out.to_owned(), 1, true, false, CHECKS as i64)];
        until_seen("each has failed once", TAKEN_OVER, seen, |seen| {
            *seen == wanted
        })
        .await;
        for table in [
            "select count(*) from state_changes",
            "select count(*) from alerts where kind = 'check'",
            "select count(*) from alerts where kind = 'check' and closed_at is null",
        ] {
            assert_eq!(count(self.pool(), table).await, CHECKS as i64, "{table}");
        }
    }

    async fn first_is_refused(&self) {
        let refused = "refused by the fence";
        until("the first is refused", PATIENCE, async || {
            self.worker.process.output().contains(refused).then_some(())
        })
        .await;
    }
}

fn names() -> Vec<String> {
    (0..CHECKS).map(|i| format!("check_{i}")).collect()
}

async fn count(pool: &PgPool, sql: &'static str) -> i64 {
    sqlx::query_scalar(sql)
        .fetch_one(pool)
        .await
        .expect("the database answers")
}
