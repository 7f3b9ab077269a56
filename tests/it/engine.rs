//! The claim and record path against Postgres itself: what it costs, and that it holds when everything goes wrong.
//!
//! These call `db` directly, because what they show is the shape of its statements (engine.md).

mod chaos;
mod floods;
mod grid;
mod many_open;
mod places;
mod same_host;

use std::sync::Arc;
use std::time::{Duration, Instant};

use futures::future::join_all;
use sqlx::PgPool;
use stalker_db::claims::{ClaimedCheck, Cursors, claim_due, intervals_in_use};
use stalker_db::outcomes::{Run, record};
use stalker_db::{Pools, claims};
use stalker_domain::outcome::{Outcome, Verdict};
use stalker_domain::plugin_output;
use stalker_domain::status::Status;
use stalker_domain::thresholds::Thresholds;
use stalker_tests::database::TestDatabase;
use stalker_tests::fixture::{OUT, Past, add_checks};
use stalker_tests::until::until;
use stalker_worker::recorder::Recorder;
use stalker_worker::samples::Samples;

/// The largest batch that a recorder makes.
const BATCH: i32 = 500;
const LEASE_S: i32 = 60;

/// After an outage everything is due. Workers whose cursors stand before it find all of it by themselves, without a
/// sweep, in the time that the issue allows for 200,000 checks.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn overdue_checks_are_drained_by_claim_and_record_alone() {
    const INTERVALS_S: [i32; 8] = [60, 90, 120, 150, 180, 240, 270, 300];
    let database = TestDatabase::with_clock().await;
    for interval_s in INTERVALS_S {
        add_checks(
            database.pool(),
            &format!("host-{interval_s}"),
            25_000,
            interval_s,
            Past::Healthy,
        )
        .await;
    }
    vacuum(database.pool()).await;
    let pools = pools(&database);
    let mut workers = Vec::new();
    // Postgres is what works here: more workers than it has cores only pass over each other's rows.
    for _ in 0..2 {
        workers.push(Worker::new(&pools).await);
    }
    database.advance(Duration::from_secs(300)).await;

    let began = Instant::now();
    let workers = workers
        .into_iter()
        .map(|worker| tokio::spawn(worker.drain()));
    let mut runs = 0;
    for worker in workers.collect::<Vec<_>>() {
        runs += worker.await.expect("a worker does not panic").1;
    }
    let took = began.elapsed();
    eprintln!("{runs} runs in {took:?}");
    let left: i64 = count(
        database.pool(),
        "select count(*) from check_state where last_at is null",
    )
    .await;
    assert_eq!(left, 0, "checks that no window found");
    assert!(took < Duration::from_secs(10), "took {took:?}");
}

/// A healthy run rewrites the hot row twice and touches no index: the property on which the cost of everything rests.
#[tokio::test]
async fn healthy_runs_update_in_place() {
    const CHECKS: usize = 20_000;
    let database = TestDatabase::with_clock().await;
    add_checks(database.pool(), "host", CHECKS as i32, 60, Past::None).await;
    vacuum(database.pool()).await;
    let mut worker = Worker::new(&pools(&database)).await;
    let (mut seen, mut sizes) = (Vec::new(), Vec::new());
    for round in 0..5 {
        // A connection tells the statistics what it did when it ends, else only now and then.
        worker.pools = pools(&database);
        database.advance(Duration::from_secs(60)).await;
        let runs;
        (worker, runs) = worker.drain().await;
        assert!(runs >= CHECKS, "round {round}: {runs}");
        worker.pools.close().await;
        seen.push(updates_seen(database.pool(), i64::from(round + 1) * 2 * CHECKS as i64).await);
        sizes.push(count(database.pool(), "select pg_relation_size('check_state')").await);
    }
    let (updates, hot) = (seen[4].0 - seen[0].0, seen[4].1 - seen[0].1);
    let ratio = hot as f64 / updates as f64;
    eprintln!("{hot} of {updates} updates were HOT: {ratio:.4}");
    assert!(ratio >= 0.99, "{ratio}");
    assert_eq!(
        sizes[0], sizes[4],
        "pages have room for what their rows become"
    );
}

/// What is handed to the recorder at once is one transaction, and so is all that follows from it.
#[tokio::test]
async fn five_hundred_outcomes_are_one_commit() {
    let database = TestDatabase::with_clock().await;
    add_checks(database.pool(), "host", BATCH, 60, Past::Healthy).await;
    let pools = pools(&database);
    let mut worker = Worker::new(&pools).await;
    database.advance(Duration::from_secs(60)).await;
    let taken = worker.claim().await;
    let recorder = Recorder::start(
        pools.clone(),
        Thresholds::default(),
        Arc::default(),
        Duration::from_secs(LEASE_S as u64),
        Samples::start(pools.relaxed.clone()).0,
    );
    let handed = taken.iter().enumerate().map(|(i, check)| {
        let run = run_of(check, answered(if i % 5 == 0 { 2 } else { 0 }));
        let recorder = &recorder;
        async move { recorder.room().await.record(run).await }
    });
    join_all(handed).await;
    // A row bears the number of the transaction that wrote it.
    let transactions = "select count(distinct xmin::text) from (
        select xmin from check_state union all select xmin from outputs union all select xmin from state_changes) as written";
    assert_eq!(count(database.pool(), transactions).await, 1);
    let runs = "select count(*) from check_state where last_at is not null and lease is null";
    assert_eq!(count(database.pool(), runs).await, 500);
    let changes = "select count(*) from state_changes";
    assert_eq!(count(database.pool(), changes).await, 100);
}

/// Claims and records as a worker does, without a network between.
#[derive(Clone)]
struct Worker {
    pools: Pools,
    cursors: Cursors,
}

impl Worker {
    /// One whose cursors stand at now.
    async fn new(pools: &Pools) -> Self {
        let mut worker = Self {
            pools: pools.clone(),
            cursors: Cursors::default(),
        };
        worker.cursors.keep(
            &intervals_in_use(&pools.relaxed)
                .await
                .expect("the database answers"),
        );
        let taken = worker.claim().await;
        let taken: Vec<_> = taken
            .iter()
            .map(|check| (check.check_id, check.lease))
            .collect();
        claims::give_back(&pools.relaxed, &taken)
            .await
            .expect("the database answers");
        worker
    }

    async fn claim(&mut self) -> Vec<ClaimedCheck> {
        let lease = rand::random_range(1..i64::MAX);
        claim_due(
            &self.pools.relaxed,
            &mut self.cursors,
            BATCH,
            BATCH / 2,
            lease,
            LEASE_S,
        )
        .await
        .expect("the database answers")
    }

    /// Runs what is due, healthily, until there is less than a batch. Returns how many runs that were.
    async fn drain(mut self) -> (Self, usize) {
        let mut runs = 0;
        loop {
            let taken = self.claim().await;
            let batch: Vec<Run> = taken
                .iter()
                .map(|check| run_of(check, answered(0)))
                .collect();
            let recorded = record(&self.pools, &batch, &Thresholds::default())
                .await
                .expect("the database answers");
            assert_eq!(
                recorded.check_ids.len(),
                batch.len(),
                "nothing is late here"
            );
            runs += batch.len();
            if batch.len() < BATCH as usize {
                return (self, runs);
            }
        }
    }
}

/// What an agent said after exit code `code`: as real scripts do, something else each time.
fn answered(code: i32) -> Outcome {
    let out = format!("{OUT}, {} of 1000", rand::random_range(0..1000));
    Outcome {
        verdict: Verdict::Answered(Status::from_exit_code(code)),
        output: plugin_output::parse(&out, "", false),
        out,
        err: String::new(),
        latency: Duration::from_millis(3),
    }
}

/// The end of a run, as a worker works it out.
fn run_of(check: &ClaimedCheck, outcome: Outcome) -> Run {
    let step = check.advance(outcome.verdict, &Thresholds::default());
    Run {
        check: check.clone(),
        outcome,
        step,
        first_seen_cert_sha256: None,
    }
}

/// All updates of the hot table and those of them that were HOT, once the statistics have heard of at least so many.
async fn updates_seen(pool: &PgPool, at_least: i64) -> (i64, i64) {
    until("the statistics arrive", Duration::from_secs(15), async || {
        let sql = "select n_tup_upd, n_tup_hot_upd from pg_stat_user_tables where relname = 'check_state'";
        let seen: (i64, i64) = sqlx::query_as(sql).fetch_one(pool).await.expect("the database answers");
        (seen.0 >= at_least).then_some(seen)
    })
    .await
}

fn pools(database: &TestDatabase) -> Pools {
    Pools::new(database.url(), 16).expect("the database's URL is one")
}

async fn vacuum(pool: &PgPool) {
    sqlx::query("vacuum analyze check_state, checks, hosts")
        .execute(pool)
        .await
        .expect("tables can be vacuumed");
}

async fn count(pool: &PgPool, sql: &'static str) -> i64 {
    sqlx::query_scalar(sql)
        .fetch_one(pool)
        .await
        .expect("the database answers")
}
