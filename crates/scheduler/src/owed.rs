//! Every second: the owed rule, applied to everything. The net below the workers, which apply it to what they
//! record; in health it finds nothing.

use sqlx::PgPool;
use stalker_db::notifications::upkeep;
use stalker_db::{alerts, floods, suppressions};

use crate::Config;

pub(crate) async fn perform(config: &Config, pool: &PgPool) -> anyhow::Result<()> {
    let mut tx = pool.begin().await?;
    alerts::close_of_idle_hosts(&mut tx).await?;
    tx.commit().await?;
    let mut tx = pool.begin().await?;
    alerts::close_of_calm(&mut tx).await?;
    tx.commit().await?;
    floods::settle_all(pool).await?;
    floods::count_freed(pool, &config.thresholds).await?;
    let lost = upkeep::take_back_lost(pool).await?;
    if lost > 0 {
        tracing::warn!(
            notifications = lost,
            "their senders died; they may have arrived, and are sent again"
        );
    }
    upkeep::settle_all_closed(pool).await?;
    upkeep::drop_expired(pool).await?;
    let owed = upkeep::owe_all(pool).await?;
    if owed > 0 {
        tracing::info!(notifications = owed, "owed by the passing of time");
    }
    suppressions::note_all(pool).await?;
    upkeep::mark_settled(pool).await?;
    Ok(())
}
