//! What an attempt's end means: for the message, for its resolve, and for whoever tries again (decisions 7 and 8).

use std::time::Duration;

use serde_json::json;
use stalker_tests::receiver::Receiver;
use stalker_tests::server::{CHECK_KEY, Installation};
use stalker_tests::until::{stays, until_seen};

use super::reception::{Answer, ClosedPort, FullPort, Judge};
use super::*;

/// 400 is an answer: a dead letter. It never arrived, so its recovery is nobody's business.
#[tokio::test]
async fn refused_for_good_is_not_tried_again_and_not_resolved() {
    let receiver = Receiver::start().await;
    receiver.answer_next([400]);
    let stage = Stage::start(|i| i.channel("pager", receiver.url())).await;
    stage.fail("check_a");
    stage.register(&["check_a"]).await;
    stage.told(&["trigger refused 1"]).await;
    stage.stays_told(&["trigger refused 1"]).await;

    stage.recover("check_a");
    stage.closed("recovered").await;
    stage.stays_told(&["trigger refused 1"]).await;
    assert_eq!(attempts(stage.pool()).await, ["trigger 1 400 lost"]);
    assert_eq!(receiver.received().len(), 1);
}

/// A refused connection carried nothing: no resolve, and no trigger when the receiver is there after the recovery.
#[tokio::test]
async fn what_found_nobody_is_forgotten_at_recovery() {
    let port = ClosedPort::new();
    let stage = Stage::start(|i| i.channel("pager", &port.url())).await;
    stage.fail("check_a");
    stage.register(&["check_a"]).await;
    stage.told(&["trigger pending 1"]).await;
    assert_eq!(attempts(stage.pool()).await, ["trigger 1 - lost"]);

    stage.recover("check_a");
    stage.closed("recovered").await;
    let listener = port.open();
    hurry(stage.pool()).await;
    let nobody = tokio::time::timeout(QUIET, listener.accept()).await;
    assert!(nobody.is_err(), "somebody was called");
    stage.stays_told(&["trigger superseded 1"]).await;
}

/// A 500 may have been taken: tried again while the alert is open, never after it, and resolved.
#[tokio::test]
async fn what_waits_at_recovery_is_superseded_and_resolved_once() {
    let judge = Judge::start(|_, body| match body["event_type"].as_str() {
        Some("trigger") => Answer::Status(500),
        _ => Answer::Status(202),
    })
    .await;
    let stage = Stage::start(|i| i.channel("pager", judge.url())).await;
    stage.fail("check_a");
    stage.register(&["check_a"]).await;
    // the second attempt by itself, 5 s after the first
    stage.told(&["trigger pending 2"]).await;

    stage.recover("check_a");
    let end = ["trigger superseded 2", "resolve accepted 1"];
    stage.told(&end).await;
    hurry(stage.pool()).await;
    stage.stays_told(&end).await;
    assert_eq!(judge.events(), ["trigger", "trigger", "resolve"]);
    let heard = judge.heard();
    assert!(
        heard
            .iter()
            .all(|body| body["incident_key"] == heard[0]["incident_key"]),
        "{heard:?}"
    );
    assert_eq!(
        attempts(stage.pool()).await,
        [
            "trigger 1 500 may have arrived",
            "trigger 2 500 may have arrived",
            "resolve 1 202 may have arrived"
        ]
    );
}

/// A 200 whose JSON says something else than success is none. And the body is the original's.
#[tokio::test]
async fn a_no_within_a_200_is_tried_again() {
    let judge = Judge::start(|before, _| {
        let status = if before == 0 { "invalid" } else { "success" };
        Answer::Json(json!({ "status": status }))
    })
    .await;
    let stage = Stage::start(|i| i.channel("pager", judge.url())).await;
    stage.fail("check_a");
    stage.register(&["check_a"]).await;
    stage.told(&["trigger accepted 2"]).await;

    let heard = judge.heard();
    let (first, second) = (&heard[0], &heard[1]);
    assert_eq!(first["incident_key"], second["incident_key"]);
    assert_eq!(
        json!([
            second["event_type"],
            second["description"],
            second["service_key"]
        ]),
        json!(["trigger", "check_a on web1 is DOWN", "service-key-of-pager"])
    );
    let details = &second["details"];
    assert_eq!(
        json!([
            details["hostname"],
            details["check"],
            details["state"],
            details["status"],
            details["out"]
        ]),
        json!([HOST, "check_a", "critical", false, "CRITICAL - broken"])
    );
    let why = rows(stage.pool(), "select error from attempts where n = 1").await;
    assert!(why[0].contains("invalid"), "{why:?}");
}

/// Every channel is owed its own, by its own key, and one that refuses takes nothing from the other.
#[tokio::test]
async fn every_channel_is_told_for_itself() {
    let (pager, chat) = tokio::join!(Receiver::start(), Receiver::start());
    chat.answer_next([400]);
    let stage = Stage::start(|i| {
        i.channel("chat", chat.url())
            .channel("pager", pager.url())
            .set("channels.pager.prefix", "SAT1:")
            .set("channels.pager.stable_keys", true)
    })
    .await;
    stage.fail("check_a");
    stage.register(&["check_a"]).await;
    let pager_told = pager.settled(1, QUIET).await;
    stage.recover("check_a");
    let pager_told = [pager_told, pager.settled(2, QUIET).await.split_off(1)].concat();
    for (received, kind) in pager_told.iter().zip(["trigger", "resolve"]) {
        assert_eq!(received.text("event_type"), kind);
        assert_eq!(received.text("incident_key"), "SAT1:web1:check_a");
        assert_eq!(received.text("service_key"), "service-key-of-pager");
    }

    let chat_told = chat.received();
    assert_eq!(chat_told.len(), 1, "refused, and so not resolved");
    let alert: i64 = sqlx::query_scalar("select alert_id from alerts")
        .fetch_one(stage.pool())
        .await
        .expect("there is one alert");
    assert_eq!(
        chat_told[0].text("incident_key"),
        format!("web1:check_a:{alert}")
    );
    assert_eq!(chat_told[0].text("service_key"), "service-key-of-chat");
}

/// A worker is killed between its claim and the answer. Nobody knows whether it arrived, so it is sent again, with the
/// same key, by another; and the attempt that was lost is on record.
#[tokio::test]
async fn a_killed_senders_message_is_sent_again() {
    let judge = Judge::start(|before, _| match before {
        0 => Answer::Never,
        _ => Answer::Status(200),
    })
    .await;
    let database = TestDatabase::new().await;
    let installation = Installation::new(&database)
        .set("alerts.alert_threshold", THRESHOLD)
        .channel("pager", judge.url());
    let api = installation.start("api").await;
    let _scheduler = installation.start("scheduler").await;
    let mut killed = installation.start("worker").await;
    let agent = stalker_tests::agent::Agent::start(CHECK_KEY).await;
    agent.answer("check_a", 2, "CRITICAL - broken");
    api.api()
        .register_simulated(&agent, HOST, &["check_a"], 1)
        .await;
    until_seen(
        "the first attempt arrives",
        PATIENCE,
        async || judge.heard().len(),
        |n| *n == 1,
    )
    .await;
    killed.process.kill();
    let _worker = installation.start("worker").await;
    let look = async || judge.heard().len();
    stays("the lease protects it", Duration::from_secs(1), look, |n| {
        *n == 1
    })
    .await;

    // The lease is 30 s, which a test need not wait.
    sqlx::query(
        "update notifications set leased_until = now() - interval '1 s' where state = 'sending'",
    )
    .execute(database.pool())
    .await
    .expect("a lease can be ended");
    told(database.pool(), &["trigger accepted 2"]).await;
    let heard = judge.heard();
    assert_eq!(heard.len(), 2);
    assert_eq!(heard[0]["incident_key"], heard[1]["incident_key"]);
    assert_eq!(
        attempts(database.pool()).await,
        [
            "trigger 1 - may have arrived",
            "trigger 2 200 may have arrived"
        ]
    );
    let why = rows(database.pool(), "select error from attempts where n = 1").await;
    assert_eq!(why, ["its sender died"]);
    assert_eq!(owed(database.pool()).await, 0);
}

/// A receiver that does not even take the connection has not been told: that is no possible repeat, and nothing to resolve.
#[tokio::test]
async fn what_found_no_connection_has_not_arrived() {
    let port = FullPort::new().await;
    let stage = Stage::start(|i| {
        i.channel("pager", &port.url())
            .set("channels.pager.timeout", 2)
    })
    .await;
    stage.fail("check_a");
    stage.register(&["check_a"]).await;
    stage.told(&["trigger pending 1"]).await;
    let arrived = "select concat_ws(' ', n.may_have_arrived, t.may_have_arrived) from notifications n join attempts t using (notification_id)";
    assert_eq!(rows(stage.pool(), arrived).await, ["f f"]);
    stage.recover("check_a");
    stage.told(&["trigger superseded 1"]).await;
}
