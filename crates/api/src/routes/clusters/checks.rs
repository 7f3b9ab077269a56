//! Checks of other clusters: looked at one by one, and steered. Of this one the same paths lead to the operations of its own.

use axum::Json;
use axum::extract::State;
use axum::http::Method;
use axum::response::{IntoResponse, Response};
use serde_json::{Value, json};
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use super::super::Success;
use super::super::checks::{self, Checks, NextRun, OneCheck, Suspension};
use super::super::owners::{self, Owner};
use super::remote::{self, Wanted, act};
use crate::App;
use crate::access::{Admin, Caller, Operator, ScopedOperator, ScopedViewer, Viewer};
use crate::error::{DoneElsewhere, Elsewhere, Error, Failures, Unknown};
use crate::extract::{Body, Path, Query};
use crate::list::Part;

pub(crate) fn routes() -> OpenApiRouter<App> {
    OpenApiRouter::new()
        .routes(routes!(list_cluster_checks_of_host))
        .routes(routes!(get_cluster_check, delete_cluster_check))
        .routes(routes!(get_cluster_next_run, set_cluster_next_run))
        .routes(routes!(get_cluster_suspension, set_cluster_suspension))
        .routes(routes!(
            get_cluster_owner,
            set_cluster_owner,
            delete_cluster_owner
        ))
}

/// The checks of a host of a cluster
///
/// Asked for anew each time. Needs access viewer.
#[utoipa::path(
    get,
    path = "/global/{cluster}/checks/host/{host}",
    tag = "cluster",
    params(
        ("cluster" = String, Path, description = "Id of the cluster", example = "here"),
        ("host" = String, Path, description = "Name or address of the host", example = "web1"),
        Part,
    ),
    security(("api_key" = [])),
    responses((status = 200, description = "Its checks", body = Checks), Unknown, Elsewhere, Failures)
)]
async fn list_cluster_checks_of_host(
    Viewer(caller): Viewer,
    State(app): State<App>,
    Path((cluster, host)): Path<(String, String)>,
    Query(part): Query<Part>,
) -> Result<Response, Error> {
    if cluster == app.config.cluster_id {
        let (caller, host) = (ScopedViewer(caller), Path(host));
        return checks::list_checks_of_host(caller, State(app), host, Query(part)).await;
    }
    remote::checks_of_host(&app, &cluster, &host, part).await
}

/// A check of any cluster, as it is now.
async fn find(caller: Caller, app: App, cluster: &str, id: String) -> Result<Response, Error> {
    if cluster == app.config.cluster_id {
        let found = checks::get_check(ScopedViewer(caller), State(app), Path(id)).await;
        return found.map(IntoResponse::into_response);
    }
    remote::check(&app, cluster, &id).await
}

/// What is to be done to a check of another cluster: at its own path there, or at one below.
fn wanted(
    action: &'static str,
    method: Method,
    id: &str,
    below: &str,
    body: Option<Value>,
) -> Result<Wanted, Error> {
    Ok(Wanted {
        action,
        subject: format!("check {id}"),
        method,
        path: format!("/checks/id/{}{below}", remote::segment(id)?),
        body,
    })
}

/// One check of a cluster
///
/// Needs access viewer.
#[utoipa::path(
    get,
    path = "/global/{cluster}/checks/id/{id}",
    tag = "cluster",
    params(
        ("cluster" = String, Path, description = "Id of the cluster", example = "here"),
        ("id" = String, Path, description = "Id of the check there", example = "17"),
    ),
    security(("api_key" = [])),
    responses((status = 200, description = "The check", body = OneCheck), Unknown, Elsewhere, Failures)
)]
async fn get_cluster_check(
    Viewer(caller): Viewer,
    State(app): State<App>,
    Path((cluster, id)): Path<(String, String)>,
) -> Result<Response, Error> {
    find(caller, app, &cluster, id).await
}

/// Deletes a check of a cluster
///
/// If the key that is configured for the cluster allows it. Needs access admin.
#[utoipa::path(
    delete,
    path = "/global/{cluster}/checks/id/{id}",
    tag = "cluster",
    params(
        ("cluster" = String, Path, description = "Id of the cluster", example = "here"),
        ("id" = String, Path, description = "Id of the check there", example = "17"),
    ),
    security(("api_key" = [])),
    responses((status = 200, description = "Deleted", body = Success), Unknown, DoneElsewhere, Failures)
)]
async fn delete_cluster_check(
    Admin(caller): Admin,
    State(app): State<App>,
    Path((cluster, id)): Path<(String, String)>,
) -> Result<Json<Success>, Error> {
    if cluster == app.config.cluster_id {
        return checks::delete_check(Admin(caller), State(app), Path(id)).await;
    }
    let wanted = wanted("delete_cluster_check", Method::DELETE, &id, "", None)?;
    act(app, caller, cluster, wanted).await
}

/// When a check of a cluster runs next
///
/// Needs access viewer.
#[utoipa::path(
    get,
    path = "/global/{cluster}/checks/id/{id}/next",
    tag = "cluster",
    params(
        ("cluster" = String, Path, description = "Id of the cluster", example = "here"),
        ("id" = String, Path, description = "Id of the check there", example = "17"),
    ),
    security(("api_key" = [])),
    responses((status = 200, description = "The check; `next` is the time", body = OneCheck), Unknown, Elsewhere, Failures)
)]
async fn get_cluster_next_run(
    Viewer(caller): Viewer,
    State(app): State<App>,
    Path((cluster, id)): Path<(String, String)>,
) -> Result<Response, Error> {
    find(caller, app, &cluster, id).await
}

/// Runs a check of a cluster now or at a time
///
/// If the key that is configured for the cluster allows it. Needs access operator.
#[utoipa::path(
    post,
    path = "/global/{cluster}/checks/id/{id}/next",
    tag = "cluster",
    params(
        ("cluster" = String, Path, description = "Id of the cluster", example = "here"),
        ("id" = String, Path, description = "Id of the check there", example = "17"),
    ),
    request_body = NextRun,
    security(("api_key" = [])),
    responses((status = 200, description = "It will run then", body = Success), Unknown, DoneElsewhere, Failures)
)]
async fn set_cluster_next_run(
    Operator(caller): Operator,
    State(app): State<App>,
    Path((cluster, id)): Path<(String, String)>,
    Body(body): Body,
) -> Result<Json<Success>, Error> {
    if cluster == app.config.cluster_id {
        return checks::set_next_run(ScopedOperator(caller), State(app), Path(id), Body(body))
            .await;
    }
    let next = checks::next_time(&body["next"])?;
    let body = json!({ "next": checks::next_shown(next) });
    let wanted = wanted(
        "set_cluster_next_run",
        Method::POST,
        &id,
        "/next",
        Some(body),
    )?;
    act(app, caller, cluster, wanted).await
}

/// Whether a check of a cluster runs at all
///
/// Needs access viewer.
#[utoipa::path(
    get,
    path = "/global/{cluster}/checks/id/{id}/suspended",
    tag = "cluster",
    params(
        ("cluster" = String, Path, description = "Id of the cluster", example = "here"),
        ("id" = String, Path, description = "Id of the check there", example = "17"),
    ),
    security(("api_key" = [])),
    responses((status = 200, description = "The check; `suspended` tells", body = OneCheck), Unknown, Elsewhere, Failures)
)]
async fn get_cluster_suspension(
    Viewer(caller): Viewer,
    State(app): State<App>,
    Path((cluster, id)): Path<(String, String)>,
) -> Result<Response, Error> {
    find(caller, app, &cluster, id).await
}

/// Suspends or resumes a check of a cluster
///
/// If the key that is configured for the cluster allows it. Needs access operator.
#[utoipa::path(
    post,
    path = "/global/{cluster}/checks/id/{id}/suspended",
    tag = "cluster",
    params(
        ("cluster" = String, Path, description = "Id of the cluster", example = "here"),
        ("id" = String, Path, description = "Id of the check there", example = "17"),
    ),
    request_body = Suspension,
    security(("api_key" = [])),
    responses((status = 200, description = "It is so", body = Success), Unknown, DoneElsewhere, Failures)
)]
async fn set_cluster_suspension(
    Operator(caller): Operator,
    State(app): State<App>,
    Path((cluster, id)): Path<(String, String)>,
    Body(body): Body,
) -> Result<Json<Success>, Error> {
    if cluster == app.config.cluster_id {
        return checks::set_suspension(ScopedOperator(caller), State(app), Path(id), Body(body))
            .await;
    }
    let body = json!({ "suspended": checks::suspended(&body)? });
    let wanted = wanted(
        "set_cluster_suspension",
        Method::POST,
        &id,
        "/suspended",
        Some(body),
    )?;
    act(app, caller, cluster, wanted).await
}

/// Who takes care of a check of a cluster
///
/// Needs access viewer.
#[utoipa::path(
    get,
    path = "/global/{cluster}/checks/id/{id}/owner",
    tag = "cluster",
    params(
        ("cluster" = String, Path, description = "Id of the cluster", example = "here"),
        ("id" = String, Path, description = "Id of the check there", example = "17"),
    ),
    security(("api_key" = [])),
    responses((status = 200, description = "The check; `owner` tells", body = OneCheck), Unknown, Elsewhere, Failures)
)]
async fn get_cluster_owner(
    Viewer(caller): Viewer,
    State(app): State<App>,
    Path((cluster, id)): Path<(String, String)>,
) -> Result<Response, Error> {
    find(caller, app, &cluster, id).await
}

/// Takes ownership of a check of a cluster
///
/// If the key that is configured for the cluster allows it. Needs access operator.
#[utoipa::path(
    post,
    path = "/global/{cluster}/checks/id/{id}/owner",
    tag = "cluster",
    params(
        ("cluster" = String, Path, description = "Id of the cluster", example = "here"),
        ("id" = String, Path, description = "Id of the check there", example = "17"),
    ),
    request_body = Owner,
    security(("api_key" = [])),
    responses((status = 200, description = "It is so", body = Success), Unknown, DoneElsewhere, Failures)
)]
async fn set_cluster_owner(
    Operator(caller): Operator,
    State(app): State<App>,
    Path((cluster, id)): Path<(String, String)>,
    Body(body): Body,
) -> Result<Json<Success>, Error> {
    if cluster == app.config.cluster_id {
        return owners::set_owner(ScopedOperator(caller), State(app), Path(id), Body(body)).await;
    }
    let body = json!({ "owner": owners::name(&body["owner"])? });
    let wanted = wanted("set_cluster_owner", Method::POST, &id, "/owner", Some(body))?;
    act(app, caller, cluster, wanted).await
}

/// Gives up the ownership of a check of a cluster
///
/// If the key that is configured for the cluster allows it. Needs access operator.
#[utoipa::path(
    delete,
    path = "/global/{cluster}/checks/id/{id}/owner",
    tag = "cluster",
    params(
        ("cluster" = String, Path, description = "Id of the cluster", example = "here"),
        ("id" = String, Path, description = "Id of the check there", example = "17"),
    ),
    security(("api_key" = [])),
    responses((status = 200, description = "Nobody owns it", body = Success), Unknown, DoneElsewhere, Failures)
)]
async fn delete_cluster_owner(
    Operator(caller): Operator,
    State(app): State<App>,
    Path((cluster, id)): Path<(String, String)>,
) -> Result<Json<Success>, Error> {
    if cluster == app.config.cluster_id {
        return owners::delete_owner(ScopedOperator(caller), State(app), Path(id)).await;
    }
    let wanted = wanted("delete_cluster_owner", Method::DELETE, &id, "/owner", None)?;
    act(app, caller, cluster, wanted).await
}
