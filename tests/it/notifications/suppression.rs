//! What delays or prevents a message: it concerns triggers and repeats, never resolves (decision 6).

use stalker_tests::receiver::Receiver;
use stalker_tests::until::until_seen;

use super::*;

/// A suspended check does not run, so its alert stays open. Resumed it runs at once, whatever its interval, and its
/// recovery is told.
#[tokio::test]
async fn an_alert_outlives_the_suspension_of_its_check() {
    let receiver = Receiver::start().await;
    let stage = Stage::start(|i| {
        i.channel("pager", receiver.url())
            .set("alerts.alert_threshold", 1)
    })
    .await;
    stage.fail("check_a");
    let hourly = 3600;
    stage
        .api
        .register_simulated(&stage.agent, HOST, &["check_a"], hourly)
        .await;
    stage.told(&["trigger accepted 1"]).await;

    stage.suspend("check_a", true).await;
    stage.recover("check_a");
    stage.stays_told(&["trigger accepted 1"]).await;
    let suspended = stage.api.read("/checks/state/suspended").await;
    let suspended = &suspended["suspended"][0];
    assert_eq!(
        json!([suspended["check"], suspended["state"]]),
        json!(["check_a", "critical"])
    );
    assert_eq!(stage.agent.runs_of("check_a"), 1);

    stage.suspend("check_a", false).await;
    stage
        .told(&["trigger accepted 1", "resolve accepted 1"])
        .await;
    assert_eq!(stage.agent.runs_of("check_a"), 2);
    stage.closed("recovered").await;
}

/// Suspended while its trigger waits for another try: that waits until the check is resumed, and is then still true.
#[tokio::test]
async fn suspension_delays_a_trigger() {
    let receiver = Receiver::start().await;
    receiver.answer_next([500]);
    let stage = Stage::start(|i| i.channel("pager", receiver.url())).await;
    stage.fail("check_a");
    stage.register(&["check_a"]).await;
    stage.told(&["trigger pending 1"]).await;

    stage.suspend("check_a", true).await;
    hurry(stage.pool()).await;
    stage.stays_told(&["trigger pending 1"]).await;
    stage.suspend("check_a", false).await;
    stage.told(&["trigger accepted 2"]).await;
    assert_eq!(receiver.received().len(), 2);
}

/// Its agent no longer names the check. That closes its alert, and is told although the check is suspended.
#[tokio::test]
async fn a_removed_check_is_resolved() {
    let receiver = Receiver::start().await;
    let stage = Stage::start(|i| i.channel("pager", receiver.url())).await;
    stage.fail("check_a");
    stage.register(&["check_a", "check_b"]).await;
    stage.told(&["trigger accepted 1"]).await;
    stage.suspend("check_a", true).await;

    stage.register(&["check_b"]).await;
    stage.closed("removed").await;
    let told = receiver.settled(2, QUIET).await;
    assert_eq!(told[1].text("event_type"), "resolve");
    assert_eq!(told[1].text("incident_key"), told[0].text("incident_key"));
    assert_eq!(told[1].text("description"), "check_a on web1 was removed");
    assert_eq!(told[1].body["details"]["check"], "check_a");
    stage
        .told(&["trigger accepted 1", "resolve accepted 1"])
        .await;
}

/// Priority 0 is shown and never told.
#[tokio::test]
async fn priority_0_is_told_nobody() {
    let receiver = Receiver::start().await;
    let stage = Stage::start(|i| i.channel("pager", receiver.url())).await;
    stage.fail("check_a");
    let check = json!({"args": "", "interval": 1, "follow_up": 1, "priority": 0});
    let registration = json!({
        "hostname": HOST, "ip": "127.0.0.1", "port": stage.agent.port(), "cert_sha256": stage.agent.cert_sha256(),
        "agent_version": "simulated", "roles": [], "checks": {"check_a": check},
    });
    let (status, body) = stage.api.register(&registration).await;
    assert_eq!(status, StatusCode::OK, "{body}");

    let open = async || {
        rows(
            stage.pool(),
            "select kind from alerts where closed_at is null",
        )
        .await
    };
    until_seen("its alert is open", PATIENCE, open, |kinds| {
        *kinds == ["check"]
    })
    .await;
    stage.stays_told(&[]).await;
    stage.recover("check_a");
    stage.closed("recovered").await;
    stage.stays_told(&[]).await;
    assert!(receiver.received().is_empty());
}
