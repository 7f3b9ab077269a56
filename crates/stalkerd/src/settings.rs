//! The configuration: read once, at the top, validated, and passed down as values.
//!
//! `default.toml` < `--config` (else `/etc/stalker/stalkerd.toml`) < environment. An unknown key is an error.

mod secrets;
#[cfg(test)]
mod tests;

use std::collections::BTreeMap;
use std::net::{IpAddr, SocketAddr};
use std::num::NonZeroU32;
use std::path::PathBuf;
use std::time::Duration;

use anyhow::{Context, bail, ensure};
use figment::Figment;
use figment::providers::{Env, Format, Serialized, Toml};
use figment::value::Dict;
use ipnet::IpNet;
use serde::de::Error as _;
use serde::{Deserialize, Deserializer};
use stalker_clusters::Clusters;
use stalker_domain::outcome::{LEASE_MARGIN_S, REQUEST_MARGIN_S, TIMEOUT_MAX_S};
use stalker_domain::thresholds::Thresholds;
use stalker_worker::config::{self, Channel, Route, Secret};

const DEFAULT: &str = include_str!("default.toml");
const SYSTEM_FILE: &str = "/etc/stalker/stalkerd.toml";

/// Everything that can be set. Each field is explained in `default.toml`.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Settings {
    pub(crate) database: Database,
    pub(crate) log: Log,
    pub(crate) api: Api,
    pub(crate) agents: Agents,
    pub(crate) worker: Worker,
    pub(crate) alerts: Alerts,
    pub(crate) scheduler: Scheduler,
    pub(crate) channels: BTreeMap<String, Channel>,
    pub(crate) routes: Vec<Route>,
    pub(crate) clusters: BTreeMap<String, Cluster>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Database {
    pub(crate) url: Option<String>,
    pub(crate) max_connections: u32,
}

#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Log {
    pub(crate) level: String,
    pub(crate) format: LogFormat,
}

#[derive(Debug, Clone, Copy, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum LogFormat {
    Text,
    Json,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Api {
    pub(crate) listen: SocketAddr,
    pub(crate) register_key: Option<String>,
    pub(crate) api_key: Option<String>,
    pub(crate) cluster_id: Option<String>,
    pub(crate) public_url: Option<String>,
    pub(crate) cors_origins: Vec<String>,
    #[serde(deserialize_with = "networks")]
    pub(crate) trusted_proxies: Vec<IpNet>,
    pub(crate) requests_per_s: u32,
    pub(crate) remote_timeout: u32,
    pub(crate) cache_ttl: u32,
}

/// Addresses are networks of one.
fn networks<'de, D: Deserializer<'de>>(value: D) -> Result<Vec<IpNet>, D::Error> {
    let texts = Vec::<String>::deserialize(value)?;
    let network = |text: &String| {
        let address = || text.parse::<IpAddr>().map(IpNet::from);
        let network = text.parse().or_else(|_| address());
        network.map_err(|_| {
            D::Error::custom(format!(
                "{text:?} is neither an address nor a network such as \"10.0.0.0/8\""
            ))
        })
    };
    texts.iter().map(network).collect()
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Agents {
    pub(crate) allow_tokenless: bool,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Worker {
    pub(crate) slots: usize,
    pub(crate) check_timeout: u32,
    pub(crate) lease: u32,
    pub(crate) check_key: Option<String>,
    pub(crate) pause_file: Option<PathBuf>,
    pub(crate) idle_connections_per_agent: usize,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Alerts {
    pub(crate) alert_threshold: u32,
    pub(crate) flap_threshold: u32,
    pub(crate) flap_window: u32,
    pub(crate) flap_notify_after: u32,
    pub(crate) host_down_after: u32,
    pub(crate) host_threshold: u32,
    pub(crate) host_window: u32,
    pub(crate) flood_threshold: u32,
    pub(crate) flood_window: u32,
    pub(crate) notifications_expiration: u32,
    pub(crate) cluster_down_after: u32,
}

impl Alerts {
    fn thresholds(&self) -> Thresholds {
        Thresholds {
            alert_threshold: self.alert_threshold,
            host_down_after_s: self.host_down_after,
            flap_threshold: self.flap_threshold,
            flap_window_s: self.flap_window,
            flap_notify_after_s: self.flap_notify_after,
            host_threshold: self.host_threshold,
            host_window_s: self.host_window,
            flood_threshold: self.flood_threshold,
            flood_window_s: self.flood_window,
        }
    }
}

/// Another cluster.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Cluster {
    pub(crate) host: String,
    pub(crate) key: Secret,
    pub(crate) ca_file: Option<PathBuf>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Scheduler {
    pub(crate) keep_history_days: u32,
    pub(crate) keep_samples_days: u32,
    pub(crate) keep_sample_hours_days: u32,
}

impl Settings {
    /// Reads and validates. `files` are what was named on the command line, later ones winning; if there is none,
    /// the system's file is read.
    pub(crate) fn read(files: &[PathBuf]) -> anyhow::Result<Self> {
        let settings: Self = sources(files)?
            .extract()
            .map_err(secrets::without_values)
            .context("the configuration is not usable")?;
        settings.validate()?;
        Ok(settings)
    }

    /// Refuses combinations that would run, and hurt.
    fn validate(&self) -> anyhow::Result<()> {
        ensure!(
            (1..=TIMEOUT_MAX_S).contains(&self.worker.check_timeout),
            "worker.check_timeout is {}; it must be from 1 to {TIMEOUT_MAX_S} s",
            self.worker.check_timeout
        );
        ensure!(
            self.worker.lease > self.worker.check_timeout + REQUEST_MARGIN_S,
            "worker.lease is {} s, but a request may take {} s (worker.check_timeout + {REQUEST_MARGIN_S}): \
             a run would be given to another worker while it goes on; make it at least {}",
            self.worker.lease,
            self.worker.check_timeout + REQUEST_MARGIN_S,
            self.worker.check_timeout + LEASE_MARGIN_S,
        );
        ensure!(
            self.database.max_connections >= 8,
            "database.max_connections is {}, but claiming, recording, sending and the API need at least 8",
            self.database.max_connections
        );
        ensure!(
            self.worker.lease <= TIMEOUT_MAX_S + LEASE_MARGIN_S,
            "worker.lease is {} s; no run lasts longer than {}",
            self.worker.lease,
            TIMEOUT_MAX_S + LEASE_MARGIN_S
        );
        ensure!(
            self.worker.slots > 0,
            "worker.slots is 0: nothing would ever run; to pause, use worker.pause_file"
        );
        ensure!(
            self.worker.slots <= 100_000,
            "worker.slots is {}; more than 100000 belong to several workers",
            self.worker.slots
        );
        ensure!(
            self.alerts.alert_threshold > 0,
            "alerts.alert_threshold is 0; 1 alerts at the first failing run"
        );
        ensure!(
            (2..=1000).contains(&self.alerts.flap_threshold),
            "alerts.flap_threshold is {}; it must be from 2 to 1000 flips",
            self.alerts.flap_threshold
        );
        let windows = [
            ("flap_window", self.alerts.flap_window),
            ("flap_notify_after", self.alerts.flap_notify_after),
            ("host_threshold", self.alerts.host_threshold),
            ("host_window", self.alerts.host_window),
            ("flood_threshold", self.alerts.flood_threshold),
            ("flood_window", self.alerts.flood_window),
            ("cluster_down_after", self.alerts.cluster_down_after),
        ];
        for (name, value) in windows {
            // ten years: more would only be a way to say never
            ensure!(
                (1..=315_360_000).contains(&value),
                "alerts.{name} is {value}; it must be from 1 to 315360000"
            );
        }
        ensure!(
            self.alerts.notifications_expiration >= 60,
            "alerts.notifications_expiration is less than a minute: alerts would be told again at once"
        );
        let kept = [
            ("keep_history_days", self.scheduler.keep_history_days),
            ("keep_samples_days", self.scheduler.keep_samples_days),
            (
                "keep_sample_hours_days",
                self.scheduler.keep_sample_hours_days,
            ),
        ];
        for (name, days) in kept {
            ensure!(
                (1..=3650).contains(&days),
                "scheduler.{name} is {days}; it must be from 1 to 3650"
            );
        }
        ensure!(
            self.scheduler.keep_sample_hours_days >= self.scheduler.keep_samples_days,
            "scheduler.keep_sample_hours_days is {}, less than keep_samples_days, which is {}: what a sample is of is kept for as long as its hours",
            self.scheduler.keep_sample_hours_days,
            self.scheduler.keep_samples_days
        );
        let secrets = [
            ("api.register_key", &self.api.register_key),
            ("api.api_key", &self.api.api_key),
            ("worker.check_key", &self.worker.check_key),
        ];
        for (name, secret) in secrets {
            ensure!(
                secret
                    .as_ref()
                    .is_none_or(|secret| !secret.trim().is_empty()),
                "{name} is empty: everybody would know it"
            );
        }
        if let Some(url) = &self.api.public_url {
            // in another case it would be another scheme to whoever compares, and cookies would be for everybody
            ensure!(
                url.starts_with("https://") || url.starts_with("http://"),
                "api.public_url is {url:?}; it begins with https:// or http://"
            );
        }
        for origin in &self.api.cors_origins {
            let is_origin = (origin == "*" && self.api.cors_origins.len() == 1)
                || origin.split_once("://").is_some_and(|(scheme, authority)| {
                    ["http", "https"].contains(&scheme)
                        && !authority.is_empty()
                        && !authority.contains(['/', '?', '#', ' '])
                });
            ensure!(
                is_origin,
                "api.cors_origins holds {origin:?}; an origin is like \"https://example.net\", without a path; \"*\" stands alone"
            );
        }
        ensure!(
            // twice that, and what else belongs to a request, is less than one may take
            (1..=12).contains(&self.api.remote_timeout),
            "api.remote_timeout is {} s; it must be from 1 to 12",
            self.api.remote_timeout
        );
        ensure!(
            self.api.cache_ttl <= 3600,
            "api.cache_ttl is {} s; it must be from 0 to 3600",
            self.api.cache_ttl
        );
        self.clusters()?;
        config::validate(&self.channels, &self.routes)
    }

    /// The database's URL.
    pub(crate) fn database_url(&self) -> anyhow::Result<&str> {
        match &self.database.url {
            Some(url) => Ok(url),
            None => bail!(
                "no database: set DATABASE_URL, or database.url; `stalkerd up` brings its own"
            ),
        }
    }

    /// The other clusters, each with its client.
    fn clusters(&self) -> anyhow::Result<Clusters> {
        for id in self.clusters.keys() {
            let is_name = !id.is_empty() && !id.contains(|c: char| c == '/' || c.is_control());
            ensure!(
                is_name,
                "clusters.{id}: an id is not empty, and has no slash"
            );
            ensure!(
                id != "all",
                "clusters.all: \"all\" stands for all clusters in paths, so none can be called that"
            );
        }
        let seconds = |setting: u32| Duration::from_secs(setting.into());
        let configs = self.clusters.iter().map(|(id, cluster)| {
            let config = stalker_clusters::Config {
                host: cluster.host.clone(),
                key: cluster.key.expose().to_owned(),
                ca_file: cluster.ca_file.clone(),
            };
            (id.clone(), config)
        });
        Clusters::new(
            &configs.collect(),
            seconds(self.api.remote_timeout),
            seconds(self.api.cache_ttl),
        )
    }

    /// What this installation is called among clusters.
    fn cluster_id(&self) -> anyhow::Result<String> {
        let id = match &self.api.cluster_id {
            Some(id) => id.clone(),
            None => full_hostname()?,
        };
        ensure!(
            !self.clusters.contains_key(&id),
            "clusters.{id} is this installation itself (api.cluster_id): only the others are named there"
        );
        Ok(id)
    }

    pub(crate) fn for_api(&self) -> anyhow::Result<stalker_api::Config> {
        Ok(stalker_api::Config {
            listen: self.api.listen,
            register_key: self
                .api
                .register_key
                .clone()
                .context("api.register_key is not set: agents could not register")?,
            api_key: self.api.api_key.clone(),
            cluster_id: self.cluster_id()?,
            clusters: self.clusters()?,
            public_url: self.api.public_url.clone(),
            allow_tokenless: self.agents.allow_tokenless,
            cors_origins: self.api.cors_origins.clone(),
            trusted_proxies: self.api.trusted_proxies.clone(),
            requests_per_s: NonZeroU32::new(self.api.requests_per_s),
        })
    }

    pub(crate) fn for_worker(&self) -> stalker_worker::Config {
        stalker_worker::Config {
            slots: self.worker.slots,
            check_timeout_s: self.worker.check_timeout,
            lease_s: self.worker.lease,
            check_key: self.worker.check_key.clone(),
            thresholds: self.alerts.thresholds(),
            pause_file: self.worker.pause_file.clone(),
            idle_connections_per_agent: self.worker.idle_connections_per_agent,
            notifications_expiration_s: self.alerts.notifications_expiration,
            public_url: self.api.public_url.clone(),
            channels: config::by_recipient(&self.channels),
            routes: self.routes.clone(),
        }
    }

    pub(crate) fn for_scheduler(&self) -> anyhow::Result<stalker_scheduler::Config> {
        Ok(stalker_scheduler::Config {
            clusters: self.clusters()?,
            cluster_down_after_s: self.alerts.cluster_down_after,
            keep_history_days: self.scheduler.keep_history_days,
            keep_samples_days: self.scheduler.keep_samples_days,
            keep_sample_hours_days: self.scheduler.keep_sample_hours_days,
            thresholds: self.alerts.thresholds(),
        })
    }
}

/// The effective configuration as TOML, secrets hidden: what `stalkerd config` prints.
pub(crate) fn shown(files: &[PathBuf]) -> anyhow::Result<String> {
    Settings::read(files)?;
    let mut values: toml::Table = sources(files)?.extract()?;
    secrets::hide(&mut values);
    Ok(toml::to_string(&values)?)
}

/// The defaults, with those that depend on how many cores the process may use.
fn defaults(cores: usize) -> Figment {
    let connections = (12 + 4 * cores).min(40);
    let slots = (100 * cores).clamp(200, 1000);
    Figment::new()
        .merge(Toml::string(DEFAULT))
        .merge(Serialized::default("database.max_connections", connections))
        .merge(Serialized::default("worker.slots", slots))
}

fn sources(files: &[PathBuf]) -> anyhow::Result<Figment> {
    let cores = std::thread::available_parallelism().map_or(1, usize::from);
    let mut figment = defaults(cores);
    let system_file = PathBuf::from(SYSTEM_FILE);
    if files.is_empty() && system_file.exists() {
        secrets::check_syntax(&system_file)?;
        figment = figment.merge(Toml::file_exact(system_file));
    }
    for file in files {
        secrets::check_syntax(file)?;
        figment = figment.merge(Toml::file_exact(file));
    }
    // the name that every tool of the field knows
    let database_url = Env::raw()
        .only(&["DATABASE_URL"])
        .map(|_| "database.url".into())
        .split(".");
    figment = figment.merge(database_url);
    let environment = Env::prefixed("STALKER__").split("__");
    // text, whatever it looks like: a key of digits is not a number (several keys are a list)
    let is_text = |name: &str| secrets::is_secret(name) && !name.ends_with("keys");
    for (name, secret) in environment
        .iter()
        .filter(|(name, _)| is_text(name.as_str()))
    {
        figment = figment.merge((name.as_str().to_owned(), secret));
    }
    let figment = figment.merge(environment.filter(move |name| !is_text(name.as_str())));
    let mut values: Dict = figment.extract()?;
    if secrets::read_files(&mut values)? {
        // an error in what is left says its key, and no longer its file
        return Ok(Figment::from(Serialized::defaults(values)));
    }
    Ok(figment)
}

/// The host's name with its domain, as the system's own command tells it; without that command, the short one.
fn full_hostname() -> anyhow::Result<String> {
    let told = std::process::Command::new("hostname").arg("-f").output();
    let told = told.map(|output| String::from_utf8_lossy(&output.stdout).trim().to_owned());
    match told {
        Ok(name) if !name.is_empty() => Ok(name),
        _ => {
            let name = nix::unistd::gethostname()
                .context("cannot tell this host's name; set api.cluster_id")?;
            Ok(name.to_string_lossy().into_owned())
        }
    }
}
