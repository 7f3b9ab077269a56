//! Provider `slack`: an incoming webhook (semantics.md, section 9).

use futures::FutureExt;
use futures::future::BoxFuture;
use reqwest::Client;
use serde::Deserialize;
use serde_json::{Value, json};

use super::exchange::{Reply, exchange};
use super::text::Escape;
use super::{Answer, Message, Protocol, Rate, clip_characters};
use crate::config::Secret;
use crate::config::url::WebAddress;

/// Characters of a section's text.
const SECTION_MAX: usize = 3000;

/// Settings of `[channels.NAME] provider = "slack"`.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SlackChannel {
    /// The webhook, which is its own key.
    pub url: WebAddress,
}

impl Protocol for SlackChannel {
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
            per_minute: 60.0,
            burst: 3.0,
        })
    }

    fn concurrency(&self) -> usize {
        1
    }

    fn send<'a>(&'a self, client: &'a Client, message: &'a Message<'_>) -> BoxFuture<'a, Answer> {
        async move {
            let request = client.post(self.url.expose()).json(&body(message));
            match exchange(request, message.timeout).await {
                Ok(reply) => judged(reply),
                Err(unanswered) => unanswered,
            }
        }
        .boxed()
    }
}

/// `text` is what a notification of the telephone shows, the blocks are the message.
fn body(message: &Message<'_>) -> Value {
    let subject = clipped(&message.subject(Escape::Slack));
    let section = |text: &str| json!({"type": "section", "text": {"type": "mrkdwn", "text": text}});
    let mut blocks = vec![section(&format!("*{subject}*"))];
    let body = clipped(&message.body(Escape::Slack));
    if !body.is_empty() {
        blocks.push(section(&body));
    }
    json!({"text": subject, "blocks": blocks})
}

/// Within a section's limit, and not ending in the middle of an `&amp;`.
fn clipped(text: &str) -> String {
    let clipped = clip_characters(text, SECTION_MAX - 2);
    match clipped
        .strip_suffix('…')
        .and_then(|text| text.rsplit_once('&'))
    {
        Some((whole, rest)) if !rest.contains(';') => format!("{whole}…"),
        _ => clipped,
    }
}

/// Accepted is 200 with `ok` alone: whoever says something else in a 200 is not Slack.
fn judged(reply: Reply) -> Answer {
    if reply.status.is_success() && reply.text.trim() != "ok" {
        reply.failed_for_now()
    } else {
        reply.judged_by_status()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_escape_is_cut_in_half() {
        for n in 0..8 {
            let text = format!("{}{}", "x".repeat(n), "&amp;".repeat(1000));
            let clipped = clipped(&text);
            assert!(clipped.chars().count() <= SECTION_MAX - 2);
            let bare = clipped.replace("&amp;", "");
            assert!(!bare.contains('&'), "{bare}");
        }
    }
}
