//! Finds hosts by how their names begin, as people type.

use axum::extract::State;
use serde::Deserialize;
use stalker_db::hosts;
use utoipa::IntoParams;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use crate::App;
use crate::access::ScopedViewer;
use crate::error::{Error, Failures};
use crate::extract::Query;

/// Names in one answer.
const MOST: i64 = 100;

pub(crate) fn routes() -> OpenApiRouter<App> {
    OpenApiRouter::new().routes(routes!(find_host))
}

/// What to look for.
#[derive(Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
struct Search {
    /// How it begins.
    #[param(example = "web")]
    q: String,
}

/// Hosts whose names begin so
///
/// Addresses, if no name does; at most 100. Needs access viewer.
#[utoipa::path(
    get,
    path = "/findhost",
    tag = "hosts",
    params(Search),
    security(("api_key" = [])),
    responses((status = 200, description = "Names, with commas between them", body = String, content_type = "text/plain"), Failures)
)]
async fn find_host(
    ScopedViewer(caller): ScopedViewer,
    State(app): State<App>,
    Query(Search { q }): Query<Search>,
) -> Result<String, Error> {
    let found = hosts::beginning_with(&app.pool, &q, caller.scope(), MOST).await?;
    Ok(found.join(","))
}
