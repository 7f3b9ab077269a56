//! Other clusters, shown beside this one. None can be configured yet, so these routes answer for this one alone.

use std::collections::BTreeMap;

use axum::Json;
use axum::extract::State;
use axum::response::Response;
use serde::Serialize;
use stalker_db::checks::{State as CheckState, Which};
use stalker_domain::wire::Check;
use utoipa::ToSchema;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use super::checks::{StateName, state_named};
use crate::App;
use crate::access::Viewer;
use crate::error::{Error, Failures};
use crate::extract::{Path, Query};
use crate::list::{self, Part};

pub(crate) fn routes() -> OpenApiRouter<App> {
    OpenApiRouter::new()
        .routes(routes!(list_clusters))
        .routes(routes!(list_cluster_checks_in_state))
}

/// Where a cluster is found.
#[derive(Serialize, ToSchema)]
struct Cluster {
    /// Its URL.
    #[schema(example = "https://other.example.net")]
    host: String,
}

/// The other clusters by their ids.
#[derive(Serialize, ToSchema)]
struct Clusters {
    /// Never with a key.
    clusters: BTreeMap<String, Cluster>,
}

/// The other clusters
///
/// Needs access viewer.
#[utoipa::path(
    get,
    path = "/global/clusters",
    tag = "cluster",
    security(("api_key" = [])),
    responses((status = 200, description = "The clusters", body = Clusters), Failures)
)]
async fn list_clusters(_: Viewer) -> Json<Clusters> {
    Json(Clusters {
        clusters: BTreeMap::new(),
    })
}

/// The checks of a cluster in a state
///
/// Needs access viewer.
#[utoipa::path(
    get,
    path = "/global/{cluster}/checks/state/{state}",
    tag = "cluster",
    params(
        ("cluster" = String, Path, description = "Id of the cluster", example = "here"),
        ("state" = inline(StateName), Path, description = "`alerting`, `pending`, `in_maintenance` or `suspended`", example = "alerting"),
        Part,
    ),
    security(("api_key" = [])),
    responses((
        status = 200,
        description = "Its checks under the cluster's and the state's name, streamed; 400 for an unknown cluster",
        body = BTreeMap<String, BTreeMap<String, Vec<Check>>>,
    ), Failures)
)]
async fn list_cluster_checks_in_state(
    _: Viewer,
    State(app): State<App>,
    Path((cluster, state)): Path<(String, String)>,
    Query(part): Query<Part>,
) -> Result<Response, Error> {
    if cluster != app.config.cluster_id {
        return Err(Error::field(
            "cluster",
            format!("no cluster is called {cluster:?}"),
        ));
    }
    let which = Which {
        state: state_named(&state, false)?,
        ..Which::default()
    };
    debug_assert!(which.state != CheckState::Any, "every state has a name");
    let pool = app.pool.clone();
    list::send_within(
        &[&cluster, &state],
        part,
        list::SMALL,
        super::checks::pages(pool, which),
    )
    .await
}
