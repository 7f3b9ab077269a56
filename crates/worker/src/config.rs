//! The worker's settings. Their defaults and their manual are stalkerd's `default.toml`.

mod routes;

use std::collections::BTreeMap;
use std::path::PathBuf;

use anyhow::{Context, ensure};
use serde::Deserialize;
use stalker_db::channels;
use stalker_domain::thresholds::Thresholds;

use crate::notify;
pub use crate::notify::http::HttpChannel;
pub use routes::{Match, Route};

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
    #[serde(default)]
    pub prefix: String,
    /// `PREFIXhost:check` without an episode, as the original made them.
    #[serde(default)]
    pub stable_keys: bool,
}

/// The providers. A new one is a file in `notify`, and a line here.
#[derive(Debug, Clone, Deserialize)]
#[serde(tag = "provider", rename_all = "lowercase")]
pub enum Provider {
    /// The original's generic HTTP POST.
    Http(HttpChannel),
}

/// Refuses settings with which something could never be told.
///
/// # Errors
/// Which setting, and what is wrong with it.
pub fn validate(channels: &BTreeMap<String, Channel>, routes: &[Route]) -> anyhow::Result<()> {
    for (name, channel) in channels {
        let own = match &channel.provider {
            Provider::Http(http) => http.validate(),
        };
        own.with_context(|| format!("channels.{name}"))?;
        ensure!(
            channel.secrets().iter().all(|secret| !secret.is_empty()),
            "channels.{name} has an empty key; leave it out if there is none"
        );
        no_cycle(channels, name)?;
    }
    for (position, route) in (1..).zip(routes) {
        route
            .validate(channels)
            .with_context(|| format!("route {position} of [[routes]]"))?;
    }
    Ok(())
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

impl Channel {
    /// Its secret of today.
    fn secret_of_today(&self) -> Option<&str> {
        match &self.provider {
            Provider::Http(http) => http.service_key.as_deref(),
        }
    }

    /// Its secret of today, and after it those of before.
    pub(crate) fn secrets(&self) -> Vec<&str> {
        let previous = match &self.provider {
            Provider::Http(http) => &http.previous_keys,
        };
        let previous = previous.iter().map(String::as_str);
        self.secret_of_today().into_iter().chain(previous).collect()
    }

    /// The secret that this names, else the one of today.
    pub(crate) fn secret(&self, secret_id: Option<&str>) -> Option<&str> {
        let is_named = |secret: &&str| Some(notify::secret_id(secret).as_str()) == secret_id;
        self.secrets()
            .into_iter()
            .find(is_named)
            .or(self.secret_of_today())
    }

    /// What the database knows of it: everything but its secrets.
    pub(crate) fn row(&self, name: &str, repeat_s: u32) -> channels::Channel {
        let (provider, address) = match &self.provider {
            Provider::Http(http) => ("http", &http.url),
        };
        let secret = self.secret_of_today().unwrap_or_default();
        channels::Channel {
            name: name.to_owned(),
            provider: provider.to_owned(),
            prefix: self.prefix.clone(),
            stable_keys: self.stable_keys,
            repeat_s: i32::try_from(repeat_s).unwrap_or(i32::MAX),
            fallback: self.fallback.clone(),
            settings_id: notify::secret_id(&format!("{provider} {address} {secret}")),
        }
    }
}
