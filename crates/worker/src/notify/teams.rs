//! Provider `teams`: an adaptive card to a workflow of Microsoft Teams (semantics.md, section 9).

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

/// Bytes of a request: 28 KB are documented, and 413 was seen from 14 KB on.
const REQUEST_MAX: usize = 13 * 1024;
/// Characters of a title.
const TITLE_MAX: usize = 300;
/// Characters of a text.
const TEXT_MAX: usize = 6000;

/// Settings of `[channels.NAME] provider = "teams"`.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct TeamsChannel {
    /// The workflow's address, which is its own key.
    pub url: WebAddress,
}

impl Protocol for TeamsChannel {
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
            per_minute: 120.0,
            burst: 4.0,
        })
    }

    fn concurrency(&self) -> usize {
        2
    }

    fn send<'a>(&'a self, client: &'a Client, message: &'a Message<'_>) -> BoxFuture<'a, Answer> {
        async move {
            let request = client.post(self.url.expose()).json(&card(message));
            match exchange(request, message.timeout).await {
                Ok(reply) => judged(reply),
                Err(unanswered) => unanswered,
            }
        }
        .boxed()
    }
}

/// A card, its text shortened until the whole is taken.
fn card(message: &Message<'_>) -> Value {
    let title = clip_characters(&message.subject(Escape::Markdown), TITLE_MAX);
    // a line of its own needs an empty one before it
    let text = message.body(Escape::Markdown).replace('\n', "\n\n");
    let mut most = TEXT_MAX;
    loop {
        let card = card_of(&title, &clip_characters(&text, most), message);
        if card.to_string().len() <= REQUEST_MAX || most < 100 {
            return card;
        }
        most /= 2;
    }
}

fn card_of(title: &str, text: &str, message: &Message<'_>) -> Value {
    let color = if message.facts.is_over {
        "good"
    } else {
        "attention"
    };
    let links: Vec<Value> = message
        .facts
        .url
        .iter()
        .map(|url| json!({"type": "Action.OpenUrl", "title": "Show", "url": url}))
        .collect();
    json!({
        "type": "message",
        "attachments": [{
            "contentType": "application/vnd.microsoft.card.adaptive",
            "contentUrl": null,
            "content": {
                "$schema": "http://adaptivecards.io/schemas/adaptive-card.json",
                "type": "AdaptiveCard",
                "version": "1.4",
                "msteams": {"width": "Full"},
                "body": [
                    {"type": "TextBlock", "text": title, "weight": "bolder", "size": "medium", "color": color, "wrap": true},
                    {"type": "TextBlock", "text": text, "wrap": true},
                ],
                "actions": links,
            },
        }],
    })
}

/// Connectors of before told their failures in the text of a 200.
fn judged(reply: Reply) -> Answer {
    if reply.status.is_success() && reply.text.contains("failed") {
        reply.failed_for_now()
    } else {
        reply.judged_by_status()
    }
}
