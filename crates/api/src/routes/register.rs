//! Registration: how agents make themselves and their checks known.

use axum::Json;
use axum::extract::State;
use axum::http::HeaderMap;
use serde::Serialize;
use stalker_db::audit::Kind;
use stalker_db::registrations::{self, Identity, RegisterError};
use stalker_domain::wire::{AGENT_TOKEN_HEADER, Registration};
use tracing::{info, warn};
use utoipa::{IntoParams, ToSchema};
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use super::health::Fine;
use crate::access::Agent;
use crate::client::Client;
use crate::error::{Error, RegistrationFailures};
use crate::extract::Body;
use crate::{App, registration, secret};

pub(crate) fn routes() -> OpenApiRouter<App> {
    OpenApiRouter::new().routes(routes!(post_registration, put_registration))
}

/// In the description: an agent that has registered its name before shows that.
#[derive(IntoParams)]
#[into_params(parameter_in = Header)]
#[allow(dead_code)] // a description: the handler reads it
struct AgentToken {
    /// The `token` of this host's first registration. Without it, or with another, the name is refused (403) once it has one.
    #[param(rename = "X-AGENT-TOKEN", required = false)]
    token: Option<String>,
}

/// What became of a registration.
#[derive(Serialize, ToSchema)]
struct Registered {
    /// Always `ok`.
    #[schema(value_type = Fine)]
    status: &'static str,
    /// Checks that were not known before.
    #[schema(example = 1)]
    added: usize,
    /// Checks that had been removed and are back, as they were.
    #[schema(example = 0)]
    returned: usize,
    /// Checks that are no longer named.
    #[schema(example = 0)]
    removed: usize,
    /// What the agent is to show in `X-AGENT-TOKEN` from now on: nobody else can register by its name then. Given to agents
    /// that say their version and have none.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    token: Option<String>,
    /// What its sender may not have meant.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
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
    params(AgentToken),
    request_body = Registration,
    security(("register_key" = [])),
    responses(
        (status = 200, description = "Registered", body = Registered),
        RegistrationFailures,
    )
)]
async fn post_registration(
    Agent(register_key): Agent,
    State(app): State<App>,
    client: Client,
    headers: HeaderMap,
    Body(body): Body,
) -> Result<Json<Registered>, Error> {
    let registration = registration::read(&body)?;
    let ip = registration
        .ip
        .clone()
        .unwrap_or_else(|| client.address.to_string());
    let shown = headers.get(AGENT_TOKEN_HEADER);
    let new_token = secret::random();
    let identity = Identity {
        // what is no text is no token that we gave
        token: shown.map(|token| token.to_str().unwrap_or_default()),
        new_token: &new_token,
        allow_tokenless: app.config.allow_tokenless,
        actor: &client.actor(Kind::Agent, None, registration.hostname.clone()),
        register_key: &register_key,
    };
    let done = registrations::register(&app.pool, &registration, &ip, &identity)
        .await
        .inspect_err(|error| {
            // somebody else's name, or a machine that was set up anew: both want to be looked at
            warn!(hostname = registration.hostname, address = %client.address, %error, "a registration was refused");
        })?;
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
        token: done.is_token_new.then_some(new_token),
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
    params(AgentToken),
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
    client: Client,
    headers: HeaderMap,
    body: Body,
) -> Result<Json<Registered>, Error> {
    post_registration(agent, app, client, headers, body).await
}

impl From<RegisterError> for Error {
    fn from(error: RegisterError) -> Self {
        Self::Forbidden(match error {
            RegisterError::Database(error) => return Self::Database(error),
            RegisterError::WrongToken | RegisterError::TokenMissing => {
                "this name belongs to an agent with another token; if the machine was set up anew, an admin releases the name: \
                 `stalkerd hosts release NAME`, or DELETE /hosts/NAME/token"
            }
            RegisterError::Tokenless => {
                "agents without a token are not allowed here (agents.allow_tokenless)"
            }
        })
    }
}
