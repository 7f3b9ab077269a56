//! Provider `webhook`: a POST that says who it is from, as Standard Webhooks 1.0 wants it (semantics.md, section 10); with
//! a body of its own, or with Alertmanager's.

mod alertmanager;

use anyhow::{Context, ensure};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use futures::FutureExt;
use futures::future::BoxFuture;
use hmac::{Hmac, KeyInit, Mac};
use reqwest::header::CONTENT_TYPE;
use reqwest::{Client, StatusCode};
use serde::Deserialize;
use serde_json::{Value, json};
use sha2::Sha256;

use super::exchange::{Reply, exchange};
use super::facts::{is_over, rfc3339};
use super::text::Escape;
use super::{Answer, Keys, Message, Protocol, clip_characters};
use crate::config::Secret;
use crate::config::url::WebAddress;

/// Bytes of a body.
const BODY_MAX: usize = 20_000;
/// Characters of each of its texts, one after the other until the body is small enough.
const TEXTS_MAX: [usize; 3] = [4000, 1000, 100];
/// The texts of a body that have no length of their own.
const TEXTS: [&str; 6] = ["body", "subject", "summary", "what", "output", "late"];
/// Bytes of a secret.
const SECRET: std::ops::RangeInclusive<usize> = 24..=64;

/// Settings of `[channels.NAME] provider = "webhook"`.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct WebhookChannel {
    /// Where to POST; a secret, since it may hold one.
    pub url: WebAddress,
    /// What it is signed with: `whsec_` and base64. Needed for all but Alertmanager's format.
    pub secret: Option<Secret>,
    /// Secrets of before, with which it is signed as well until the receiver knows the new one.
    #[serde(default)]
    pub previous_keys: Vec<Secret>,
    /// What the body is like.
    #[serde(default)]
    pub format: WebhookFormat,
}

/// What the body of a webhook is like.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum WebhookFormat {
    /// `{"type", "timestamp", "data"}`
    #[default]
    Standard,
    /// Version 4 of Alertmanager's payload.
    Alertmanager,
}

impl Protocol for WebhookChannel {
    fn validate(&self) -> anyhow::Result<()> {
        ensure!(
            self.secret.is_some() || self.format == WebhookFormat::Alertmanager,
            "has no secret to sign with"
        );
        for secret in self.signing_secrets() {
            signing_key(secret)?;
        }
        self.url.validate()
    }

    fn address(&self) -> String {
        self.url.shown()
    }

    fn keys(&self) -> Keys<'_> {
        Keys {
            // signatures say who tells it, not of what: any secret of today will do for a resolve
            of_today: [None, None],
            previous: &self.previous_keys,
        }
    }

    fn other_secrets(&self) -> Vec<&Secret> {
        let url = self.url.secret();
        self.secret.iter().chain([url]).collect()
    }

    fn keeps_incidents(&self) -> bool {
        self.format == WebhookFormat::Alertmanager
    }

    fn send<'a>(&'a self, client: &'a Client, message: &'a Message<'_>) -> BoxFuture<'a, Answer> {
        async move {
            let body = match self.format {
                WebhookFormat::Standard => event(message),
                WebhookFormat::Alertmanager => alertmanager::payload(message).to_string(),
            };
            let id = message.id();
            // The attempt begins as soon as it is claimed; receivers allow five minutes.
            let timestamp = message.notification.claimed_at.timestamp();
            let mut request = client
                .post(self.url.expose())
                .header(CONTENT_TYPE, "application/json")
                .header("webhook-id", &id)
                .header("webhook-timestamp", timestamp);
            let signatures: Vec<String> = self
                .signing_secrets()
                .map(|secret| signature(secret, &id, timestamp, &body))
                .collect();
            if !signatures.is_empty() {
                request = request.header("webhook-signature", signatures.join(" "));
            }
            match exchange(request.body(body), message.timeout).await {
                Ok(reply) => judged(reply),
                Err(unanswered) => unanswered,
            }
        }
        .boxed()
    }
}

impl WebhookChannel {
    fn signing_secrets(&self) -> impl Iterator<Item = &Secret> {
        self.secret.iter().chain(&self.previous_keys)
    }
}

fn judged(reply: Reply) -> Answer {
    if reply.status == StatusCode::GONE {
        reply.gone()
    } else {
        reply.judged_by_status()
    }
}

fn signature(secret: &Secret, id: &str, timestamp: i64, body: &str) -> String {
    let key = signing_key(secret).expect("secrets are validated at the start");
    let mut mac = Hmac::<Sha256>::new_from_slice(&key).expect("HMAC takes keys of any length");
    mac.update(format!("{id}.{timestamp}.{body}").as_bytes());
    format!("v1,{}", STANDARD.encode(mac.finalize().into_bytes()))
}

/// # Errors
/// What a secret should look like, without the secret.
fn signing_key(secret: &Secret) -> anyhow::Result<Vec<u8>> {
    let key = secret
        .expose()
        .strip_prefix("whsec_")
        .and_then(|encoded| STANDARD.decode(encoded).ok())
        .context("secret and previous_keys must be whsec_ and base64")?;
    ensure!(
        SECRET.contains(&key.len()),
        "secret and previous_keys must be {} to {} bytes in base64; one has {}",
        SECRET.start(),
        SECRET.end(),
        key.len()
    );
    Ok(key)
}

/// The body of our own format, shortened until receivers take it.
fn event(message: &Message<'_>) -> String {
    let about = message.notification;
    let ending = if is_over(about) {
        "resolved"
    } else {
        "problem"
    };
    let mut data = json!(message.facts);
    data["dedup_key"] = json!(about.dedup_key);
    data["subject"] = json!(message.subject(Escape::Plain));
    data["body"] = json!(message.body(Escape::Plain));
    let mut event = json!({
        "type": format!("{}.{ending}", about.alert_kind),
        "timestamp": rfc3339(about.closed_at.unwrap_or(about.opened_at)),
        "data": data,
    });
    let mut text = event.to_string();
    for most in TEXTS_MAX {
        if text.len() < BODY_MAX {
            break;
        }
        shorten(&mut event["data"], most);
        text = event.to_string();
    }
    text
}

fn shorten(data: &mut Value, most: usize) {
    for name in TEXTS {
        if let Some(text) = data[name].as_str() {
            data[name] = clip_characters(text, most).into();
        }
    }
    for name in data["member_names"].as_array_mut().into_iter().flatten() {
        *name = clip_characters(name.as_str().unwrap_or_default(), most).into();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The example that every library of Standard Webhooks is tested with.
    #[test]
    fn it_signs_as_the_specification_does() {
        let secret = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw".into();
        let id = "msg_p5jXN8AQM9LWM0D4loKWxJek";
        assert_eq!(
            signature(&secret, id, 1_614_265_330, r#"{"test": 2432232314}"#),
            "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE="
        );
    }

    #[test]
    fn a_secret_is_of_24_to_64_bytes_in_base64() {
        let encoded = |bytes| format!("whsec_{}", STANDARD.encode(vec![7; bytes]));
        for (secret, is_good) in [
            (encoded(24), true),
            (encoded(64), true),
            (encoded(23), false),
            (encoded(65), false),
            ("whsec_not base64 at all!".to_owned(), false),
            (encoded(32).replace("whsec_", ""), false),
        ] {
            let key = signing_key(&secret.as_str().into());
            assert_eq!(key.is_ok(), is_good, "{secret}");
            if let Err(error) = key {
                assert!(!format!("{error:?}").contains(&secret[6..]), "{error:?}");
            }
        }
    }

    #[test]
    fn what_is_too_long_is_shortened() {
        let long = "x".repeat(30_000);
        let names = vec!["y".repeat(2000); 20];
        let mut data =
            json!({"body": long, "url": "https://stalker.example", "member_names": names});
        shorten(&mut data, 100);
        assert!(data.to_string().len() < 5000, "{data}");
        assert_eq!(data["url"], "https://stalker.example");
    }
}
