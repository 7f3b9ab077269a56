//! Every hour: partitions of history are made ahead, and dropped when they are old.

use sqlx::PgPool;
use stalker_db::partitions;

use crate::Config;

pub(crate) async fn perform(config: &Config, pool: &PgPool) -> anyhow::Result<()> {
    partitions::make_ahead(pool).await?;
    let dropped = partitions::drop_old(pool, i32::try_from(config.keep_history_days)?).await?;
    if dropped > 0 {
        tracing::info!(days = dropped, "old history dropped");
    }
    Ok(())
}
