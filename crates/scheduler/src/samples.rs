//! Perfdata: partitions are made ahead and dropped when they are old, every hour; samples are rolled up into hours, every
//! minute.

use std::time::{Duration, Instant};

use sqlx::PgPool;
use stalker_db::partitions::{self, Partitioned};
use stalker_db::{samples, series};

use crate::Config;

/// No slice is begun when so much time has passed: the rest of a backlog waits for the next minute. A duty's lease is 10 s,
/// and a slice of 20 million samples takes some seconds.
const BEGIN_WITHIN: Duration = Duration::from_secs(4);

pub(crate) async fn keep(config: &Config, pool: &PgPool) -> anyhow::Result<()> {
    let tables = [
        (Partitioned::Samples, config.keep_samples_days),
        (Partitioned::SampleHours, config.keep_sample_hours_days),
    ];
    for (table, keep_days) in tables {
        partitions::make_ahead(pool, table).await?;
        let dropped = partitions::drop_old(pool, table, i32::try_from(keep_days)?).await?;
        if dropped > 0 {
            tracing::info!(partitions = dropped, ?table, "old samples dropped");
        }
    }
    let deleted = series::delete_empty(pool).await?;
    if deleted > 0 {
        tracing::info!(series = deleted, "series that nothing is left of deleted");
    }
    Ok(())
}

pub(crate) async fn roll_up(pool: &PgPool) -> anyhow::Result<()> {
    samples::summarize(pool).await?;
    let began = Instant::now();
    while began.elapsed() < BEGIN_WITHIN && samples::roll_up_next(pool).await? {}
    Ok(())
}
