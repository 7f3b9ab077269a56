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
use crate::error::{Error, Failures};

pub(crate) fn routes() -> OpenApiRouter<App> {
    OpenApiRouter::new().routes(routes!(get_stats))
}

/// Numbers, of checks but for the last two.
#[derive(Serialize, ToSchema)]
struct Stats {
    /// Due, and not held by a worker.
    qsize: i64,
    /// Failing.
    failing: i64,
    /// Flapping.
    flapping: i64,
    /// Suspended.
    suspended: i64,
    /// All.
    checks: i64,
    /// Held by a worker.
    pending: i64,
    /// Notifications that a channel has refused for good, and that another try could still deliver.
    dead_letters: i64,
    /// Channels to which nothing is sent, because their receiver said that it is gone for good.
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
    let counted = stats::count(&app.pool).await?;
    let stats = Stats {
        qsize: counted.due,
        failing: counted.failing,
        flapping: counted.flapping,
        suspended: counted.suspended,
        checks: counted.checks,
        pending: counted.leased,
        dead_letters: counted.dead_letters,
        disabled_channels: counted.disabled_channels,
    };
    Ok(Json(BTreeMap::from([(
        app.config.cluster_id.clone(),
        stats,
    )])))
}
