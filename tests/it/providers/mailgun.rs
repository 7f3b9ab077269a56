//! Mailgun: "Send an email" and "Status codes" of its API (documentation.mailgun.com).

use std::collections::BTreeMap;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;

use super::*;
use crate::notifications::hurry;

const KEY: &str = "key-of-the-domain";
const JSON: &str = "content-type: application/json\r\n";
const QUEUED: Answer = Answer::Http(
    200,
    JSON,
    r#"{"id":"<20261123060000.1@mg.example.net>","message":"Queued. Thank you."}"#,
);

#[tokio::test]
async fn it_is_told_as_documented_and_every_answer_has_its_meaning() {
    let cases = [
        Case {
            channel: "accepts",
            answer: |_| QUEUED,
            outcome: "accepted 200 may have arrived",
            why: "",
        },
        Case {
            channel: "bad_parameter",
            answer: |_| {
                Answer::Http(
                    400,
                    JSON,
                    r#"{"message":"to parameter is not a valid address"}"#,
                )
            },
            outcome: "refused 400 lost",
            why: "to parameter is not a valid address",
        },
        Case {
            channel: "broken",
            answer: |_| Answer::Http(500, "", "oh"),
            outcome: "pending 500 may have arrived",
            why: "the receiver answered 500: oh",
        },
        Case {
            channel: "busy",
            answer: |_| Answer::Http(429, "retry-after: 90\r\n", ""),
            outcome: "pending 429 lost wait 90",
            why: "the receiver answered 429",
        },
        Case {
            channel: "forbidden",
            answer: |_| Answer::Http(403, JSON, r#"{"message":"Domain is not allowed to send"}"#),
            outcome: "refused 403 lost",
            why: "not allowed to send",
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
            channel: "no_domain",
            answer: |_| Answer::Http(404, JSON, r#"{"message":"Domain not found"}"#),
            outcome: "refused 404 lost",
            why: "Domain not found",
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
            channel: "unauthorized",
            answer: |_| Answer::Http(401, "", "Forbidden"),
            outcome: "refused 401 lost",
            why: "the receiver answered 401: Forbidden",
        },
    ];
    let is_resolve = |request: &Request| request.form()["subject"].contains("is ok again");
    let heard = play(&cases, is_resolve, QUEUED, |i, name, url| {
        mailgun(i, name, url).set("api.public_url", "https://stalker.example")
    })
    .await;

    let authorization = format!("Basic {}", STANDARD.encode(format!("api:{KEY}")));
    for request in heard.iter().flatten() {
        assert_eq!(
            (request.method.as_str(), request.path.as_str()),
            ("POST", "/v3/mg.example.net/messages")
        );
        assert_eq!(request.header("authorization"), authorization);
    }
    let [trigger, resolve] = &heard[0][..] else {
        panic!("one trigger and one resolve: {:?}", heard[0])
    };
    let (mut trigger, mut resolve) = (trigger.form(), resolve.form());
    // a conversation: each message has an id, and what follows the first refers to it
    let first = taken(&mut trigger, "h:Message-Id");
    assert!(is_message_id(&first), "{first}");
    let last = taken(&mut resolve, "h:Message-Id");
    assert!(is_message_id(&last) && last != first, "{last}");
    assert_eq!(taken(&mut resolve, "h:In-Reply-To"), first);
    assert_eq!(taken(&mut resolve, "h:References"), first);
    for (form, subject) in [
        (&mut trigger, "check_a on web1 is critical"),
        (&mut resolve, "check_a on web1 is ok again"),
    ] {
        let (text, html) = (taken(form, "text"), taken(form, "html"));
        let page = "https://stalker.example/#/hosts/web1/checks/check_a";
        assert!(text.contains("host web1") && text.ends_with(page), "{text}");
        assert!(
            html.starts_with("<pre ") && html.ends_with("</pre>"),
            "{html}"
        );
        let expected = [
            ("from", "Stalker <stalker@mg.example.net>"),
            ("h:Auto-Submitted", "auto-generated"),
            ("o:tracking", "no"),
            ("subject", subject),
            ("to", "ann@example.net, Bob <bob@example.net>"),
        ];
        let rest = form
            .iter()
            .map(|(name, value)| (name.as_str(), value.as_str()));
        assert!(rest.eq(expected), "{form:?}");
    }
}

/// What is told again after it may have arrived is the same message to mail programs, and what a host says is no markup.
#[tokio::test]
async fn a_second_attempt_is_the_same_message() {
    let fake = Fake::start(move |_| Answer::Http(503, "", "")).await;
    let stage = Stage::start(|i| mailgun(i, "mail", fake.url())).await;
    stage
        .agent
        .answer(CHECK, 2, "<script>alert('hello')</script>");
    stage.register(&[CHECK]).await;
    stage.told(&["trigger pending 1"]).await;
    hurry(stage.pool()).await;
    stage.told(&["trigger pending 2"]).await;

    let [before, after] = &fake.heard()[..] else {
        panic!("two attempts: {:?}", fake.heard())
    };
    let (before, after) = (before.form(), after.form());
    assert_eq!(before["h:Message-Id"], after["h:Message-Id"]);
    assert!(!before["text"].contains("told this before"), "{before:?}");
    assert_eq!(before["subject"], "check_a on web1 is critical");
    assert_eq!(
        after["subject"],
        "[possibly a repeat] check_a on web1 is critical"
    );
    assert!(
        after["text"].contains("You may have been told this before."),
        "{after:?}"
    );
    assert!(after["text"].contains("<script>"), "{after:?}");
    assert!(
        after["html"].contains("&lt;script&gt;") && !after["html"].contains("<script>"),
        "{after:?}"
    );
    assert!(!stage.log().contains(KEY), "a secret is in the log");
}

/// Settings with which nobody would be told are refused at the start.
#[tokio::test]
async fn bad_settings_are_refused_at_the_start() {
    let database = stalker_tests::database::TestDatabase::new().await;
    for (name, value, named) in [
        (
            "domain",
            "mg.example.net/v3".into(),
            "domain is mg.example.net/v3",
        ),
        ("to", toml::Value::Array(Vec::new()), "to has 0 recipients"),
        ("from", "Stalker".into(), "Stalker is no mail address"),
    ] {
        let installation = mailgun(Installation::new(&database), "mail", "http://127.0.0.1:9")
            .set(&format!("channels.mail.{name}"), value);
        let (mut process, _) = installation.spawn("all");
        assert!(!process.ended(PATIENCE).await.success());
        let said = process.output();
        assert!(
            said.contains("channels.mail") && said.contains(named),
            "{said}"
        );
        assert!(!said.contains(KEY), "{said}");
    }
}

fn mailgun(installation: Installation, name: &str, url: &str) -> Installation {
    installation
        .set(&format!("channels.{name}.provider"), "mailgun")
        .set(&format!("channels.{name}.url"), url)
        .set(&format!("channels.{name}.domain"), "mg.example.net")
        .set(&format!("channels.{name}.api_key"), KEY)
        .set(
            &format!("channels.{name}.from"),
            "Stalker <stalker@mg.example.net>",
        )
        .set(
            &format!("channels.{name}.to"),
            vec!["ann@example.net", "Bob <bob@example.net>"],
        )
}

fn taken(form: &mut BTreeMap<String, String>, name: &str) -> String {
    form.remove(name)
        .unwrap_or_else(|| panic!("{name} of {form:?}"))
}

fn is_message_id(id: &str) -> bool {
    let local = id
        .strip_prefix('<')
        .and_then(|id| id.strip_suffix("@mg.example.net>"));
    local.is_some_and(|local| {
        local.len() > 20
            && local
                .bytes()
                .all(|byte| byte.is_ascii_alphanumeric() || byte == b'-')
    })
}
