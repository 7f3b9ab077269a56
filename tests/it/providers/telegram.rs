//! Telegram: "sendMessage", "Making requests" and "ResponseParameters" of the Bot API (core.telegram.org/bots/api).

use serde_json::{Value, json};

use super::*;

const ACCEPTED: Answer = Answer::Http(
    200,
    "content-type: application/json\r\n",
    r#"{"ok":true,"result":{"message_id":7,"date":1700000000,"chat":{"id":-100123,"type":"supergroup"}}}"#,
);

const fn refusal(status: u16, body: &'static str) -> Answer {
    Answer::Http(status, "content-type: application/json\r\n", body)
}

#[tokio::test]
async fn it_is_told_as_documented_and_every_answer_has_its_meaning() {
    let cases = [
        Case {
            channel: "accepts",
            answer: |_| ACCEPTED,
            outcome: "accepted 200 may have arrived",
            why: "",
        },
        Case {
            channel: "broken",
            answer: |_| {
                refusal(
                    502,
                    r#"{"ok":false,"error_code":502,"description":"Bad Gateway"}"#,
                )
            },
            outcome: "pending 502 may have arrived",
            why: "Bad Gateway",
        },
        Case {
            channel: "busy",
            answer: |_| {
                refusal(
                    429,
                    r#"{"ok":false,"error_code":429,"description":"Too Many Requests: retry after 35","parameters":{"retry_after":35}}"#,
                )
            },
            outcome: "pending 429 lost wait 35",
            why: "Too Many Requests",
        },
        Case {
            channel: "chat_not_found",
            answer: |_| {
                refusal(
                    400,
                    r#"{"ok":false,"error_code":400,"description":"Bad Request: chat not found"}"#,
                )
            },
            outcome: "refused 400 lost",
            why: "chat not found",
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
            channel: "no_bot",
            answer: |_| {
                refusal(
                    404,
                    r#"{"ok":false,"error_code":404,"description":"Not Found"}"#,
                )
            },
            outcome: "refused 404 lost",
            why: "Not Found",
        },
        Case {
            channel: "not_ok",
            answer: |_| refusal(200, r#"{"ok":false,"description":"no"}"#),
            outcome: "pending 200 may have arrived",
            why: "the receiver answered 200",
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
            channel: "thrown_out",
            answer: |_| {
                refusal(
                    403,
                    r#"{"ok":false,"error_code":403,"description":"Forbidden: bot was kicked from the supergroup chat"}"#,
                )
            },
            outcome: "refused 403 lost",
            why: "bot was kicked",
        },
        // some receivers repeat what they were asked
        Case {
            channel: "unauthorized",
            answer: |_| {
                refusal(
                    401,
                    r#"{"ok":false,"description":"42:AA-unauthorized_ is no token"}"#,
                )
            },
            outcome: "refused 401 lost",
            why: "(hidden) is no token",
        },
    ];
    let is_resolve = |request: &Request| is_over(&request.json());
    let heard = play(&cases, is_resolve, ACCEPTED, |i, name, url| {
        let chat: (&str, toml::Value) = match name {
            "accepts" => ("chat_id", (-100_123).into()),
            _ => ("chat_id", "@ops".into()),
        };
        let i = i
            .set("api.public_url", "https://stalker.example")
            .set(&format!("channels.{name}.provider"), "telegram")
            .set(&format!("channels.{name}.url"), url)
            .set(&format!("channels.{name}.token"), format!("42:AA-{name}_"))
            .set(&format!("channels.{name}.{}", chat.0), chat.1);
        if name == "accepts" {
            i.set(&format!("channels.{name}.message_thread_id"), 3)
        } else {
            i
        }
    })
    .await;

    for (case, heard) in cases.iter().zip(&heard) {
        for request in heard {
            let path = format!("/bot42:AA-{}_/sendMessage", case.channel);
            assert_eq!(
                (request.method.as_str(), request.path.as_str()),
                ("POST", path.as_str())
            );
            assert_eq!(request.header("content-type"), "application/json");
        }
    }
    let [trigger, resolve] = &heard[0][..] else {
        panic!("one trigger and one resolve: {:?}", heard[0])
    };
    let mut body = trigger.json();
    let text = body["text"].take();
    let text = text.as_str().unwrap_or_default();
    let beginning = "<b>check_a on web1 is critical</b>\nCRITICAL - broken\nsince ";
    assert!(text.starts_with(beginning), "{text}");
    let page = "\nhttps://stalker.example/#/hosts/web1/checks/check_a";
    assert!(text.ends_with(page), "{text}");
    let others = json!({
        "chat_id": -100_123,
        "message_thread_id": 3,
        "text": null,
        "parse_mode": "HTML",
        "link_preview_options": {"is_disabled": true},
    });
    assert_eq!(body, others);
    assert!(is_over(&resolve.json()), "{}", resolve.body);
    let by_name = heard[1][0].json();
    assert_eq!(by_name["chat_id"], "@ops");
    assert_eq!(by_name.get("message_thread_id"), None);
}

/// Markup of one's own template that Telegram cannot read: told in plain words, rather than not at all.
#[tokio::test]
async fn broken_markup_is_told_as_plain_text() {
    let fake = Fake::start(|request| {
        if request.json()["parse_mode"] == "HTML" {
            refusal(
                400,
                r#"{"ok":false,"error_code":400,"description":"Bad Request: can't parse entities: Can't find end tag corresponding to start tag \"b\""}"#,
            )
        } else {
            ACCEPTED
        }
    })
    .await;
    let stage = Stage::start(|i| {
        i.set("channels.ops.provider", "telegram")
            .set("channels.ops.url", fake.url())
            .set("channels.ops.token", "42:AA")
            .set("channels.ops.chat_id", 7)
            .set("channels.ops.body", "<b>{{ output }}")
    })
    .await;
    stage.agent.answer(CHECK, 2, "a < b & c");
    stage.register(&[CHECK]).await;
    stage.told(&["trigger accepted 1"]).await;
    let [_, plain] = &fake.heard()[..] else {
        panic!("twice: {:?}", fake.heard())
    };
    let plain = plain.json();
    assert_eq!(plain["text"], "check_a on web1 is critical\n<b>a < b & c");
    assert_eq!(plain.get("parse_mode"), None);
}

fn is_over(body: &Value) -> bool {
    let text = body["text"].as_str().unwrap_or_default();
    text.starts_with("<b>check_a on web1 is ok again")
}
