//! The worker's settings. Their defaults and their manual are stalkerd's `default.toml`.

use std::collections::BTreeMap;
use std::path::PathBuf;

use serde::Deserialize;
use stalker_db::channels;

use crate::notify;
pub use crate::notify::http::HttpChannel;

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
    /// Failing runs in a row until a problem is hard, for checks that do not say.
    pub alert_threshold: u32,
    /// Seconds that a host must have been unreachable before its alert opens.
    pub host_down_after_s: u32,
    /// While this file exists nothing is claimed; what is owed is still sent.
    pub pause_file: Option<PathBuf>,
    /// Kept connections per agent that wait for their next run.
    pub idle_connections_per_agent: usize,
    /// Seconds after which an open alert is told again.
    pub notifications_expiration_s: u32,
    /// The destinations by name.
    pub channels: BTreeMap<String, Channel>,
}

/// A destination, by the provider that speaks its protocol: `[channels.NAME] provider = "…"`.
#[derive(Debug, Clone, Deserialize)]
#[serde(tag = "provider", rename_all = "lowercase")]
pub enum Channel {
    /// The original's generic HTTP POST.
    Http(HttpChannel),
}

impl Channel {
    /// Refuses settings with which nothing could ever be told.
    ///
    /// # Errors
    /// Which setting, and what is wrong with it.
    pub fn validate(&self) -> anyhow::Result<()> {
        match self {
            Self::Http(http) => http.validate(),
        }
    }

    /// Says which secret is in use, and nothing of it; none if there is none.
    pub(crate) fn secret_id(&self) -> Option<String> {
        match self {
            Self::Http(http) => http.service_key.as_deref().map(notify::secret_id),
        }
    }

    /// What the database knows of it: everything but its secrets.
    pub(crate) fn row(&self, name: &str, repeat_s: u32) -> channels::Channel {
        let (provider, prefix, stable_keys) = match self {
            Self::Http(http) => ("http", &http.prefix, http.stable_keys),
        };
        channels::Channel {
            name: name.to_owned(),
            provider: provider.to_owned(),
            prefix: prefix.clone(),
            stable_keys,
            repeat_s: i32::try_from(repeat_s).unwrap_or(i32::MAX),
        }
    }
}
