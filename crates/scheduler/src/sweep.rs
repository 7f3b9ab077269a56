//! Every second: what no claiming window will find goes to the rush lane.

use sqlx::PgPool;
use stalker_db::sweep;

pub(crate) async fn perform(pool: &PgPool) -> anyhow::Result<()> {
    let lost = sweep::rush_what_was_lost(pool).await?;
    if lost > 0 {
        tracing::info!(
            checks = lost,
            "checks that no worker's window would find are due now"
        );
    }
    Ok(())
}
