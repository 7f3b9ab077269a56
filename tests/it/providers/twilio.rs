//! Twilio: "Create a Message" of the Programmable Messaging API, and its "Error and Warning Dictionary" (twilio.com/docs).

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use base64::Engine;
use base64::engine::general_purpose::STANDARD;

use super::*;
use crate::notifications::hurry;

const SID: &str = "ACaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa";
const PATH: &str = "/2010-04-01/Accounts/ACaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa/Messages.json";
const TOKEN: &str = "token-of-the-account";
const ANN: &str = "+491701234567";
const BOB: &str = "+436641234567";
const JSON: &str = "content-type: application/json\r\n";

const QUEUED: Answer = Answer::Http(
    201,
    JSON,
    r#"{"sid":"SMbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbb","status":"queued","error_code":null,"error_message":null}"#,
);

#[tokio::test]
async fn it_is_told_as_documented_and_every_answer_has_its_meaning() {
    let cases = [
        Case {
            channel: "accepts",
            answer: |_| QUEUED,
            outcome: "accepted 201 may have arrived",
            why: "",
        },
        Case {
            channel: "bad_sender",
            answer: |_| {
                says(
                    400,
                    r#"{"code":21606,"message":"not a sender","status":400}"#,
                )
            },
            outcome: "refused 400 lost",
            why: "not a sender",
        },
        Case {
            channel: "broken",
            answer: |_| Answer::Http(500, "", "oh"),
            outcome: "pending 500 may have arrived",
            why: "the receiver answered 500: oh",
        },
        Case {
            channel: "busy",
            answer: |_| {
                let headers = "content-type: application/json\r\nretry-after: 90\r\n";
                Answer::Http(
                    429,
                    headers,
                    r#"{"code":20429,"message":"Too Many Requests","status":429}"#,
                )
            },
            outcome: "pending 429 lost wait 90",
            why: "Too Many Requests",
        },
        Case {
            channel: "filtered",
            answer: |_| {
                says(
                    400,
                    r#"{"code":30007,"message":"Message filtered","status":400}"#,
                )
            },
            outcome: "refused 400 lost",
            why: "Message filtered",
        },
        Case {
            channel: "forbidden",
            answer: |_| says(403, r#"{"code":20003,"message":"Suspended","status":403}"#),
            outcome: "refused 403 lost",
            why: "Suspended",
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
            channel: "landline",
            answer: |_| says(400, r#"{"code":30006,"message":"Landline","status":400}"#),
            outcome: "refused 400 lost",
            why: "Landline",
        },
        Case {
            channel: "no_account",
            answer: |_| says(404, r#"{"code":20404,"message":"Not found","status":404}"#),
            outcome: "refused 404 lost",
            why: "Not found",
        },
        Case {
            channel: "no_number",
            answer: |_| {
                says(
                    400,
                    r#"{"code":21211,"message":"Invalid 'To'","status":400}"#,
                )
            },
            outcome: "refused 400 lost",
            why: "Invalid 'To'",
        },
        // somebody in between, such as a portal that wants a login
        Case {
            channel: "portal",
            answer: |_| Answer::Http(200, "", "<html>please log in</html>"),
            outcome: "pending 200 may have arrived",
            why: "please log in",
        },
        Case {
            channel: "queue_is_full",
            answer: |_| {
                says(
                    400,
                    r#"{"code":30001,"message":"Queue overflow","status":400}"#,
                )
            },
            outcome: "pending 400 lost",
            why: "Queue overflow",
        },
        Case {
            channel: "region",
            answer: |_| says(400, r#"{"code":21408,"message":"Region","status":400}"#),
            outcome: "refused 400 lost",
            why: "Region",
        },
        Case {
            channel: "resets",
            answer: |_| Answer::Reset,
            outcome: "pending - may have arrived",
            why: "error sending request",
        },
        Case {
            channel: "said_stop",
            answer: |_| {
                says(
                    400,
                    r#"{"code":21610,"message":"Unsubscribed","status":400}"#,
                )
            },
            outcome: "refused 400 lost",
            why: "Unsubscribed",
        },
        Case {
            channel: "switched_off",
            answer: |_| says(201, r#"{"sid":"SMc","status":"failed","error_code":30003}"#),
            outcome: "pending 201 may have arrived",
            why: "30003",
        },
        Case {
            channel: "unauthorized",
            answer: |_| {
                says(
                    401,
                    r#"{"code":20003,"message":"Authenticate","status":401}"#,
                )
            },
            outcome: "refused 401 lost",
            why: "Authenticate",
        },
        Case {
            channel: "unknown_handset",
            answer: |_| {
                says(
                    201,
                    r#"{"sid":"SMc","status":"undelivered","error_code":30005}"#,
                )
            },
            outcome: "refused 201 may have arrived",
            why: "30005",
        },
    ];
    let is_resolve = |request: &Request| request.form()["Body"].contains("is ok again");
    let heard = play(&cases, is_resolve, QUEUED, |i, name, url| {
        twilio(i, name, url, &[ANN])
            .set("api.public_url", "https://stalker.example")
            .set(&format!("channels.{name}.from"), "+15005550006")
    })
    .await;

    for request in heard.iter().flatten() {
        assert_eq!(
            (request.method.as_str(), request.path.as_str()),
            ("POST", PATH)
        );
        assert_eq!(request.header("authorization"), basic(SID));
        let mut form = request.form();
        let body = form.remove("Body").unwrap_or_default();
        assert!(
            body.ends_with(" https://stalker.example/#/hosts/web1/checks/check_a"),
            "{body}"
        );
        // a resolve is of use for three days, of which Twilio takes ten hours
        let validity = if is_resolve(request) {
            "36000"
        } else {
            "14400"
        };
        let expected = [
            ("From", "+15005550006"),
            ("To", ANN),
            ("ValidityPeriod", validity),
        ];
        let form = form
            .iter()
            .map(|(name, value)| (name.as_str(), value.as_str()));
        assert!(form.eq(expected), "{request:?}");
    }
    let [trigger, resolve] = &heard[0][..] else {
        panic!("one trigger and one resolve: {:?}", heard[0])
    };
    let (trigger, resolve) = (trigger.form(), resolve.form());
    assert!(
        trigger["Body"].starts_with("check_a on web1 is critical: CRITICAL - broken, since 20"),
        "{trigger:?}"
    );
    assert!(
        resolve["Body"].starts_with("check_a on web1 is ok again"),
        "{resolve:?}"
    );
}

/// As the fallback of a channel that takes nothing: each number has a notification of its own, and one that is not
/// reached is tried again without the others.
#[tokio::test]
async fn each_number_is_told_for_itself() {
    let dead = Fake::start(|_| Answer::Http(400, "", "no")).await;
    let is_bob_there = Arc::new(AtomicBool::new(false));
    let there = Arc::clone(&is_bob_there);
    let fake = Fake::start(move |request| {
        if request.form()["To"] == ANN || there.load(Ordering::Relaxed) {
            QUEUED
        } else {
            Answer::Http(503, "", "")
        }
    })
    .await;
    let stage = Stage::start(|i| {
        let route: toml::Table = r#"channels = ["oncall"]"#.parse().expect("a route");
        let i = i
            .channel("oncall", dead.url())
            .set("channels.oncall.fallback", "sms")
            .set("routes", vec![toml::Value::Table(route)]);
        twilio(i, "sms", fake.url(), &[ANN, BOB])
            .set(
                "channels.sms.api_key_sid",
                "SKdddddddddddddddddddddddddddddddd",
            )
            .set(
                "channels.sms.messaging_service_sid",
                "MGeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeee",
            )
            .set("channels.sms.validity", 60)
            // more than is sent, with what is not in the alphabet of short messages
            .set(
                "channels.sms.body",
                format!("“{{{{ summary }}}}” – {}", "…".repeat(200)),
            )
    })
    .await;
    stage.fail(CHECK);
    stage.register(&[CHECK]).await;
    told_on(
        &stage,
        &[
            "oncall: trigger refused 1",
            "sms/+436641234567: trigger pending 1",
            "sms/+491701234567: trigger accepted 1",
        ],
    )
    .await;
    is_bob_there.store(true, Ordering::Relaxed);
    hurry(stage.pool()).await;
    let both = [
        "oncall: trigger refused 1",
        "sms/+436641234567: trigger accepted 2",
        "sms/+491701234567: trigger accepted 1",
    ];
    told_on(&stage, &both).await;
    stage.recover(CHECK);
    let over = [
        "oncall: trigger refused 1",
        "sms/+436641234567: trigger accepted 2, resolve accepted 1",
        "sms/+491701234567: trigger accepted 1, resolve accepted 1",
    ];
    told_on(&stage, &over).await;

    for request in fake.heard() {
        assert_eq!(
            request.header("authorization"),
            basic("SKdddddddddddddddddddddddddddddddd")
        );
        let form = request.form();
        assert_eq!(
            form["MessagingServiceSid"],
            "MGeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeee"
        );
        assert!(!form.contains_key("From"));
        let body = &form["Body"];
        assert!(body.starts_with("\"check_a on web1 is "), "{body}");
        assert!(
            body.ends_with("...") && body.is_ascii() && body.len() <= 320,
            "{body}"
        );
    }
    let validity = |form: &BTreeMap<String, String>| form["ValidityPeriod"].clone();
    let validities: Vec<String> = fake
        .heard()
        .iter()
        .map(Request::form)
        .map(|form| validity(&form))
        .collect();
    assert_eq!(validities, ["60", "60", "60", "36000", "36000"]);
    assert!(!stage.log().contains(TOKEN), "a secret is in the log");
}

/// Settings with which nobody would be told are refused at the start.
#[tokio::test]
async fn bad_settings_are_refused_at_the_start() {
    let database = stalker_tests::database::TestDatabase::new().await;
    for (to, sender, named) in [
        (
            vec!["0170 1234567"],
            "from",
            "to has 0170 1234567; a number is written as +491701234567",
        ),
        (vec![], "from", "to names nobody"),
        (
            vec![ANN],
            "api_key_sid",
            "either from or messaging_service_sid",
        ),
    ] {
        let installation = twilio(
            Installation::new(&database),
            "sms",
            "http://127.0.0.1:9",
            &to,
        )
        .set(&format!("channels.sms.{sender}"), "+15005550006");
        let (mut process, _) = installation.spawn("all");
        assert!(!process.ended(PATIENCE).await.success());
        let said = process.output();
        assert!(
            said.contains("channels.sms") && said.contains(named),
            "{said}"
        );
        assert!(!said.contains(TOKEN), "{said}");
    }
}

/// As Twilio says it.
fn says(status: u16, body: &'static str) -> Answer {
    Answer::Http(status, JSON, body)
}

fn twilio(installation: Installation, name: &str, url: &str, to: &[&str]) -> Installation {
    installation
        .set(&format!("channels.{name}.provider"), "twilio")
        .set(&format!("channels.{name}.url"), url)
        .set(&format!("channels.{name}.sid"), SID)
        .set(&format!("channels.{name}.token"), TOKEN)
        .set(&format!("channels.{name}.to"), to.to_vec())
}

fn basic(user: &str) -> String {
    format!("Basic {}", STANDARD.encode(format!("{user}:{TOKEN}")))
}
