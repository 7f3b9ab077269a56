//! Which certificate a host's agent must show, and whose a host's name is.

use axum::Json;
use axum::extract::State;
use serde::Serialize;
use serde_json::json;
use stalker_db::audit::Deed;
use stalker_db::pins;
use utoipa::ToSchema;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use super::hosts::CertOrigin;
use super::{Success, hosts};
use crate::App;
use crate::access::{Admin, ScopedViewer};
use crate::error::{Error, Failures, Problem, Unknown};
use crate::extract::Path;

pub(crate) fn routes() -> OpenApiRouter<App> {
    OpenApiRouter::new()
        .routes(routes!(get_pin, reset_pin))
        .routes(routes!(release_host))
}

/// The certificate that an agent must show.
#[derive(Serialize, ToSchema)]
struct Pin {
    /// Lower-case hex SHA-256 of it; null until one is known.
    #[schema(
        required,
        pattern = "^[0-9a-f]{64}$",
        example = "9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08"
    )]
    cert_sha256: Option<String>,
    /// How it became known: `registered` or `first_seen`.
    #[schema(required, value_type = Option<CertOrigin>)]
    cert_origin: Option<String>,
}

/// The pinned certificate of a host's agent
///
/// Needs access viewer.
#[utoipa::path(
    get,
    path = "/hosts/{host}/pin",
    tag = "hosts",
    params(("host" = String, Path, description = "Name or address of the host", example = "web1")),
    security(("api_key" = [])),
    responses((status = 200, description = "The pin", body = Pin), Unknown, Failures)
)]
async fn get_pin(
    ScopedViewer(caller): ScopedViewer,
    State(app): State<App>,
    Path(host): Path<String>,
) -> Result<Json<Pin>, Error> {
    let host_id = hosts::find_id(&app, &host, &caller).await?;
    let pin = pins::find(&app.pool, host_id).await?;
    let pin = pin.ok_or_else(|| hosts::unknown(&host))?;
    Ok(Json(Pin {
        cert_sha256: pin.cert_sha256,
        cert_origin: pin.cert_origin,
    }))
}

/// Forgets the pinned certificate of a host's agent
///
/// It is pinned to the one that it shows next. Needs access admin.
#[utoipa::path(
    delete,
    path = "/hosts/{host}/pin",
    tag = "hosts",
    params(("host" = String, Path, description = "Name or address of the host", example = "web1")),
    security(("api_key" = [])),
    responses(
        (status = 200, description = "Forgotten", body = Success),
        (status = 409, description = "Several hosts have this address", body = Problem, content_type = "application/problem+json"),
        Unknown,
        Failures,
    )
)]
async fn reset_pin(
    Admin(caller): Admin,
    State(app): State<App>,
    Path(host): Path<String>,
) -> Result<Json<Success>, Error> {
    let hostname = hosts::only_one(&app, &host).await?;
    let mut tx = app.pool.begin().await?;
    let pin = pins::reset(&mut tx, &hostname).await?;
    let pin = pin.ok_or_else(|| hosts::unknown(&host))?;
    let deed = Deed {
        action: "reset_pin",
        subject: format!("host {}", pin.hostname),
        before: Some(json!({ "cert_sha256": pin.cert_sha256, "cert_origin": pin.cert_origin })),
        after: None,
    };
    caller.audit(&mut tx, deed).await?;
    tx.commit().await?;
    Ok(Json(Success::YES))
}

/// Releases the name of a host
///
/// Its agent's token is forgotten: the next agent that registers by this name is given one, as when a machine was set up
/// anew. Needs access admin.
#[utoipa::path(
    delete,
    path = "/hosts/{host}/token",
    tag = "hosts",
    params(("host" = String, Path, description = "Name or address of the host", example = "web1")),
    security(("api_key" = [])),
    responses(
        (status = 200, description = "Released", body = Success),
        (status = 409, description = "Several hosts have this address", body = Problem, content_type = "application/problem+json"),
        Unknown,
        Failures,
    )
)]
async fn release_host(
    Admin(caller): Admin,
    State(app): State<App>,
    Path(host): Path<String>,
) -> Result<Json<Success>, Error> {
    let hostname = hosts::only_one(&app, &host).await?;
    let mut tx = app.pool.begin().await?;
    let had_token = stalker_db::hosts::release(&mut tx, &hostname).await?;
    let had_token = had_token.ok_or_else(|| hosts::unknown(&host))?;
    let deed = Deed {
        action: "release_host",
        subject: format!("host {hostname}"),
        before: Some(json!({ "token": had_token })),
        after: None,
    };
    caller.audit(&mut tx, deed).await?;
    tx.commit().await?;
    Ok(Json(Success::YES))
}
