//! What those who are told see of a sender's death, where their provider cannot tell that it is the same message: at most one
//! repeat for each death, which says that it may be one. PagerDuty can tell, by its key.

use stalker_tests::rounds::rounds;

use super::accepted::told_by_the_dying;
use super::*;
use crate::providers::email::MailServer;
use crate::providers::fake::{Answer, Fake};

/// Of each: problem and end. `make crash-long` has twenty times as many.
const SIGKILLS: usize = 1;

#[tokio::test]
async fn pagerduty_gets_the_same_key() {
    let fake = Fake::start(|_| {
        let said = r#"{"status":"success","message":"Event processed","dedup_key":"x"}"#;
        Answer::Http(202, "content-type: application/json\r\n", said)
    })
    .await;
    let pager = |i: Installation| {
        i.set("channels.pager.provider", "pagerduty")
            .set("channels.pager.url", fake.url())
            .set(
                "channels.pager.priority_one_key",
                "routing-key-of-the-tests",
            )
    };
    told_by_the_dying(rounds(SIGKILLS), pager, || fake.heard().len()).await;
    let told: Vec<(String, String)> = fake
        .heard()
        .iter()
        .map(|request| {
            let body = request.json();
            let text = |name: &str| body[name].as_str().unwrap_or_default().to_owned();
            (text("event_action"), text("dedup_key"))
        })
        .collect();
    let key = told[0].1.clone();
    assert!(key.contains("web1:check_a"), "{key}");
    let lives = rounds(SIGKILLS) + 1;
    let each = |action: &str| vec![(action.to_owned(), key.clone()); lives];
    assert_eq!(told, [each("trigger"), each("resolve")].concat());
}

#[tokio::test]
async fn a_short_message_says_that_it_may_be_a_repeat() {
    let fake = Fake::start(|_| {
        let said = r#"{"sid":"SMb","status":"queued","error_code":null,"error_message":null}"#;
        Answer::Http(201, "content-type: application/json\r\n", said)
    })
    .await;
    let sms = |i: Installation| {
        i.set("channels.sms.provider", "twilio")
            .set("channels.sms.url", fake.url())
            .set("channels.sms.sid", "ACaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa")
            .set("channels.sms.token", "token-of-the-tests")
            .set("channels.sms.from", "+15005550006")
            .set("channels.sms.to", vec!["+491701234567"])
    };
    told_by_the_dying(rounds(SIGKILLS), sms, || fake.heard().len()).await;
    let texts: Vec<String> = fake
        .heard()
        .iter()
        .map(|request| request.form()["Body"].clone())
        .collect();
    are_marked(&texts, "(possibly told before) ");
}

#[tokio::test]
async fn a_mail_says_that_it_may_be_a_repeat() {
    let server = MailServer::start("none", "open").await;
    let mail = |i: Installation| server.channel(i, "mail", &["one@mail.invalid"]);
    told_by_the_dying(rounds(SIGKILLS), mail, || server.mails().len()).await;
    let subjects: Vec<String> = server
        .mails()
        .iter()
        .map(|mail| crate::providers::email::header(mail, "Subject"))
        .collect();
    are_marked(&subjects, "[possibly a repeat] ");
}

/// Of the problem and of its end, all but the first.
fn are_marked(texts: &[String], mark: &str) {
    let lives = rounds(SIGKILLS) + 1;
    assert_eq!(texts.len(), 2 * lives, "{texts:?}");
    for told in texts.chunks(lives) {
        let (first, others) = told.split_first().expect("a chunk is not empty");
        assert!(first.starts_with("check_a on web1 is "), "{first}");
        for text in others {
            assert!(
                text.starts_with(&format!("{mark}{}", &first[..19])),
                "{text}"
            );
        }
    }
}
