//! Every second: the owed rule, applied to everything. The net below the workers, which apply it to what they
//! record; in health it finds nothing.

use sqlx::PgPool;
use stalker_db::{alerts, notifications};

pub(crate) async fn perform(pool: &PgPool) -> anyhow::Result<()> {
    let mut tx = pool.begin().await?;
    alerts::close_of_idle_hosts(&mut tx).await?;
    tx.commit().await?;
    notifications::bury(pool).await?;
    let owed = notifications::owe_all(pool).await?;
    if owed > 0 {
        tracing::info!(notifications = owed, "owed by the passing of time");
    }
    Ok(())
}
