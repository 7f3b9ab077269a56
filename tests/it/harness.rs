//! The harness itself, where a fault would make other tests pass for the wrong reason.

use std::time::Duration;

use nix::sys::signal::Signal;
use serde_json::json;
use stalker_tests::agent::Agent;
use stalker_tests::database::TestDatabase;
use stalker_tests::process::{Process, command, is_alive};
use stalker_tests::receiver::Receiver;
use stalker_tests::until::until_seen;

/// Two databases from one template share nothing, and a settable clock moves all that is bound to `now()`.
#[tokio::test]
async fn database_has_its_own_rows_and_its_own_clock() {
    let (plain, clocked) = tokio::join!(TestDatabase::new(), TestDatabase::with_clock());
    sqlx::query("insert into channels (name, provider, repeat_s) values ('a', 'http', 60)")
        .execute(clocked.pool())
        .await
        .expect("a row can be added");
    let rows: i64 = sqlx::query_scalar("select count(*) from channels")
        .fetch_one(plain.pool())
        .await
        .expect("it can be read");
    assert_eq!(rows, 0);

    clocked.advance(Duration::from_hours(1)).await;
    let shifted = "insert into hosts (hostname, ip) values ('h', '') returning created_at > pg_catalog.now() + interval '59 min' and now() = created_at";
    assert!(
        sqlx::query_scalar::<_, bool>(shifted)
            .fetch_one(clocked.pool())
            .await
            .expect("a default is evaluated")
    );
    assert!(
        stalker_db::is_migrated(clocked.pool())
            .await
            .expect("the database answers")
    );
}

/// A child sees nothing of ours, tells what it printed, and takes its own children along.
#[tokio::test]
async fn process_is_kept_apart_and_leaves_nothing() {
    let mut shell = command("/bin/sh".as_ref());
    shell.args([
        "-c",
        "echo db=$DATABASE_URL test=$STALKER_TEST_DATABASE_URL; sleep 600 & echo $!; wait",
    ]);
    let process = Process::start("shell", &mut shell);
    let lines = async || {
        process
            .output()
            .lines()
            .map(str::to_owned)
            .collect::<Vec<_>>()
    };
    let lines = until_seen("two lines", Duration::from_secs(5), lines, |lines| {
        lines.len() == 2
    })
    .await;
    assert_eq!(lines[0], "db= test=");
    let sleeper = lines[1].parse().expect("the shell printed a process id");
    assert!(is_alive(sleeper));
    drop(process);
    until_seen(
        "the sleeper is gone",
        Duration::from_secs(5),
        async || is_alive(sleeper),
        |alive| !alive,
    )
    .await;

    let mut stubborn = command("/bin/sleep".as_ref());
    let mut stubborn = Process::start("stubborn", stubborn.arg("600"));
    stubborn.suspend();
    assert!(stubborn.is_running());
    stubborn.resume();
    stubborn.signal(Signal::SIGTERM);
    assert!(!stubborn.ended(Duration::from_secs(5)).await.success());
}

/// The receiver answers as told and counts only what it accepted.
#[tokio::test]
async fn receiver_counts_what_it_accepted() {
    let receiver = Receiver::start().await;
    let api = stalker_tests::api::Api::new(receiver.url(), "key", "key");
    receiver.answer_next([500, 503]);
    for event in ["first", "second", "third"] {
        api.post("/", &json!({"event_type": event})).await;
    }
    let accepted = receiver.settled(1, Duration::from_millis(100)).await;
    assert_eq!(accepted[0].text("event_type"), "third");
    assert_eq!(receiver.received().len(), 3);
}

/// The simulated agent speaks wire.md section 1, and its port and certificate are what a test makes them.
#[tokio::test]
async fn agent_answers_as_told() {
    let mut agent = Agent::start("secret").await;
    let (port, cert) = (agent.port(), agent.cert_sha256());
    let client = reqwest::Client::builder()
        .tls_danger_accept_invalid_certs(true)
        .no_proxy()
        .build()
        .expect("a client can be made");
    let call = async |key: &str| {
        let request = client
            .get(format!("https://127.0.0.1:{port}/check_a"))
            .header("X-CHECK-KEY", key);
        let response = request.send().await.ok()?;
        Some((
            response.status().as_u16(),
            response.text().await.expect("the body arrives"),
        ))
    };
    assert_eq!(call("wrong").await, Some((401, "Unauthorized".to_owned())));
    agent.answer("check_a", 2, "CRITICAL");
    let (status, body) = call("secret").await.expect("it answers");
    let body: serde_json::Value = serde_json::from_str(&body).expect("the body is JSON");
    assert_eq!(
        (status, body),
        (
            200,
            json!({"check_a": {"status": 2, "out": "CRITICAL", "err": ""}})
        )
    );
    assert_eq!(agent.runs_of("check_a"), 1);

    agent.stop().await;
    assert_eq!(call("secret").await, None);
    agent.start_again_with_new_certificate().await;
    assert!(call("secret").await.is_some());
    assert_eq!(agent.port(), port);
    assert_ne!(agent.cert_sha256(), cert);
}
