//! Every second: the owed rule, applied to everything. The net below the workers, which apply it to what they
//! record; in health it finds nothing.

use sqlx::PgPool;
use stalker_db::{alerts, notifications};

pub(crate) async fn perform(pool: &PgPool) -> anyhow::Result<()> {
    let mut tx = pool.begin().await?;
    alerts::close_of_idle_hosts(&mut tx).await?;
    tx.commit().await?;
    let lost = notifications::take_back_lost(pool).await?;
    if lost > 0 {
        tracing::warn!(
            notifications = lost,
            "their senders died; they may have arrived, and are sent again"
        );
    }
    notifications::settle_all_closed(pool).await?;
    notifications::drop_expired(pool).await?;
    let owed = notifications::owe_all(pool).await?;
    if owed > 0 {
        tracing::info!(notifications = owed, "owed by the passing of time");
    }
    notifications::mark_settled(pool).await?;
    Ok(())
}
