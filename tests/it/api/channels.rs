//! Channels and alert routes as they are configured, and tests of channels. A worker is played by the test.

use std::time::Duration;

use stalker_db::channel_tests::{self, ClaimedTest};
use stalker_db::notifications::{Attempt, AttemptEnd};
use stalker_tests::until::until;

use super::*;

/// Several tests share two cores.
const PATIENCE: Duration = Duration::from_secs(15);
const CHANNELS: &str = "
    insert into channels (name, provider, prefix, fallback, repeat_s, address, part_of, disabled_at, disabled_why, retired_at) values
        ('pager', 'http', 'SAT1:', 'sms', 3600, 'https://events.example.net', null, null, null, null),
        ('sms/+4915', 'http', '', null, 3600, '+4915', 'sms', to_timestamp(100), 'HTTP 410', null),
        ('old', 'http', '', null, 3600, '', null, null, null, to_timestamp(200));
    insert into alerts (kind, host_id, hostname, priority) values ('host', 1, 'web1', 1);
    insert into notifications (alert_id, channel, kind, n, dedup_key, state, settled_at) values
        (1, 'pager', 'trigger', 1, 'x', 'accepted', to_timestamp(300)), (1, 'pager', 'repeat', 1, 'x', 'accepted', to_timestamp(200)),
        (1, 'pager', 'repeat', 2, 'x', 'dropped', to_timestamp(400)), (1, 'pager', 'repeat', 3, 'x', 'pending', null),
        (1, 'pager', 'acknowledge', 1, 'x', 'sending', null), (1, 'sms/+4915', 'trigger', 1, 'x', 'refused', to_timestamp(500));";
/// One that was alive a moment ago.
const WORKER: &str = "insert into replicas (replica_id, component, hostname, version) values (1, 'worker', 'here', '1')";

#[tokio::test]
async fn channels_are_listed_with_how_they_do() {
    let served = serve(TestDatabase::new().await).await;
    served.execute(CHANNELS).await;
    let old = json!({
        "name": "old", "provider": "http", "address": "", "part_of": null, "prefix": "", "fallback": null, "retired": 200,
        "disabled": null, "disabled_why": null, "pending": 0, "dead_letters": 0, "last_accepted": null,
    });
    let pager = json!({
        "name": "pager", "provider": "http", "address": "https://events.example.net", "part_of": null, "prefix": "SAT1:", "fallback": "sms",
        "retired": null, "disabled": null, "disabled_why": null, "pending": 2, "dead_letters": 0, "last_accepted": 300,
    });
    let sms = json!({
        "name": "sms/+4915", "provider": "http", "address": "+4915", "part_of": "sms", "prefix": "", "fallback": null, "retired": null,
        "disabled": 100, "disabled_why": "HTTP 410", "pending": 0, "dead_letters": 1, "last_accepted": null,
    });
    let viewer = served.client_with("viewer").await;
    assert_eq!(
        viewer.read("/channels/").await,
        json!({"channels": [old, pager, sms]})
    );
    let stats = served.api.read("/stats").await;
    assert_eq!(
        (
            &stats["here"]["dead_letters"],
            &stats["here"]["disabled_channels"]
        ),
        (&json!(1), &json!(1))
    );
    let without_key = served.anonymous("/channels").await;
    assert_eq!(without_key.status(), StatusCode::UNAUTHORIZED);
}

#[tokio::test]
async fn alert_routes_are_listed_in_their_order() {
    let served = serve(TestDatabase::new().await).await;
    assert_eq!(
        served.api.read("/channels/routes").await,
        json!({"routes": []})
    );
    served
        .execute(
            "insert into routes (position, channels) values (2, '{mail}');
             insert into routes (position, hosts, roles, checks, kinds, priorities, statuses, channels, continues)
             values (1, '{db*}', '{db,web}', '{check_disk}', '{agent}', '{1}', '{critical,unreachable}', '{pager,sms/+4915}', true);",
        )
        .await;
    let first = json!({
        "position": 1,
        "match": {"host": ["db*"], "role": ["db", "web"], "check": ["check_disk"], "kind": ["agent"], "priority": [1], "status": ["critical", "unreachable"]},
        "channels": ["pager", "sms/+4915"], "continue": true,
    });
    let second = json!({
        "position": 2, "match": {"host": null, "role": null, "check": null, "kind": null, "priority": null, "status": null},
        "channels": ["mail"], "continue": false,
    });
    assert_eq!(
        served.api.read("/channels/routes").await,
        json!({"routes": [first, second]})
    );
    // the original's list of the API's own routes is where it was
    assert!(served.api.read("/routes/list").await["/channels/routes"].is_string());
}

/// Takes the next test of a channel, as its worker does.
async fn take(served: &Served, channel: &str) -> ClaimedTest {
    let channels = [channel.to_owned()];
    until("a test is asked for", PATIENCE, async || {
        let claimed = channel_tests::claim(served.pool(), &channels, 1).await;
        claimed.expect("tests can be claimed").pop()
    })
    .await
}

async fn end(served: &Served, test: &ClaimedTest, http_status: i32, error: Option<&str>) {
    let attempt = Attempt {
        end: AttemptEnd::Accepted,
        may_have_arrived: true,
        latency_ms: 42,
        http_status: Some(http_status),
        answer: Some("as you like".to_owned()),
        secret_id: None,
    };
    channel_tests::settle(served.pool(), test, &attempt, error)
        .await
        .expect("a test can be settled");
}

#[tokio::test]
async fn a_test_is_answered_with_how_it_went() {
    let served = serve(TestDatabase::new().await).await;
    served.execute(CHANNELS).await;
    served.execute(WORKER).await;
    let operator = served.client_with("operator").await;
    // the name holds a slash and a plus
    let path = "/channels/sms%2F+4915/test";
    let body = json!({});
    let refused = async {
        let test = take(&served, "sms/+4915").await;
        assert_eq!(test.asked_by, "key of a operator");
        end(&served, &test, 410, Some("HTTP 410")).await;
    };
    let (answer, ()) = tokio::join!(operator.post(path, &body), refused);
    let expected = json!({"accepted": false, "latency_ms": 42, "status_code": 410, "error": "HTTP 410", "answer": "as you like"});
    assert_eq!(answer, (StatusCode::OK, expected));
    let disabled = async || served.api.read("/stats").await["here"]["disabled_channels"].clone();
    assert_eq!(disabled().await, 1);

    let accepted = async {
        let test = take(&served, "sms/+4915").await;
        end(&served, &test, 200, None).await;
    };
    let (answer, ()) = tokio::join!(operator.post(path, &body), accepted);
    let expected = json!({"accepted": true, "latency_ms": 42, "status_code": 200, "error": null, "answer": "as you like"});
    assert_eq!(answer, (StatusCode::OK, expected));
    assert_eq!(disabled().await, 0);
    // what it had refused may be taken now
    let channels = served.api.read("/channels/").await;
    let sms = &channels["channels"][2];
    assert_eq!(
        (&sms["pending"], &sms["dead_letters"]),
        (&json!(1), &json!(0)),
        "{sms}"
    );
}

#[tokio::test]
async fn a_test_that_cannot_be_made_says_why() {
    let served = serve(TestDatabase::new().await).await;
    served.execute(CHANNELS).await;
    let post = async |name: &str| {
        let path = format!("/channels/{name}/test");
        let (status, problem) = served.api.post(&path, &json!({})).await;
        (
            status,
            problem["detail"].as_str().unwrap_or_default().to_owned(),
        )
    };
    for name in ["nobody", "old", "sms", "%00"] {
        let (status, detail) = post(name).await;
        let expected = match name {
            "%00" => StatusCode::BAD_REQUEST,
            _ => StatusCode::NOT_FOUND,
        };
        assert_eq!(status, expected, "{name}: {detail}");
    }
    let (status, detail) = post("pager").await;
    assert_eq!(status, StatusCode::SERVICE_UNAVAILABLE);
    assert!(detail.starts_with("no worker runs"), "{detail}");
    let viewer = served.client_with("viewer").await;
    let (status, _) = viewer.post("/channels/pager/test", &json!({})).await;
    assert_eq!(status, StatusCode::FORBIDDEN);

    // a worker runs without this channel; another has it, and its receiver is silent
    served.execute(WORKER).await;
    let (untaken, unanswered, _) = tokio::join!(
        post("pager"),
        post("sms%2F%2B4915"),
        take(&served, "sms/+4915")
    );
    assert_eq!(untaken.0, StatusCode::GATEWAY_TIMEOUT);
    assert!(
        untaken.1.starts_with("no worker took the test"),
        "{untaken:?}"
    );
    assert_eq!(unanswered.0, StatusCode::GATEWAY_TIMEOUT);
    assert!(unanswered.1.contains("has not answered"), "{unanswered:?}");
}
