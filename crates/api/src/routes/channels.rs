//! Channels and routes as the configuration of the workers says, without secrets; and tests of channels.

use std::time::Duration;

use axum::Json;
use axum::extract::State;
use serde::Serialize;
use stalker_db::audit::Deed;
use stalker_db::{channel_tests, channels, replicas, routes as alert_routes};
use tokio::time::Instant;
use utoipa::ToSchema;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use super::alerts::AlertStatus;
use crate::App;
use crate::access::{Operator, Viewer};
use crate::error::{Error, Failures, Problem, Unknown};
use crate::extract::Path;

/// How long a test of a channel is waited for; shorter than any request may take.
const PATIENCE: Duration = Duration::from_secs(25);
/// Between two looks at whether it has ended.
const LOOK: Duration = Duration::from_millis(200);

pub(crate) fn routes() -> OpenApiRouter<App> {
    OpenApiRouter::new()
        .routes(routes!(list_channels))
        .routes(routes!(list_alert_routes))
        .routes(routes!(test_channel))
}

/// A destination, and how it does.
#[derive(Serialize, ToSchema)]
struct Channel {
    /// Its name; of one of several recipients `NAME/RECIPIENT`.
    #[schema(example = "pager")]
    name: String,
    /// The code that speaks its protocol.
    #[schema(example = "pagerduty")]
    provider: String,
    /// Where it leads, without what is secret.
    #[schema(example = "https://events.pagerduty.com/(hidden)")]
    address: String,
    /// The configured channel of which this is one recipient.
    #[schema(required, example = json!(null))]
    part_of: Option<String>,
    /// In front of incident keys.
    #[schema(example = "")]
    prefix: String,
    /// The channel that is told what this one does not take.
    #[schema(required, example = "mail")]
    fallback: Option<String>,
    /// Since when it is no longer configured, unix seconds; kept while alerts concern it.
    #[schema(required, example = json!(null))]
    retired: Option<i64>,
    /// Since when nothing is sent there, unix seconds: its receiver said that it is gone for good. Other settings, or a
    /// test that is accepted, enable it again.
    #[schema(required, example = json!(null))]
    disabled: Option<i64>,
    /// What the receiver said.
    #[schema(required, example = json!(null))]
    disabled_why: Option<String>,
    /// Notifications that wait, or are being sent.
    #[schema(minimum = 0, example = 0)]
    pending: i64,
    /// Notifications that were refused for good, and that another try could still deliver.
    #[schema(minimum = 0, example = 0)]
    dead_letters: i64,
    /// When it accepted something for the last time, unix seconds.
    #[schema(required, example = 1_364_186_204)]
    last_accepted: Option<i64>,
}

/// Channels, in the order of their names.
#[derive(Serialize, ToSchema)]
struct Channels {
    /// Retired ones too.
    channels: Vec<Channel>,
}

/// The configured channels
///
/// Of several recipients each is one. Needs access viewer.
#[utoipa::path(
    get,
    path = "/channels",
    tag = "channels",
    security(("api_key" = [])),
    responses((status = 200, description = "The channels, without their secrets", body = Channels), Failures)
)]
async fn list_channels(_: Viewer, State(app): State<App>) -> Result<Json<Channels>, Error> {
    let channels = channels::list(&app.pool).await?;
    Ok(Json(Channels {
        channels: channels.into_iter().map(Channel::from).collect(),
    }))
}

/// Which alerts concern which channels: all that is not null must match, each by one of its patterns.
#[derive(Serialize, ToSchema)]
struct AlertRoute {
    /// From 1, in the order in which they are asked.
    #[schema(minimum = 1, example = 1)]
    position: usize,
    /// What an alert must be like.
    r#match: Match,
    /// Who is told.
    #[schema(example = json!(["pager"]))]
    channels: Vec<String>,
    /// Later routes are asked as well.
    #[schema(example = false)]
    r#continue: bool,
}

/// What an alert must be like; null matches everything.
#[derive(Serialize, ToSchema)]
struct Match {
    /// Names of hosts.
    #[schema(required, example = json!(["web*"]))]
    host: Option<Vec<String>>,
    /// Roles, one of which the host must have.
    #[schema(required, example = json!(null))]
    role: Option<Vec<String>>,
    /// Names of checks.
    #[schema(required, example = json!(null))]
    check: Option<Vec<String>>,
    /// How the check is probed.
    #[schema(required, example = json!(null))]
    kind: Option<Vec<String>>,
    /// 1, 2.
    #[schema(required, example = json!([1]))]
    priority: Option<Vec<i16>>,
    /// `warning`, `critical`, `unknown`; of a host `unreachable`.
    #[schema(required, value_type = Option<Vec<AlertStatus>>)]
    status: Option<Vec<String>>,
}

/// Alert routes in their order.
#[derive(Serialize, ToSchema)]
struct AlertRoutes {
    /// Without any, every channel is told of every alert.
    routes: Vec<AlertRoute>,
}

/// The configured alert routes
///
/// Needs access viewer.
#[utoipa::path(
    get,
    path = "/channels/routes",
    tag = "channels",
    security(("api_key" = [])),
    responses((status = 200, description = "The routes, in the order in which they are asked", body = AlertRoutes), Failures)
)]
async fn list_alert_routes(_: Viewer, State(app): State<App>) -> Result<Json<AlertRoutes>, Error> {
    let routes = alert_routes::list(&app.pool).await?;
    Ok(Json(AlertRoutes {
        routes: (1..).zip(routes).map(AlertRoute::from).collect(),
    }))
}

/// How a test ended.
#[derive(Serialize, ToSchema)]
struct Tested {
    /// The receiver has taken it.
    #[schema(example = true)]
    accepted: bool,
    /// From the beginning to the answer.
    #[schema(required, example = 120)]
    latency_ms: Option<i32>,
    /// HTTP status, or what the protocol has in its place; null without an answer.
    #[schema(required, example = 202)]
    status_code: Option<i32>,
    /// Why it was not accepted.
    #[schema(required, example = json!(null))]
    error: Option<String>,
    /// The beginning of the receiver's answer.
    #[schema(required, example = "{\"status\": \"success\"}")]
    answer: Option<String>,
}

/// Sends a test message to a channel
///
/// A worker sends it; the answer is how that went, or 503 if no worker runs. One that is accepted enables a disabled channel
/// again. Needs access operator.
#[utoipa::path(
    post,
    path = "/channels/{name}/test",
    tag = "channels",
    params(("name" = String, Path, description = "Name of the channel; a `/` in it is written `%2F`", example = "pager")),
    security(("api_key" = [])),
    responses(
        (status = 200, description = "How it ended, accepted or not", body = Tested),
        (status = 504, description = "It has not ended within 25 s; the document says whether a worker took it", body = Problem, content_type = "application/problem+json"),
        Unknown,
        Failures,
    )
)]
async fn test_channel(
    Operator(caller): Operator,
    State(app): State<App>,
    Path(name): Path<String>,
) -> Result<Json<Tested>, Error> {
    let unknown = || Error::NotFound(format!("no channel is configured by the name {name:?}"));
    if !channels::is_configured(&app.pool, &name).await? {
        return Err(unknown());
    }
    if !replicas::has_worker(&app.pool).await? {
        return Err(Error::NotReady(
            "no worker runs, and workers send: start a `stalkerd worker`",
        ));
    }
    let mut tx = app.pool.begin().await?;
    let asked = channel_tests::ask(&mut tx, &name, &caller.actor.name).await?;
    let test_id = asked.ok_or_else(unknown)?;
    let deed = Deed {
        action: "test_channel",
        subject: format!("channel {name}"),
        before: None,
        after: None,
    };
    caller.audit(&mut tx, deed).await?;
    tx.commit().await?;
    let deadline = Instant::now() + PATIENCE;
    loop {
        let test = channel_tests::find(&app.pool, test_id).await?;
        if test.has_ended {
            return Ok(Json(Tested::from(test)));
        }
        if Instant::now() >= deadline {
            return Err(Error::Unanswered(match test.has_begun {
                true => format!("the receiver of {name:?} has not answered within {PATIENCE:?}"),
                false => format!(
                    "no worker took the test within {PATIENCE:?}: does the configuration of one have the channel {name:?}?"
                ),
            }));
        }
        tokio::time::sleep(LOOK).await;
    }
}

impl From<channels::Listed> for Channel {
    fn from(channel: channels::Listed) -> Self {
        Self {
            name: channel.name,
            provider: channel.provider,
            address: channel.address,
            part_of: channel.part_of,
            prefix: channel.prefix,
            fallback: channel.fallback,
            retired: channel.retired_at.map(|at| at.timestamp()),
            disabled: channel.disabled_at.map(|at| at.timestamp()),
            disabled_why: channel.disabled_why,
            pending: channel.pending + channel.sending,
            dead_letters: channel.dead_letters,
            last_accepted: channel.accepted_at.map(|at| at.timestamp()),
        }
    }
}

impl From<(usize, alert_routes::Route)> for AlertRoute {
    fn from((position, route): (usize, alert_routes::Route)) -> Self {
        Self {
            position,
            r#match: Match {
                host: route.hosts,
                role: route.roles,
                check: route.checks,
                kind: route.kinds,
                priority: route.priorities,
                status: route.statuses,
            },
            channels: route.channels,
            r#continue: route.continues,
        }
    }
}

impl From<channel_tests::Test> for Tested {
    fn from(test: channel_tests::Test) -> Self {
        Self {
            accepted: test.error.is_none(),
            latency_ms: test.latency_ms,
            status_code: test.http_status,
            error: test.error,
            answer: test.answer,
        }
    }
}
