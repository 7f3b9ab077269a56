//! Several processes of each component against one database: what is due runs once, whoever does it.

use std::collections::BTreeMap;
use std::time::Duration;

use stalker_tests::agent::Agent;
use stalker_tests::database::TestDatabase;
use stalker_tests::server::{CHECK_KEY, Component, Installation};
use stalker_tests::until::{stays, until_seen};

const HOSTS: usize = 20;
const CHECKS_OF_A_HOST: usize = 100;
/// Longer than the test: after its first run, which comes within 10 s, no check is due again.
const INTERVAL_S: u32 = 604_800;

#[tokio::test]
async fn two_workers_run_each_of_2000_checks_once() {
    each_check_runs_once(Duration::ZERO).await;
}

/// Slow enough that every slot of both workers is taken, and that both claim while the other's runs are under way.
#[tokio::test]
async fn two_workers_run_each_check_once_while_agents_are_slow() {
    each_check_runs_once(Duration::from_secs(2)).await;
}

async fn each_check_runs_once(delay: Duration) {
    let database = TestDatabase::new().await;
    let agent = Agent::start(CHECK_KEY).await;
    agent.delay(delay);
    let installation = Installation::new(&database);
    let api = installation.start("api").await;
    let mut replicas: Vec<Component> = Vec::new();
    for component in ["scheduler", "scheduler", "worker", "worker"] {
        replicas.push(installation.start(component).await);
    }
    for host in 0..HOSTS {
        let names: Vec<String> = (0..CHECKS_OF_A_HOST).map(|check| format!("check_{host}_{check}")).collect();
        let names: Vec<&str> = names.iter().map(String::as_str).collect();
        api.api().register_simulated(&agent, &format!("host{host}"), &names, INTERVAL_S).await;
    }

    let recorded = async || {
        sqlx::query_scalar::<_, i64>("select count(*) from check_state where last_at is not null and status = 0 and lease is null")
            .fetch_one(database.pool())
            .await
            .expect("the database answers")
    };
    let all = HOSTS * CHECKS_OF_A_HOST;
    until_seen("every check has a result", Duration::from_secs(90), recorded, |n| *n == all as i64).await;
    // Time enough for a second run: several sweeps, and the whole time in which a first run is due.
    let twice = async || agent.runs().into_iter().filter(|(_, runs)| *runs != 1).collect::<BTreeMap<_, _>>();
    stays("no check runs twice", Duration::from_secs(5), twice, BTreeMap::is_empty).await;
    assert_eq!(agent.runs().len(), all);
    for replica in &mut replicas {
        assert!(replica.process.terminate(Duration::from_secs(25)).await.success());
    }
}
