//! A worker that sleeps through its leases, again and again: whatever it brings afterwards is refused.

use std::time::Duration;

use sqlx::PgPool;
use stalker_db::Pools;
use stalker_db::claims::{self, Cursors};
use stalker_tests::agent::Agent;
use stalker_tests::database::TestDatabase;
use stalker_tests::fixture::make_due_now;
use stalker_tests::rounds::rounds;
use stalker_tests::server::{CHECK_KEY, Installation};
use stalker_tests::until::until_seen;

use super::{INTERVAL_S, LEASE_S, PATIENCE, TIMEOUT_S, count};

const CHECKS: usize = 10;

/// A hundred times. In every second of them another has taken its checks over meanwhile, and keeps them. No scheduler
/// runs, so that no check is given to the sleeper again but by this test.
#[tokio::test]
async fn a_hundred_pauses_beyond_the_lease() {
    let database = TestDatabase::with_clock().await;
    let pool = database.pool();
    let agent = Agent::start(CHECK_KEY).await;
    let installation = Installation::new(&database)
        .set("worker.check_timeout", TIMEOUT_S)
        .set("worker.lease", LEASE_S);
    let api = installation.start("api").await;
    let names: Vec<String> = (0..CHECKS).map(|i| format!("check_{i}")).collect();
    let names: Vec<&str> = names.iter().map(String::as_str).collect();
    api.api()
        .register_simulated(&agent, "web1", &names, INTERVAL_S)
        .await;
    let other = Pools::new(database.url(), 8).expect("the URL is good");
    let worker = installation.start("worker").await;
    for name in &names {
        agent.answer(name, 2, "CRITICAL - too late");
    }

    let mut taken_over = Vec::new();
    for round in 1..=rounds(100) {
        agent.hold();
        make_due_now(pool).await;
        claims::give_back(&other.durable, &taken_over)
            .await
            .expect("the database answers");
        let begun = async || agent.runs().values().sum::<usize>();
        let all = round * CHECKS;
        until_seen("all are in hand", PATIENCE, begun, |n| *n == all).await;

        worker.process.suspend();
        let lease = Duration::from_secs(u64::from(LEASE_S) + 1);
        database.advance(lease).await;
        taken_over = if round % 2 == 0 {
            take_over(&other, pool).await
        } else {
            Vec::new()
        };
        agent.release();
        worker.process.resume();
        let refused = async || refused(&worker.process.output());
        until_seen("all are refused", PATIENCE, refused, |n| *n == all).await;

        let kept = "select count(*) from check_state where leased_until >= now()";
        assert_eq!(count(pool, kept).await, taken_over.len() as i64, "leases");
    }
    for nothing in [
        "select count(*) from check_state where last_at is not null or status is not null or fails > 0",
        "select count(*) from state_changes",
        "select count(*) from alerts",
    ] {
        assert_eq!(count(pool, nothing).await, 0, "{nothing}");
    }
}

/// Another worker has all of them, under a lease that lasts.
async fn take_over(other: &Pools, pool: &PgPool) -> Vec<(i64, i64)> {
    make_due_now(pool).await;
    let (all, lease) = (CHECKS as i32, rand::random());
    let mut cursors = Cursors::default();
    let taken = claims::claim_due(&other.durable, &mut cursors, all, all, lease, 60)
        .await
        .expect("the database answers");
    assert_eq!(taken.len(), CHECKS, "what the sleeper lost is free");
    taken.iter().map(|check| (check.check_id, lease)).collect()
}

/// How many outcomes were refused by the fence, as a worker says in its log.
fn refused(log: &str) -> usize {
    let lines = log
        .lines()
        .filter(|line| line.contains("refused by the fence"));
    lines
        .map(|line| {
            let (_, n) = line.rsplit_once("refused=").expect("it says how many");
            n.trim().parse::<usize>().expect("it says how many")
        })
        .sum()
}
