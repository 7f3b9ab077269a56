//! Runs any mix of the components in one process, until the signal to stop.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::Context;
use serde_json::json;
use stalker_db::Pools;
use tokio::sync::oneshot;
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

use crate::settings::Settings;
use crate::{log, private_file, signals};

/// From the signal to stop to the end of the process, at most; a second less than is promised.
const OUT_WITHIN: Duration = Duration::from_secs(24);

/// Which components a process runs.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Which {
    api: bool,
    scheduler: bool,
    worker: bool,
}

impl Which {
    pub(crate) const ALL: Self = Self {
        api: true,
        scheduler: true,
        worker: true,
    };
    pub(crate) const API: Self = Self {
        api: true,
        scheduler: false,
        worker: false,
    };
    pub(crate) const SCHEDULER: Self = Self {
        api: false,
        scheduler: true,
        worker: false,
    };
    pub(crate) const WORKER: Self = Self {
        api: false,
        scheduler: false,
        worker: true,
    };
}

/// Runs components until SIGINT or SIGTERM.
pub(crate) fn run(
    settings: &Settings,
    which: Which,
    ready_file: Option<PathBuf>,
) -> anyhow::Result<()> {
    log::start(&settings.log)?;
    signals::raise_open_files();
    let url = settings.database_url()?;
    let runtime = runtime()?;
    let ended = runtime.block_on(async {
        let shutdown = signals::shutdown()?;
        let pools = Pools::new(url, settings.database.max_connections).context("database.url")?;
        let components = start(settings, which, &pools, &shutdown)?;
        // the start as well: a database that hangs may keep the API from listening
        in_time(&shutdown, async {
            let (running, api) = components.listening().await?;
            if let Some(file) = &ready_file {
                let api = api.map(|address| format!("http://{address}"));
                write_ready(file, &json!({ "pid": std::process::id(), "api": api }))?;
            }
            let ended = running.wait(&shutdown).await;
            pools.close().await;
            ended
        })
        .await
    });
    // without waiting for what hangs
    runtime.shutdown_background();
    ended
}

/// Brings the schema up to date.
pub(crate) fn migrate(settings: &Settings) -> anyhow::Result<()> {
    log::start(&settings.log)?;
    let url = settings.database_url()?;
    runtime()?.block_on(async {
        let pools = Pools::new(url, 8).context("database.url")?;
        stalker_db::migrate(&pools.durable)
            .await
            .context("cannot migrate the database")?;
        tracing::info!("the database's schema is up to date");
        Ok(())
    })
}

pub(crate) fn runtime() -> std::io::Result<tokio::runtime::Runtime> {
    tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()
}

/// Components that were started; the API may not listen yet.
pub(crate) struct Started {
    running: Running,
    address: Option<oneshot::Receiver<SocketAddr>>,
}

/// Components that run.
pub(crate) struct Running {
    tasks: JoinSet<(&'static str, anyhow::Result<()>)>,
}

/// Starts components. They end at `shutdown`, or when one of them cannot go on.
pub(crate) fn start(
    settings: &Settings,
    which: Which,
    pools: &Pools,
    shutdown: &CancellationToken,
) -> anyhow::Result<Started> {
    stalker_db::failpoint::arm();
    let mut tasks = JoinSet::new();
    let mut address = None;
    if which.api {
        let (listening, listens) = oneshot::channel();
        let (config, pool, shutdown) =
            (settings.for_api()?, pools.durable.clone(), shutdown.clone());
        address = Some(listens);
        tasks.spawn(async move {
            // who does not wait for the address does not need it
            let listening = |address| {
                let _ = listening.send(address);
            };
            (
                "api",
                stalker_api::run(config, pool, shutdown, listening).await,
            )
        });
    }
    if which.scheduler {
        let (config, pools, shutdown) =
            (settings.for_scheduler()?, pools.clone(), shutdown.clone());
        tasks.spawn(async move {
            until_migrated(&pools, &shutdown).await;
            (
                "scheduler",
                stalker_scheduler::run(config, pools.durable, shutdown).await,
            )
        });
    }
    if which.worker {
        let (config, pools, shutdown) = (settings.for_worker(), pools.clone(), shutdown.clone());
        tasks.spawn(async move {
            until_migrated(&pools, &shutdown).await;
            ("worker", stalker_worker::run(config, pools, shutdown).await)
        });
    }
    Ok(Started {
        running: Running { tasks },
        address,
    })
}

impl Started {
    /// Waits until the API listens, and tells where.
    pub(crate) async fn listening(mut self) -> anyhow::Result<(Running, Option<SocketAddr>)> {
        let Some(listens) = self.address else {
            return Ok((self.running, None));
        };
        match listens.await {
            Ok(address) => Ok((self.running, Some(address))),
            // the API ended instead, and says why
            Err(_) => match self.running.tasks.join_next().await {
                Some(Ok((name, ended))) => Err(ended
                    .err()
                    .unwrap_or_else(|| anyhow::anyhow!("{name} ended while starting"))),
                other => anyhow::bail!("the api ended while starting: {other:?}"),
            },
        }
    }
}

impl Running {
    /// Waits until all have ended. If one ends by itself the others are stopped.
    pub(crate) async fn wait(mut self, shutdown: &CancellationToken) -> anyhow::Result<()> {
        let mut result = Ok(());
        while let Some(ended) = self.tasks.join_next().await {
            let ended = ended
                .context("a component panicked")
                .and_then(|(name, ended)| ended.with_context(|| format!("{name} ended")));
            if let Err(error) = ended
                && result.is_ok()
            {
                result = Err(error);
            }
            shutdown.cancel();
        }
        result
    }
}

/// Waits until the database is there and its schema is this version's: what starts first in a cluster is chance.
async fn until_migrated(pools: &Pools, shutdown: &CancellationToken) {
    let mut told = std::time::Instant::now() - Duration::from_secs(10);
    loop {
        let asked = stalker_db::is_migrated(&pools.durable);
        let why = match shutdown.run_until_cancelled(asked).await {
            None | Some(Ok(true)) => return,
            Some(Ok(false)) => "its schema is not this version's: run `stalkerd migrate`",
            Some(Err(error)) => {
                tracing::debug!(%error, "the database does not answer");
                "it does not answer; is it running, and is the URL right?"
            }
        };
        if told.elapsed() >= Duration::from_secs(10) {
            tracing::warn!("waiting for the database: {why}");
            told = std::time::Instant::now();
        }
        if shutdown
            .run_until_cancelled(tokio::time::sleep(Duration::from_millis(250)))
            .await
            .is_none()
        {
            return;
        }
    }
}

/// Tells scripts and tests where to find what runs. The database's URL may hold a password.
pub(crate) fn write_ready(file: &Path, ready: &serde_json::Value) -> anyhow::Result<()> {
    private_file::write(file, &format!("{ready}\n"))
}

/// Ends `work` some seconds after the signal to stop, whatever it waits for: a database that hangs hangs nobody else.
/// What was not settled by then is settled by the leases.
pub(crate) async fn in_time(
    shutdown: &CancellationToken,
    work: impl Future<Output = anyhow::Result<()>>,
) -> anyhow::Result<()> {
    let overdue = async {
        shutdown.cancelled().await;
        tokio::time::sleep(OUT_WITHIN).await;
    };
    tokio::select! {
        ended = work => ended,
        () = overdue => {
            tracing::warn!("still not done {OUT_WITHIN:?} after the signal to stop; ending all the same");
            Ok(())
        }
    }
}
