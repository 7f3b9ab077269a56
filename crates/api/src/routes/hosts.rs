//! Hosts.

use std::collections::BTreeMap;

use axum::Json;
use axum::extract::State;
use axum::response::Response;
use serde::{Deserialize, Serialize};
use serde_json::json;
use stalker_db::audit::Deed;
use stalker_db::hosts::{self, Which};
use stalker_domain::wire::RegisteredCheck;
use utoipa::{IntoParams, ToSchema};
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use super::Success;
use crate::App;
use crate::access::{Admin, Caller, ScopedViewer};
use crate::error::{Error, Failures, Problem, Unknown};
use crate::extract::{Path, Query};
use crate::list::{self, Part};

pub(crate) fn routes() -> OpenApiRouter<App> {
    OpenApiRouter::new()
        .routes(routes!(list_hosts))
        .routes(routes!(get_host, delete_host))
}

/// Hosts per statement: they carry all of their checks.
const PAGE_ROWS: i64 = 20;

/// A host as its agent declared it.
#[derive(Serialize, ToSchema)]
struct Host {
    /// Opaque; what `after` takes.
    #[schema(example = "5")]
    id: String,
    /// Its name, unique in a cluster.
    #[schema(example = "web1")]
    hostname: String,
    /// Where its agent is called.
    #[schema(example = "10.0.0.7")]
    ip: String,
    /// The port on which its agent listens.
    #[schema(minimum = 1, maximum = 65535, example = 5050)]
    port: i32,
    /// Its labels.
    #[schema(example = json!(["server"]))]
    roles: Vec<String>,
    /// What its agent calls itself; null for the original's.
    #[schema(required, example = "1.0.0")]
    agent_version: Option<String>,
    /// The certificate that its agent must show: lower-case hex SHA-256 of it; null until one is known.
    #[schema(
        required,
        pattern = "^[0-9a-f]{64}$",
        example = "9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08"
    )]
    cert_sha256: Option<String>,
    /// How that certificate became known: `registered` or `first_seen`.
    #[schema(required, value_type = Option<CertOrigin>)]
    cert_origin: Option<String>,
    /// Its agent has a token of its own: nobody else can register by this name. The original's agents have none.
    #[schema(example = true)]
    has_token: bool,
    /// Its checks by name, as they hold.
    checks: BTreeMap<String, RegisteredCheck>,
}

/// How a certificate can have become known.
#[derive(ToSchema)]
#[allow(dead_code)] // a description: the database keeps these words
#[schema(rename_all = "snake_case")]
pub(super) enum CertOrigin {
    Registered,
    FirstSeen,
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
            has_token: host.has_token,
            checks: host.checks.0,
        }
    }
}

/// The id of the host of this name or address, which the caller may know of.
pub(super) async fn find_id(app: &App, host: &str, caller: &Caller) -> Result<i64, Error> {
    hosts::find_id(&app.pool, host, caller.scope())
        .await?
        .ok_or_else(|| unknown(host))
}

/// The name of a host; `asked` is how somebody called it.
pub(super) async fn name(app: &App, host_id: i64, asked: &str) -> Result<String, Error> {
    let mut conn = app.pool.acquire().await?;
    let name = hosts::name(&mut conn, host_id).await?;
    name.ok_or_else(|| unknown(asked))
}

/// The name of the one host of this name or address, for what cannot be taken back: of several, nobody knows which is meant.
pub(super) async fn only_one(app: &App, host: &str) -> Result<String, Error> {
    let mut names = hosts::names(&app.pool, host).await?;
    match (names.pop(), names.is_empty()) {
        (Some(name), true) => Ok(name),
        (None, _) => Err(unknown(host)),
        (Some(_), false) => Err(Error::Conflict(format!(
            "several hosts have the address {host}: say the name"
        ))),
    }
}

pub(super) fn unknown(host: &str) -> Error {
    Error::NotFound(format!("no host has the name or address {host:?}"))
}

/// Which hosts are wanted.
#[derive(Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
struct Filter {
    /// Those with this role.
    role: Option<String>,
}

/// Hosts
///
/// Needs access viewer.
#[utoipa::path(
    get,
    path = "/hosts",
    tag = "hosts",
    params(Filter, Part),
    security(("api_key" = [])),
    responses((status = 200, description = "The hosts, streamed", body = Hosts), Failures)
)]
async fn list_hosts(
    ScopedViewer(caller): ScopedViewer,
    State(app): State<App>,
    Query(Filter { role }): Query<Filter>,
    Query(part): Query<Part>,
) -> Result<Response, Error> {
    let which = Which {
        role,
        scope: caller.scope,
        ..Which::default()
    };
    list::send("hosts", part, PAGE_ROWS, move |after, limit| {
        let (pool, which) = (app.pool.clone(), which.clone());
        async move {
            let hosts = hosts::page(&pool, &which, after, limit).await?;
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
    params(("host" = String, Path, description = "Name or address of the host", example = "web1")),
    security(("api_key" = [])),
    responses(
        (status = 200, description = "The host with its checks", body = Host),
        Unknown,
        Failures,
    )
)]
async fn get_host(
    ScopedViewer(caller): ScopedViewer,
    State(app): State<App>,
    Path(host): Path<String>,
) -> Result<Json<Host>, Error> {
    let host_id = find_id(&app, &host, &caller).await?;
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
    params(("host" = String, Path, description = "Name or address of the host", example = "web1")),
    security(("api_key" = [])),
    responses(
        (status = 200, description = "Deleted", body = Success),
        (status = 409, description = "Several hosts have this address", body = Problem, content_type = "application/problem+json"),
        Unknown,
        Failures,
    )
)]
pub(super) async fn delete_host(
    Admin(caller): Admin,
    State(app): State<App>,
    Path(host): Path<String>,
) -> Result<Json<Success>, Error> {
    let hostname = only_one(&app, &host).await?;
    let host_id = find_id(&app, &hostname, &caller).await?;
    let found = hosts::find(&app.pool, host_id).await?;
    let found = Host::from(found.ok_or_else(|| unknown(&host))?);
    let mut tx = app.pool.begin().await?;
    if !hosts::delete(&mut tx, host_id).await? {
        return Err(unknown(&host));
    }
    let checks: Vec<&String> = found.checks.keys().collect();
    let deed = Deed {
        action: "delete_host",
        subject: format!("host {}", found.hostname),
        before: Some(json!({ "ip": found.ip, "roles": found.roles, "checks": checks })),
        after: None,
    };
    caller.audit(&mut tx, deed).await?;
    tx.commit().await?;
    Ok(Json(Success::YES))
}
