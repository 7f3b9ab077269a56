//! The cluster in eight numbers.

use std::collections::BTreeMap;

use axum::Json;
use axum::extract::State;
use serde::Serialize;
use stalker_db::stats;
use utoipa::ToSchema;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use crate::App;
use crate::access::Viewer;
use crate::error::{Error, Failures, Unknown};
use crate::extract::Path;

/// Stands for every cluster.
const ALL: &str = "all";

pub(crate) fn routes() -> OpenApiRouter<App> {
    OpenApiRouter::new()
        .routes(routes!(get_stats))
        .routes(routes!(get_cluster_stats))
}

/// Numbers, of checks but for the last two.
#[derive(Serialize, ToSchema)]
struct Stats {
    /// Due, and not held by a worker.
    #[schema(minimum = 0, example = 3)]
    qsize: i64,
    /// Failing.
    #[schema(minimum = 0, example = 2)]
    failing: i64,
    /// Flapping.
    #[schema(minimum = 0, example = 0)]
    flapping: i64,
    /// Suspended.
    #[schema(minimum = 0, example = 1)]
    suspended: i64,
    /// All.
    #[schema(minimum = 0, example = 120)]
    checks: i64,
    /// Held by a worker.
    #[schema(minimum = 0, example = 4)]
    pending: i64,
    /// Notifications that a channel has refused for good, and that another try could still deliver.
    #[schema(minimum = 0, example = 0)]
    dead_letters: i64,
    /// Channels to which nothing is sent, because their receiver said that it is gone for good.
    #[schema(minimum = 0, example = 0)]
    disabled_channels: i64,
}

/// Statistics of this cluster
///
/// Needs access viewer.
#[utoipa::path(
    get,
    path = "/stats",
    tag = "cluster",
    security(("api_key" = [])),
    responses((status = 200, description = "Numbers under the cluster's name", body = BTreeMap<String, Stats>), Failures)
)]
async fn get_stats(
    _: Viewer,
    State(app): State<App>,
) -> Result<Json<BTreeMap<String, Stats>>, Error> {
    Ok(Json(BTreeMap::from([(
        app.config.cluster_id.clone(),
        count(&app).await?,
    )])))
}

/// Statistics of a cluster, or of all.
#[derive(Serialize, ToSchema)]
#[serde(untagged)]
enum ClusterStats {
    /// Numbers under the cluster's name.
    One(BTreeMap<String, Stats>),
    /// Numbers under the clusters' names, under `all`.
    All(BTreeMap<String, BTreeMap<String, Stats>>),
}

/// Statistics of a cluster, or of all
///
/// `all` stands for all of them, each under its name. Needs access viewer.
#[utoipa::path(
    get,
    path = "/stats/{cluster}",
    tag = "cluster",
    params(("cluster" = String, Path, description = "Id of a cluster, or `all`", example = "all")),
    security(("api_key" = [])),
    responses((status = 200, description = "Numbers under the cluster's name", body = ClusterStats), Unknown, Failures)
)]
async fn get_cluster_stats(
    _: Viewer,
    State(app): State<App>,
    Path(cluster): Path<String>,
) -> Result<Json<ClusterStats>, Error> {
    let own = app.config.cluster_id.clone();
    if cluster != own && cluster != ALL {
        return Err(Error::NotFound(format!("no cluster is called {cluster:?}")));
    }
    let numbers = BTreeMap::from([(own, count(&app).await?)]);
    Ok(Json(match cluster == ALL {
        true => ClusterStats::All(BTreeMap::from([(ALL.to_owned(), numbers)])),
        false => ClusterStats::One(numbers),
    }))
}

async fn count(app: &App) -> Result<Stats, Error> {
    let counted = stats::count(&app.pool).await?;
    Ok(Stats {
        qsize: counted.due,
        failing: counted.failing,
        flapping: counted.flapping,
        suspended: counted.suspended,
        checks: counted.checks,
        pending: counted.leased,
        dead_letters: counted.dead_letters,
        disabled_channels: counted.disabled_channels,
    })
}
