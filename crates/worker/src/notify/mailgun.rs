//! Provider `mailgun`: mail by Mailgun's messages API (semantics.md, section 7).

use anyhow::ensure;
use futures::FutureExt;
use futures::future::BoxFuture;
use reqwest::Client;
use serde::{Deserialize, Serialize};

use super::exchange::{Reply, exchange};
use super::{Answer, Message, Protocol, mail};
use crate::config::Secret;
use crate::config::url::WebAddress;

/// Recipients of one message.
const TO_MAX: usize = 1000;

/// Settings of `[channels.NAME] provider = "mailgun"`.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct MailgunChannel {
    /// Where the API is; Europe has another one.
    #[serde(default = "default_url")]
    pub url: WebAddress,
    /// The domain that it is sent from.
    pub domain: String,
    /// The sending key.
    pub api_key: Secret,
    /// `Stalker <stalker@example.net>`
    pub from: String,
    /// Who is told, all in one message.
    pub to: Vec<String>,
}

fn default_url() -> WebAddress {
    "https://api.mailgun.net".into()
}

impl Protocol for MailgunChannel {
    fn validate(&self) -> anyhow::Result<()> {
        let is_of_domain = |byte: u8| byte.is_ascii_alphanumeric() || b".-".contains(&byte);
        ensure!(
            !self.domain.is_empty() && self.domain.bytes().all(is_of_domain),
            "domain is {}; it is written as mg.example.net",
            self.domain
        );
        ensure!(
            (1..=TO_MAX).contains(&self.to.len()),
            "to has {} recipients; it takes 1 to {TO_MAX}",
            self.to.len()
        );
        for address in self.to.iter().chain([&self.from]) {
            ensure!(address.contains('@'), "{address} is no mail address");
        }
        self.url.validate()
    }

    fn address(&self) -> String {
        let to = self.to.join(", ");
        format!("{to} by {} of {}", self.domain, self.url.shown())
    }

    fn other_secrets(&self) -> Vec<&Secret> {
        vec![self.url.secret(), &self.api_key]
    }

    /// A server counts whatever its recipients.
    fn counted_by(&self) -> String {
        format!("{} {}", self.url.expose(), self.api_key.expose())
    }

    fn send<'a>(&'a self, client: &'a Client, message: &'a Message<'_>) -> BoxFuture<'a, Answer> {
        async move {
            let path = format!("v3/{}/messages", self.domain);
            let request = client
                .post(self.url.join(&path))
                .basic_auth("api", Some(self.api_key.expose()))
                .form(&self.form(message));
            match exchange(request, message.timeout).await {
                Ok(reply) => judged(reply),
                Err(unanswered) => unanswered,
            }
        }
        .boxed()
    }
}

/// The parameters of a message, by Mailgun's names.
#[derive(Serialize)]
struct Form<'a> {
    from: &'a str,
    to: String,
    subject: String,
    text: String,
    html: String,
    /// A link of a page leads where it says.
    #[serde(rename = "o:tracking")]
    tracking: &'static str,
    /// So that nobody's holiday is answered to us (RFC 3834).
    #[serde(rename = "h:Auto-Submitted")]
    auto_submitted: &'static str,
    #[serde(rename = "h:Message-Id")]
    message_id: String,
    #[serde(rename = "h:In-Reply-To", skip_serializing_if = "Option::is_none")]
    in_reply_to: Option<String>,
    #[serde(rename = "h:References", skip_serializing_if = "Option::is_none")]
    references: Option<String>,
}

impl MailgunChannel {
    fn form(&self, message: &Message<'_>) -> Form<'_> {
        let references = mail::references(message, &self.domain);
        Form {
            from: &self.from,
            to: self.to.join(", "),
            subject: mail::subject(message),
            text: mail::text(message),
            html: mail::html(message),
            tracking: "no",
            auto_submitted: "auto-generated",
            message_id: mail::message_id(message, &self.domain),
            in_reply_to: references.clone(),
            references,
        }
    }
}

/// A 2xx without the message's id comes from somebody in between.
fn judged(reply: Reply) -> Answer {
    if reply.status.is_success() && !reply.json()["id"].is_string() {
        reply.failed_for_now()
    } else {
        reply.judged_by_status()
    }
}
