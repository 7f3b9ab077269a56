//! Connections to agents are kept, and an agent may end them at any time.

use std::time::Duration;

use stalker_tests::agent::Agent;
use stalker_tests::fixture::make_due_now;
use stalker_tests::server::CHECK_KEY;
use stalker_tests::until::until_seen;

use super::{SOON, Stage};

/// For thousands of runs, in debug builds.
const MANY: Duration = Duration::from_secs(60);

/// The end of a kept connection says nothing but that it was old: the request is made once more, on a new one.
#[tokio::test]
async fn reset_of_a_kept_connection_is_no_failure() {
    let agent = Agent::start(CHECK_KEY).await;
    let stage = Stage::new().await;
    stage
        .api
        .register_simulated(&agent, "web1", &["check_a"], 1)
        .await;
    let runs = async || agent.runs_of("check_a");
    until_seen("it ran on a kept connection", SOON, runs, |n| *n >= 3).await;
    assert_eq!(agent.connections(), 1);

    agent.cut_reused(1);
    let left = async || agent.cuts_left();
    until_seen("the connection was cut", SOON, left, |left| *left == 0).await;
    let cut = agent.runs_of("check_a");
    until_seen("it runs on", SOON, runs, |n| *n >= cut + 3).await;
    assert_eq!(stage.changes().await, 1, "it became ok, and stayed so");
    assert_eq!(
        agent.connections(),
        3,
        "one for the second try, and another to be kept"
    );
}

/// The same for all checks of a host at once, as when its agent was restarted: each request has its own second try,
/// whatever new connections the others open.
#[tokio::test]
async fn resets_of_several_kept_connections_are_no_failures() {
    let agent = Agent::start(CHECK_KEY).await;
    // So that they really run side by side.
    agent.delay(Duration::from_millis(200));
    let stage = Stage::new().await;
    let names = ["check_a", "check_b", "check_c", "check_d", "check_e"];
    stage
        .api
        .register_simulated(&agent, "web1", &names, 1)
        .await;
    for name in names {
        stage.is_ok("web1", name).await;
    }
    sqlx::query("update check_state set phase_ms = 500")
        .execute(stage.database.pool())
        .await
        .expect("they can be made due at once");
    let connections = async || agent.connections();
    until_seen("each has a connection", SOON, connections, |n| {
        *n >= names.len()
    })
    .await;
    let least = async || agent.runs().into_values().min().unwrap_or_default();
    let round = least().await + 2;
    until_seen("all are kept", SOON, least, |n| *n >= round).await;

    agent.cut_reused(names.len());
    let left = async || agent.cuts_left();
    until_seen("connections were cut", SOON, left, |left| *left == 0).await;
    let round = least().await + 3;
    until_seen("they run on", SOON, least, |n| *n >= round).await;
    assert_eq!(
        stage.changes().await,
        names.len() as i64,
        "each became ok, and stayed so"
    );
}

/// A host with thousands of checks is called over few connections: when they come spread over their intervals, and when
/// all are due at once, which takes a connection for each slot and then reuses them.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn many_checks_share_connections() {
    const CHECKS: usize = 3000;
    let agent = Agent::start(CHECK_KEY).await;
    let stage = Stage::new().await;
    let names: Vec<String> = (0..CHECKS).map(|i| format!("check_{i}")).collect();
    let names: Vec<&str> = names.iter().map(String::as_str).collect();
    stage
        .api
        .register_simulated(&agent, "web1", &names, 3600)
        .await;
    let runs = async || agent.runs().into_values().sum::<usize>();
    until_seen("all have run", MANY, runs, |n| *n >= CHECKS).await;
    let spread = agent.connections();
    make_due_now(stage.database.pool()).await;
    until_seen("all have run again", MANY, runs, |n| *n >= 2 * CHECKS).await;
    let at_once = agent.connections() - spread;
    eprintln!("{spread} connections for {CHECKS} spread runs, {at_once} for {CHECKS} at once");
    assert!(
        spread < CHECKS / 4,
        "{spread} connections for {CHECKS} spread runs"
    );
    assert!(
        at_once < CHECKS / 2,
        "{at_once} connections for {CHECKS} runs at once"
    );
}
