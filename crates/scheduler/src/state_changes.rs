//! Every hour: partitions of history are made ahead, and dropped when they are old.

use sqlx::PgPool;
use stalker_db::partitions::{self, Partitioned};

use crate::Config;

pub(crate) async fn perform(config: &Config, pool: &PgPool) -> anyhow::Result<()> {
    let history = Partitioned::StateChanges;
    partitions::make_ahead(pool, history).await?;
    let keep_days = i32::try_from(config.keep_history_days)?;
    let dropped = partitions::drop_old(pool, history, keep_days).await?;
    if dropped > 0 {
        tracing::info!(days = dropped, "old history dropped");
    }
    Ok(())
}
