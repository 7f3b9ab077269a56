//! Provider `pagerduty`: Events API v2 (semantics.md, section 6), and `create_event.json` of v1 for those who still have
//! keys of that.

use std::borrow::Cow;
use std::time::Instant;

use futures::FutureExt;
use futures::future::BoxFuture;
use reqwest::{Client, StatusCode};
use serde::{Deserialize, Serialize};

use super::exchange::{Reply, exchange};
use super::facts::Facts;
use super::http::{self, IncidentEvent};
use super::text::{Defaults, Escape};
use super::{Answer, Keys, Message, Protocol, Rate, clip_characters, digest};
use crate::config::Secret;
use crate::config::url::WebAddress;

/// Characters of a summary; of the description of v1 as well.
const SUMMARY_MAX: usize = 1024;
/// Characters of a deduplication key; of the incident key of v1 as well.
const KEY_MAX: usize = 255;
/// It takes about 120 in any 60 s.
const RATE: Rate = Rate {
    per_minute: 110.0,
    burst: 10.0,
};
/// What a telephone shows is the summary alone. The rest is told in fields; a body is added where a channel has one.
const TEXTS: Defaults = Defaults {
    subject: "{{ summary }}{% if output and kind in ['trigger', 'repeat'] %}: {{ output }}{% endif %}",
    body: "",
};

/// Settings of `[channels.NAME] provider = "pagerduty"`.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PagerdutyChannel {
    /// Where the API is; Europe has another one.
    #[serde(default = "default_url")]
    pub url: WebAddress,
    /// Which of its APIs.
    #[serde(default)]
    pub api: PagerdutyApi,
    /// The integration key of the service for priority 1.
    pub priority_one_key: Secret,
    /// That for priority 2, if it is another one.
    pub priority_two_key: Option<Secret>,
    /// Keys of before, with which alerts were told that are not over.
    #[serde(default)]
    pub previous_keys: Vec<Secret>,
}

/// The two events APIs.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum PagerdutyApi {
    /// `/generic/2010-04-15/create_event.json`
    V1,
    /// `/v2/enqueue`
    #[default]
    V2,
}

fn default_url() -> WebAddress {
    "https://events.pagerduty.com".into()
}

impl Protocol for PagerdutyChannel {
    fn validate(&self) -> anyhow::Result<()> {
        self.url.validate()
    }

    fn address(&self) -> String {
        self.url.shown()
    }

    fn keys(&self) -> Keys<'_> {
        let one = &self.priority_one_key;
        let two = self.priority_two_key.as_ref().unwrap_or(one);
        Keys {
            of_today: [Some(one), Some(two)],
            previous: &self.previous_keys,
        }
    }

    fn other_secrets(&self) -> Vec<&Secret> {
        vec![self.url.secret()]
    }

    fn rate(&self) -> Option<Rate> {
        Some(RATE)
    }

    fn texts(&self) -> Defaults {
        TEXTS
    }

    fn keeps_incidents(&self) -> bool {
        true
    }

    fn takes_acknowledge(&self) -> bool {
        self.api == PagerdutyApi::V2
    }

    fn shows_check(&self) -> bool {
        self.api == PagerdutyApi::V1
    }

    fn send<'a>(&'a self, client: &'a Client, message: &'a Message<'_>) -> BoxFuture<'a, Answer> {
        async move {
            let sent = match self.api {
                PagerdutyApi::V1 => self.create_event(client, message).await,
                PagerdutyApi::V2 => self.enqueue(client, message).await,
            };
            sent.unwrap_or_else(|unanswered| unanswered)
        }
        .boxed()
    }
}

impl PagerdutyChannel {
    async fn enqueue(&self, client: &Client, message: &Message<'_>) -> Result<Answer, Answer> {
        let began = Instant::now();
        let url = self.url.join("v2/enqueue");
        let mut event = Event::of(message);
        let mut reply = exchange(client.post(&url).json(&event), message.timeout).await?;
        if reply.status == StatusCode::PAYLOAD_TOO_LARGE {
            // the page matters more than its details
            event.payload.custom_details = None;
            let left = message.timeout.saturating_sub(began.elapsed());
            reply = exchange(client.post(&url).json(&event), left).await?;
        }
        Ok(enqueued(reply))
    }

    async fn create_event(&self, client: &Client, message: &Message<'_>) -> Result<Answer, Answer> {
        let url = self.url.join("generic/2010-04-15/create_event.json");
        let key = shortened(&message.notification.dedup_key);
        let mut event = IncidentEvent::of(message);
        event.incident_key = &key;
        event.description = clip_characters(&event.description, SUMMARY_MAX);
        let reply = exchange(client.post(&url).json(&event), message.timeout).await?;
        Ok(created(reply))
    }
}

/// Accepted is 202. Any other 2xx, and one that says something else than success, comes from somebody in between: told
/// again, which does no harm, since the key is the same.
fn enqueued(reply: Reply) -> Answer {
    let says = reply.json().get("status").cloned();
    let is_accepted = match says {
        Some(status) => status == "success",
        None => reply.status == StatusCode::ACCEPTED,
    };
    if reply.status.is_success() && !is_accepted {
        reply.failed_for_now()
    } else {
        reply.judged_by_status()
    }
}

/// v1 says 403 to whoever asks too often.
fn created(reply: Reply) -> Answer {
    if reply.status == StatusCode::FORBIDDEN {
        reply.failed_for_now()
    } else {
        http::judged(reply)
    }
}

/// As much of a key as is taken. What is cut off is told apart by a hash of the whole, so that a trigger and its resolve
/// still agree.
fn shortened(key: &str) -> Cow<'_, str> {
    // by bytes, which are no fewer than characters
    if key.len() <= KEY_MAX {
        return key.into();
    }
    let hash = digest(key);
    let mut end = KEY_MAX - hash.len() - 1;
    while !key.is_char_boundary(end) {
        end -= 1;
    }
    format!("{}:{hash}", &key[..end]).into()
}

#[derive(Serialize)]
struct Event<'a> {
    routing_key: &'a str,
    event_action: Action,
    dedup_key: Cow<'a, str>,
    /// Required of a trigger; of the others it is what the incident's log says.
    payload: Payload<'a>,
    links: Vec<Link<'a>>,
    client: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    client_url: Option<&'a str>,
}

#[derive(Serialize)]
#[serde(rename_all = "lowercase")]
enum Action {
    Trigger,
    Acknowledge,
    Resolve,
}

#[derive(Serialize)]
struct Payload<'a> {
    summary: String,
    source: &'a str,
    severity: Severity,
    timestamp: &'a str,
    #[serde(skip_serializing_if = "str::is_empty")]
    component: &'a str,
    class: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    custom_details: Option<Details<'a>>,
}

#[derive(Debug, PartialEq, Serialize)]
#[serde(rename_all = "lowercase")]
enum Severity {
    Critical,
    Error,
    Warning,
    Info,
}

#[derive(Serialize)]
struct Link<'a> {
    href: &'a str,
    text: &'a str,
}

#[derive(Serialize)]
struct Details<'a> {
    /// Of a channel that has a template for it.
    #[serde(skip_serializing_if = "String::is_empty")]
    body: String,
    #[serde(flatten)]
    facts: &'a Facts,
}

impl<'a> Event<'a> {
    fn of(message: &'a Message<'_>) -> Self {
        let (about, facts) = (message.notification, &message.facts);
        let url = facts.url.as_deref();
        Self {
            routing_key: message.key.map_or("", Secret::expose),
            event_action: match facts.kind.as_str() {
                "resolve" => Action::Resolve,
                "acknowledge" => Action::Acknowledge,
                _ => Action::Trigger,
            },
            dedup_key: shortened(&about.dedup_key),
            payload: Payload {
                summary: clip_characters(&message.subject(Escape::Plain), SUMMARY_MAX),
                // required; a flood of all is of no host
                source: match facts.host.as_str() {
                    "" => "Stalker",
                    host => host,
                },
                severity: severity(facts.state),
                timestamp: facts.until.as_ref().unwrap_or(&facts.since),
                component: &facts.check,
                class: &about.alert_kind,
                custom_details: Some(Details {
                    body: message.body(Escape::Plain),
                    facts,
                }),
            },
            links: url
                .map(|href| Link {
                    href,
                    text: &facts.what,
                })
                .into_iter()
                .collect(),
            client: "Stalker",
            client_url: url,
        }
    }
}

fn severity(state: &str) -> Severity {
    match state {
        "warning" | "flapping" => Severity::Warning,
        "unknown" => Severity::Error,
        "test" => Severity::Info,
        _ => Severity::Critical,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_that_is_too_long_is_shortened_and_stays_its_own() {
        let fits = "k".repeat(KEY_MAX);
        assert_eq!(shortened(&fits), fits);
        for long in ["k".repeat(256), "ä".repeat(200)] {
            let short = shortened(&long);
            assert!((KEY_MAX - 1..=KEY_MAX).contains(&short.len()), "{short}");
            assert_eq!(short, shortened(&long));
            assert_ne!(short, shortened(&format!("{long}!")));
        }
    }

    #[test]
    fn a_severity_follows_from_the_state() {
        for (state, expected) in [
            ("critical", Severity::Critical),
            ("unreachable", Severity::Critical),
            ("flood", Severity::Critical),
            ("warning", Severity::Warning),
            ("flapping", Severity::Warning),
            ("unknown", Severity::Error),
            ("test", Severity::Info),
        ] {
            assert_eq!(severity(state), expected, "{state}");
        }
    }
}
