//! Provider `telegram`: a bot's `sendMessage` (semantics.md, section 9).

use std::fmt;
use std::time::{Duration, Instant};

use anyhow::ensure;
use futures::FutureExt;
use futures::future::BoxFuture;
use reqwest::{Client, StatusCode};
use serde::{Deserialize, Serialize};
use serde_json::json;

use super::exchange::{Reply, believed, exchange};
use super::text::Escape;
use super::{Answer, Message, Protocol, Rate};
use crate::config::Secret;
use crate::config::url::WebAddress;

/// Characters of a text, as it is when its markup is read. Those beyond the first 65,536, such as emoji, count twice in its
/// clients, so they do here.
const TEXT_MAX: usize = 4096;
/// It takes about 20 a minute for one group …
const RATE_OF_GROUPS: Rate = Rate {
    per_minute: 20.0,
    burst: 3.0,
};
/// … and one a second for one person.
const RATE: Rate = Rate {
    per_minute: 60.0,
    burst: 3.0,
};

/// Settings of `[channels.NAME] provider = "telegram"`.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct TelegramChannel {
    /// Where the Bot API is.
    #[serde(default = "default_url")]
    pub url: WebAddress,
    /// The bot's token.
    pub token: Secret,
    /// Whom it tells.
    pub chat_id: TelegramChat,
    /// A topic of the group.
    pub message_thread_id: Option<i64>,
}

/// A chat: its number, or `@name` of a channel.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize, Serialize)]
#[serde(untagged)]
pub enum TelegramChat {
    /// Of a person, or, below zero, of a group.
    Number(i64),
    /// `@name`, or a number in quotes.
    Name(String),
}

impl fmt::Display for TelegramChat {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Number(number) => number.fmt(f),
            Self::Name(name) => name.fmt(f),
        }
    }
}

fn default_url() -> WebAddress {
    "https://api.telegram.org".into()
}

/// The body of a request.
#[derive(Serialize)]
struct SendMessage<'a> {
    chat_id: &'a TelegramChat,
    #[serde(skip_serializing_if = "Option::is_none")]
    message_thread_id: Option<i64>,
    text: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    parse_mode: Option<&'static str>,
    link_preview_options: serde_json::Value,
}

impl Protocol for TelegramChannel {
    fn validate(&self) -> anyhow::Result<()> {
        self.url.validate()?;
        // it becomes a part of the path
        ensure!(
            self.token
                .expose()
                .bytes()
                .all(|byte| byte.is_ascii_alphanumeric() || b":_-".contains(&byte)),
            "token is none: it has other characters than letters, digits, colon, _ and -"
        );
        ensure!(!self.chat_id.to_string().is_empty(), "chat_id is empty");
        Ok(())
    }

    fn address(&self) -> String {
        let topic = self.message_thread_id;
        let topic = topic.map_or(String::new(), |id| format!(", topic {id}"));
        format!("{} chat {}{topic}", self.url.shown(), self.chat_id)
    }

    fn other_secrets(&self) -> Vec<&Secret> {
        vec![&self.token, self.url.secret()]
    }

    fn rate(&self) -> Option<Rate> {
        Some(if self.chat_id.to_string().starts_with('-') {
            RATE_OF_GROUPS
        } else {
            RATE
        })
    }

    fn send<'a>(&'a self, client: &'a Client, message: &'a Message<'_>) -> BoxFuture<'a, Answer> {
        async move {
            let by = Instant::now() + message.timeout;
            let reply = match self
                .say(client, message, Some("HTML"), message.timeout)
                .await
            {
                // markup of the channel's own template: better plain words than none
                Ok(reply) if is_broken_markup(&reply) => {
                    let left = by.saturating_duration_since(Instant::now());
                    self.say(client, message, None, left).await
                }
                reply => reply,
            };
            reply.map_or_else(|unanswered| unanswered, judged)
        }
        .boxed()
    }
}

impl TelegramChannel {
    async fn say(
        &self,
        client: &Client,
        message: &Message<'_>,
        parse_mode: Option<&'static str>,
        timeout: Duration,
    ) -> Result<Reply, Answer> {
        let path = format!("bot{}/sendMessage", self.token.expose());
        let request = client.post(self.url.join(&path)).json(&SendMessage {
            chat_id: &self.chat_id,
            message_thread_id: self.message_thread_id,
            text: match parse_mode {
                Some(_) => text(message),
                None => plain_text(message),
            },
            parse_mode,
            link_preview_options: json!({"is_disabled": true}),
        });
        exchange(request, timeout).await
    }
}

fn is_broken_markup(reply: &Reply) -> bool {
    let said = reply.json();
    let why = said["description"].as_str().unwrap_or_default();
    reply.status == StatusCode::BAD_REQUEST && why.contains("can't parse entities")
}

/// The subject in bold, and the body. What is too long loses its markup first, since a cut could go through it.
fn text(message: &Message<'_>) -> String {
    if let Some(clipped) = clipped(&in_plain_words(message)) {
        return Escape::Html.apply(&clipped);
    }
    let (subject, body) = (message.subject(Escape::Html), message.body(Escape::Html));
    format!("<b>{subject}</b>\n{body}")
}

fn plain_text(message: &Message<'_>) -> String {
    let text = in_plain_words(message);
    clipped(&text).unwrap_or(text)
}

fn in_plain_words(message: &Message<'_>) -> String {
    let (subject, body) = (message.subject(Escape::Plain), message.body(Escape::Plain));
    format!("{subject}\n{body}")
}

/// As much of the beginning as it takes, if that is not all.
fn clipped(text: &str) -> Option<String> {
    if text.encode_utf16().count() <= TEXT_MAX {
        return None;
    }
    let mut length = "…".encode_utf16().count();
    let fits = |character: &char| {
        length += character.len_utf16();
        length <= TEXT_MAX
    };
    let beginning: String = text.chars().take_while(fits).collect();
    Some(format!("{beginning}…"))
}

/// Accepted is only what says so. How long it wants to be left alone stands in the body.
fn judged(mut reply: Reply) -> Answer {
    let said = reply.json();
    let wait = said["parameters"]["retry_after"].as_u64();
    reply.retry_after = wait
        .map(|seconds| believed(Duration::from_secs(seconds)))
        .or(reply.retry_after);
    if reply.status == StatusCode::OK && said["ok"] == true {
        reply.accepted()
    } else if reply.status.is_success() {
        reply.failed_for_now()
    } else {
        reply.judged_by_status()
    }
}
