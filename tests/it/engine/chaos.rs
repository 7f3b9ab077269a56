//! The claim under everything that can go wrong at once: the fence and the lease hold.

use std::cell::Cell;
use std::collections::BTreeMap;
use std::rc::Rc;
use std::time::{Duration, Instant};

use rand::rngs::StdRng;
use rand::seq::IndexedRandom;
use rand::{Rng, SeedableRng};
use sqlx::PgPool;
use stalker_db::claims::{ClaimedCheck, Cursors, claim_due, intervals_in_use};
use stalker_db::outcomes::{Run, record};
use stalker_db::{Pools, sweep};
use stalker_domain::outcome::{Outcome, Verdict};
use stalker_domain::thresholds::Thresholds;
use stalker_domain::wire::{RegisteredCheck, Registration};
use stalker_tests::database::TestDatabase;
use stalker_tests::fixture::{Past, add_checks};
use stalker_tests::people;
use stalker_tests::seed;
use stalker_tests::until::until;
use tokio::task::{JoinSet, LocalSet};

use super::{answered, count, run_of};

/// How long everything goes wrong.
const CHAOS: Duration = Duration::from_secs(10);
/// As short as it gets, so that crashes and zombies are many.
const LEASE_S: i32 = 1;
const CLAIMERS: usize = 6;
const EDITED_CHECKS: i32 = 200;

/// Sees every change of a lease. Takes part in the transaction, so that it counts only what was committed, and uses
/// the clock of that transaction, as the fence does.
const WITNESS: &str = "
    create table applied (check_id bigint not null);
    create function witness() returns trigger language plpgsql as $$
    begin
        if new.lease is distinct from old.lease and new.lease is not null then
            if old.lease is not null and old.leased_until >= now() then
                raise exception 'a live lease of check % was taken', old.check_id;
            end if;
            -- how a claimer of this test asks for an abort: late, while others pass over the rows that it has locked
            if new.lease < 0 then
                perform pg_sleep(0.03);
                raise exception 'aborted as asked';
            end if;
        elsif old.lease is not null and new.last_at is distinct from old.last_at then
            insert into applied values (old.check_id);
        end if;
        return new;
    end $$;
    create trigger witness before update on check_state for each row execute function witness();
";

/// No live lease is ever taken, no claim yields more than was asked, every late outcome is refused, what was applied is
/// exactly what was reported as recorded, and when calm returns no check is lost.
#[tokio::test]
async fn no_live_lease_is_taken_whatever_goes_wrong() {
    let mut random = seed::random();
    let database = TestDatabase::new().await;
    for interval_s in [1, 2, 3] {
        add_checks(
            database.pool(),
            &format!("steady-{interval_s}"),
            300,
            interval_s,
            Past::None,
        )
        .await;
    }
    register(database.pool(), &mut random).await;
    sqlx::raw_sql(WITNESS)
        .execute(database.pool())
        .await
        .expect("a witness can be made");
    let stage = Rc::new(Stage {
        pools: Pools::new(database.url(), 20).expect("the URL is good"),
        end: Instant::now() + CHAOS,
        next_lease: Cell::new(1),
        applied: Cell::new(0),
        refused: Cell::new(0),
    });

    // One thread is enough to keep Postgres busy: each actor has connections of its own.
    let mut actors = JoinSet::new();
    let scene = LocalSet::new();
    for _ in 0..CLAIMERS {
        actors.spawn_local_on(
            claim_in_chaos(Rc::clone(&stage), StdRng::from_rng(&mut random)),
            &scene,
        );
    }
    actors.spawn_local_on(
        edit(Rc::clone(&stage), StdRng::from_rng(&mut random)),
        &scene,
    );
    actors.spawn_local_on(
        suspend(Rc::clone(&stage), StdRng::from_rng(&mut random)),
        &scene,
    );
    actors.spawn_local_on(sweep(Rc::clone(&stage)), &scene);
    scene
        .run_until(async {
            while let Some(ended) = actors.join_next().await {
                ended.expect("nothing goes wrong but what this test does");
            }
        })
        .await;

    let applied = stage.applied.get();
    let refused = stage.refused.get();
    eprintln!("{applied} outcomes were applied, {refused} refused");
    let witnessed = count(database.pool(), "select count(*) from applied").await;
    assert_eq!(witnessed, i64::try_from(applied).expect("a count fits"));
    assert!(
        applied > 1000 && refused > 0,
        "too little happened to show anything"
    );
    nothing_was_lost(&stage).await;
}

/// What the actors share.
struct Stage {
    pools: Pools,
    end: Instant,
    next_lease: Cell<i64>,
    /// As reported by the recorder.
    applied: Cell<usize>,
    refused: Cell<usize>,
}

impl Stage {
    fn is_over(&self) -> bool {
        Instant::now() >= self.end
    }

    fn new_lease(&self) -> i64 {
        self.next_lease.replace(self.next_lease.get() + 1)
    }

    async fn record(
        &self,
        taken: &[ClaimedCheck],
        outcome: impl FnMut(&ClaimedCheck) -> Outcome,
    ) -> usize {
        let outcomes: Vec<Outcome> = taken.iter().map(outcome).collect();
        let runs: Vec<Run> = taken
            .iter()
            .zip(outcomes)
            .map(|(check, outcome)| run_of(check, outcome))
            .collect();
        let recorded = record(&self.pools, &runs, &Thresholds::default())
            .await
            .expect("a batch can be recorded")
            .check_ids
            .len();
        self.applied.set(self.applied.get() + recorded);
        self.refused.set(self.refused.get() + runs.len() - recorded);
        recorded
    }
}

/// A worker that mostly works.
async fn claim_in_chaos(stage: Rc<Stage>, mut random: StdRng) {
    let mut cursors = Cursors::default();
    let pool = &stage.pools.relaxed;
    while !stage.is_over() {
        cursors.keep(&intervals_in_use(pool).await.expect("the database answers"));
        let free = random.random_range(1..=100);
        let lease = stage.new_lease();
        if random.random_bool(0.1) {
            // Rows that others passed over meanwhile are in nobody's window any more.
            match claim_due(pool, &mut cursors, free, free, -lease, LEASE_S).await {
                Ok(taken) => assert!(taken.is_empty(), "this claim was to abort"),
                Err(error) => assert!(error.to_string().contains("aborted as asked"), "{error}"),
            }
            continue;
        }
        let taken = claim_due(pool, &mut cursors, free, free, lease, LEASE_S)
            .await
            .expect("a claim works");
        assert!(
            taken.len() <= free as usize,
            "{} were taken where {free} were asked for",
            taken.len()
        );
        match random.random_range(0..100) {
            // a crash
            0..5 => {}
            // a zombie: it wakes after its leases have run out, whether others have taken its checks or not
            5..10 => {
                leases_have_run_out(pool, lease).await;
                assert_eq!(
                    stage.record(&taken, |_| answered(0)).await,
                    0,
                    "a late outcome was recorded"
                );
            }
            _ => {
                stage.record(&taken, |_| outcome(&mut random)).await;
            }
        }
    }
}

async fn leases_have_run_out(pool: &PgPool, lease: i64) {
    until("the leases run out", Duration::from_secs(30), async || {
        let live: bool = sqlx::query_scalar(
            "select exists (select from check_state where lease = $1 and leased_until >= now())",
        )
        .bind(lease)
        .fetch_one(pool)
        .await
        .expect("the database answers");
        (!live).then_some(())
    })
    .await;
}

fn outcome(random: &mut StdRng) -> Outcome {
    match random.random_range(0..20) {
        0 => Outcome::without_output(
            Verdict::Unreachable,
            "<urlopen error [Errno 111]>",
            Duration::ZERO,
        ),
        code @ 1..4 => answered(code),
        _ => answered(0),
    }
}

/// An agent that registers with other intervals and other checks all the time.
async fn edit(stage: Rc<Stage>, mut random: StdRng) {
    while !stage.is_over() {
        register(&stage.pools.durable, &mut random).await;
        tokio::task::yield_now().await;
    }
}

async fn register(pool: &PgPool, random: &mut StdRng) {
    let mut checks = BTreeMap::new();
    for i in 0..EDITED_CHECKS {
        if random.random_bool(0.95) {
            let follow_up = random.random_range(1..=2);
            let check = serde_json::json!({"args": "", "interval": random.random_range(1..=3), "follow_up": follow_up});
            let check: RegisteredCheck =
                serde_json::from_value(check).expect("a check as the wire has it");
            checks.insert(format!("check_{i}"), check);
        }
    }
    let registration = Registration {
        hostname: "edited".to_owned(),
        roles: Vec::new(),
        ip: None,
        port: None,
        agent_version: None,
        cert_sha256: None,
        check_key: None,
        checks,
    };
    people::register(pool, &registration).await;
}

/// A person who suspends, resumes and runs checks at random.
async fn suspend(stage: Rc<Stage>, mut random: StdRng) {
    let pool = &stage.pools.durable;
    let ids: Vec<i64> = sqlx::query_scalar("select check_id from check_state")
        .fetch_all(pool)
        .await
        .expect("the database answers");
    while !stage.is_over() {
        let check_id = *ids.choose(&mut random).expect("there are checks");
        if random.random_bool(0.3) {
            people::run_at(pool, check_id, None).await;
        } else {
            let suspended = random.random_bool(0.5);
            people::suspend(pool, check_id, suspended).await;
        }
    }
}

/// A scheduler, quicker than any real one.
async fn sweep(stage: Rc<Stage>) {
    while !stage.is_over() {
        sweep::rush_what_was_lost(&stage.pools.durable, 200)
            .await
            .expect("the database answers");
    }
}

/// One worker and a sweep, left alone: within a few intervals every check that is to run has run since.
async fn nothing_was_lost(stage: &Stage) {
    let pool = &stage.pools.relaxed;
    let calm: String = sqlx::query_scalar("select now()::text")
        .fetch_one(pool)
        .await
        .expect("the database answers");
    let mut cursors = Cursors::default();
    cursors.keep(&intervals_in_use(pool).await.expect("the database answers"));
    until("every check has run since calm returned", Duration::from_secs(20), async || {
        sweep::rush_what_was_lost(pool, 200).await.expect("the database answers");
        let taken = claim_due(pool, &mut cursors, 500, 250, stage.new_lease(), LEASE_S).await.expect("a claim works");
        stage.record(&taken, |_| answered(0)).await;
        let waiting = "select count(*) from check_state where not suspended and not removed and (last_at is null or last_at < $1::timestamptz)";
        let waiting: i64 = sqlx::query_scalar(waiting).bind(&calm).fetch_one(pool).await.expect("the database answers");
        (waiting == 0).then_some(())
    })
    .await;
}
