//! Every second: what no claiming window will find goes to the rush lane, at most as fast as checks are due anyway.
//! That is also how fast the backlog of an outage is worked off: never more than twice the steady rate.

use std::time::{Duration, Instant};

use sqlx::PgPool;
use stalker_db::{replicas, sweep};
use tokio::sync::Mutex;

/// Fewer at a time would only prolong small outages.
const LEAST: i64 = 200;
/// The steady rate changes when people add checks; computing it reads every check's state.
const RATE_KEPT: Duration = Duration::from_secs(60);

/// The steady rate as of a while ago.
#[derive(Debug, Default)]
pub(crate) struct SteadyRate {
    known: Mutex<Option<(Instant, i64)>>,
}

impl SteadyRate {
    async fn per_s(&self, pool: &PgPool) -> sqlx::Result<i64> {
        let mut known = self.known.lock().await;
        match *known {
            Some((at, rate)) if at.elapsed() < RATE_KEPT => Ok(rate),
            _ => {
                let rate = sweep::steady_rate(pool).await?;
                *known = Some((Instant::now(), rate));
                Ok(rate)
            }
        }
    }
}

pub(crate) async fn perform(steady: &SteadyRate, pool: &PgPool) -> anyhow::Result<()> {
    let most = steady.per_s(pool).await?.max(LEAST);
    let lost = sweep::rush_what_was_lost(pool, most).await?;
    if lost > 0 {
        tracing::info!(
            checks = lost,
            "checks that no worker's window would find are due now"
        );
    }
    replicas::forget_silent(pool).await?;
    Ok(())
}
