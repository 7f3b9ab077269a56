//! Provider `http`: the original's generic HTTP POST, whose body has the shape of PagerDuty's first events API
//! (wire.md, section 4).

use futures::FutureExt;
use futures::future::BoxFuture;
use reqwest::Client;
use serde::{Deserialize, Serialize};
use stalker_domain::wire;

use super::exchange::{Reply, exchange};
use super::facts::{headline, is_over};
use super::{Answer, Keys, Message, Protocol};
use crate::config::Secret;
use crate::config::url::WebAddress;

/// Settings of `[channels.NAME] provider = "http"`.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct HttpChannel {
    /// Where to POST; a secret, since it may hold one.
    pub url: WebAddress,
    /// Sent in the body.
    pub service_key: Option<Secret>,
    /// Keys of before, with which alerts were told that are not over.
    #[serde(default)]
    pub previous_keys: Vec<Secret>,
}

impl Protocol for HttpChannel {
    fn validate(&self) -> anyhow::Result<()> {
        self.url.validate()
    }

    fn address(&self) -> String {
        self.url.shown()
    }

    fn keys(&self) -> Keys<'_> {
        Keys {
            of_today: [self.service_key.as_ref(); 2],
            previous: &self.previous_keys,
        }
    }

    fn other_secrets(&self) -> Vec<&Secret> {
        vec![self.url.secret()]
    }

    fn keeps_incidents(&self) -> bool {
        true
    }

    fn shows_check(&self) -> bool {
        true
    }

    fn send<'a>(&'a self, client: &'a Client, message: &'a Message<'_>) -> BoxFuture<'a, Answer> {
        async move {
            let request = client
                .post(self.url.expose())
                .json(&IncidentEvent::of(message));
            match exchange(request, message.timeout).await {
                Ok(reply) => judged(reply),
                Err(unanswered) => unanswered,
            }
        }
        .boxed()
    }
}

/// Accepted is any 2xx, unless it is JSON with a `status` other than `success`.
pub(super) fn judged(reply: Reply) -> Answer {
    let says_otherwise = reply
        .json()
        .get("status")
        .is_some_and(|status| status != "success");
    if reply.status.is_success() && says_otherwise {
        reply.failed_for_now()
    } else {
        reply.judged_by_status()
    }
}

/// The body of a POST, of PagerDuty's first API too.
#[derive(Serialize)]
pub(super) struct IncidentEvent<'a> {
    service_key: &'a str,
    pub(super) incident_key: &'a str,
    event_type: &'static str,
    pub(super) description: String,
    details: Details<'a>,
}

/// The check as the API shows it, or what the alert remembers of it.
#[derive(Serialize)]
#[serde(untagged)]
enum Details<'a> {
    Check(Box<wire::Check>),
    Remembered {
        hostname: &'a str,
        ip: &'a str,
        check: &'a str,
        out: &'a str,
        fail_count: i32,
        priority: i16,
        since: i64,
    },
}

impl<'a> IncidentEvent<'a> {
    pub(super) fn of(message: &'a Message<'_>) -> Self {
        let about = message.notification;
        Self {
            service_key: message.key.map_or("", Secret::expose),
            incident_key: &about.dedup_key,
            event_type: if is_over(about) { "resolve" } else { "trigger" },
            description: headline(about),
            details: match message.check.clone() {
                Some(check) => Details::Check(Box::new(check)),
                None => Details::Remembered {
                    hostname: &about.hostname,
                    ip: &about.ip,
                    check: &about.check_name,
                    out: &about.out,
                    fail_count: about.fails,
                    priority: about.priority,
                    since: about.opened_at.timestamp(),
                },
            },
        }
    }
}

#[cfg(test)]
mod tests {
    use reqwest::StatusCode;

    use super::*;

    #[test]
    fn a_receiver_may_say_no_in_a_200() {
        for (text, accepted) in [
            ("", true),
            ("ok", true),
            ("{}", true),
            (r#"{"status":"success"}"#, true),
            (r#"{"status":"invalid"}"#, false),
            ("[1]", true),
        ] {
            let reply = Reply {
                status: StatusCode::OK,
                retry_after: None,
                text: text.to_owned(),
            };
            assert_eq!(judged(reply).failure.is_none(), accepted, "{text}");
        }
    }
}
