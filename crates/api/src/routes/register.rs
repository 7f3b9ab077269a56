//! Registration: how agents make themselves and their checks known.

use std::net::SocketAddr;

use axum::Json;
use axum::extract::{ConnectInfo, State};
use serde::Serialize;
use stalker_db::registrations;
use stalker_domain::wire::Registration;
use tracing::{info, warn};
use utoipa::ToSchema;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use crate::App;
use crate::access::Agent;
use crate::error::{Error, RegistrationFailures};
use crate::extract::Body;
use crate::registration;

pub(crate) fn routes() -> OpenApiRouter<App> {
    OpenApiRouter::new().routes(routes!(post_registration, put_registration))
}

/// What became of a registration.
#[derive(Serialize, ToSchema)]
struct Registered {
    /// Always `ok`.
    #[schema(example = "ok")]
    status: &'static str,
    /// Checks that were not known before.
    added: usize,
    /// Checks that had been removed and are back, as they were.
    returned: usize,
    /// Checks that are no longer named.
    removed: usize,
    /// What its sender may not have meant.
    #[serde(skip_serializing_if = "Option::is_none")]
    warning: Option<&'static str>,
}

/// Registers a host and its checks
///
/// State, owner and suspension of checks that are known survive. Checks that are no longer named are removed; named
/// again within 30 days they come back as they were.
#[utoipa::path(
    post,
    path = "/register",
    tag = "registration",
    request_body = Registration,
    security(("register_key" = [])),
    responses(
        (status = 200, description = "Registered", body = Registered),
        RegistrationFailures,
    )
)]
async fn post_registration(
    _: Agent,
    State(app): State<App>,
    ConnectInfo(peer): ConnectInfo<SocketAddr>,
    Body(body): Body,
) -> Result<Json<Registered>, Error> {
    let registration = registration::read(&body)?;
    let ip = registration
        .ip
        .clone()
        .unwrap_or_else(|| peer.ip().to_canonical().to_string());
    let done = registrations::register(&app.pool, &registration, &ip).await?;
    let warning = (done.removed > 0 && registration.checks.is_empty())
        .then_some("this host had checks, and none is named any more: all of them were removed");
    if let Some(warning) = warning {
        warn!(
            hostname = registration.hostname,
            removed = done.removed,
            "{warning}"
        );
    }
    info!(
        hostname = registration.hostname,
        ip,
        added = done.added,
        returned = done.returned,
        removed = done.removed,
        "registered"
    );
    Ok(Json(Registered {
        status: "ok",
        added: done.added,
        returned: done.returned,
        removed: done.removed,
        warning,
    }))
}

/// Registers a host and its checks
///
/// The same as POST.
#[utoipa::path(
    put,
    path = "/register",
    tag = "registration",
    request_body = Registration,
    security(("register_key" = [])),
    responses(
        (status = 200, description = "Registered", body = Registered),
        RegistrationFailures,
    )
)]
async fn put_registration(
    agent: Agent,
    app: State<App>,
    peer: ConnectInfo<SocketAddr>,
    body: Body,
) -> Result<Json<Registered>, Error> {
    post_registration(agent, app, peer, body).await
}
