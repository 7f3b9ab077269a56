//! Hosts of other clusters.

use axum::Json;
use axum::extract::State;
use axum::http::Method;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use super::super::{Success, hosts};
use super::remote::{self, Wanted, act};
use crate::App;
use crate::access::Admin;
use crate::error::{DoneElsewhere, Error, Failures, Problem, Unknown};
use crate::extract::Path;

pub(crate) fn routes() -> OpenApiRouter<App> {
    OpenApiRouter::new().routes(routes!(delete_cluster_host))
}

/// Deletes a host of a cluster, and its checks
///
/// If the key that is configured for the cluster allows it. Needs access admin.
#[utoipa::path(
    delete,
    path = "/global/{cluster}/hosts/{host}",
    tag = "cluster",
    params(
        ("cluster" = String, Path, description = "Id of the cluster", example = "here"),
        ("host" = String, Path, description = "Name or address of the host", example = "web1"),
    ),
    security(("api_key" = [])),
    responses(
        (status = 200, description = "Deleted", body = Success),
        (status = 409, description = "Several hosts have this address", body = Problem, content_type = "application/problem+json"),
        Unknown,
        DoneElsewhere,
        Failures,
    )
)]
async fn delete_cluster_host(
    Admin(caller): Admin,
    State(app): State<App>,
    Path((cluster, host)): Path<(String, String)>,
) -> Result<Json<Success>, Error> {
    if cluster == app.config.cluster_id {
        return hosts::delete_host(Admin(caller), State(app), Path(host)).await;
    }
    let wanted = Wanted {
        action: "delete_cluster_host",
        subject: format!("host {host}"),
        method: Method::DELETE,
        path: format!("/hosts/{}", remote::segment(&host)?),
        body: None,
    };
    act(app, caller, cluster, wanted).await
}
