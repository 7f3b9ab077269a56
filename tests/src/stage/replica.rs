//! A worker or a scheduler inside the test's own process: the code that stalkerd starts, and what can befall it.

use std::fmt;
use std::future::Future;

use stalker_db::Pools;
use tokio::runtime::{Builder, Runtime};
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

/// Connections of one replica.
const CONNECTIONS: u32 = 8;

/// One running component. Dropped, it is killed.
///
/// It has a runtime to itself: that ends *all* its tasks at their next await, with their connections and transactions,
/// as the end of a process does.
pub struct Replica {
    runtime: Option<Runtime>,
    shutdown: CancellationToken,
    task: JoinHandle<anyhow::Result<()>>,
}

impl Replica {
    pub(super) fn worker(config: stalker_worker::Config, database_url: &str) -> Self {
        Self::start(database_url, |pools, shutdown| {
            stalker_worker::run(config, pools, shutdown)
        })
    }

    pub(super) fn scheduler(config: stalker_scheduler::Config, database_url: &str) -> Self {
        Self::start(database_url, |pools, shutdown| {
            stalker_scheduler::run(config, pools.durable, shutdown)
        })
    }

    fn start<F>(
        database_url: &str,
        component: impl FnOnce(Pools, CancellationToken) -> F + Send + 'static,
    ) -> Self
    where
        F: Future<Output = anyhow::Result<()>> + Send + 'static,
    {
        let runtime = Builder::new_multi_thread()
            .worker_threads(1)
            .enable_all()
            .build()
            .expect("a runtime starts");
        let shutdown = CancellationToken::new();
        let (url, token) = (database_url.to_owned(), shutdown.clone());
        let task = runtime.spawn(async move {
            let pools = Pools::new(&url, CONNECTIONS)?;
            component(pools, token).await
        });
        Self {
            runtime: Some(runtime),
            shutdown,
            task,
        }
    }

    /// Ends it in good order, as SIGTERM does: what has begun is ended or given back.
    ///
    /// # Panics
    /// If it ends with an error.
    pub async fn stop(mut self) {
        self.shutdown.cancel();
        let ended = (&mut self.task).await;
        ended
            .expect("a component does not panic")
            .expect("a component ends without an error");
    }

    /// Kills it where it stands, as SIGKILL does. What it held is free when its leases have run out.
    pub fn kill(self) {
        drop(self);
    }
}

impl Drop for Replica {
    fn drop(&mut self) {
        if let Some(runtime) = self.runtime.take() {
            runtime.shutdown_background();
        }
    }
}

impl fmt::Debug for Replica {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Replica").finish_non_exhaustive()
    }
}
