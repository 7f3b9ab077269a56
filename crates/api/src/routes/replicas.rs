//! The processes of this cluster.

use axum::Json;
use axum::extract::State;
use serde::Serialize;
use stalker_db::replicas;
use utoipa::ToSchema;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use crate::App;
use crate::access::Viewer;
use crate::error::{Error, Failures};

pub(crate) fn routes() -> OpenApiRouter<App> {
    OpenApiRouter::new().routes(routes!(list_replicas))
}

/// A running process, or one that was killed within the hour.
#[derive(Serialize, ToSchema)]
struct Replica {
    /// Opaque.
    id: String,
    /// `api`, `scheduler` or `worker`.
    #[schema(example = "worker")]
    component: String,
    /// The machine that it runs on.
    hostname: String,
    /// Of its executable.
    version: String,
    /// When it began, unix seconds.
    started: i64,
    /// When it last said that it is alive, unix seconds; it does so each second.
    seen: i64,
    /// It has said so within the last ten seconds.
    alive: bool,
    /// Of a worker: how far it is behind, in milliseconds.
    behind_ms: i64,
}

/// Replicas, by component and start.
#[derive(Serialize, ToSchema)]
struct Replicas {
    /// All of them.
    replicas: Vec<Replica>,
}

/// The replicas of every component
///
/// Needs access viewer.
#[utoipa::path(
    get,
    path = "/replicas",
    tag = "cluster",
    security(("api_key" = [])),
    responses((status = 200, description = "The replicas", body = Replicas), Failures)
)]
async fn list_replicas(_: Viewer, State(app): State<App>) -> Result<Json<Replicas>, Error> {
    let replicas = replicas::list(&app.pool).await?;
    let replicas = replicas.into_iter().map(|replica| Replica {
        id: replica.replica_id.to_string(),
        component: replica.component,
        hostname: replica.hostname,
        version: replica.version,
        started: replica.started_at.timestamp(),
        seen: replica.seen_at.timestamp(),
        alive: replica.is_alive,
        behind_ms: replica.behind_ms,
    });
    Ok(Json(Replicas {
        replicas: replicas.collect(),
    }))
}
