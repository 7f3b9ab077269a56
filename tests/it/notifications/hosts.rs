//! A host that is simply down: one alert for the host, and none for what cannot be looked at (decision 3).

use serde_json::Value;
use stalker_tests::receiver::Receiver;
use stalker_tests::until::{stays, until_seen};

use super::*;

const CHECKS: [&str; 5] = ["check_a", "check_b", "check_c", "check_d", "check_e"];

#[tokio::test]
async fn a_host_that_is_down_is_told_once() {
    let receiver = Receiver::start().await;
    let mut stage = Stage::start(|i| {
        i.channel("pager", receiver.url())
            .set("alerts.host_down_after", 2)
    })
    .await;
    // one of the five is failing already: its alert is not touched by what follows
    stage.fail("check_e");
    stage.register(&CHECKS).await;
    stage.told(&["trigger accepted 1"]).await;
    let ran = async || checks(&stage.api).await;
    until_seen("all have run", PATIENCE, ran, |checks| {
        checks.len() == 5 && checks.iter().all(|check| !check["status"].is_null())
    })
    .await;

    stage.agent.stop().await;
    let seen = async || checks(&stage.api).await;
    let before = until_seen("none can be reached", PATIENCE, seen, |checks| {
        checks.iter().all(is_unreachable)
    })
    .await;
    let told = receiver.settled(2, QUIET).await;
    assert_eq!(told[1].text("event_type"), "trigger");
    assert_eq!(told[1].text("description"), "web1 is DOWN");
    let key = told[1].text("incident_key").to_owned();
    assert!(key.starts_with("web1:"), "{key}");
    let counts = |checks: &[Value]| -> Vec<Value> {
        checks
            .iter()
            .map(|check| check["fail_count"].clone())
            .collect()
    };
    let still = async || checks(&stage.api).await;
    let after = stays("none can be reached", QUIET, still, |checks| {
        checks.iter().all(is_unreachable)
    })
    .await;
    assert_eq!(counts(&after), counts(&before));
    assert_eq!(
        counts(&after)[..4],
        [json!(0), json!(0), json!(0), json!(0)]
    );
    assert_eq!(owed(stage.pool()).await, 0);

    stage.agent.start_again().await;
    let told = receiver.settled(3, QUIET).await;
    assert_eq!(told[2].text("event_type"), "resolve");
    assert_eq!(told[2].text("incident_key"), key);
    assert_eq!(told[2].text("description"), "web1 is UP");

    // History tells when it began and when it ended.
    let log = stage.api.read(&format!("/state_log/{HOST}/check_a")).await;
    let log = log["state_log"].as_array().cloned().unwrap_or_default();
    let states: Vec<&Value> = log.iter().map(|change| &change["state"]).collect();
    assert_eq!(states, ["ok", "unknown", "ok"]);
    assert!(is_unreachable(&log[1]), "{log:?}");
}

async fn checks(api: &Api) -> Vec<Value> {
    let answer = api.read(&format!("/checks/host/{HOST}")).await;
    answer["checks"].as_array().cloned().unwrap_or_default()
}

fn is_unreachable(shown: &Value) -> bool {
    let out = shown["out"].as_str().unwrap_or_default();
    shown["state"] == "unknown" && out.starts_with("<urlopen error [Errno")
}
