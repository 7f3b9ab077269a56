//! Signed webhooks: the specification of Standard Webhooks 1.0 (standardwebhooks.com).

mod alertmanager;

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde_json::json;
use sha2::{Digest, Sha256};

use super::*;
use crate::notifications::hurry;

const TAKEN: Answer = Answer::Http(204, "", "");
const SECRET: &str = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw";
const NEW_SECRET: &str = "whsec_C2FVsBQIhrscChlQIMV+b5sSYspob7oD";

#[tokio::test]
async fn it_is_told_as_specified_and_every_answer_has_its_meaning() {
    let cases = [
        Case {
            channel: "accepts",
            answer: |_| TAKEN,
            outcome: "accepted 204 may have arrived",
            why: "",
        },
        Case {
            channel: "bad_gateway",
            answer: |_| Answer::Http(502, "", ""),
            outcome: "pending 502 may have arrived",
            why: "the receiver answered 502",
        },
        Case {
            channel: "broken",
            answer: |_| Answer::Http(500, "retry-after: 120\r\n", "oh"),
            outcome: "pending 500 may have arrived wait 120",
            why: "the receiver answered 500: oh",
        },
        Case {
            channel: "busy",
            answer: |_| Answer::Http(429, "retry-after: 90\r\n", ""),
            outcome: "pending 429 lost wait 90",
            why: "the receiver answered 429",
        },
        Case {
            channel: "garbage",
            answer: |_| Answer::Garbage,
            outcome: "pending - may have arrived",
            why: "invalid HTTP",
        },
        Case {
            channel: "gateway_timeout",
            answer: |_| Answer::Http(504, "", ""),
            outcome: "pending 504 may have arrived",
            why: "the receiver answered 504",
        },
        Case {
            channel: "gone",
            answer: |_| Answer::Http(410, "", "no more"),
            outcome: "refused 410 lost",
            why: "the receiver answered 410: no more",
        },
        Case {
            channel: "hangs",
            answer: |_| Answer::Never,
            outcome: "pending - may have arrived",
            why: "no answer within 1 s",
        },
        Case {
            channel: "moved",
            answer: |_| Answer::Http(307, "location: /elsewhere\r\n", ""),
            outcome: "refused 307 lost",
            why: "the receiver answered 307",
        },
        Case {
            channel: "refuses",
            answer: |_| Answer::Http(401, "", "bad signature"),
            outcome: "refused 401 lost",
            why: "bad signature",
        },
        Case {
            channel: "resets",
            answer: |_| Answer::Reset,
            outcome: "pending - may have arrived",
            why: "error sending request",
        },
    ];
    let is_resolve = |request: &Request| request.json()["type"] == "check.resolved";
    let heard = play(&cases, is_resolve, TAKEN, |i, name, url| {
        webhook(i, name, &format!("{url}/hooks/7")).set(&format!("channels.{name}.prefix"), "SAT1:")
    })
    .await;

    for (case, heard) in cases.iter().zip(&heard) {
        for request in heard {
            assert_eq!(
                (request.method.as_str(), request.path.as_str()),
                ("POST", "/hooks/7"),
                "{}",
                case.channel
            );
            assert_eq!(request.header("content-type"), "application/json");
            assert!(is_signed_with(request, SECRET), "{request:?}");
        }
    }
    let [trigger, resolve] = &heard[0][..] else {
        panic!("one trigger and one resolve: {:?}", heard[0])
    };
    assert_ne!(trigger.header("webhook-id"), resolve.header("webhook-id"));
    let (trigger, resolve) = (trigger.json(), resolve.json());
    assert_eq!(trigger["type"], "check.problem");
    assert_eq!(trigger["timestamp"], trigger["data"]["since"]);
    for (name, expected) in [
        ("kind", json!("trigger")),
        ("summary", json!("check_a on web1 is critical")),
        ("subject", json!("check_a on web1 is critical")),
        ("state", json!("critical")),
        ("host", json!("web1")),
        ("check", json!("check_a")),
        ("priority", json!(1)),
        ("output", json!("CRITICAL - broken")),
        ("fails", json!(2)),
        ("is_over", json!(false)),
        ("is_possible_repeat", json!(false)),
    ] {
        assert_eq!(trigger["data"][name], expected, "{name} of {trigger}");
    }
    let key = trigger["data"]["dedup_key"].as_str().unwrap_or_default();
    assert!(key.starts_with("SAT1:web1:check_a:"), "{key}");
    assert_eq!(resolve["data"]["dedup_key"], key);
    assert_eq!(resolve["data"]["is_over"], true);
    assert_eq!(resolve["timestamp"], resolve["data"]["until"]);
}

/// What is tried again has the same id, the time of the attempt, and a signature with each secret.
#[tokio::test]
async fn a_secret_is_rotated_without_a_gap() {
    let is_open = Arc::new(AtomicBool::new(false));
    let door = Arc::clone(&is_open);
    let fake = Fake::start(move |_| {
        if door.load(Ordering::Relaxed) {
            TAKEN
        } else {
            Answer::Http(503, "", "")
        }
    })
    .await;
    let mut stage = Stage::start(|i| {
        webhook(i, "hook", fake.url()).set("channels.hook.body", "x".repeat(30_000))
    })
    .await;
    stage.fail(CHECK);
    stage.register(&[CHECK]).await;
    stage.told(&["trigger pending 1"]).await;
    stage
        .restart(|i| {
            i.set("channels.hook.secret", NEW_SECRET)
                .set("channels.hook.previous_keys", vec![SECRET])
        })
        .await;
    is_open.store(true, Ordering::Relaxed);
    hurry(stage.pool()).await;
    stage.told(&["trigger accepted 2"]).await;

    let [before, after] = &fake.heard()[..] else {
        panic!("two attempts: {:?}", fake.heard())
    };
    assert!(is_signed_with(before, SECRET) && !is_signed_with(before, NEW_SECRET));
    assert!(is_signed_with(after, SECRET) && is_signed_with(after, NEW_SECRET));
    assert_eq!(before.header("webhook-id"), after.header("webhook-id"));
    let times = [before, after].map(|request| {
        let timestamp = request.header("webhook-timestamp");
        timestamp.parse::<i64>().expect("it is a number")
    });
    assert!(times[0] <= times[1], "{times:?}");
    let now: i64 = sqlx::query_scalar("select extract(epoch from now())::bigint")
        .fetch_one(stage.pool())
        .await
        .expect("Postgres has a clock");
    assert!(now.abs_diff(times[1]) < 300, "as receivers allow");
    // its template is longer than what receivers take
    assert!(after.body.len() < 20_000, "{}", after.body.len());
    assert_eq!(
        after.json()["data"]["summary"],
        "check_a on web1 is critical"
    );
    for secret in [SECRET, NEW_SECRET] {
        let secret = secret.trim_start_matches("whsec_");
        assert!(!stage.log().contains(secret), "a secret is in the log");
    }
}

/// 410: nothing more is sent there, the fallback is told instead, and other settings are another try.
#[tokio::test]
async fn a_receiver_that_is_gone_is_not_asked_again() {
    let gone = Fake::start(|_| Answer::Http(410, "", "no more")).await;
    let (there, sms) = (Fake::start(|_| TAKEN).await, Fake::start(|_| TAKEN).await);
    let mut stage = Stage::start(|i| {
        let route: toml::Table = r#"channels = ["hook"]"#.parse().expect("a route");
        let i = webhook(i, "hook", gone.url()).set("channels.hook.fallback", "sms");
        webhook(i, "sms", sms.url()).set("routes", vec![toml::Value::Table(route)])
    })
    .await;
    stage.fail("check_a");
    stage.register(&["check_a", "check_b"]).await;
    let both = ["hook: trigger refused 1", "sms: trigger accepted 1"];
    told_on(&stage, &both).await;
    assert_eq!(
        disabled(&stage).await,
        ["hook: the receiver answered 410: no more"]
    );
    assert!(stage.log().contains("the channel is disabled"));

    // the next alert does not even try
    stage.fail("check_b");
    let next = [
        "hook: trigger refused 1, trigger pending 0",
        "sms: trigger accepted 1, trigger accepted 1",
    ];
    told_on(&stage, &next).await;
    assert_eq!(gone.heard().len(), 1);
    // the same settings are no reason to ask again
    stage.restart(|i| i).await;
    assert_eq!(disabled(&stage).await.len(), 1);

    stage
        .restart(|i| i.set("channels.hook.url", there.url()))
        .await;
    let mended = [
        "hook: trigger accepted 2, trigger accepted 1",
        "sms: trigger accepted 1, trigger accepted 1",
    ];
    told_on(&stage, &mended).await;
    assert_eq!(disabled(&stage).await, [""; 0]);
    stage.recover("check_a");
    stage.recover("check_b");
    let over = [
        "hook: trigger accepted 2, trigger accepted 1, resolve accepted 1, resolve accepted 1",
        "sms: trigger accepted 1, trigger accepted 1, resolve accepted 1, resolve accepted 1",
    ];
    told_on(&stage, &over).await;
    assert_eq!((gone.heard().len(), there.heard().len()), (1, 4));
}

/// A secret that would sign nothing worth having is refused before anything is sent, and not shown.
#[tokio::test]
async fn a_bad_secret_is_refused_at_the_start() {
    let database = stalker_tests::database::TestDatabase::new().await;
    let short = format!("whsec_{}", STANDARD.encode([7; 12]));
    for (secret, named) in [
        (Some(short.as_str()), "24 to 64 bytes in base64; one has 12"),
        (
            Some("not-a-secret-of-webhooks"),
            "must be whsec_ and base64",
        ),
        (None, "has no secret to sign with"),
    ] {
        let mut installation = Installation::new(&database)
            .set("channels.hook.provider", "webhook")
            .set("channels.hook.url", "http://127.0.0.1:9/");
        if let Some(secret) = secret {
            installation = installation.set("channels.hook.secret", secret);
        }
        let (mut process, _) = installation.spawn("all");
        assert!(!process.ended(PATIENCE).await.success());
        let said = process.output();
        assert!(
            said.contains("channels.hook") && said.contains(named),
            "{said}"
        );
        assert!(secret.is_none_or(|secret| !said.contains(secret)), "{said}");
    }
}

fn webhook(installation: Installation, name: &str, url: &str) -> Installation {
    installation
        .set(&format!("channels.{name}.provider"), "webhook")
        .set(&format!("channels.{name}.url"), url)
        .set(&format!("channels.{name}.secret"), SECRET)
}

async fn disabled(stage: &Stage) -> Vec<String> {
    rows(
        stage.pool(),
        "select name || ': ' || disabled_why from channels where disabled_at is not null",
    )
    .await
}

/// As a receiver does it: the headers are there, and one of the signatures is of what was received.
fn is_signed_with(request: &Request, secret: &str) -> bool {
    let key = STANDARD
        .decode(secret.trim_start_matches("whsec_"))
        .expect("the secret is base64");
    let signed = format!(
        "{}.{}.{}",
        request.header("webhook-id"),
        request.header("webhook-timestamp"),
        request.body
    );
    let expected = format!(
        "v1,{}",
        STANDARD.encode(hmac_sha256(&key, signed.as_bytes()))
    );
    let mut signatures = request.header("webhook-signature").split(' ');
    signatures.any(|signature| signature == expected)
}

/// RFC 2104, by its text.
fn hmac_sha256(key: &[u8], text: &[u8]) -> Vec<u8> {
    assert!(
        key.len() <= 64,
        "keys of more than a block are not used here"
    );
    let pad = |byte: u8| -> Vec<u8> {
        let padded = key.iter().copied().chain(std::iter::repeat(0)).take(64);
        padded.map(|of_key| of_key ^ byte).collect()
    };
    let inner = Sha256::digest([pad(0x36).as_slice(), text].concat());
    Sha256::digest([pad(0x5c).as_slice(), inner.as_slice()].concat()).to_vec()
}
