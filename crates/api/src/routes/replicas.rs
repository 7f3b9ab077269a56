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
    #[schema(example = "2")]
    id: String,
    /// `api`, `scheduler` or `worker`.
    #[schema(value_type = Component)]
    component: String,
    /// The machine that it runs on.
    #[schema(example = "stalker1")]
    hostname: String,
    /// Of its executable.
    #[schema(example = "0.1.0")]
    version: String,
    /// When it began, unix seconds.
    #[schema(example = 1_364_186_204)]
    started: i64,
    /// When it last said that it is alive, unix seconds; it does so each second.
    #[schema(example = 1_364_186_204)]
    seen: i64,
    /// It has said so within the last ten seconds.
    #[schema(example = true)]
    alive: bool,
    /// Of a worker: how far it is behind, in milliseconds.
    #[schema(example = 0)]
    behind_ms: i64,
}

/// The components of a cluster.
#[derive(ToSchema)]
#[allow(dead_code)] // a description: the database keeps these words
#[schema(rename_all = "lowercase")]
enum Component {
    Api,
    Scheduler,
    Worker,
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
