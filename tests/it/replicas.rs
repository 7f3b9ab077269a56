//! Several processes of each component on one database: they share the work, and nothing is done twice.

mod drain;

use std::time::Duration;

use nix::sys::signal::Signal;
use serde_json::json;
use sqlx::PgPool;
use stalker_db::sweep;
use stalker_tests::agent::Agent;
use stalker_tests::database::TestDatabase;
use stalker_tests::fixture::{Past, add_checks};
use stalker_tests::server::{CHECK_KEY, Component, Installation};
use stalker_tests::until::{stays, until, until_seen};

const HOSTS: usize = 21;
const CHECKS_PER_HOST: usize = 100;
const CHECKS: usize = HOSTS * CHECKS_PER_HOST;
/// Nothing is due a second time while a test lasts.
const INTERVAL_S: u32 = 3600;
/// For everything to have run once, in debug builds that share two cores with other tests.
const PATIENCE: Duration = Duration::from_secs(60);
/// In which a second run would come: the sweep looks every second for what is 2 s late.
const QUIET: Duration = Duration::from_secs(4);

/// Two workers and two schedulers, and more than two thousand checks that are due in the same millisecond.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn each_due_check_is_run_once() {
    let agent = Agent::start(CHECK_KEY).await;
    let database = TestDatabase::new().await;
    let replicas = Replicas::start(&agent, &database, 60).await;
    make_due(database.pool()).await;
    replicas.run_each_once(&agent, &database).await;
}

/// The same while the agents are slow, so that both workers have all slots full and claim into the gaps.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn each_due_check_is_run_once_by_slow_agents() {
    const SLOTS: usize = 100;
    let agent = Agent::start(CHECK_KEY).await;
    agent.delay(Duration::from_millis(300));
    let database = TestDatabase::new().await;
    let replicas = Replicas::start(&agent, &database, SLOTS).await;
    make_due(database.pool()).await;
    let leased = "select count(*) from check_state where leased_until > now()";
    let leased = async || count(database.pool(), leased).await;
    until_seen("nearly all slots are full", PATIENCE, leased, |leased| {
        *leased >= 2 * SLOTS as i64 * 9 / 10
    })
    .await;
    replicas.run_each_once(&agent, &database).await;
}

/// Schedulers share the duties: no lease is taken while it is another's, none is done more often than its period says,
/// and one that is killed in the middle is missed by nobody.
#[tokio::test]
async fn schedulers_share_duties() {
    let database = TestDatabase::new().await;
    let pool = database.pool();
    witness_duties(pool).await;
    let installation = Installation::new(&database);
    let _one = installation.start("scheduler").await;
    let mut other = installation.start("scheduler").await;
    let done = "select min(n) from (
        select count(w.name) as n from duties d left join done w using (name) where d.every_s = 1 group by d.name) as quick";
    let done = async || count(pool, done).await;
    until_seen(
        "every quick duty was done three times",
        PATIENCE,
        done,
        |n| *n >= 3,
    )
    .await;
    other.process.kill();
    let before = done().await;
    until_seen("they go on being done", PATIENCE, done, |n| {
        *n >= before + 3
    })
    .await;

    // Each time moves the next at least a second on; one that came late may be close to its next.
    let too_often = "select count(*) from (
        select count(*) as n, extract(epoch from max(at) - min(at)) as s from done group by name) as d where s < n - 2";
    let too_often = count(pool, too_often).await;
    assert_eq!(
        too_often, 0,
        "a duty was done more often than its period says"
    );
    let stolen = "select count(*) from stolen";
    assert_eq!(count(pool, stolen).await, 0, "a live lease was taken");
    let failed = "select count(*) from duties where last_error is not null or last_at is null";
    assert_eq!(
        count(pool, failed).await,
        0,
        "a duty failed, or was not done"
    );
}

/// Whichever API replica is asked, it is the same installation.
#[tokio::test]
async fn api_replicas_are_one() {
    let agent = Agent::start(CHECK_KEY).await;
    let database = TestDatabase::new().await;
    let installation = Installation::new(&database);
    let (one, two) = (
        installation.start("api").await,
        installation.start("api").await,
    );
    let _worker = installation.start("worker").await;
    let (one, two) = (one.api(), two.api());
    assert_ne!(one.url, two.url);

    // An agent that is impatient, and a load balancer in between.
    let names = ["check_a", "check_b"];
    tokio::join!(
        one.register_simulated(&agent, "web1", &names, INTERVAL_S),
        two.register_simulated(&agent, "web1", &names, INTERVAL_S),
        one.register_simulated(&agent, "web1", &names, INTERVAL_S),
    );
    let (seen, same) = (one.read("/hosts/web1").await, two.read("/hosts/web1").await);
    assert_eq!(
        seen["checks"].as_object().map(|checks| checks.len()),
        Some(2)
    );
    assert_eq!(seen["hostname"], same["hostname"]);
    let id = until(
        "the first result, read from the other",
        PATIENCE,
        async || {
            let check = two.check("web1", "check_a").await?;
            (check["state"] == "ok").then(|| check["id"].as_str().map(str::to_owned))?
        },
    )
    .await;

    let runs = agent.runs_of("check_a");
    let (status, body) = two
        .post(&format!("/checks/id/{id}/next"), &json!({"next": "now"}))
        .await;
    assert_eq!(status, 200, "{body}");
    until("it ran now", PATIENCE, async || {
        (agent.runs_of("check_a") > runs).then_some(())
    })
    .await;
    let (status, _) = one.delete(&format!("/checks/id/{id}")).await;
    assert_eq!(status, 200);
    assert_eq!(two.get(&format!("/checks/id/{id}")).await.0, 404);
}

/// Two workers and two schedulers, and checks that are not due yet.
struct Replicas {
    components: Vec<Component>,
}

impl Replicas {
    async fn start(agent: &Agent, database: &TestDatabase, slots: usize) -> Self {
        let slots = i64::try_from(slots).expect("slots are few");
        let installation = Installation::new(database).set("worker.slots", slots);
        let api = installation.start("api").await;
        for host in 0..HOSTS {
            let names: Vec<String> = (0..CHECKS_PER_HOST)
                .map(|i| format!("check_{host}_{i}"))
                .collect();
            let names: Vec<&str> = names.iter().map(String::as_str).collect();
            api.api()
                .register_simulated(agent, &format!("host-{host}"), &names, INTERVAL_S)
                .await;
        }
        execute(
            database.pool(),
            "update check_state set rush_at = null, due_at = now() + interval '30 min'",
        )
        .await;
        let mut components = vec![api];
        for subcommand in ["worker", "scheduler", "worker", "scheduler"] {
            components.push(installation.start(subcommand).await);
        }
        Self { components }
    }

    /// Waits until all have run, and longer: for one that runs twice.
    async fn run_each_once(mut self, agent: &Agent, database: &TestDatabase) {
        let recorded = "select count(*) from check_state where last_at is not null";
        let recorded = async || count(database.pool(), recorded).await;
        until_seen("all have run", PATIENCE, recorded, |n| *n == CHECKS as i64).await;
        let twice = async || {
            let mut runs = agent.runs();
            runs.retain(|_, n| *n != 1);
            runs
        };
        stays("each ran once", QUIET, twice, |twice| twice.is_empty()).await;
        assert_eq!(agent.runs().len(), CHECKS);
        let leased = "select count(*) from check_state where lease is not null or rush_at is not null or status <> 0";
        assert_eq!(count(database.pool(), leased).await, 0);
        for component in &mut self.components {
            assert!(component.process.is_running());
            component.process.signal(Signal::SIGTERM);
        }
        for component in &mut self.components {
            let ended = component.process.ended(Duration::from_secs(25)).await;
            assert!(ended.success(), "{ended}");
        }
    }
}

/// What lies before a worker that is behind is not lost, or an overloaded system would do everything twice.
#[tokio::test]
async fn sweep_leaves_to_workers_what_they_will_come_to() {
    let database = TestDatabase::new().await;
    let pool = database.pool();
    add_checks(pool, "host", 100, 60, Past::Healthy).await;
    execute(
        pool,
        "update check_state set due_at = now() - interval '9 s'",
    )
    .await;
    assert_eq!(swept(pool, &[]).await, 100, "no worker: all of it is lost");
    assert_eq!(swept(pool, &[(0, 0)]).await, 100, "none is behind");
    assert_eq!(
        swept(pool, &[(0, 0), (8000, 0)]).await,
        0,
        "one still comes to it"
    );
    assert_eq!(
        swept(pool, &[(8000, 6)]).await,
        100,
        "one would, but is silent"
    );
    execute(
        pool,
        "update check_state set due_at = now() - interval '90 s'",
    )
    .await;
    assert_eq!(swept(pool, &[(8000, 0)]).await, 100, "it has passed it");
    assert_eq!(
        swept(pool, &[(59_999, 0)]).await,
        0,
        "it is behind by a whole interval"
    );
}

/// What the sweep finds beside workers that are so many ms behind, and were heard so many seconds ago.
async fn swept(pool: &PgPool, workers: &[(i64, i32)]) -> u64 {
    execute(pool, "update check_state set rush_at = null").await;
    execute(pool, "delete from replicas").await;
    for (id, (behind_ms, silent_s)) in (1_i64..).zip(workers) {
        sqlx::query(
            "insert into replicas (replica_id, component, hostname, version, behind_ms, seen_at)
             values ($1, 'worker', 'here', '1', $2, now() - make_interval(secs => $3))",
        )
        .bind(id)
        .bind(behind_ms)
        .bind(f64::from(*silent_s))
        .execute(pool)
        .await
        .expect("a replica can be added");
    }
    sweep::rush_what_was_lost(pool, 1000)
        .await
        .expect("the database answers")
}

/// A worker is there while it runs, and gone when it has ended.
#[tokio::test]
async fn workers_say_that_they_are_alive() {
    let database = TestDatabase::new().await;
    let installation = Installation::new(&database);
    let mut worker = installation.start("worker").await;
    let alive = "select count(*) from replicas where component = 'worker' and seen_at > now() - interval '5 s' and behind_ms < 1000";
    until("a worker is alive", PATIENCE, async || {
        (count(database.pool(), alive).await == 1).then_some(())
    })
    .await;
    worker.process.terminate(PATIENCE).await;
    assert_eq!(
        count(database.pool(), "select count(*) from replicas").await,
        0
    );
}

/// While all its slots wait for agents that do not answer, it claims nothing, and what becomes due lies before it.
#[tokio::test]
async fn worker_without_a_free_slot_says_how_far_it_is_behind() {
    let agent = Agent::start(CHECK_KEY).await;
    let database = TestDatabase::new().await;
    let installation = Installation::new(&database).set("worker.slots", 4);
    let api = installation.start("api").await;
    let names = [
        "check_1", "check_2", "check_3", "check_4", "check_5", "check_6",
    ];
    api.api()
        .register_simulated(&agent, "web1", &names, 1)
        .await;
    let _worker = installation.start("worker").await;
    // first runs are out of turn, and these have half of the slots at most
    let new = "select count(*) from check_state where last_at is null";
    until("all are on the grid", PATIENCE, async || {
        (count(database.pool(), new).await == 0).then_some(())
    })
    .await;
    agent.hold();
    let behind = "select coalesce(max(behind_ms), 0) from replicas";
    until("it is behind", PATIENCE, async || {
        (count(database.pool(), behind).await > 3000).then_some(())
    })
    .await;
    agent.release();
    until("it is not behind any more", PATIENCE, async || {
        (count(database.pool(), behind).await < 1000).then_some(())
    })
    .await;
}

/// Makes all checks due in the same millisecond, a moment from now: half of them on the grid, half in the rush lane.
async fn make_due(pool: &PgPool) {
    let sql = "
        with t as (select floor(extract(epoch from now()) * 1000)::bigint + 500 as ms)
        update check_state s
        set phase_ms = t.ms % (s.interval_s * 1000), due_at = timestamptz 'epoch' + t.ms * interval '1 ms',
            rush_at = case when s.check_id % 2 = 0 then timestamptz 'epoch' + t.ms * interval '1 ms' end
        from t";
    execute(pool, sql).await;
}

/// Notes each time that a duty was done, and each time that a lease was taken from somebody.
async fn witness_duties(pool: &PgPool) {
    let sql = "
        create table done (name text, at timestamptz default clock_timestamp());
        create table stolen (name text);
        create function witness() returns trigger language plpgsql as $$
        begin
            if new.lease is null and old.lease is not null then
                insert into done (name) values (new.name);
            elsif old.lease is not null and new.lease <> old.lease and old.leased_until >= now() then
                insert into stolen values (new.name);
            end if;
            return new;
        end $$;
        create trigger witness before update on duties for each row execute function witness();";
    sqlx::raw_sql(sql)
        .execute(pool)
        .await
        .expect("a witness can be put up");
}

async fn count(pool: &PgPool, sql: &'static str) -> i64 {
    sqlx::query_scalar(sql)
        .fetch_one(pool)
        .await
        .expect("the database answers")
}

async fn execute(pool: &PgPool, sql: &'static str) {
    sqlx::query(sql)
        .execute(pool)
        .await
        .expect("the database answers");
}
