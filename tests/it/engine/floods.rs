//! Replicas that open and close alerts at the same moment, while senders send and a scheduler settles: a flood opens
//! once, takes in everything that it should, and nobody waits in a circle.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use rand::Rng;
use rand::rngs::StdRng;
use rand::seq::SliceRandom;
use sqlx::PgPool;
use stalker_db::channels::{Channel, put_configured};
use stalker_db::claims::{Cursors, claim_due};
use stalker_db::notifications::{self, Attempt, AttemptEnd, SecretIds, upkeep};
use stalker_db::outcomes::{Run, record};
use stalker_db::{Pools, alerts, floods, suppressions};
use stalker_domain::thresholds::Thresholds;
use stalker_tests::database::TestDatabase;
use stalker_tests::fixture::{Past, add_checks, make_due_now};
use stalker_tests::rounds::rounds;
use stalker_tests::seed;
use tokio::sync::Barrier;
use tokio::task::JoinSet;

use super::{LEASE_S, answered, count, pools, run_of};

const REPLICAS: usize = 6;
/// What is open and stands alone.
const ALONE: &str =
    "select count(*) from alerts where kind <> 'flood' and parent_id is null and closed_at is null";

/// 48 alerts of one host in 48 transactions at once: whichever of them is the sixth, all are members.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_flood_of_one_host_opens_once() {
    let mut random = seed::random();
    let stage = Stage::new(1, 48).await;
    stage.record_at_once(&mut random, 1, |_| 2).await;
    let pool = stage.database.pool();
    assert_eq!(
        count(
            pool,
            "select count(*) from alerts where kind = 'flood' and host_id is not null"
        )
        .await,
        1
    );
    assert_eq!(
        count(
            pool,
            "select count(*) from alerts where parent_id is not null and kind = 'check'"
        )
        .await,
        48
    );
    stage.one_message_is_owed().await;
}

/// 120 alerts of 40 hosts, three each: no host floods, all together do.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_flood_of_all_opens_once() {
    let mut random = seed::random();
    let stage = Stage::new(40, 3).await;
    stage.record_at_once(&mut random, 1, |_| 2).await;
    let pool = stage.database.pool();
    assert_eq!(
        count(
            pool,
            "select count(*) from alerts where kind = 'flood' and host_id is null"
        )
        .await,
        1
    );
    assert_eq!(
        count(
            pool,
            "select count(*) from alerts where parent_id is not null and kind = 'check'"
        )
        .await,
        120
    );
    stage.one_message_is_owed().await;
}

/// Up to its threshold a host has no flood, however its alerts arrive.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn five_alerts_of_a_host_are_no_flood() {
    let mut random = seed::random();
    let stage = Stage::new(19, 5).await;
    stage.record_at_once(&mut random, 1, |_| 2).await;
    let pool = stage.database.pool();
    assert_eq!(
        count(pool, "select count(*) from alerts where kind = 'flood'").await,
        0
    );
    assert_eq!(count(pool, ALONE).await, 95);
    assert_eq!(
        count(
            pool,
            "select count(*) from notifications where kind = 'trigger' and state = 'pending'"
        )
        .await,
        95
    );
}

/// A maintenance of a whole host ends after the duty has counted and before it owes: all wait until they are counted.
#[tokio::test]
async fn what_is_set_free_is_counted_before_anybody_is_told() {
    let mut random = seed::random();
    let stage = Stage::new(1, 48).await;
    let pool = stage.database.pool();
    sqlx::query("insert into maintenances (ends_at, hosts, author, reason) values (now() + interval '1 hour', '{host-0}', 'ann', 'work')")
        .execute(pool)
        .await
        .expect("a maintenance can be made");
    stage.record_at_once(&mut random, 1, |_| 2).await;
    sqlx::query("delete from maintenances")
        .execute(pool)
        .await
        .expect("a maintenance can be ended");
    assert_eq!(count(pool, "select count(*) from owed").await, 48);
    let owed = upkeep::owe_all(pool).await.expect("the database answers");
    assert_eq!(owed, 0, "told one by one");
    let freed = floods::count_freed(pool, &Thresholds::default()).await;
    freed.expect("what was set free can be counted");
    stage.one_message_is_owed().await;
}

/// Everything at once, for a while. Nobody is told by himself and by a flood, nobody is forgotten, and when all is well
/// again everything is over.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn floods_grow_and_end_while_everybody_works() {
    let mut random = seed::random();
    let stage = Stage::new(12, 15).await;
    let pool = stage.database.pool();
    let (everybody, over) = stage.everybody();
    for _ in 0..rounds(12) {
        let badness = random.random_range(0..=3);
        stage
            .record_at_once(&mut random, 5, |random| {
                if random.random_range(0..4) < badness {
                    2
                } else {
                    0
                }
            })
            .await;
        let told_twice = "select count(*) from alerts a join notifications n using (alert_id)
                          where a.parent_id is not null and n.kind = 'trigger' and n.attempts > 0";
        assert_eq!(
            count(pool, told_twice).await,
            0,
            "members that were told themselves"
        );
        stage
            .database
            .advance(Duration::from_secs(random.random_range(1..100)))
            .await;
    }
    // all are well, nothing flaps any more, and floods are over
    for _ in 0..2 {
        stage.database.advance(Duration::from_mins(31)).await;
        stage.record_at_once(&mut random, 30, |_| 0).await;
    }
    stage.quiet().await;
    over.store(true, Ordering::Relaxed);
    for task in everybody {
        task.await.expect("nobody panics");
    }
    for nothing in [
        "select count(*) from alerts where closed_at is null",
        "select count(*) from check_state where hard",
        "select count(*) from owed",
        "select count(*) from notifications where state in ('pending', 'sending')",
        // told, and never told that it is over; or the other way round
        "select count(*) from (select alert_id from notifications where kind = 'trigger' and may_have_arrived
                               except select alert_id from notifications where kind = 'resolve') as told",
        "select count(*) from (select alert_id from notifications where kind = 'resolve'
                               except select alert_id from notifications where kind = 'trigger' and may_have_arrived) as resolved",
        "select count(*) from suppressions where ended_at is null",
    ] {
        assert_eq!(count(pool, nothing).await, 0, "{nothing}");
    }
    let floods = count(pool, "select count(*) from alerts where kind = 'flood'").await;
    assert!(floods > 0, "there was no flood to speak of");
    let deadlocks = "select deadlocks from pg_stat_database where datname = current_database()";
    assert_eq!(count(pool, deadlocks).await, 0);
}

/// A database with hosts whose checks alert at once, and one channel.
struct Stage {
    database: TestDatabase,
    hosts: i32,
    checks_per_host: i32,
}

impl Stage {
    async fn new(hosts: i32, checks_per_host: i32) -> Self {
        let database = TestDatabase::with_clock().await;
        for host in 0..hosts {
            add_checks(
                database.pool(),
                &format!("host-{host}"),
                checks_per_host,
                3600,
                Past::Healthy,
            )
            .await;
        }
        sqlx::query("update checks set declared_alert_threshold = 1")
            .execute(database.pool())
            .await
            .expect("the tables are as expected");
        let channel = Channel {
            name: "pager".to_owned(),
            provider: "http".to_owned(),
            prefix: String::new(),
            stable_keys: false,
            repeat_s: 172_800,
            fallback: None,
            settings_id: String::new(),
            part_of: None,
            address: String::new(),
            takes_acknowledge: false,
        };
        put_configured(database.pool(), &[channel], &[])
            .await
            .expect("a channel can be put");
        Self {
            database,
            hosts,
            checks_per_host,
        }
    }

    /// Every check is claimed once, and its outcome recorded by one of the replicas, which begin at the same moment and
    /// record `together` runs in one transaction.
    async fn record_at_once(
        &self,
        random: &mut StdRng,
        together: usize,
        mut code: impl FnMut(&mut StdRng) -> i32,
    ) {
        make_due_now(self.database.pool()).await;
        let all = self.hosts * self.checks_per_host;
        let mut taken = Vec::new();
        // what the scheduler has locked just now is passed over, and taken then
        while taken.len() < all as usize {
            let room = all - taken.len() as i32;
            let (mut cursors, lease) = (Cursors::default(), random.random());
            let more = claim_due(
                self.database.pool(),
                &mut cursors,
                room,
                room,
                lease,
                LEASE_S,
            )
            .await;
            taken.extend(more.expect("the database answers"));
        }
        taken.shuffle(random);
        let barrier = Arc::new(Barrier::new(REPLICAS));
        let mut replicas = JoinSet::new();
        for share in taken.chunks(taken.len().div_ceil(REPLICAS)) {
            let runs: Vec<Run> = share
                .iter()
                .map(|check| run_of(check, answered(code(random))))
                .collect();
            let (pools, barrier) = (pools(&self.database), barrier.clone());
            replicas.spawn(async move {
                sqlx::query("select")
                    .execute(&pools.durable)
                    .await
                    .expect("the database answers");
                barrier.wait().await;
                for batch in runs.chunks(together) {
                    let recorded = record(&pools, batch, &Thresholds::default()).await;
                    let recorded = recorded.expect("a batch can be recorded, whoever else records");
                    assert_eq!(
                        recorded.check_ids.len(),
                        batch.len(),
                        "nothing is late here"
                    );
                }
            });
        }
        while let Some(ended) = replicas.join_next().await {
            ended.expect("a replica does not panic");
        }
    }

    /// The flood's, and no other.
    async fn one_message_is_owed(&self) {
        let pool = self.database.pool();
        assert_eq!(count(pool, ALONE).await, 0);
        let waiting = "select count(*) from notifications where state = 'pending'";
        assert_eq!(count(pool, waiting).await, 1);
        let of_the_flood = "select count(*) from notifications join alerts using (alert_id) where state = 'pending' and alerts.kind = 'flood'";
        assert_eq!(count(pool, of_the_flood).await, 1);
        assert_eq!(count(pool, "select count(*) from owed").await, 0);
        let notified = "select count(*) from alerts a where kind = 'check' and not exists (select from suppressions s where s.alert_id = a.alert_id and s.reason = 'flood' and s.ended_at is null)";
        assert_eq!(
            count(pool, notified).await,
            0,
            "members whose suppression is not written down"
        );
    }

    /// Two senders, of which every fourth attempt fails, and two schedulers, until they are told that it is over.
    fn everybody(&self) -> (Vec<tokio::task::JoinHandle<()>>, Arc<AtomicBool>) {
        let over = Arc::new(AtomicBool::new(false));
        let mut tasks = Vec::new();
        for _ in 0..2 {
            tasks.push(tokio::spawn(send(pools(&self.database), over.clone())));
            tasks.push(tokio::spawn(settle(pools(&self.database), over.clone())));
        }
        (tasks, over)
    }

    /// Waits until nothing is open, owed or under way.
    async fn quiet(&self) {
        let busy = "select (select count(*) from alerts where closed_at is null) + (select count(*) from owed)
                         + (select count(*) from notifications where state in ('pending', 'sending'))";
        let pool = self.database.pool();
        stalker_tests::until::until("everything is over", Duration::from_secs(40), async || {
            // what waits for another try, or for a flood to end, waits no longer
            self.database.advance(Duration::from_mins(6)).await;
            (count(pool, busy).await == 0).then_some(())
        })
        .await;
    }
}

async fn send(pools: Pools, over: Arc<AtomicBool>) {
    while !over.load(Ordering::Relaxed) {
        let lease = rand::random();
        let taken = notifications::claim_due(
            &pools.durable,
            "pager",
            &SecretIds::default(),
            None,
            3,
            lease,
            3600,
        )
        .await;
        let taken = taken.expect("notifications can be claimed, whoever records");
        for notification in &taken {
            let end = match rand::random_range(0..4) {
                0 => AttemptEnd::Retry {
                    why: "the receiver answered 500".to_owned(),
                    after_ms: 5000,
                    is_asked: false,
                },
                _ => AttemptEnd::Accepted,
            };
            let attempt = Attempt {
                end,
                may_have_arrived: true,
                latency_ms: 1,
                http_status: Some(200),
                answer: None,
                secret_id: None,
            };
            let settled = notifications::settle(&pools.durable, notification, &attempt).await;
            settled.expect("an attempt can be settled, whoever records");
        }
        tokio::task::yield_now().await;
    }
}

/// What a scheduler's duty does, over and over.
async fn settle(pools: Pools, over: Arc<AtomicBool>) {
    let pool: &PgPool = &pools.durable;
    while !over.load(Ordering::Relaxed) {
        let mut tx = pool.begin().await.expect("the database answers");
        alerts::close_of_calm(&mut tx)
            .await
            .expect("calm checks can be closed");
        tx.commit().await.expect("the database answers");
        floods::settle_all(pool)
            .await
            .expect("floods can be settled");
        let freed = floods::count_freed(pool, &Thresholds::default()).await;
        freed.expect("what was set free can be counted");
        upkeep::settle_all_closed(pool)
            .await
            .expect("closed alerts can be settled");
        upkeep::owe_all(pool)
            .await
            .expect("what is owed can be inserted");
        suppressions::note_all(pool)
            .await
            .expect("suppressions can be noted");
        upkeep::mark_settled(pool)
            .await
            .expect("what is over can be marked");
    }
}
