//! Replicas that record runs of the same hosts at the same moment: counts are exact, and nobody waits in a circle.

use std::sync::Arc;
use std::time::Duration;

use rand::Rng;
use rand::rngs::StdRng;
use rand::seq::SliceRandom;
use sqlx::PgPool;
use stalker_db::claims::{ClaimedCheck, Cursors, claim_due};
use stalker_db::outcomes::{Run, record};
use stalker_domain::outcome::{Outcome, Verdict};
use stalker_domain::thresholds::Thresholds;
use stalker_tests::database::TestDatabase;
use stalker_tests::fixture::{Past, add_checks, make_due_now};
use stalker_tests::rounds::rounds;
use stalker_tests::seed;
use tokio::sync::Barrier;
use tokio::task::JoinSet;

use super::{LEASE_S, answered, count, pools, run_of};

const HOSTS: i64 = 3;
const CHECKS_PER_HOST: i64 = 60;
const REPLICAS: i32 = 6;
const EACH: i32 = (HOSTS * CHECKS_PER_HOST) as i32 / REPLICAS;

/// First no host answers, then some of each one's checks are answered, well or badly, and some are not, and at last all
/// are well. A deadlock would be an error of a recording: only the recorder above tries again.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn replicas_record_for_the_same_hosts() {
    let mut random = seed::random();
    let database = TestDatabase::with_clock().await;
    let pool = database.pool();
    for host in 0..HOSTS {
        let hostname = format!("host-{host}");
        add_checks(pool, &hostname, CHECKS_PER_HOST as i32, 3600, Past::Healthy).await;
    }
    let mut changes = 0;

    for round in 1..=5 {
        changes += record_at_once(&database, &mut random, |_| unreachable()).await;
        let wrong =
            "select count(*) from hosts where unreachable_count <> $1 or unreachable_since is null";
        let wrong: i64 = sqlx::query_scalar(wrong)
            .bind(round * CHECKS_PER_HOST)
            .fetch_one(pool)
            .await
            .expect("the database answers");
        assert_eq!(wrong, 0, "hosts with another count after round {round}");
        database.advance(Duration::from_secs(20)).await;
    }
    assert_eq!(changes, HOSTS * CHECKS_PER_HOST, "each began once");
    history_has(pool, changes).await;
    let down = "select count(*) from alerts where kind = 'host' and closed_at is null";
    assert_eq!(count(pool, down).await, HOSTS, "hosts that are down");

    for _ in 0..rounds(10) {
        let outcome = |random: &mut StdRng| match random.random_range(0..3) {
            0 => unreachable(),
            1 => answered(2),
            _ => answered(0),
        };
        changes += record_at_once(&database, &mut random, outcome).await;
        history_has(pool, changes).await;
        let torn = "select count(*) from hosts where (unreachable_count = 0) <> (unreachable_since is null)";
        assert_eq!(count(pool, torn).await, 0);
        database.advance(Duration::from_secs(20)).await;
    }

    // Long after the last flip, so that nothing flaps any more.
    for _ in 0..2 {
        database.advance(Duration::from_mins(30)).await;
        changes += record_at_once(&database, &mut random, |_| answered(0)).await;
    }
    history_has(pool, changes).await;
    for nothing in [
        "select count(*) from hosts where unreachable_count > 0 or unreachable_since is not null",
        "select count(*) from check_state where hard or unreachable or fails > 0 or lease is not null",
        "select count(*) from alerts where kind <> 'flood' and closed_at is null",
    ] {
        assert_eq!(count(pool, nothing).await, 0, "{nothing}");
    }
}

/// Each replica claims a share of all checks, whosever they are, and all record at the same moment. Returns how many
/// of these runs are rows of history.
async fn record_at_once(
    database: &TestDatabase,
    random: &mut StdRng,
    mut outcome: impl FnMut(&mut StdRng) -> Outcome,
) -> i64 {
    make_due_now(database.pool()).await;
    let barrier = Arc::new(Barrier::new(REPLICAS as usize));
    let mut replicas = JoinSet::new();
    let mut changes = 0;
    for mut share in shares(database, random).await {
        share.shuffle(random);
        let runs: Vec<Run> = share
            .iter()
            .map(|check| run_of(check, outcome(random)))
            .collect();
        changes += runs.iter().filter(|run| run.step.changed).count() as i64;
        let (pools, barrier) = (pools(database), barrier.clone());
        replicas.spawn(async move {
            // a connection of its own is open before all begin
            let open = sqlx::query("select").execute(&pools.durable).await;
            open.expect("the database answers");
            barrier.wait().await;
            let recorded = record(&pools, &runs, &Thresholds::default()).await;
            let recorded = recorded.expect("a batch can be recorded, whoever else records");
            assert_eq!(recorded.check_ids.len(), runs.len(), "nothing is late here");
        });
    }
    while let Some(ended) = replicas.join_next().await {
        ended.expect("a replica does not panic");
    }
    changes
}

/// All checks, dealt out at random.
async fn shares(database: &TestDatabase, random: &mut StdRng) -> Vec<Vec<ClaimedCheck>> {
    let (all, lease) = (EACH * REPLICAS, random.random());
    let mut cursors = Cursors::default();
    let mut taken = claim_due(database.pool(), &mut cursors, all, all, lease, LEASE_S)
        .await
        .expect("the database answers");
    assert_eq!(taken.len(), all as usize);
    taken.shuffle(random);
    taken.chunks(EACH as usize).map(<[_]>::to_vec).collect()
}

async fn history_has(pool: &PgPool, changes: i64) {
    let seen = count(pool, "select count(*) from state_changes").await;
    assert_eq!(seen, changes, "rows of history");
}

fn unreachable() -> Outcome {
    let why = "<urlopen error [Errno 111] Connection refused>";
    Outcome::without_output(Verdict::Unreachable, why, Duration::from_millis(3))
}
