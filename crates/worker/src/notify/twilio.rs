//! Provider `twilio`: short messages (semantics.md, section 8). Each number is told for itself, and has notifications of
//! its own.

mod gsm7;

use anyhow::ensure;
use futures::FutureExt;
use futures::future::BoxFuture;
use reqwest::Client;
use serde::{Deserialize, Serialize};

use super::exchange::{Reply, exchange};
use super::text::{self, Defaults, Escape};
use super::{Answer, Message, Protocol, Rate, clip_characters};
use crate::config::Secret;
use crate::config::url::WebAddress;

/// Characters of a message: two or three parts of it.
const BODY_MAX: usize = 320;
/// A number sends one part in a second.
const RATE: Rate = Rate {
    per_minute: 60.0,
    burst: 10.0,
};
/// Seconds for which Twilio tries to deliver.
const VALIDITY_S: std::ops::RangeInclusive<i64> = 1..=36_000;

/// Settings of `[channels.NAME] provider = "twilio"`.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct TwilioChannel {
    /// Where the API is.
    #[serde(default = "default_url")]
    pub url: WebAddress,
    /// The account: `AC…`.
    pub sid: String,
    /// The account's token, or the secret of the API key.
    pub token: Secret,
    /// An API key of the account, `SK…`, so that the account's own token need not be here.
    pub api_key_sid: Option<String>,
    /// The number that it comes from.
    pub from: Option<String>,
    /// The service that chooses the number.
    pub messaging_service_sid: Option<String>,
    /// The numbers to tell, as `+491701234567`.
    pub to: Vec<String>,
    /// Seconds after which a problem that could not be delivered is not delivered any more.
    #[serde(default = "default_validity_s", rename = "validity")]
    pub validity_s: u32,
}

fn default_url() -> WebAddress {
    "https://api.twilio.com".into()
}

/// A page of last night is worth nothing in the morning; an alert that is still open then is told again.
fn default_validity_s() -> u32 {
    14_400
}

impl Protocol for TwilioChannel {
    fn validate(&self) -> anyhow::Result<()> {
        ensure!(
            self.sid.starts_with("AC") && self.sid.bytes().all(|byte| byte.is_ascii_alphanumeric()),
            "sid is that of the account and begins with AC"
        );
        ensure!(
            self.from.is_some() != self.messaging_service_sid.is_some(),
            "needs either from or messaging_service_sid"
        );
        ensure!(!self.to.is_empty(), "to names nobody");
        for number in &self.to {
            ensure!(
                is_e164(number),
                "to has {number}; a number is written as +491701234567"
            );
        }
        ensure!(
            VALIDITY_S.contains(&self.validity_s.into()),
            "validity is {}; it must be from {} to {} s",
            self.validity_s,
            VALIDITY_S.start(),
            VALIDITY_S.end()
        );
        self.url.validate()
    }

    /// Without the recipient, which the channel is named by: the rate is that of the sender.
    fn address(&self) -> String {
        let from = self.from.as_ref().or(self.messaging_service_sid.as_ref());
        let from = from.map_or("", String::as_str);
        format!("{} of {} from {from}", self.url.shown(), self.sid)
    }

    fn other_secrets(&self) -> Vec<&Secret> {
        vec![self.url.secret(), &self.token]
    }

    fn rate(&self) -> Option<Rate> {
        Some(RATE)
    }

    fn texts(&self) -> Defaults {
        text::SHORT
    }

    fn send<'a>(&'a self, client: &'a Client, message: &'a Message<'_>) -> BoxFuture<'a, Answer> {
        async move {
            let path = format!("2010-04-01/Accounts/{}/Messages.json", self.sid);
            let user = self.api_key_sid.as_ref().unwrap_or(&self.sid);
            let request = client
                .post(self.url.join(&path))
                .basic_auth(user, Some(self.token.expose()))
                .form(&self.form(message));
            match exchange(request, message.timeout).await {
                Ok(reply) => judged(reply),
                Err(unanswered) => unanswered,
            }
        }
        .boxed()
    }
}

/// The parameters of a message, by Twilio's names.
#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
struct Form<'a> {
    to: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    from: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    messaging_service_sid: Option<&'a str>,
    body: String,
    validity_period: i64,
}

impl TwilioChannel {
    /// The same for each number alone.
    pub(crate) fn by_recipient(&self) -> Vec<(String, Self)> {
        let alone = |number: &String| {
            let alone = Self {
                to: vec![number.clone()],
                ..self.clone()
            };
            (number.clone(), alone)
        };
        self.to.iter().map(alone).collect()
    }

    fn form(&self, message: &Message<'_>) -> Form<'_> {
        let about = message.notification;
        let left = about
            .expires_at
            .map(|expires_at| (expires_at - about.claimed_at).num_seconds());
        Form {
            to: self
                .to
                .first()
                .expect("a channel without recipients is refused at the start"),
            from: self.from.as_deref(),
            messaging_service_sid: self.messaging_service_sid.as_deref(),
            body: fitted(&message.body(Escape::Plain), message.facts.url.as_deref()),
            validity_period: left
                .unwrap_or(self.validity_s.into())
                .clamp(*VALIDITY_S.start(), *VALIDITY_S.end()),
        }
    }
}

/// As much of it as is sent; half a link would lead nowhere.
fn fitted(body: &str, link: Option<&str>) -> String {
    let body = gsm7::reduced(body);
    match link.and_then(|link| Some((body.strip_suffix(link)?.trim_end(), link))) {
        Some((text, link)) if link.len() < BODY_MAX / 2 => {
            format!("{} {link}", clipped(text, BODY_MAX - link.len() - 1))
        }
        _ => clipped(&body, BODY_MAX),
    }
}

fn clipped(text: &str, most: usize) -> String {
    // the mark of what was cut off becomes three characters
    gsm7::reduced(&clip_characters(text, most - 2))
}

/// Twilio says in a code why a message is not sent. A 2xx without the message's sid comes from somebody in between.
fn judged(reply: Reply) -> Answer {
    let said = reply.json();
    let code = said.get("error_code").or(said.get("code"));
    let code = code.and_then(serde_json::Value::as_u64);
    match code {
        // too many messages in the queue, a telephone that is off, too many requests
        Some(30001 | 30003 | 20429) => reply.failed_for_now(),
        // no such number, a region that is not enabled, a bad sender, somebody who said STOP, no such telephone, a
        // landline; and what a carrier has filtered, which another channel must tell
        Some(21211 | 21408 | 21606 | 21610 | 30005 | 30006 | 30007) => reply.refused(),
        _ if reply.status.is_success() && (code.is_some() || !said["sid"].is_string()) => {
            reply.failed_for_now()
        }
        _ => reply.judged_by_status(),
    }
}

/// `+`, and up to 15 digits of which the first is not 0.
fn is_e164(number: &str) -> bool {
    number.strip_prefix('+').is_some_and(|digits| {
        (2..=15).contains(&digits.len())
            && !digits.starts_with('0')
            && digits.bytes().all(|byte| byte.is_ascii_digit())
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_message_is_cut_in_front_of_its_link() {
        let link = "https://stalker.example/#/hosts/db1";
        let long = "ä".repeat(400);
        for (body, link, length, end) in [
            ("short".to_owned(), None, 5, "short"),
            (
                format!("short {link}"),
                Some(link),
                41,
                "short https://stalker.example/#/hosts/db1",
            ),
            (long.clone(), None, 320, "ä..."),
            (
                format!("{long} {link}"),
                Some(link),
                320,
                "ä... https://stalker.example/#/hosts/db1",
            ),
            // a template of somebody who has the link elsewhere
            (format!("{link} {long}"), Some(link), 320, "ä..."),
        ] {
            let fitted = fitted(&body, link);
            assert_eq!(fitted.chars().count(), length, "{fitted}");
            assert!(fitted.ends_with(end), "{fitted}");
        }
    }

    #[test]
    fn numbers_are_written_in_one_way() {
        for (number, is_good) in [
            ("+491701234567", true),
            ("+49 170 1234567", false),
            ("00491701234567", false),
            ("+0491701234567", false),
            ("+4917012345678901", false),
            ("+", false),
        ] {
            assert_eq!(is_e164(number), is_good, "{number}");
        }
    }
}
