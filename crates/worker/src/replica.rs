//! Says every second that this worker is alive, and how far behind it is.

use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};
use std::time::Duration;

use stalker_db::{Pools, replicas};
use tokio_util::sync::CancellationToken;

const EVERY: Duration = Duration::from_secs(1);

/// How far this worker's windows are behind, in ms.
#[derive(Debug, Clone, Default)]
pub(crate) struct Behind(Arc<AtomicI64>);

impl Behind {
    pub(crate) fn note(&self, ms: i64) {
        self.0.store(ms, Ordering::Relaxed);
    }
}

/// Until `shutdown`. Whoever is not heard counts as gone, so a failure is only missed, not repeated.
pub(crate) async fn run(pools: Pools, behind: Behind, shutdown: CancellationToken) {
    let replica_id = rand::random::<i64>();
    let hostname = nix::unistd::gethostname()
        .map(|name| name.to_string_lossy().into_owned())
        .unwrap_or_default();
    loop {
        let behind_ms = behind.0.load(Ordering::Relaxed);
        let version = env!("CARGO_PKG_VERSION");
        let beat = replicas::beat(
            &pools.relaxed,
            replica_id,
            "worker",
            &hostname,
            version,
            behind_ms,
        );
        if let Err(error) = beat.await {
            tracing::debug!(%error, "cannot say that this worker is alive");
        }
        let pause = tokio::time::sleep(EVERY);
        if shutdown.run_until_cancelled(pause).await.is_none() {
            break;
        }
    }
    if let Err(error) = replicas::forget(&pools.relaxed, replica_id).await {
        tracing::debug!(%error, "cannot say that this worker ends");
    }
}
