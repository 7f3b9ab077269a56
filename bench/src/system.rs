//! The whole system under a load: database, agents, scheduler, workers; and what it does second by second.

use std::time::{Duration, Instant};

use anyhow::{Context, ensure};

use crate::agents;
use crate::child::Part;
use crate::component::Component;
use crate::cpu;
use crate::database::{Database, Server};
use crate::fleet::{self, Address};
use crate::lateness::Lateness;
use crate::load::{Agents, Load};
use crate::meter::{self, Reading, Work};
use crate::proof;
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
    /// What simulated agents were asked.
    pub(crate) asked: Option<Asked>,
    /// Bytes of the largest worker.
    pub(crate) worker_rss: u64,
    pub(crate) state_bytes: (i64, i64),
    /// The database's Unix time at both ends, in ms.
    pub(crate) between_ms: (i64, i64),
}

/// Of simulated agents, while it was watched.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Asked {
    pub(crate) requests: u64,
    /// That were opened.
    pub(crate) connections: u64,
}

impl Watched {
    pub(crate) fn runs(&self) -> u64 {
        self.lateness.runs()
    }

    pub(crate) fn runs_per_s(&self) -> f64 {
        self.runs() as f64 / self.took.as_secs_f64()
    }

    /// Updates of `check_state`: one when a run is claimed, one when it is recorded.
    pub(crate) fn updates_per_run(&self) -> f64 {
        self.work.updates as f64 / self.runs().max(1) as f64
    }

    /// PostgreSQL's microseconds; none if it runs elsewhere.
    pub(crate) fn postgres_us_per_run(&self) -> Option<f64> {
        let cpu_us = self.work.cpu_us?;
        Some(cpu_us as f64 / self.runs().max(1) as f64)
    }

    /// The share of what was due that ran.
    pub(crate) fn share_of(&self, load: &Load) -> f64 {
        self.runs_per_s() / load.offered()
    }
}

impl System {
    /// Starts everything, and waits for the first runs.
    pub(crate) async fn start(
        server: &Server,
        load: &Load,
        setting: &Setting,
    ) -> anyhow::Result<Self> {
        let database = Database::fresh(server).await?;
        let (agents, address) = match load.agents {
            Agents::InProcess => (None, None),
            Agents::Simulated { after_ms } => {
                let task = agents::Task {
                    check_key: CHECK_KEY.to_owned(),
                    answers: load.answers,
                    interval_s: load.interval_s,
                    after_ms,
                };
                let mut part = Part::start("agents", &task).await?;
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
        let scheduler = Component::start("scheduler", &database.url, &[]).await?;
        let settings = [
            ("api.register_key", "of the bench"),
            ("api.listen", "127.0.0.1:0"),
        ];
        let api = match setting.api {
            true => Some(Component::start("api", &database.url, &settings).await?),
            false => None,
        };
        let task = worker::Task {
            database_url: database.url.clone(),
            connections: load.connections,
            slots: load.slots,
            answers: (load.agents == Agents::InProcess).then_some(load.answers),
            check_key: CHECK_KEY.to_owned(),
            channel: setting.channel.clone(),
        };
        let mut workers = Vec::new();
        for n in 1..=load.workers {
            let worker = Part::start("worker", &task).await?;
            workers.push(worker.named(&format!("worker {n}")));
        }
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
            self.ensure_running()?;
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
            asked: before.seen.zip(after.seen).map(|(before, after)| Asked {
                requests: after.requests - before.requests,
                connections: after.connections - before.connections,
            }),
            worker_rss: self.worker_rss()?,
            state_bytes: (before.postgres.state_bytes, after.postgres.state_bytes),
            between_ms: (before.postgres.at_ms, after.postgres.at_ms),
        })
    }

    /// An error that names what has ended, if anything has.
    fn ensure_running(&mut self) -> anyhow::Result<()> {
        let mut components = [&mut self.scheduler].into_iter().chain(&mut self.api);
        components.try_for_each(Component::ensure_running)?;
        let mut parts = self.workers.iter_mut().chain(&mut self.agents);
        parts.try_for_each(Part::ensure_running)
    }

    async fn reading(&mut self) -> anyhow::Result<Readings> {
        self.ensure_running()?;
        let seen = match &mut self.agents {
            Some(agents) => Some(agents.ask().await?),
            None => None,
        };
        let of = |pids: Vec<u32>| pids.into_iter().map(cpu::of).sum();
        let agents = self
            .agents
            .iter()
            .map(Part::pid)
            .collect::<anyhow::Result<_>>()?;
        Ok(Readings {
            parts: [
                of(self.worker_pids()?),
                cpu::of(self.scheduler.pid),
                of(agents),
            ],
            postgres: meter::read(&self.database.pool, self.postmaster).await?,
            seen,
        })
    }

    fn worker_rss(&self) -> anyhow::Result<u64> {
        let pids = self.worker_pids()?.into_iter();
        let each: Option<Vec<u64>> = pids.map(cpu::resident_bytes).collect();
        let largest = each.and_then(|each| each.into_iter().max());
        largest.context("the memory of a worker cannot be read")
    }

    fn worker_pids(&self) -> anyhow::Result<Vec<u32>> {
        self.workers.iter().map(Part::pid).collect()
    }

    /// Ends all of it, and drops the database: if what was counted were runs, and nothing else.
    pub(crate) async fn finish(
        self,
        server: &Server,
        load: &Load,
        watched: &Watched,
    ) -> anyhow::Result<()> {
        proof::that_these_were_runs(&self.database.pool, load, watched).await?;
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
        server.drop_database().await
    }
}

/// Microseconds of workers, scheduler and agents; what agents have seen; and PostgreSQL's counters.
struct Readings {
    parts: [u64; 3],
    seen: Option<agents::Seen>,
    postgres: Reading,
}
