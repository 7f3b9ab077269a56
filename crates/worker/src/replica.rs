//! Says every second that this worker is alive, and how far behind it is.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use stalker_db::{Pools, replicas};
use tokio_util::sync::CancellationToken;

const EVERY: Duration = Duration::from_secs(1);

/// How far this worker's windows are behind: as far as at its last claim, and by the time that has passed since. While all
/// slots are held it claims nothing, and its windows stand still.
#[derive(Debug, Clone, Default)]
pub(crate) struct Behind(Arc<Mutex<Option<(i64, Instant)>>>);

impl Behind {
    /// It was so many ms at a claim just now; none if it does not claim on purpose.
    pub(crate) fn note(&self, ms: Option<i64>) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = ms.map(|ms| (ms, Instant::now()));
    }

    fn ms(&self) -> i64 {
        let noted = *self.0.lock().unwrap_or_else(PoisonError::into_inner);
        noted.map_or(0, |(ms, at)| {
            ms.saturating_add(i64::try_from(at.elapsed().as_millis()).unwrap_or(i64::MAX))
        })
    }
}

/// Until `shutdown`. Whoever is not heard counts as gone, so a failure is only missed, not repeated.
pub(crate) async fn run(pools: Pools, behind: Behind, shutdown: CancellationToken) {
    let replica_id = rand::random::<i64>();
    let hostname = nix::unistd::gethostname()
        .map(|name| name.to_string_lossy().into_owned())
        .unwrap_or_default();
    loop {
        let behind_ms = behind.ms();
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
