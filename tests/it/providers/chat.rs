//! Slack ("Sending messages using incoming webhooks", docs.slack.dev), Microsoft Teams ("Create incoming webhooks with
//! Workflows", support.microsoft.com; the card: adaptivecards.io) and Discord ("Execute Webhook" and "Rate Limits",
//! docs.discord.com).

use serde_json::json;

use super::*;

const PAGE: &str = "https://stalker.example/#/hosts/web1/checks/check_a";

/// What all of them may meet: their own cases come beside.
fn usual(accepted: fn(&Request) -> Answer, status: &'static str) -> Vec<Case> {
    let case = |channel, answer, outcome, why| Case {
        channel,
        answer,
        outcome,
        why,
    };
    vec![
        case("accepts", accepted, status, ""),
        case(
            "broken",
            |_| Answer::Http(500, "", "Internal Server Error"),
            "pending 500 may have arrived",
            "the receiver answered 500",
        ),
        case(
            "busy",
            |_| Answer::Http(429, "retry-after: 30\r\n", ""),
            "pending 429 lost wait 30",
            "the receiver answered 429",
        ),
        case(
            "garbage",
            |_| Answer::Garbage,
            "pending - may have arrived",
            "invalid HTTP",
        ),
        case(
            "hangs",
            |_| Answer::Never,
            "pending - may have arrived",
            "no answer within 1 s",
        ),
        case(
            "resets",
            |_| Answer::Reset,
            "pending - may have arrived",
            "error sending request",
        ),
    ]
}

fn refused(
    channel: &'static str,
    answer: fn(&Request) -> Answer,
    outcome: &'static str,
    why: &'static str,
) -> Case {
    Case {
        channel,
        answer,
        outcome,
        why,
    }
}

async fn told_to(
    provider: &'static str,
    path: &'static str,
    cases: &[Case],
    accepted: Answer,
) -> Vec<Vec<Request>> {
    let is_resolve = |request: &Request| request.body.contains("ok again");
    let heard = play(cases, is_resolve, accepted, |i, name, url| {
        i.set("api.public_url", "https://stalker.example")
            .set(&format!("channels.{name}.provider"), provider)
            .set(&format!("channels.{name}.url"), format!("{url}/{path}"))
            .set(&format!("channels.{name}.rate_per_minute"), 6000)
    })
    .await;
    for request in heard.iter().flatten() {
        assert_eq!(request.method, "POST");
        assert_eq!(request.header("content-type"), "application/json");
    }
    heard
}

#[tokio::test]
async fn slack_is_told_as_documented_and_every_answer_has_its_meaning() {
    let accepted = Answer::Http(200, "", "ok");
    let mut cases = usual(
        |_| Answer::Http(200, "", "ok"),
        "accepted 200 may have arrived",
    );
    cases.extend([
        refused(
            "invalid",
            |_| Answer::Http(400, "", "invalid_payload"),
            "refused 400 lost",
            "invalid_payload",
        ),
        refused(
            "prohibited",
            |_| Answer::Http(403, "", "action_prohibited"),
            "refused 403 lost",
            "action_prohibited",
        ),
        refused(
            "unknown",
            |_| Answer::Http(404, "", "no_service"),
            "refused 404 lost",
            "no_service",
        ),
        refused(
            "archived",
            |_| Answer::Http(410, "", "channel_is_archived"),
            "refused 410 lost",
            "channel_is_archived",
        ),
        refused(
            "portal",
            |_| Answer::Http(200, "", "<html>please log in</html>"),
            "pending 200 may have arrived",
            "please log in",
        ),
    ]);
    let heard = told_to("slack", "services/T0/B0/secret", &cases, accepted).await;
    let trigger = &heard[0][0];
    assert_eq!(trigger.path, "/services/T0/B0/secret");
    let body = trigger.json();
    assert_eq!(body["text"], "check_a on web1 is critical");
    assert_eq!(
        body["blocks"][0],
        json!({"type": "section", "text": {"type": "mrkdwn", "text": "*check_a on web1 is critical*"}})
    );
    let said = body["blocks"][1]["text"]["text"]
        .as_str()
        .unwrap_or_default();
    assert!(
        said.starts_with("CRITICAL - broken\nsince ") && said.ends_with(PAGE),
        "{said}"
    );
}

#[tokio::test]
async fn teams_is_told_as_documented_and_every_answer_has_its_meaning() {
    let accepted = Answer::Http(202, "", "");
    let mut cases = usual(
        |_| Answer::Http(202, "", ""),
        "accepted 202 may have arrived",
    );
    cases.extend([
        refused(
            "invalid",
            |_| Answer::Http(400, "", "Bad payload received"),
            "refused 400 lost",
            "Bad payload",
        ),
        refused(
            "too_large",
            |_| Answer::Http(413, "", ""),
            "refused 413 lost",
            "answered 413",
        ),
        refused(
            "gone",
            |_| Answer::Http(404, "", "workflow not found"),
            "refused 404 lost",
            "workflow not found",
        ),
        refused(
            "connector",
            |_| {
                Answer::Http(
                    200,
                    "",
                    "Webhook message delivery failed with error: HTTP 429",
                )
            },
            "pending 200 may have arrived",
            "delivery failed",
        ),
    ]);
    let heard = told_to("teams", "workflows/secret", &cases, accepted).await;
    let body = heard[0][0].json();
    assert_eq!(body["type"], "message");
    let attachment = &body["attachments"][0];
    assert_eq!(
        attachment["contentType"],
        "application/vnd.microsoft.card.adaptive"
    );
    assert!(attachment["contentUrl"].is_null());
    let card = &attachment["content"];
    assert_eq!(
        (&card["type"], &card["version"], &card["msteams"]),
        (
            &json!("AdaptiveCard"),
            &json!("1.4"),
            &json!({"width": "Full"})
        )
    );
    assert_eq!(card["body"][0]["text"], r"check\_a on web1 is critical");
    assert_eq!(card["body"][1]["wrap"], true);
    let said = card["body"][1]["text"].as_str().unwrap_or_default();
    assert!(said.starts_with("CRITICAL - broken\n\nsince "), "{said}");
    assert_eq!(
        card["actions"],
        json!([{"type": "Action.OpenUrl", "title": "Show", "url": PAGE}])
    );
}

#[tokio::test]
async fn discord_is_told_as_documented_and_every_answer_has_its_meaning() {
    let accepted = Answer::Http(200, "", r#"{"id":"1100000000000000000"}"#);
    let mut cases = usual(
        |_| Answer::Http(200, "", r#"{"id":"1100000000000000000"}"#),
        "accepted 200 may have arrived",
    );
    cases.extend([
        refused(
            "limited",
            |_| Answer::Http(429, "", r#"{"message":"You are being rate limited.","retry_after":64.57,"global":false}"#),
            "pending 429 lost wait 65",
            "rate limited",
        ),
        refused("unauthorized", |_| Answer::Http(401, "", r#"{"code":50027}"#), "refused 401 lost", "50027"),
        refused(
            "unknown",
            |_| Answer::Http(404, "", r#"{"message":"Unknown Webhook","code":10015}"#),
            "refused 404 lost",
            "Unknown Webhook",
        ),
        refused(
            "portal",
            |_| Answer::Http(200, "", "<html>please log in</html>"),
            "pending 200 may have arrived",
            "please log in",
        ),
    ]);
    let heard = told_to("discord", "api/webhooks/1/secret", &cases, accepted).await;
    let trigger = &heard[0][0];
    assert_eq!(trigger.path, "/api/webhooks/1/secret?wait=true");
    let body = trigger.json();
    assert_eq!(body["allowed_mentions"], json!({"parse": []}));
    let embed = &body["embeds"][0];
    assert_eq!(embed["title"], r"check\_a on web1 is critical");
    assert_eq!(embed["url"], PAGE);
    let said = embed["description"].as_str().unwrap_or_default();
    assert!(said.starts_with("CRITICAL - broken\nsince "), "{said}");
}

/// What a host says mentions nobody, is no markup, and stays within the limits of each.
#[tokio::test]
async fn hostile_output_is_harmless_in_a_chat() {
    let hostile = format!("<!channel> @everyone <b>*_~ ` {}", "😀&<".repeat(5000));
    let fakes = [
        Fake::start(|_| Answer::Http(200, "", "ok")).await,
        Fake::start(|_| Answer::Http(202, "", "")).await,
        Fake::start(|_| Answer::Http(200, "", r#"{"id":"1"}"#)).await,
    ];
    // all of it, many times over
    let long = "{% for i in range(9) %}{{ output }}{% endfor %}";
    let stage = Stage::start(|mut i| {
        for (name, fake) in ["slack", "teams", "discord"].into_iter().zip(&fakes) {
            i = i
                .set(&format!("channels.{name}.provider"), name)
                .set(&format!("channels.{name}.url"), fake.url())
                .set(&format!("channels.{name}.body"), long)
                .set(&format!("channels.{name}.subject"), "{{ output }}");
        }
        i
    })
    .await;
    stage.agent.answer(CHECK, 2, &hostile);
    stage.register(&[CHECK]).await;
    stage.told(&["trigger accepted 1"; 3]).await;
    let [slack, teams, discord] = fakes.each_ref().map(|fake| fake.heard()[0].clone());

    let blocks = slack.json();
    let text = blocks["blocks"][1]["text"]["text"]
        .as_str()
        .unwrap_or_default()
        .to_owned();
    assert!(
        text.starts_with("&lt;!channel&gt; @everyone &lt;b&gt;"),
        "{text}"
    );
    assert!(text.chars().count() <= 3000 && !text.contains('<'));
    assert!(text.chars().count() > 2900);

    assert!(teams.body.len() <= 14 * 1024, "{}", teams.body.len());
    let card = teams.json();
    let text = card["attachments"][0]["content"]["body"][1]["text"]
        .as_str()
        .unwrap_or_default()
        .to_owned();
    assert!(
        text.starts_with(r"\<!channel\> @everyone \<b\>\*\_\~ \` "),
        "{text}"
    );

    let embed = &discord.json()["embeds"][0];
    let count = |field: &str| embed[field].as_str().unwrap_or_default().chars().count();
    assert!(
        count("title") <= 256 && count("description") <= 4096,
        "{embed}"
    );
    assert!(count("description") > 4000);
}
