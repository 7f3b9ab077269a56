//! SIGTERM: what runs may end, what does not end is given back, and the next worker goes on where this one stopped.

use std::time::{Duration, Instant};

use stalker_tests::agent::Agent;
use stalker_tests::database::TestDatabase;
use stalker_tests::fixture::make_due_now;
use stalker_tests::server::{CHECK_KEY, Installation};
use stalker_tests::until::{stays, until_seen};

use super::{INTERVAL_S, PATIENCE, count};

/// From the signal to the end of the process, whatever its agents do.
const OUT_WITHIN: Duration = Duration::from_secs(25);
const SLOTS: usize = 40;

/// Runs that end in time are recorded and not run again; what was not begun is the other worker's.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn finishes_what_runs() {
    let agent = Agent::start(CHECK_KEY).await;
    agent.delay(Duration::from_secs(3));
    let database = TestDatabase::new().await;
    let installation = Installation::new(&database).set("worker.slots", SLOTS as i64);
    register(&installation, &agent, &database, 2 * SLOTS).await;

    let mut first = installation.start("worker").await;
    // Half of the slots: the others are kept free of the rush lane.
    let begun = async || agent.runs().len();
    until_seen("checks run", PATIENCE, begun, |n| *n >= SLOTS / 2).await;
    let signalled = Instant::now();
    let ended = first.process.terminate(OUT_WITHIN).await;
    assert!(ended.success(), "{ended}: {}", first.process.output());
    assert!(
        signalled.elapsed() < Duration::from_secs(10),
        "nothing took longer than 3 s, but the end took {:?}",
        signalled.elapsed()
    );
    let (begun, recorded) = (agent.runs().len(), recorded(&database).await);
    assert!(begun < 2 * SLOTS, "there is something left for the other");
    assert_eq!(recorded, begun as i64, "recorded of what was begun");
    assert_eq!(leased(&database).await, 0, "leases were left behind");

    agent.delay(Duration::ZERO);
    let _second = installation.start("worker").await;
    let all = async || self::recorded(&database).await;
    until_seen("the rest has run", PATIENCE, all, |n| {
        *n == 2 * SLOTS as i64
    })
    .await;
    let most = async || agent.runs().into_values().max();
    let what = "nothing runs twice";
    stays(what, Duration::from_secs(2), most, |most| *most == Some(1)).await;
}

/// Runs that do not end in 20 s are given back: the other worker has them at once, long before their leases end.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn gives_back_what_hangs() {
    let agent = Agent::start(CHECK_KEY).await;
    agent.delay(Duration::from_mins(10));
    let database = TestDatabase::new().await;
    // Else the requests would end before the drain does.
    let installation = Installation::new(&database)
        .set("worker.check_timeout", 60)
        .set("worker.lease", 75);
    register(&installation, &agent, &database, SLOTS).await;

    let mut first = installation.start("worker").await;
    let begun = async || agent.runs().len();
    until_seen("all run", PATIENCE, begun, |n| *n == SLOTS).await;
    let ended = first.process.terminate(OUT_WITHIN).await;
    assert!(ended.success(), "{ended}: {}", first.process.output());
    assert_eq!(leased(&database).await, 0, "leases were left behind");
    assert_eq!(recorded(&database).await, 0, "nothing has ended");

    agent.delay(Duration::ZERO);
    let _second = installation.start("worker").await;
    let all = async || recorded(&database).await;
    let soon = Duration::from_secs(10);
    until_seen("all have run", soon, all, |n| *n == SLOTS as i64).await;
    let runs = agent.runs();
    assert!(runs.values().all(|n| *n == 2), "{runs:?}");
}

async fn register(installation: &Installation, agent: &Agent, database: &TestDatabase, n: usize) {
    let names: Vec<String> = (0..n).map(|i| format!("check_{i}")).collect();
    let names: Vec<&str> = names.iter().map(String::as_str).collect();
    let api = installation.start("api").await;
    api.api()
        .register_simulated(agent, "web1", &names, INTERVAL_S)
        .await;
    make_due_now(database.pool()).await;
}

async fn leased(database: &TestDatabase) -> i64 {
    let sql =
        "select count(*) from check_state where lease is not null or leased_until is not null";
    count(database.pool(), sql).await
}

async fn recorded(database: &TestDatabase) -> i64 {
    let sql = "select count(*) from check_state where last_at is not null";
    count(database.pool(), sql).await
}
