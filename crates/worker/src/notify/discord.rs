//! Provider `discord`: a webhook (semantics.md, section 9).

use std::time::Duration;

use futures::FutureExt;
use futures::future::BoxFuture;
use reqwest::{Client, StatusCode};
use serde::Deserialize;
use serde_json::{Value, json};

use super::exchange::{Reply, believed, exchange};
use super::text::Escape;
use super::{Answer, Message, Protocol, Rate, clip_characters};
use crate::config::Secret;
use crate::config::url::WebAddress;

/// Characters of an embed's title and of its description.
const TITLE_MAX: usize = 256;
const DESCRIPTION_MAX: usize = 4096;

/// Settings of `[channels.NAME] provider = "discord"`.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct DiscordChannel {
    /// The webhook, which is its own key.
    pub url: WebAddress,
}

impl Protocol for DiscordChannel {
    fn validate(&self) -> anyhow::Result<()> {
        self.url.validate()
    }

    fn address(&self) -> String {
        self.url.shown()
    }

    fn other_secrets(&self) -> Vec<&Secret> {
        vec![self.url.secret()]
    }

    fn rate(&self) -> Option<Rate> {
        Some(Rate {
            per_minute: 25.0,
            burst: 5.0,
        })
    }

    fn concurrency(&self) -> usize {
        1
    }

    fn send<'a>(&'a self, client: &'a Client, message: &'a Message<'_>) -> BoxFuture<'a, Answer> {
        async move {
            let request = client
                .post(self.url.expose())
                // or it would answer before it knows
                .query(&[("wait", "true")])
                .json(&body(message));
            match exchange(request, message.timeout).await {
                Ok(reply) => judged(reply),
                Err(unanswered) => unanswered,
            }
        }
        .boxed()
    }
}

fn body(message: &Message<'_>) -> Value {
    let facts = &message.facts;
    let color = match (facts.is_over, facts.state) {
        (true, _) => 0x002e_a043,
        (_, "warning" | "flapping") => 0x00d2_9922,
        (_, "test") => 0x0038_8bfd,
        _ => 0x00cf_222e,
    };
    let mut embed = json!({
        "title": clip_characters(&message.subject(Escape::Markdown), TITLE_MAX),
        "description": clip_characters(&message.body(Escape::Markdown), DESCRIPTION_MAX),
        "color": color,
    });
    if let Some(url) = &facts.url {
        embed["url"] = json!(url);
    }
    // nobody is mentioned, whatever a host says
    json!({"embeds": [embed], "allowed_mentions": {"parse": []}})
}

/// Accepted is a message with an id; how long to wait stands in the answer.
fn judged(mut reply: Reply) -> Answer {
    let said = reply.json();
    if reply.status == StatusCode::TOO_MANY_REQUESTS
        && let Some(seconds) = said["retry_after"].as_f64()
    {
        let wait = Duration::try_from_secs_f64(seconds).unwrap_or_default();
        reply.retry_after = Some(believed(wait));
    }
    if reply.status.is_success() && !said["id"].is_string() {
        reply.failed_for_now()
    } else {
        reply.judged_by_status()
    }
}
