//! A stage for stories: hosts that fail and recover, people who suspend and maintain, time that passes, and the pages
//! that come of it.
//!
//! Everything on the way is real: workers and schedulers (in this process, each with a runtime of its own), Postgres,
//! agents behind HTTPS and receivers behind HTTP. Two things are the stage's: checks run when the story says so, and
//! the database's clock moves when the story says so, so that a day takes a second.
//!
//! Where it matters what is recorded together, or there are very many checks, the stage runs them itself, without agents
//! ([`Stage::direct`]).
//!
//! A check is called `HOST/NAME` throughout.

mod clock;
mod direct;
mod hosts;
mod page;
mod replica;

use std::collections::BTreeMap;

use sqlx::PgPool;
use stalker_domain::thresholds::Thresholds;
use stalker_worker::config::{Channel, HttpChannel, Provider};

use direct::Direct;
use hosts::Host;
pub use hosts::check;
pub use page::{PAGER, Page};
pub use replica::Replica;

use crate::agent::install_crypto_provider;
use crate::database::TestDatabase;
use crate::receiver::Receiver;
use crate::server::CHECK_KEY;

/// A database, its workers and schedulers, hosts and receivers.
#[derive(Debug)]
pub struct Stage {
    /// What the next worker is started with.
    pub config: stalker_worker::Config,
    /// The running workers, to be stopped or killed.
    pub workers: Vec<Replica>,
    /// The running schedulers, likewise.
    pub schedulers: Vec<Replica>,
    /// Where channels lead, by the channel's name.
    pub receivers: BTreeMap<String, Receiver>,
    hosts: BTreeMap<String, Host>,
    direct: Option<Direct>,
    pages_seen: usize,
    database: TestDatabase,
}

impl Stage {
    /// With one channel, the default settings, one worker and one scheduler.
    ///
    /// # Panics
    /// If there is no database or no loopback.
    pub async fn new() -> Self {
        Self::with(&[PAGER], |_| {}).await
    }

    /// As [`Stage::new`], with these channels and settings.
    ///
    /// # Panics
    /// As [`Stage::new`].
    pub async fn with(
        channels: &[&str],
        configure: impl FnOnce(&mut stalker_worker::Config),
    ) -> Self {
        let mut stage = Self::empty(channels, configure).await;
        stage.start_worker();
        stage.start_scheduler();
        stage
    }

    /// As [`Stage::with`], but workers only send: the stage itself claims and records, without agents between, and
    /// everything that is due at a time in one transaction; see [`Stage::record_concurrently`].
    ///
    /// # Panics
    /// As [`Stage::new`].
    pub async fn direct(
        channels: &[&str],
        configure: impl FnOnce(&mut stalker_worker::Config),
    ) -> Self {
        let mut stage = Self::empty(channels, configure).await;
        let direct = Direct::new(stage.database.url(), stage.config.thresholds);
        stage.config.pause_file = Some(direct.pause_file());
        stage.direct = Some(direct);
        stage.start_worker();
        stage.start_scheduler();
        stage
    }

    /// As [`Stage::with`], without a worker and a scheduler.
    ///
    /// # Panics
    /// As [`Stage::new`].
    pub async fn empty(
        channels: &[&str],
        configure: impl FnOnce(&mut stalker_worker::Config),
    ) -> Self {
        install_crypto_provider();
        let database = TestDatabase::with_clock().await;
        clock::hurry_duties(database.pool()).await;
        let mut config = defaults();
        let mut receivers = BTreeMap::new();
        for name in channels {
            let receiver = Receiver::start().await;
            config
                .channels
                .insert((*name).to_owned(), http_channel(receiver.url()));
            receivers.insert((*name).to_owned(), receiver);
        }
        configure(&mut config);
        Self {
            config,
            workers: Vec::new(),
            schedulers: Vec::new(),
            receivers,
            hosts: BTreeMap::new(),
            direct: None,
            pages_seen: 0,
            database,
        }
    }

    /// Starts a further worker with the settings of [`Stage::config`].
    pub fn start_worker(&mut self) {
        let worker = Replica::worker(self.config.clone(), self.database.url());
        self.workers.push(worker);
    }

    /// Starts a further scheduler.
    pub fn start_scheduler(&mut self) {
        let config = stalker_scheduler::Config {
            keep_history_days: 90,
            keep_samples_days: 14,
            keep_sample_hours_days: 400,
            thresholds: self.config.thresholds,
            clusters: stalker_clusters::Clusters::default(),
            cluster_down_after_s: 60,
        };
        let scheduler = Replica::scheduler(config, self.database.url());
        self.schedulers.push(scheduler);
    }

    /// Its database, with the clock.
    #[must_use]
    pub fn database(&self) -> &TestDatabase {
        &self.database
    }

    /// Connections of the test's own.
    #[must_use]
    pub fn pool(&self) -> &PgPool {
        self.database.pool()
    }

    /// One number from the tables.
    ///
    /// # Panics
    /// If the tables are not as expected.
    pub async fn count(&self, sql: &'static str) -> i64 {
        sqlx::query_scalar(sql)
            .fetch_one(self.pool())
            .await
            .unwrap_or_else(|error| panic!("{sql}: {error}"))
    }

    async fn execute(&self, sql: &'static str) {
        sqlx::query(sql)
            .execute(self.pool())
            .await
            .unwrap_or_else(|error| panic!("{sql}: {error}"));
    }
}

/// Those of `stalkerd` on two cores.
fn defaults() -> stalker_worker::Config {
    stalker_worker::Config {
        slots: 200,
        check_timeout_s: 10,
        lease_s: 25,
        check_key: Some(CHECK_KEY.to_owned()),
        thresholds: Thresholds::default(),
        pause_file: None,
        idle_connections_per_agent: 64,
        notifications_expiration_s: 172_800,
        public_url: None,
        channels: BTreeMap::new(),
        routes: Vec::new(),
    }
}

/// A channel of provider `http` with nothing else said.
#[must_use]
pub fn http_channel(url: &str) -> Channel {
    Channel::new(Provider::Http(HttpChannel {
        url: url.into(),
        service_key: Some("service-key-of-the-tests".into()),
        previous_keys: Vec::new(),
    }))
}
