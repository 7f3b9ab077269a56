//! Provider `ntfy`: a message to a topic, published as JSON (semantics.md, section 9).

use anyhow::ensure;
use futures::FutureExt;
use futures::future::BoxFuture;
use reqwest::header::CONTENT_TYPE;
use reqwest::{Client, StatusCode};
use serde::{Deserialize, Serialize};
use stalker_domain::plugin_output::clip;

use super::exchange::{Reply, exchange};
use super::facts::Facts;
use super::text::Escape;
use super::{Answer, Message, Protocol, Rate, clip_characters};
use crate::config::Secret;
use crate::config::url::WebAddress;

/// Bytes of a message; of longer ones it makes an attachment.
const MESSAGE_MAX: usize = 4096;
/// Bytes of a request: twice a message, so that one of nothing but quotes and line ends may be too long.
const REQUEST_MAX: usize = 2 * MESSAGE_MAX;
/// Characters of a title: more than a telephone shows.
const TITLE_MAX: usize = 200;
/// Characters of a topic.
const TOPIC_MAX: usize = 64;
/// A visitor of ntfy.sh has 60 at once, and one more every 5 s.
const RATE: Rate = Rate {
    per_minute: 12.0,
    burst: 50.0,
};

/// Settings of `[channels.NAME] provider = "ntfy"`.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct NtfyChannel {
    /// The server.
    #[serde(default = "default_url")]
    pub url: WebAddress,
    /// The topic; a secret, since whoever knows it can read it.
    pub topic: Secret,
    /// An access token, for topics that are protected.
    pub token: Option<Secret>,
}

fn default_url() -> WebAddress {
    "https://ntfy.sh".into()
}

/// The body of a request.
#[derive(Serialize)]
struct Publish<'a> {
    topic: &'a str,
    title: String,
    message: String,
    priority: u8,
    tags: Vec<&'static str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    click: Option<&'a str>,
}

impl Protocol for NtfyChannel {
    fn validate(&self) -> anyhow::Result<()> {
        self.url.validate()?;
        let topic = self.topic.expose();
        ensure!(
            (1..=TOPIC_MAX).contains(&topic.len())
                && topic
                    .bytes()
                    .all(|byte| byte.is_ascii_alphanumeric() || b"_-".contains(&byte)),
            "topic must be 1 to {TOPIC_MAX} letters, digits, _ and -"
        );
        Ok(())
    }

    fn address(&self) -> String {
        self.url.shown()
    }

    fn other_secrets(&self) -> Vec<&Secret> {
        let secrets = [&self.topic, self.url.secret()];
        self.token.iter().chain(secrets).collect()
    }

    fn rate(&self) -> Option<Rate> {
        Some(RATE)
    }

    /// A server counts whatever its recipients.
    fn counted_by(&self) -> String {
        let token = self.token.as_ref().map_or("", Secret::expose);
        format!("{} {token}", self.url.expose())
    }

    fn send<'a>(&'a self, client: &'a Client, message: &'a Message<'_>) -> BoxFuture<'a, Answer> {
        async move {
            let mut request = client
                .post(self.url.join(""))
                .header(CONTENT_TYPE, "application/json")
                .body(self.body(message));
            if let Some(token) = &self.token {
                request = request.bearer_auth(token.expose());
            }
            match exchange(request, message.timeout).await {
                Ok(reply) => judged(reply),
                Err(unanswered) => unanswered,
            }
        }
        .boxed()
    }
}

impl NtfyChannel {
    /// Shortened until the server takes it.
    fn body(&self, message: &Message<'_>) -> String {
        let (priority, tag) = urgency(&message.facts);
        let mut publish = Publish {
            topic: self.topic.expose(),
            title: clip_characters(&message.subject(Escape::Plain), TITLE_MAX),
            message: message.body(Escape::Plain),
            priority,
            tags: vec![tag, message.facts.state],
            click: message.facts.url.as_deref(),
        };
        let mut most = MESSAGE_MAX;
        loop {
            publish.message = clip_bytes(&publish.message, most);
            let body = serde_json::to_string(&publish).expect("texts and numbers become JSON");
            if body.len() <= REQUEST_MAX || most < 256 {
                return body;
            }
            most /= 2;
        }
    }
}

/// 5 is what wakes people, 3 an ordinary message; and the sign before its title.
fn urgency(facts: &Facts) -> (u8, &'static str) {
    let is_severe = matches!(facts.state, "critical" | "unreachable" | "flood");
    match (facts.is_over, facts.state, facts.priority, is_severe) {
        (true, ..) => (3, "white_check_mark"),
        (_, "test", ..) => (3, "test_tube"),
        (_, _, ..=1, true) => (5, "rotating_light"),
        (_, _, ..=1, false) | (_, _, _, true) => (4, "warning"),
        _ => (3, "warning"),
    }
}

/// As much as fits with a mark of the cut.
fn clip_bytes(text: &str, most: usize) -> String {
    if text.len() <= most {
        text.to_owned()
    } else {
        format!("{}…", clip(text, most - "…".len()))
    }
}

/// Accepted is what got an id.
fn judged(reply: Reply) -> Answer {
    let has_id = reply.json()["id"].is_string();
    if reply.status == StatusCode::OK && has_id {
        reply.accepted()
    } else if reply.status.is_success() {
        reply.failed_for_now()
    } else {
        reply.judged_by_status()
    }
}
