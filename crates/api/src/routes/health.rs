//! What balancers and supervisors call, without a key.

use axum::Json;
use axum::extract::State;
use serde::Serialize;
use utoipa::ToSchema;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use crate::App;
use crate::error::{Error, Problem};

pub(crate) fn routes() -> OpenApiRouter<App> {
    OpenApiRouter::new()
        .routes(routes!(get_health))
        .routes(routes!(get_readiness))
}

/// All is well.
#[derive(Serialize, ToSchema)]
struct Health {
    /// Always `ok`.
    #[schema(value_type = Fine)]
    status: &'static str,
}

/// The one word of what is well.
#[derive(ToSchema)]
#[allow(dead_code)] // a description
#[schema(rename_all = "lowercase")]
pub(super) enum Fine {
    Ok,
}

/// Whether this process lives
///
/// Never asks the database: a process that is restarted because its database is away comes back no better.
#[utoipa::path(
    get,
    path = "/healthz",
    tag = "health",
    security(()),
    responses((status = 200, description = "It does", body = Health))
)]
async fn get_health() -> Json<Health> {
    Json(Health { status: "ok" })
}

/// Whether this process can do its work
///
/// It can if the database answers and its migrations are those of this executable.
#[utoipa::path(
    get,
    path = "/readyz",
    tag = "health",
    security(()),
    responses(
        (status = 200, description = "It can", body = Health),
        (status = 503, description = "Not now; the document says why", body = Problem, content_type = "application/problem+json"),
    )
)]
async fn get_readiness(State(app): State<App>) -> Result<Json<Health>, Error> {
    if !stalker_db::is_migrated(&app.pool).await? {
        return Err(Error::NotReady(
            "the database's migrations are not those of this executable",
        ));
    }
    Ok(Json(Health { status: "ok" }))
}
