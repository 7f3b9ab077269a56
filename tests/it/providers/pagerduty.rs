//! PagerDuty: "Send an alert event" of Events API v2, and "Trigger, acknowledge and resolve events" of v1
//! (developer.pagerduty.com).

use serde_json::{Value, json};
use stalker_db::notifications::acknowledgements;
use stalker_tests::until::until_seen;

use super::*;
use crate::notifications::{HOST, told};

const ACCEPTED: Answer = Answer::Http(
    202,
    "content-type: application/json\r\n",
    r#"{"status":"success","message":"Event processed","dedup_key":"key"}"#,
);
const ACCEPTED_BY_V1: Answer = Answer::Http(
    200,
    "content-type: application/json\r\n",
    r#"{"status":"success","message":"Event processed","incident_key":"key"}"#,
);
const INVALID: Answer = Answer::Http(
    400,
    "content-type: application/json\r\n",
    r#"{"status":"invalid event","message":"Event object is invalid","errors":["'severity' is wrong"]}"#,
);

#[tokio::test]
async fn v2_is_told_as_documented_and_every_answer_has_its_meaning() {
    let cases = [
        Case {
            channel: "accepts",
            answer: |_| ACCEPTED,
            outcome: "accepted 202 may have arrived",
            why: "",
        },
        Case {
            channel: "broken",
            answer: |_| Answer::Http(500, "", "Internal Server Error"),
            outcome: "pending 500 may have arrived",
            why: "the receiver answered 500: Internal Server Error",
        },
        Case {
            channel: "busy",
            answer: |_| Answer::Http(429, "retry-after: 90\r\n", ""),
            outcome: "pending 429 lost wait 90",
            why: "the receiver answered 429",
        },
        Case {
            channel: "busy_and_short",
            answer: |_| Answer::Http(429, "", ""),
            outcome: "pending 429 lost wait 5",
            why: "the receiver answered 429",
        },
        Case {
            channel: "garbage",
            answer: |_| Answer::Garbage,
            outcome: "pending - may have arrived",
            why: "invalid HTTP",
        },
        Case {
            channel: "hangs",
            answer: |_| Answer::Never,
            outcome: "pending - may have arrived",
            why: "no answer within 1 s",
        },
        Case {
            channel: "invalid",
            answer: |_| INVALID,
            outcome: "refused 400 lost",
            why: "'severity' is wrong",
        },
        // somebody in between, such as a portal that wants a login
        Case {
            channel: "portal",
            answer: |_| Answer::Http(200, "", "<html>please log in</html>"),
            outcome: "pending 200 may have arrived",
            why: "please log in",
        },
        Case {
            channel: "resets",
            answer: |_| Answer::Reset,
            outcome: "pending - may have arrived",
            why: "error sending request",
        },
        Case {
            channel: "tight",
            answer: |request| {
                if request.json()["payload"]["custom_details"].is_null() {
                    ACCEPTED
                } else {
                    Answer::Http(413, "", "")
                }
            },
            outcome: "accepted 202 may have arrived",
            why: "",
        },
        Case {
            channel: "too_tight",
            answer: |_| Answer::Http(413, "", ""),
            outcome: "refused 413 lost",
            why: "the receiver answered 413",
        },
    ];
    let is_resolve = |request: &Request| request.json()["event_action"] == "resolve";
    let heard = play(&cases, is_resolve, ACCEPTED, |i, name, url| {
        i.set("api.public_url", "https://stalker.example")
            .set(&format!("channels.{name}.provider"), "pagerduty")
            .set(&format!("channels.{name}.url"), url)
            .set(
                &format!("channels.{name}.priority_one_key"),
                format!("key-of-{name}"),
            )
            .set(&format!("channels.{name}.incident_key_prefix"), "SAT1:")
    })
    .await;

    for (case, heard) in cases.iter().zip(&heard) {
        let first = heard[0].json();
        for request in heard {
            assert_eq!(
                (request.method.as_str(), request.path.as_str()),
                ("POST", "/v2/enqueue")
            );
            assert_eq!(request.header("content-type"), "application/json");
            let body = request.json();
            assert_eq!(body["dedup_key"], first["dedup_key"], "{}", case.channel);
            assert_eq!(body["routing_key"], format!("key-of-{}", case.channel));
        }
    }
    let [trigger, resolve] = &heard[0][..] else {
        panic!("one trigger and one resolve: {:?}", heard[0])
    };
    shows_a_trigger(trigger.json());
    shows_a_resolve(resolve.json());
    let tight: Vec<bool> = heard[9]
        .iter()
        .map(|request| request.json()["payload"]["custom_details"].is_object())
        .collect();
    assert_eq!(tight, [true, false, true], "with details or without");
}

fn shows_a_trigger(mut body: Value) {
    let key = body["dedup_key"].take();
    let key = key.as_str().expect("there is a key");
    assert!(key.starts_with("SAT1:web1:check_a:"), "{key}");
    let details = body["payload"]["custom_details"].take();
    for (name, expected) in [
        ("output", json!("CRITICAL - broken")),
        ("state", json!("critical")),
        ("fails", json!(2)),
        ("owner", json!("")),
        ("late", Value::Null),
        ("is_possible_repeat", json!(false)),
        ("priority", json!(1)),
        // there is no template for one
        ("body", Value::Null),
    ] {
        assert_eq!(details[name], expected, "{name} of {details}");
    }
    let page = "https://stalker.example/#/hosts/web1/checks/check_a";
    assert_eq!(
        body,
        json!({
            "routing_key": "key-of-accepts",
            "event_action": "trigger",
            "dedup_key": null,
            "payload": {
                "summary": "check_a on web1 is critical: CRITICAL - broken",
                "source": "web1",
                "severity": "critical",
                "timestamp": details["since"],
                "component": "check_a",
                "class": "check",
                "custom_details": null,
            },
            "links": [{"href": page, "text": "check_a on web1"}],
            "client": "Stalker",
            "client_url": page,
        })
    );
}

fn shows_a_resolve(body: Value) {
    assert_eq!(body["event_action"], "resolve");
    let payload = &body["payload"];
    assert_eq!(payload["summary"], "check_a on web1 is ok again");
    assert_eq!(payload["timestamp"], payload["custom_details"]["until"]);
}

#[tokio::test]
async fn v1_is_told_as_documented_and_every_answer_has_its_meaning() {
    let cases = [
        Case {
            channel: "accepts",
            answer: |_| ACCEPTED_BY_V1,
            outcome: "accepted 200 may have arrived",
            why: "",
        },
        Case {
            channel: "broken",
            answer: |_| Answer::Http(500, "", ""),
            outcome: "pending 500 may have arrived",
            why: "the receiver answered 500",
        },
        // its documentation names 403 for too many requests
        Case {
            channel: "busy",
            answer: |_| Answer::Http(403, "", "Rate limit"),
            outcome: "pending 403 lost",
            why: "Rate limit",
        },
        Case {
            channel: "garbage",
            answer: |_| Answer::Garbage,
            outcome: "pending - may have arrived",
            why: "invalid HTTP",
        },
        Case {
            channel: "hangs",
            answer: |_| Answer::Never,
            outcome: "pending - may have arrived",
            why: "no answer within 1 s",
        },
        Case {
            channel: "invalid",
            answer: |_| INVALID,
            outcome: "refused 400 lost",
            why: "Event object is invalid",
        },
        Case {
            channel: "resets",
            answer: |_| Answer::Reset,
            outcome: "pending - may have arrived",
            why: "error sending request",
        },
    ];
    let is_resolve = |request: &Request| request.json()["event_type"] == "resolve";
    let heard = play(&cases, is_resolve, ACCEPTED_BY_V1, |i, name, url| {
        i.set(&format!("channels.{name}.provider"), "pagerduty")
            .set(&format!("channels.{name}.api"), "v1")
            .set(&format!("channels.{name}.url"), url)
            .set(&format!("channels.{name}.priority_one_key"), "key-of-v1")
    })
    .await;

    let [trigger, resolve] = &heard[0][..] else {
        panic!("one trigger and one resolve: {:?}", heard[0])
    };
    assert_eq!(
        (trigger.method.as_str(), trigger.path.as_str()),
        ("POST", "/generic/2010-04-15/create_event.json")
    );
    assert_eq!(trigger.header("content-type"), "application/json");
    let (trigger, resolve) = (trigger.json(), resolve.json());
    assert_eq!(trigger["service_key"], "key-of-v1");
    assert_eq!(trigger["event_type"], "trigger");
    assert_eq!(trigger["description"], "check_a on web1 is DOWN");
    assert_eq!(trigger["details"]["check"], "check_a");
    assert_eq!(resolve["description"], "check_a on web1 is UP");
    assert_eq!(resolve["incident_key"], trigger["incident_key"]);
    assert_eq!(resolve["service_key"], "key-of-v1");
}

/// Each priority has its service, each service hears the end of what it was told, with the key that it knows it by, and
/// whoever takes ownership is made known to it. The key is longer here than PagerDuty takes.
#[tokio::test]
async fn incidents_keep_their_keys_from_trigger_to_resolve() {
    let fake = Fake::start(|_| ACCEPTED).await;
    let mut stage = Stage::start(|i| {
        i.set("channels.pager.provider", "pagerduty")
            .set("channels.pager.url", fake.url())
            .set("channels.pager.priority_one_key", "one")
            .set("channels.pager.priority_two_key", "two")
            .set("channels.pager.prefix", "ä".repeat(300))
    })
    .await;
    stage.fail("check_a");
    stage.fail("check_b");
    let check = |priority| json!({"args": "", "interval": 1, "follow_up": 1, "priority": priority});
    let (status, answer) = stage
        .api
        .register(&json!({
            "hostname": HOST, "ip": "127.0.0.1", "port": stage.agent.port(), "cert_sha256": stage.agent.cert_sha256(),
            "agent_version": "simulated", "roles": [], "checks": {"check_a": check(1), "check_b": check(2)},
        }))
        .await;
    assert!(status.is_success(), "{answer}");
    stage
        .told(&["trigger accepted 1", "trigger accepted 1"])
        .await;

    take(&stage, "check_a", "ann").await;
    let acknowledged = [
        "trigger accepted 1",
        "trigger accepted 1",
        "acknowledge accepted 1",
    ];
    told(stage.pool(), &acknowledged).await;

    stage
        .restart(|i| {
            i.set("channels.pager.priority_one_key", "new")
                .set("channels.pager.previous_keys", vec!["one"])
        })
        .await;
    stage.recover("check_a");
    stage.recover("check_b");
    let heard = async || {
        let heard = fake.heard();
        heard.iter().map(Request::json).collect::<Vec<_>>()
    };
    let heard = until_seen("all is told", PATIENCE, heard, |heard| heard.len() == 5).await;
    let of = |check: &str| -> Vec<&Value> {
        let is_of = |body: &&Value| body["payload"]["component"] == check;
        heard.iter().filter(is_of).collect()
    };
    for (check, routing_key, actions) in [
        ("check_a", "one", &["trigger", "acknowledge", "resolve"][..]),
        ("check_b", "two", &["trigger", "resolve"]),
    ] {
        let told = of(check);
        let said: Vec<&Value> = told.iter().map(|body| &body["event_action"]).collect();
        assert_eq!(said, actions, "{check}");
        for body in &told {
            assert_eq!(body["routing_key"], routing_key, "{check}");
            assert_eq!(body["dedup_key"], told[0]["dedup_key"], "{check}");
        }
        let key = told[0]["dedup_key"].as_str().unwrap_or_default();
        assert!((1..=255).contains(&key.chars().count()), "{key}");
    }
    assert_ne!(of("check_a")[0]["dedup_key"], of("check_b")[0]["dedup_key"]);
    let acknowledge = of("check_a")[1];
    assert_eq!(
        acknowledge["payload"]["summary"],
        "ann takes care of check_a on web1"
    );
}

/// As the API does it when somebody takes ownership.
async fn take(stage: &Stage, check: &str, owner: &str) {
    let check_id: i64 = sqlx::query_scalar(
        "update check_state set owner = $2 where check_id = (select check_id from checks where name = $1) returning check_id",
    )
    .bind(check)
    .bind(owner)
    .fetch_one(stage.pool())
    .await
    .expect("the check is there");
    let mut connection = stage.pool().acquire().await.expect("there is a connection");
    let owed = acknowledgements::owe(&mut connection, check_id).await;
    assert_eq!(owed.expect("the tables are as expected"), 1);
}
