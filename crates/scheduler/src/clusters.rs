//! Every few seconds: whether the other clusters can be reached, and the alert of one that cannot. Nobody else would tell
//! that a cluster is silent because it is gone.

use sqlx::PgPool;
use stalker_clusters::Cluster;
use stalker_db::clusters::{self, Observation};

use crate::Config;

/// Asks all of them at the same time, outside of any transaction.
///
/// # Errors
/// If the database does not answer.
pub(crate) async fn perform(config: &Config, pool: &PgPool) -> anyhow::Result<()> {
    let found = futures::future::join_all(config.clusters.iter().map(look)).await;
    let changes = clusters::observe(pool, &found, config.cluster_down_after_s).await?;
    for cluster in changes.opened {
        tracing::warn!(cluster, "the cluster cannot be reached");
    }
    for cluster in changes.closed {
        tracing::info!(cluster, "the alert of the cluster is over");
    }
    Ok(())
}

async fn look(cluster: &Cluster) -> Observation {
    let reached = cluster.reach().await;
    Observation {
        cluster: cluster.id().to_owned(),
        is_reached: reached.is_ok(),
        error: match reached {
            Ok(trouble) => trouble,
            Err(why) => Some(why),
        },
    }
}
