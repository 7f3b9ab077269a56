//! The worker's settings. Their defaults and their manual are stalkerd's `default.toml`.

mod routes;
mod secret;
pub mod url;

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::time::Duration;

use anyhow::{Context, ensure};
use serde::Deserialize;
use stalker_db::{channels, routes as db_routes};
use stalker_domain::thresholds::Thresholds;

use crate::notify::text::Texts;
use crate::notify::{self, Protocol, secret_id};
use stalker_db::notifications::{ClaimedNotification, Rate, SecretIds};

pub use crate::notify::command::CommandChannel;
pub use crate::notify::discord::DiscordChannel;
pub use crate::notify::email::EmailChannel;
pub use crate::notify::http::HttpChannel;
pub use crate::notify::mailgun::MailgunChannel;
pub use crate::notify::ntfy::NtfyChannel;
pub use crate::notify::pagerduty::{PagerdutyApi, PagerdutyChannel};
pub use crate::notify::slack::SlackChannel;
pub use crate::notify::teams::TeamsChannel;
pub use crate::notify::telegram::{TelegramChannel, TelegramChat};
pub use crate::notify::twilio::TwilioChannel;
pub use crate::notify::webhook::{WebhookChannel, WebhookFormat};
pub use routes::{Match, Route};
pub use secret::Secret;

/// Everything that a worker needs to know.
#[derive(Debug, Clone)]
pub struct Config {
    /// Runs at the same time.
    pub slots: usize,
    /// Seconds that a script may take, for checks that do not say.
    pub check_timeout_s: u32,
    /// Seconds after which a run that was not recorded is given to another worker; more than the request may take.
    pub lease_s: u32,
    /// The key for agents that registered none of their own.
    pub check_key: Option<String>,
    /// When something is an alert, for checks that do not say.
    pub thresholds: Thresholds,
    /// While this file exists nothing is claimed; what is owed is still sent.
    pub pause_file: Option<PathBuf>,
    /// Kept connections per agent that wait for their next run.
    pub idle_connections_per_agent: usize,
    /// Seconds after which an open alert is told again.
    pub notifications_expiration_s: u32,
    /// Where the server's pages are, for links in messages.
    pub public_url: Option<String>,
    /// The destinations by name.
    pub channels: BTreeMap<String, Channel>,
    /// Which alerts concern which of them; none: all concern all.
    pub routes: Vec<Route>,
}

/// A destination: `[channels.NAME]`.
#[derive(Debug, Clone, Deserialize)]
pub struct Channel {
    /// The code that speaks its protocol, with its own settings: `provider = "…"`.
    #[serde(flatten)]
    pub provider: Provider,
    /// The channel that is told what this one does not take.
    pub fallback: Option<String>,
    /// Put in front of deduplication keys.
    #[serde(default, alias = "incident_key_prefix")]
    pub prefix: String,
    /// `PREFIXhost:check` without an episode, as the original made them.
    #[serde(default)]
    pub stable_keys: bool,
    /// Seconds that one attempt may take.
    #[serde(default = "default_timeout_s", rename = "timeout")]
    pub timeout_s: u32,
    /// Messages per minute, of all workers together; the provider's own if nothing is said.
    pub rate_per_minute: Option<f64>,
    /// A template of one line.
    pub subject: Option<String>,
    /// A template.
    pub body: Option<String>,
    /// The configured channel of which this is one recipient.
    #[serde(skip)]
    pub part_of: Option<String>,
}

impl Config {
    /// What the database knows of its channels and routes: everything but secrets.
    #[must_use]
    pub fn rows(&self) -> (Vec<channels::Channel>, Vec<db_routes::Route>) {
        let repeat_s = self.notifications_expiration_s;
        let channels = self
            .channels
            .iter()
            .map(|(name, channel)| channel.row(name, repeat_s));
        let routes = self.routes.iter().map(|route| route.row(&self.channels));
        (channels.collect(), routes.collect())
    }
}

fn default_timeout_s() -> u32 {
    15
}

/// The longest that a channel's attempt may take, in seconds.
pub const TIMEOUT_MAX_S: u32 = 60;
/// From the end of an attempt until its lease ends, in seconds: enough to write down how it ended.
const LEASE_MARGIN_S: u32 = 15;

/// The providers. A new one is a file in `notify`, a line here and one in [`Channel::protocol`].
#[derive(Debug, Clone, Deserialize)]
#[serde(tag = "provider", rename_all = "lowercase")]
pub enum Provider {
    /// A program on the worker's machine.
    Command(CommandChannel),
    /// A webhook of Discord.
    Discord(DiscordChannel),
    /// E-mail by SMTP.
    Email(EmailChannel),
    /// The original's generic HTTP POST.
    Http(HttpChannel),
    /// Mail by Mailgun.
    Mailgun(MailgunChannel),
    /// A topic of ntfy.
    Ntfy(NtfyChannel),
    /// PagerDuty's events APIs.
    Pagerduty(PagerdutyChannel),
    /// An incoming webhook of Slack.
    Slack(SlackChannel),
    /// A workflow of Microsoft Teams.
    Teams(TeamsChannel),
    /// A Telegram bot.
    Telegram(TelegramChannel),
    /// Short messages.
    Twilio(TwilioChannel),
    /// A signed POST, of our own format or Alertmanager's.
    Webhook(WebhookChannel),
}

impl Channel {
    /// With a provider, and nothing else said.
    #[must_use]
    pub fn new(provider: Provider) -> Self {
        Self {
            provider,
            fallback: None,
            prefix: String::new(),
            stable_keys: false,
            timeout_s: default_timeout_s(),
            rate_per_minute: None,
            subject: None,
            body: None,
            part_of: None,
        }
    }

    fn provider_name(&self) -> &'static str {
        match &self.provider {
            Provider::Command(_) => "command",
            Provider::Discord(_) => "discord",
            Provider::Email(_) => "email",
            Provider::Http(_) => "http",
            Provider::Mailgun(_) => "mailgun",
            Provider::Ntfy(_) => "ntfy",
            Provider::Pagerduty(_) => "pagerduty",
            Provider::Slack(_) => "slack",
            Provider::Teams(_) => "teams",
            Provider::Telegram(_) => "telegram",
            Provider::Twilio(_) => "twilio",
            Provider::Webhook(_) => "webhook",
        }
    }

    pub(crate) fn protocol(&self) -> &dyn Protocol {
        match &self.provider {
            Provider::Command(command) => command,
            Provider::Discord(discord) => discord,
            Provider::Email(email) => email,
            Provider::Http(http) => http,
            Provider::Mailgun(mailgun) => mailgun,
            Provider::Ntfy(ntfy) => ntfy,
            Provider::Pagerduty(pagerduty) => pagerduty,
            Provider::Slack(slack) => slack,
            Provider::Teams(teams) => teams,
            Provider::Telegram(telegram) => telegram,
            Provider::Twilio(twilio) => twilio,
            Provider::Webhook(webhook) => webhook,
        }
    }

    /// One channel for each recipient, where recipients are told one by one; by what their names end with.
    fn recipients(&self) -> Vec<(String, Self)> {
        let alone: Vec<(String, Provider)> = match &self.provider {
            Provider::Email(email) => named(email.by_recipient(), Provider::Email),
            Provider::Twilio(twilio) => named(twilio.by_recipient(), Provider::Twilio),
            _ => Vec::new(),
        };
        let channel = |(name, provider)| {
            let channel = Self {
                provider,
                ..self.clone()
            };
            (name, channel)
        };
        alone.into_iter().map(channel).collect()
    }

    pub(crate) fn texts(&self) -> anyhow::Result<Texts> {
        let defaults = self.protocol().texts();
        Texts::new(self.subject.as_deref(), self.body.as_deref(), defaults)
    }

    pub(crate) fn timeout(&self) -> Duration {
        Duration::from_secs(self.timeout_s.into())
    }

    /// Seconds for which a notification is taken: an attempt and what is needed to write down how it ended.
    pub(crate) fn lease_s(&self) -> u32 {
        self.timeout_s + LEASE_MARGIN_S
    }

    /// The key to tell this with: the one that its alert was told with, else that of today.
    pub(crate) fn key(&self, about: &ClaimedNotification) -> Option<&Secret> {
        let keys = self.protocol().keys();
        let is_named = |key: &&Secret| Some(secret_id(key.expose())) == about.secret_id;
        let all = keys.of_today.into_iter().flatten().chain(keys.previous);
        let of_today = keys.of_today[usize::from(about.priority > 1)];
        all.into_iter().find(is_named).or(of_today)
    }

    /// One for each key of today: a test tries them all. The less urgent one where they are the same.
    pub(crate) fn priorities_of_keys(&self) -> Vec<i16> {
        match self.protocol().keys().of_today {
            [one, two] if one != two => vec![1, 2],
            _ => vec![2],
        }
    }

    /// All that is secret of it.
    pub(crate) fn secrets(&self) -> Vec<&Secret> {
        let protocol = self.protocol();
        let keys = protocol.keys();
        let keys = keys.of_today.into_iter().flatten().chain(keys.previous);
        keys.chain(protocol.other_secrets()).collect()
    }

    pub(crate) fn secret_ids(&self) -> SecretIds {
        let keys = self.protocol().keys();
        let of_today = keys
            .of_today
            .map(|key| key.map(|key| secret_id(key.expose())));
        let previous = keys.previous.iter().map(|key| secret_id(key.expose()));
        SecretIds {
            known: of_today.iter().flatten().cloned().chain(previous).collect(),
            of_today,
        }
    }

    /// How much may be sent, by whom this is known: channels of one receiver share its rate.
    pub(crate) fn rate(&self) -> Option<Rate> {
        let protocol = self.protocol();
        let own = protocol.rate();
        let rate = match (self.rate_per_minute, own) {
            (Some(per_minute), own) => notify::Rate {
                per_minute,
                burst: own
                    .map_or(per_minute / 10.0, |own| own.burst)
                    .clamp(1.0, per_minute.max(1.0)),
            },
            (None, own) => own?,
        };
        Some(Rate {
            key: format!(
                "{} {}",
                self.provider_name(),
                notify::digest(&protocol.counted_by())
            ),
            per_s: rate.per_minute / 60.0,
            burst: rate.burst,
        })
    }

    /// Says which settings these are, all of them, and nothing of those that are secret: with others, what was refused is
    /// worth another try.
    fn settings_id(&self) -> String {
        let secrets: Vec<&str> = self.secrets().into_iter().map(Secret::expose).collect();
        notify::digest(&format!("{self:?} {}", secrets.join(" ")))
    }

    /// What the database knows of it: everything but its secrets.
    pub(crate) fn row(&self, name: &str, repeat_s: u32) -> channels::Channel {
        let protocol = self.protocol();
        channels::Channel {
            name: name.to_owned(),
            provider: self.provider_name().to_owned(),
            prefix: self.prefix.clone(),
            stable_keys: self.stable_keys,
            repeat_s: i32::try_from(repeat_s).unwrap_or(i32::MAX),
            fallback: self.fallback.clone(),
            settings_id: self.settings_id(),
            part_of: self.part_of.clone(),
            address: protocol.address(),
            takes_acknowledge: protocol.takes_acknowledge(),
        }
    }

    fn validate(&self) -> anyhow::Result<()> {
        let protocol = self.protocol();
        protocol.validate()?;
        ensure!(
            self.secrets()
                .iter()
                .all(|secret| !secret.expose().is_empty()),
            "has an empty key; leave it out if there is none"
        );
        ensure!(
            (1..=TIMEOUT_MAX_S).contains(&self.timeout_s),
            "timeout is {}; it must be from 1 to {TIMEOUT_MAX_S} s",
            self.timeout_s
        );
        ensure!(
            self.rate_per_minute
                .is_none_or(|rate| rate > 0.0 && rate <= 1e6),
            "rate_per_minute must be more than 0, and at most a million"
        );
        self.texts()?;
        Ok(())
    }
}

/// Refuses settings with which something could never be told.
///
/// # Errors
/// Which setting, and what is wrong with it.
pub fn validate(channels: &BTreeMap<String, Channel>, routes: &[Route]) -> anyhow::Result<()> {
    for (name, channel) in channels {
        ensure!(
            !name.contains('/'),
            "channels.{name}: a name has no slash; what comes behind one is a recipient"
        );
        channel
            .validate()
            .with_context(|| format!("channels.{name}"))?;
        no_cycle(channels, name)?;
    }
    for (position, route) in (1..).zip(routes) {
        route
            .validate(channels)
            .with_context(|| format!("route {position} of [[routes]]"))?;
    }
    Ok(())
}

/// The channels as they are told: where each recipient is told for itself, a channel for each, called `NAME/RECIPIENT`.
#[must_use]
pub fn by_recipient(channels: &BTreeMap<String, Channel>) -> BTreeMap<String, Channel> {
    let mut told = BTreeMap::new();
    for (name, channel) in channels {
        let recipients = channel.recipients();
        if recipients.is_empty() {
            told.insert(name.clone(), channel.clone());
        }
        for (recipient, mut part) in recipients {
            part.part_of = Some(name.clone());
            told.insert(format!("{name}/{recipient}"), part);
        }
    }
    told
}

fn named<P>(parts: Vec<(String, P)>, provider: fn(P) -> Provider) -> Vec<(String, Provider)> {
    let parts = parts.into_iter();
    parts.map(|(name, part)| (name, provider(part))).collect()
}

/// Follows the fallbacks of a channel to their end.
fn no_cycle(channels: &BTreeMap<String, Channel>, name: &str) -> anyhow::Result<()> {
    let mut passed = vec![name];
    while let Some(fallback) = &channels[*passed.last().unwrap_or(&name)].fallback {
        ensure!(
            channels.contains_key(fallback),
            "channels.{}.fallback is {fallback}, which is not configured",
            passed.last().unwrap_or(&name)
        );
        ensure!(
            !passed.contains(&fallback.as_str()),
            "channels.{name}.fallback goes in a circle: {} -> {fallback}",
            passed.join(" -> ")
        );
        passed.push(fallback);
    }
    Ok(())
}
