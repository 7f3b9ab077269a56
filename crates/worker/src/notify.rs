//! How a message is sent, one file per provider. What they have in common is here: what is to be said ([`Message`]), how it
//! was taken ([`Answer`]), and what a provider must be able to say of itself ([`Protocol`]).

pub(crate) mod command;
pub(crate) mod discord;
pub(crate) mod email;
mod exchange;
mod facts;
mod hidden;
pub(crate) mod http;
mod mail;
pub(crate) mod mailgun;
pub(crate) mod ntfy;
pub(crate) mod pagerduty;
pub(crate) mod slack;
pub(crate) mod teams;
pub(crate) mod telegram;
pub(crate) mod text;
pub(crate) mod twilio;
pub(crate) mod webhook;

use std::time::Duration;

use futures::future::BoxFuture;
use reqwest::Client;
use sha2::{Digest, Sha256};
use stalker_db::notifications::ClaimedNotification;
use stalker_domain::wire;

use crate::config::{Channel, Secret};
use facts::Facts;
use text::{Defaults, Escape, Texts};

/// Messages under way at the same time on one channel, where the provider says nothing else.
const CONCURRENCY: usize = 8;
/// The longest wait for a connection.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);

/// What a provider is: how it is reached, what it may be asked, and how it is told.
pub(crate) trait Protocol: Send + Sync {
    /// Refuses settings with which nothing could be told. What is wrong is said without what is secret.
    fn validate(&self) -> anyhow::Result<()>;

    /// Where it leads, for people: without what is secret.
    fn address(&self) -> String;

    /// The keys that a resolve must share with its trigger.
    fn keys(&self) -> Keys<'_> {
        Keys::default()
    }

    /// Everything else that is secret.
    fn other_secrets(&self) -> Vec<&Secret> {
        Vec::new()
    }

    /// How much the target takes, if it says so.
    fn rate(&self) -> Option<Rate> {
        None
    }

    /// Whose messages the target counts, beside the key that one is sent with. Is never shown.
    fn counted_by(&self) -> String {
        let secrets = self.other_secrets().into_iter().map(Secret::expose);
        let parts: Vec<&str> = secrets.collect();
        format!("{} {}", self.address(), parts.join(" "))
    }

    /// How many messages may be under way at the same time.
    fn concurrency(&self) -> usize {
        CONCURRENCY
    }

    /// What it says where the channel has no templates of its own.
    fn texts(&self) -> Defaults {
        text::LONG
    }

    /// It knows what is open, so that what was opened must be closed, a test as well.
    fn keeps_incidents(&self) -> bool {
        false
    }

    /// It can be told who takes care of an alert.
    fn takes_acknowledge(&self) -> bool {
        false
    }

    /// Its messages show the check as it is now, all of it.
    fn shows_check(&self) -> bool {
        false
    }

    /// Sends one message, and says how it was taken. Ends within [`Message::timeout`].
    fn send<'a>(&'a self, client: &'a Client, message: &'a Message<'_>) -> BoxFuture<'a, Answer>;
}

/// Keys with which a receiver knows its alerts.
#[derive(Debug, Default)]
pub(crate) struct Keys<'a> {
    /// Those of today, for priority 1 and for priority 2.
    pub(crate) of_today: [Option<&'a Secret>; 2],
    /// Those of before.
    pub(crate) previous: &'a [Secret],
}

/// What a target takes: `per_minute` in the long run, and so many more at once after a rest.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct Rate {
    pub(crate) per_minute: f64,
    pub(crate) burst: f64,
}

/// What is to be said.
#[derive(Debug)]
pub(crate) struct Message<'a> {
    /// The notification with its alert.
    pub(crate) notification: &'a ClaimedNotification,
    /// What people are told of it.
    pub(crate) facts: Facts,
    /// The check as it is now, if [`Protocol::shows_check`].
    pub(crate) check: Option<wire::Check>,
    /// The key to send it with.
    pub(crate) key: Option<&'a Secret>,
    /// What one attempt may take.
    pub(crate) timeout: Duration,
    texts: &'a Texts,
}

/// How the receiver took it.
#[derive(Debug)]
pub(crate) struct Answer {
    /// None: it was accepted.
    pub(crate) failure: Option<Failure>,
    /// The receiver may have it (decision 7).
    pub(crate) may_have_arrived: bool,
    /// HTTP status, or what the protocol has in its place, if there was an answer.
    pub(crate) http_status: Option<u16>,
    /// The beginning of the answer.
    pub(crate) excerpt: Option<String>,
}

/// Why it was not accepted, for people, and what follows.
#[derive(Debug)]
pub(crate) enum Failure {
    /// Worth another try.
    Passing {
        why: String,
        /// When the receiver wants to be asked again.
        retry_after: Option<Duration>,
    },
    /// Trying again would change nothing.
    Final(String),
    /// The receiver is gone for good: the channel is disabled.
    Gone(String),
}

/// A channel, ready to be told.
#[derive(Debug)]
pub(crate) struct Outlet {
    name: String,
    channel: Channel,
    texts: Texts,
    public_url: Option<String>,
}

impl Outlet {
    pub(crate) fn new(
        name: &str,
        channel: &Channel,
        public_url: Option<&str>,
    ) -> anyhow::Result<Self> {
        Ok(Self {
            name: name.to_owned(),
            texts: channel.texts()?,
            channel: channel.clone(),
            public_url: public_url.map(str::to_owned),
        })
    }

    pub(crate) fn name(&self) -> &str {
        &self.name
    }

    pub(crate) fn channel(&self) -> &Channel {
        &self.channel
    }

    /// Tells it. What is said of its answer is without what is secret, which some receivers repeat.
    pub(crate) async fn send(
        &self,
        client: &Client,
        notification: &ClaimedNotification,
        check: Option<wire::Check>,
    ) -> Answer {
        let message = Message {
            notification,
            facts: Facts::of(notification, self.public_url.as_deref()),
            check,
            key: self.channel.key(notification),
            timeout: self.channel.timeout(),
            texts: &self.texts,
        };
        let answer = self.channel.protocol().send(client, &message).await;
        answer.without(&self.channel.secrets())
    }
}

impl Answer {
    fn without(mut self, secrets: &[&Secret]) -> Self {
        let why = match &mut self.failure {
            Some(Failure::Passing { why, .. } | Failure::Final(why) | Failure::Gone(why)) => {
                Some(why)
            }
            None => None,
        };
        for text in why.into_iter().chain(&mut self.excerpt) {
            hidden::hide(text, secrets);
        }
        self
    }
}

impl Message<'_> {
    /// The subject, in one line.
    pub(crate) fn subject(&self, escape: Escape) -> String {
        self.texts.subject(escape, &self.facts)
    }

    /// The body.
    pub(crate) fn body(&self, escape: Escape) -> String {
        self.texts.body(escape, &self.facts)
    }

    /// The same for every attempt of this notification, and for no other.
    pub(crate) fn id(&self) -> String {
        let about = self.notification;
        // a test is told, and told to be over, under one number
        let key = digest(&format!(
            "{} {} {}",
            about.dedup_key,
            about.opened_at.timestamp_micros(),
            about.kind
        ));
        format!("{key}-{}", about.notification_id)
    }

    /// The same for all messages about one alert.
    pub(crate) fn thread_id(&self) -> String {
        let about = self.notification;
        digest(&format!(
            "{} {}",
            about.dedup_key,
            about.opened_at.timestamp_micros()
        ))
    }
}

/// The client that all providers share. A redirect could carry a secret to somebody else. Connections must stand well within
/// the shortest time-out: of a request that had none it is known that it has not arrived.
pub(crate) fn client<'a>(
    channels: impl IntoIterator<Item = &'a Channel>,
) -> anyhow::Result<Client> {
    let timeouts = channels.into_iter().map(Channel::timeout);
    let shortest = timeouts.min().unwrap_or(CONNECT_TIMEOUT);
    Ok(Client::builder()
        .connect_timeout(CONNECT_TIMEOUT.min(shortest / 2))
        .redirect(reqwest::redirect::Policy::none())
        .user_agent(concat!("Stalker/", env!("CARGO_PKG_VERSION")))
        .build()?)
}

/// As much of the beginning of `text` as the target takes, by its characters; what was cut off is marked.
pub(crate) fn clip_characters(text: &str, most: usize) -> String {
    match text.char_indices().nth(most) {
        None => text.to_owned(),
        Some(_) => {
            let mut clipped: String = text.chars().take(most.saturating_sub(1)).collect();
            clipped.push('…');
            clipped
        }
    }
}

/// How long to wait after the `attempt`th failure (decision 8): 5 s, 15 s, 45 s, 2 m, then every 5 m, each up to a
/// tenth longer, so that receivers that come back are not met by everything at once.
pub(crate) fn backoff(attempt: i32) -> Duration {
    let seconds = match attempt {
        ..=1 => 5,
        2 => 15,
        3 => 45,
        4 => 120,
        _ => 300,
    };
    Duration::from_secs(seconds).mul_f64(1.0 + rand::random::<f64>() / 10.0)
}

/// First 8 hex digits of the SHA-256 of a secret: says which one was used, and nothing of it.
pub(crate) fn secret_id(secret: &str) -> String {
    hex(secret, 4)
}

/// Says which text it was, and nothing of it.
pub(crate) fn digest(text: &str) -> String {
    hex(text, 12)
}

fn hex(text: &str, bytes: usize) -> String {
    Sha256::digest(text)
        .iter()
        .take(bytes)
        .map(|byte| format!("{byte:02x}"))
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn waits_grow_to_five_minutes() {
        let waits: Vec<u64> = (1..8).map(|attempt| backoff(attempt).as_secs()).collect();
        for (wait, least) in waits.into_iter().zip([5, 15, 45, 120, 300, 300, 300]) {
            assert!(
                (least..=least + least / 10).contains(&wait),
                "{wait} for {least}"
            );
        }
    }

    #[test]
    fn text_is_clipped_by_characters() {
        for (text, clipped) in [("äöü", "äöü"), ("äöüß", "äö…"), ("", "")] {
            assert_eq!(clip_characters(text, 3), clipped);
        }
    }
}
