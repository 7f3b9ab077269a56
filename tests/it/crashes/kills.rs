//! SIGKILL at random times.

use std::time::Duration;

use rand::Rng;
use rand::rngs::StdRng;
use stalker_tests::agent::Agent;
use stalker_tests::database::TestDatabase;
use stalker_tests::receiver::Receiver;
use stalker_tests::rounds::rounds;
use stalker_tests::seed;
use stalker_tests::server::{CHECK_KEY, Component, Installation};
use stalker_tests::until::{stays, until_seen};

use super::cluster::Cluster;
use super::told::each_was_told;
use super::{LEASE_S, PATIENCE, TIMEOUT_S, count};

const WORKERS: usize = 3;
const PLACES: [&str; 4] = [
    "after-claim",
    "before-record",
    "inside-record",
    "after-record",
];

/// Episode after episode, and in each half of each a worker dies at a random moment, and now and then a scheduler.
#[tokio::test]
async fn killed_at_random() {
    let mut random = seed::random();
    let mut cluster = Cluster::start().await;
    let mut workers = Vec::new();
    for _ in 0..WORKERS {
        workers.push(cluster.worker().await);
    }
    cluster.all_are_well().await;
    for _ in 0..rounds(2) {
        for turn in [Cluster::break_all, Cluster::mend_all] {
            turn(&mut cluster);
            somebody_dies(&mut cluster, &mut workers, &mut random).await;
            cluster.recovers().await;
        }
        cluster.calm_down().await;
    }
    cluster.books_are_right().await;
}

async fn somebody_dies(cluster: &mut Cluster, workers: &mut [Component], random: &mut StdRng) {
    some_time_passes(random, 3000).await;
    let worker = random.random_range(0..workers.len());
    workers[worker].process.kill();
    cluster.worker_died();
    workers[worker] = cluster.worker().await;
    if random.random_bool(0.5) {
        let scheduler = random.random_range(0..cluster.schedulers.len());
        cluster.schedulers[scheduler].process.kill();
        cluster.schedulers[scheduler] = cluster.installation.start("scheduler").await;
    }
}

/// Twenty workers die during one problem: it is one alert, told once, and its end is told once. What a worker told and
/// did not write down is told again, with the same key.
#[tokio::test]
async fn twenty_deaths_are_one_page() {
    const DEATHS: usize = 20;
    let mut random = seed::random();
    let database = TestDatabase::with_clock().await;
    let agent = Agent::start(CHECK_KEY).await;
    let receiver = Receiver::start().await;
    let installation = Installation::new(&database)
        .channel("pager", receiver.url())
        .set("worker.check_timeout", TIMEOUT_S)
        .set("worker.lease", LEASE_S)
        .set("alerts.alert_threshold", 2);
    let api = installation.start("api").await;
    let _schedulers = [
        installation.start("scheduler").await,
        installation.start("scheduler").await,
    ];
    agent.answer("check_a", 2, "CRITICAL - broken");
    api.api()
        .register_simulated(&agent, "web1", &["check_a"], 1)
        .await;

    for i in 0..rounds(DEATHS) {
        // at a bad place, and if it does not get there, anywhere
        let failpoint = match i % 8 {
            0..4 => String::from("after-accept:kill"),
            place => format!("{}:kill@{}", PLACES[place - 4], random.random_range(1..3)),
        };
        let environment = [("STALKER_FAILPOINT", failpoint.as_str())];
        let mut worker = installation.start_with("worker", &environment).await;
        some_time_passes(&mut random, 1500).await;
        worker.process.kill();
        // the leases of a check and of a message
        database.advance(Duration::from_secs(31)).await;
    }
    let _worker = installation.start("worker").await;
    let accepted = "select count(*) from notifications where state = 'accepted'";
    let accepted = async || count(database.pool(), accepted).await;
    until_seen("the pager is told", PATIENCE, accepted, |n| *n == 1).await;
    agent.answer("check_a", 0, "OK - mended");
    until_seen("… of the end", PATIENCE, accepted, |n| *n == 2).await;

    let runs = agent.runs_of("check_a");
    assert!(runs > DEATHS / 4, "the dead did little: {runs} runs");
    let sending = "select count(*) from attempts where error = 'its sender died'";
    assert!(
        count(database.pool(), sending).await > 0,
        "nobody died while sending"
    );
    let alerts = "select count(*) from alerts";
    assert_eq!(count(database.pool(), alerts).await, 1);
    each_was_told(database.pool(), &receiver).await;
}

async fn some_time_passes(random: &mut StdRng, at_most_ms: u64) {
    let time = Duration::from_millis(random.random_range(0..at_most_ms));
    stays("time passes", time, async || (), |()| true).await;
}
