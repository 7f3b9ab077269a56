//! The whole system under a load: database, agents, scheduler, workers; and what it does second by second.

use std::time::{Duration, Instant};

use anyhow::ensure;

use crate::agents;
use crate::child::Part;
use crate::component::Component;
use crate::cpu;
use crate::database::{self, Database};
use crate::fleet::{self, Address};
use crate::lateness::Lateness;
use crate::load::{Agents, Load};
use crate::meter::{self, Reading, Work};
use crate::worker;

/// The key that agents want to see.
pub(crate) const CHECK_KEY: &str = "check-key-of-the-bench";
/// Until the first check ran.
const PATIENCE: Duration = Duration::from_secs(60);

/// It runs.
#[derive(Debug)]
pub(crate) struct System {
    pub(crate) database: Database,
    postmaster: Option<u32>,
    scheduler: Component,
    api: Option<Component>,
    workers: Vec<Part>,
    agents: Option<Part>,
}

/// What a scenario brings along.
#[derive(Debug, Clone, Default)]
pub(crate) struct Setting {
    /// The agent of [`Agents::Elsewhere`].
    pub(crate) agent: Option<Address>,
    /// The URL of the channel that is told of alerts.
    pub(crate) channel: Option<String>,
    /// Hosts, if not one for every [`crate::load::CHECKS_PER_HOST`] checks.
    pub(crate) hosts: Option<u32>,
    /// With an API beside the others.
    pub(crate) api: bool,
    /// Statements that change the fleet before anything runs.
    pub(crate) before: Vec<String>,
}

/// One second of it.
#[derive(Debug, Clone)]
pub(crate) struct Second {
    /// Since the beginning of the measurement.
    pub(crate) at: Duration,
    pub(crate) lateness: Lateness,
    /// Bytes of `check_state` with its indexes.
    pub(crate) state_bytes: i64,
}

/// What it did while it was watched.
#[derive(Debug, Clone)]
pub(crate) struct Watched {
    pub(crate) took: Duration,
    pub(crate) seconds: Vec<Second>,
    pub(crate) lateness: Lateness,
    pub(crate) work: Work,
    pub(crate) worker_cpu_us: u64,
    pub(crate) scheduler_cpu_us: u64,
    pub(crate) agents_cpu_us: u64,
    pub(crate) worker_rss: u64,
    pub(crate) state_bytes: (i64, i64),
}

impl Watched {
    pub(crate) fn runs(&self) -> u64 {
        self.lateness.runs()
    }

    pub(crate) fn runs_per_s(&self) -> f64 {
        self.runs() as f64 / self.took.as_secs_f64()
    }
}

impl System {
    /// Starts everything, and waits for the first runs.
    pub(crate) async fn start(
        server_url: &str,
        load: &Load,
        setting: &Setting,
    ) -> anyhow::Result<Self> {
        let database = Database::fresh(server_url).await?;
        let (agents, address) = match load.agents {
            Agents::InProcess => (None, None),
            Agents::Simulated { after_ms } => {
                let task = agents::Task {
                    check_key: CHECK_KEY.to_owned(),
                    answers: load.answers,
                    interval_s: load.interval_s,
                    after_ms,
                };
                let mut part = Part::start("agents", &task)?;
                let agents::Seen {
                    port, cert_sha256, ..
                } = part.ask().await?;
                (Some(part), Some(Address { port, cert_sha256 }))
            }
            Agents::Elsewhere => (None, setting.agent.clone()),
        };
        fleet::fill(&database.pool, load, setting.hosts, address.as_ref()).await?;
        for statement in &setting.before {
            sqlx::query(sqlx::AssertSqlSafe(statement.as_str()))
                .execute(&database.pool)
                .await?;
        }
        let scheduler = Component::start("scheduler", &database.url, &[])?;
        let settings = [
            ("api.register_key", "of the bench"),
            ("api.listen", "127.0.0.1:0"),
        ];
        let api = setting
            .api
            .then(|| Component::start("api", &database.url, &settings))
            .transpose()?;
        let task = worker::Task {
            database_url: database.url.clone(),
            connections: 20,
            slots: load.slots,
            answers: (load.agents == Agents::InProcess).then_some(load.answers),
            check_key: CHECK_KEY.to_owned(),
            channel: setting.channel.clone(),
        };
        let workers = (0..load.workers)
            .map(|_| Part::start("worker", &task))
            .collect::<anyhow::Result<_>>()?;
        let postmaster = meter::postmaster(&database.pool).await?;
        let mut system = Self {
            database,
            postmaster,
            scheduler,
            api,
            workers,
            agents,
        };
        let started = Instant::now();
        while system.lateness().await?.runs() == 0 {
            ensure!(
                started.elapsed() < PATIENCE,
                "no check ran within {PATIENCE:?}"
            );
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
        Ok(system)
    }

    /// How late the runs since the last question began.
    pub(crate) async fn lateness(&mut self) -> anyhow::Result<Lateness> {
        let mut sum = Lateness::default();
        for worker in &mut self.workers {
            sum.add(&worker.ask().await?);
        }
        Ok(sum)
    }

    /// Watches it for so long; `each` sees every second as it ends.
    pub(crate) async fn watch(
        &mut self,
        seconds: u32,
        mut each: impl FnMut(&Second),
    ) -> anyhow::Result<Watched> {
        self.lateness().await?;
        let before = self.reading().await?;
        let began = Instant::now();
        let mut all = Vec::new();
        let mut lateness = Lateness::default();
        for n in 1..=seconds {
            tokio::time::sleep_until((began + Duration::from_secs(n.into())).into()).await;
            let second = Second {
                at: began.elapsed(),
                lateness: self.lateness().await?,
                state_bytes: meter::state_bytes(&self.database.pool).await?,
            };
            each(&second);
            lateness.add(&second.lateness);
            all.push(second);
        }
        let took = began.elapsed();
        let after = self.reading().await?;
        let [worker, scheduler, agents] =
            std::array::from_fn(|i| after.parts[i].saturating_sub(before.parts[i]));
        Ok(Watched {
            took,
            seconds: all,
            lateness,
            work: meter::between(&self.database.pool, &before.postgres, &after.postgres).await?,
            worker_cpu_us: worker,
            scheduler_cpu_us: scheduler,
            agents_cpu_us: agents,
            worker_rss: self
                .worker_pids()?
                .into_iter()
                .map(cpu::resident_bytes)
                .max()
                .unwrap_or(0),
            state_bytes: (before.postgres.state_bytes, after.postgres.state_bytes),
        })
    }

    async fn reading(&self) -> anyhow::Result<Readings> {
        let of = |pids: Vec<u32>| pids.into_iter().map(cpu::of).sum();
        let agents = self
            .agents
            .iter()
            .map(Part::pid)
            .collect::<anyhow::Result<_>>()?;
        Ok(Readings {
            parts: [
                of(self.worker_pids()?),
                of(vec![self.scheduler.pid()?]),
                of(agents),
            ],
            postgres: meter::read(&self.database.pool, self.postmaster).await?,
        })
    }

    fn worker_pids(&self) -> anyhow::Result<Vec<u32>> {
        self.workers.iter().map(Part::pid).collect()
    }

    /// Ends all of it, and drops the database.
    pub(crate) async fn stop(self, server_url: &str) -> anyhow::Result<()> {
        for worker in self.workers {
            worker.stop().await?;
        }
        self.scheduler.stop().await?;
        if let Some(api) = self.api {
            api.stop().await?;
        }
        if let Some(agents) = self.agents {
            agents.stop().await?;
        }
        self.database.pool.close().await;
        database::drop_it(server_url).await
    }
}

/// Microseconds of workers, scheduler and agents, and PostgreSQL's counters.
struct Readings {
    parts: [u64; 3],
    postgres: Reading,
}
