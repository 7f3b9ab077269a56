//! Other clusters, shown beside this one. Each is asked once however many want to know; while it does not answer, what it
//! said last is shown with its age.

mod checks;
mod hosts;
mod remote;

use std::collections::BTreeMap;
use std::time::Duration;

use axum::Json;
use axum::body::{Body, Bytes};
use axum::extract::State;
use axum::http::header;
use axum::response::{IntoResponse, Response};
use futures::stream;
use serde::Serialize;
use serde_json::Value;
use stalker_clusters::{Checks, Look};
use stalker_db::checks::{State as CheckState, Which};
use stalker_db::clusters;
use stalker_domain::wire::Check;
use utoipa::ToSchema;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use super::checks::{StateName, state_named};
use crate::App;
use crate::access::Viewer;
use crate::error::{Elsewhere, Error, Failures};
use crate::extract::{Path, Query};
use crate::list::{self, Part};

pub(crate) fn routes() -> OpenApiRouter<App> {
    OpenApiRouter::new()
        .routes(routes!(list_clusters))
        .routes(routes!(list_cluster_checks_in_state))
        .merge(checks::routes())
        .merge(hosts::routes())
}

/// Where a cluster is found, and whether it was.
#[derive(Serialize, ToSchema)]
struct Cluster {
    /// Its URL.
    #[schema(example = "https://other.example.net")]
    host: String,
    /// When it last answered, unix seconds; null if it never did.
    #[schema(required, example = 1_364_186_204)]
    answered: Option<i64>,
    /// Since when it does not, unix seconds; null while it does.
    #[schema(required, example = json!(null))]
    failing: Option<i64>,
    /// What was wrong when it was last asked; null if nothing was.
    #[schema(required, example = json!(null))]
    error: Option<String>,
}

/// The other clusters by their ids.
#[derive(Serialize, ToSchema)]
struct Clusters {
    /// Never with a key.
    clusters: BTreeMap<String, Cluster>,
}

/// The checks of a cluster in one state, under its name.
#[derive(Serialize, ToSchema)]
#[allow(dead_code)] // a description: the list is sent as it came
struct ClusterChecksInState {
    alerting: Option<Vec<Check>>,
    pending: Option<Vec<Check>>,
    in_maintenance: Option<Vec<Check>>,
    suspended: Option<Vec<Check>>,
    /// Seconds since the cluster said so.
    #[schema(minimum = 0, example = 3)]
    age: u64,
    /// Why it has not said anything since; null if it has not been asked again, or is this one.
    #[schema(required, example = json!(null))]
    error: Option<String>,
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
async fn list_clusters(_: Viewer, State(app): State<App>) -> Result<Json<Clusters>, Error> {
    let found = clusters::list(&app.pool).await?.into_iter();
    let mut found: BTreeMap<_, _> = found.map(|found| (found.cluster.clone(), found)).collect();
    let clusters = app.config.clusters.iter().map(|cluster| {
        // one that was configured just now has not been asked yet
        let found = found.remove(cluster.id());
        let time = |at: Option<_>| at.map(|at: chrono::DateTime<_>| at.timestamp());
        let shown = Cluster {
            host: cluster.host().to_owned(),
            answered: time(found.as_ref().and_then(|found| found.answered_at)),
            failing: time(found.as_ref().and_then(|found| found.failing_since)),
            error: found.and_then(|found| found.error),
        };
        (cluster.id().to_owned(), shown)
    });
    Ok(Json(Clusters {
        clusters: clusters.collect(),
    }))
}

/// The checks of a cluster in a state
///
/// Another cluster is asked at most every few seconds. While it does not answer, what it said last is answered, with its age.
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
    responses(
        (
            status = 200,
            description = "Its checks under the cluster's and the state's name; 400 for an unknown cluster",
            body = BTreeMap<String, ClusterChecksInState>,
        ),
        Elsewhere,
        Failures,
    )
)]
async fn list_cluster_checks_in_state(
    _: Viewer,
    State(app): State<App>,
    Path((cluster, state)): Path<(String, String)>,
    Query(part): Query<Part>,
) -> Result<Response, Error> {
    let which = Which {
        state: state_named(&state, false)?,
        ..Which::default()
    };
    debug_assert!(which.state != CheckState::Any, "every state has a name");
    if cluster == app.config.cluster_id {
        let around = [head(&cluster, &state), tail(Duration::ZERO, None)];
        let pages = super::checks::pages(app.pool, which);
        return list::send_within(around, part, list::SMALL, pages).await;
    }
    let known = remote::named(&app, &cluster)?.checks(&state).await;
    let Look { good, error } = known.ok_or(Error::Internal)?;
    let Some((checks, age)) = good else {
        return Err(remote::nothing_known(&cluster, error.as_deref()));
    };
    let around = [head(&cluster, &state), tail(age, error.as_deref())];
    Ok(send(around, &checks, part))
}

/// Sends a list that is here already, without a copy for each who reads it.
fn send([head, tail]: [String; 2], checks: &Checks, part: Part) -> Response {
    let (limit, after) = part.given();
    let pieces = [Bytes::from(head), checks.part(limit, after), tail.into()];
    let pieces = pieces.map(Ok::<_, std::convert::Infallible>);
    let body = Body::from_stream(stream::iter(pieces));
    ([(header::CONTENT_TYPE, "application/json")], body).into_response()
}

/// What stands before the list.
fn head(cluster: &str, state: &str) -> String {
    format!("{{{}:{{{}:[", Value::from(cluster), Value::from(state))
}

/// What stands behind it.
fn tail(age: Duration, error: Option<&str>) -> String {
    format!(
        "],\"age\":{},\"error\":{}}}}}",
        age.as_secs(),
        Value::from(error)
    )
}
