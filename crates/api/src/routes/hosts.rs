//! Hosts.

use std::collections::BTreeMap;

use axum::Json;
use axum::extract::State;
use axum::response::Response;
use serde::Serialize;
use stalker_db::hosts;
use stalker_domain::wire::RegisteredCheck;
use utoipa::ToSchema;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use super::Success;
use crate::App;
use crate::access::{Admin, Viewer};
use crate::error::{Error, Failures, Unknown};
use crate::extract::{Path, Query};
use crate::list::{self, Part};

pub(crate) fn routes() -> OpenApiRouter<App> {
    OpenApiRouter::new()
        .routes(routes!(list_hosts))
        .routes(routes!(get_host, delete_host))
}

/// A host as its agent declared it.
#[derive(Serialize, ToSchema)]
struct Host {
    /// Opaque; what `after` takes.
    id: String,
    /// Its name, unique in a cluster.
    hostname: String,
    /// Where its agent is called.
    ip: String,
    /// The port on which its agent listens.
    port: i32,
    /// Its labels.
    roles: Vec<String>,
    /// What its agent calls itself; null for the original's.
    agent_version: Option<String>,
    /// The certificate that its agent must show: lower-case hex SHA-256 of it; null until one is known.
    cert_sha256: Option<String>,
    /// How that certificate became known: `registered` or `first_seen`.
    cert_origin: Option<String>,
    /// Its checks by name.
    checks: BTreeMap<String, RegisteredCheck>,
}

/// Hosts, in the order of their ids.
#[derive(Serialize, ToSchema)]
struct Hosts {
    /// Each with its checks.
    hosts: Vec<Host>,
}

impl From<hosts::Host> for Host {
    fn from(host: hosts::Host) -> Self {
        Self {
            id: host.host_id.to_string(),
            hostname: host.hostname,
            ip: host.ip,
            port: host.port,
            roles: host.roles,
            agent_version: host.agent_version,
            cert_sha256: host.cert_sha256,
            cert_origin: host.cert_origin,
            checks: host.checks.0,
        }
    }
}

/// The id of the host of this name or address.
pub(crate) async fn find_id(app: &App, host: &str) -> Result<i64, Error> {
    hosts::find_id(&app.pool, host)
        .await?
        .ok_or_else(|| unknown(host))
}

fn unknown(host: &str) -> Error {
    Error::NotFound(format!("no host has the name or address {host:?}"))
}

/// All hosts
///
/// Needs access viewer.
#[utoipa::path(
    get,
    path = "/hosts",
    tag = "hosts",
    params(Part),
    security(("api_key" = [])),
    responses((status = 200, description = "The hosts, streamed", body = Hosts), Failures)
)]
async fn list_hosts(
    _: Viewer,
    State(app): State<App>,
    Query(part): Query<Part>,
) -> Result<Response, Error> {
    list::send("hosts", part, move |after, limit| {
        let pool = app.pool.clone();
        async move {
            let hosts = hosts::page(&pool, after, limit).await?;
            Ok(hosts
                .into_iter()
                .map(|host| (host.host_id, Host::from(host)))
                .collect())
        }
    })
    .await
}

/// One host
///
/// Needs access viewer.
#[utoipa::path(
    get,
    path = "/hosts/{host}",
    tag = "hosts",
    params(("host" = String, Path, description = "Name or address of the host")),
    security(("api_key" = [])),
    responses(
        (status = 200, description = "The host with its checks", body = Host),
        Unknown,
        Failures,
    )
)]
async fn get_host(
    _: Viewer,
    State(app): State<App>,
    Path(host): Path<String>,
) -> Result<Json<Host>, Error> {
    let host_id = find_id(&app, &host).await?;
    let found = hosts::find(&app.pool, host_id)
        .await?
        .ok_or_else(|| unknown(&host))?;
    Ok(Json(found.into()))
}

/// Deletes a host and its checks
///
/// Its alerts close, its history stays. Needs access admin.
#[utoipa::path(
    delete,
    path = "/hosts/{host}",
    tag = "hosts",
    params(("host" = String, Path, description = "Name or address of the host")),
    security(("api_key" = [])),
    responses(
        (status = 200, description = "Deleted", body = Success),
        Unknown,
        Failures,
    )
)]
async fn delete_host(
    _: Admin,
    State(app): State<App>,
    Path(host): Path<String>,
) -> Result<Json<Success>, Error> {
    let host_id = find_id(&app, &host).await?;
    if !hosts::delete(&app.pool, host_id).await? {
        return Err(unknown(&host));
    }
    Ok(Json(Success::YES))
}
