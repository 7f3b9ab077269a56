//! Every second: the owed rule, applied to everything. The net below the workers, which apply it to what they
//! record; in health it finds nothing.

use sqlx::PgPool;
use stalker_db::notifications::upkeep;
use stalker_db::{alerts, floods, suppressions};

use crate::Config;

/// Each step is taken whatever became of those before it: what cannot be counted must not hold back what may be told again.
///
/// # Errors
/// The first one.
pub(crate) async fn perform(config: &Config, pool: &PgPool) -> anyhow::Result<()> {
    let steps = [
        close_of_idle_hosts(pool).await,
        close_of_calm(pool).await,
        floods::settle_all(pool).await,
        floods::count_freed(pool, &config.thresholds).await,
        take_back_lost(pool).await,
        upkeep::settle_all_closed(pool).await,
        upkeep::drop_expired(pool).await,
        owe_all(pool).await,
        suppressions::note_all(pool).await,
        upkeep::mark_settled(pool).await,
    ];
    let done: sqlx::Result<()> = steps.into_iter().collect();
    Ok(done?)
}

async fn close_of_idle_hosts(pool: &PgPool) -> sqlx::Result<()> {
    let mut tx = pool.begin().await?;
    alerts::close_of_idle_hosts(&mut tx).await?;
    tx.commit().await
}

async fn close_of_calm(pool: &PgPool) -> sqlx::Result<()> {
    let mut tx = pool.begin().await?;
    alerts::close_of_calm(&mut tx).await?;
    tx.commit().await
}

async fn take_back_lost(pool: &PgPool) -> sqlx::Result<()> {
    let lost = upkeep::take_back_lost(pool).await?;
    if lost > 0 {
        tracing::warn!(
            notifications = lost,
            "their senders died; they may have arrived, and are sent again"
        );
    }
    Ok(())
}

async fn owe_all(pool: &PgPool) -> sqlx::Result<()> {
    let owed = upkeep::owe_all(pool).await?;
    if owed > 0 {
        tracing::info!(notifications = owed, "owed by the passing of time");
    }
    Ok(())
}
