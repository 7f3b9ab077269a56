//! History: how a check's state changed.

use axum::Json;
use axum::extract::State;
use serde::{Deserialize, Serialize};
use stalker_db::state_changes;
use stalker_domain::status::Status;
use utoipa::{IntoParams, ToSchema};
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use super::hosts;
use crate::App;
use crate::access::ScopedViewer;
use crate::error::{Error, Failures, Unknown};
use crate::extract::{Path, Query, few};

pub(crate) fn routes() -> OpenApiRouter<App> {
    OpenApiRouter::new().routes(routes!(list_state_changes))
}

/// One state change.
#[derive(Serialize, ToSchema)]
struct StateChange {
    /// The check's id.
    #[schema(example = "17")]
    cid: String,
    /// The host's name at that time.
    #[schema(example = "web1")]
    hostname: String,
    /// The check's name at that time.
    #[schema(example = "check_load")]
    check: String,
    /// True if it became ok; null if it had never answered.
    #[schema(required, example = false)]
    status: Option<bool>,
    /// `ok`, `warning`, `critical`, `unknown`, or null.
    #[schema(required, value_type = Option<Status>)]
    state: Option<&'static str>,
    /// Failing for at least the threshold of runs: its alert is open.
    #[schema(example = true)]
    hard: bool,
    /// The output, at most 8 KiB.
    #[schema(example = "CRITICAL - load average: 9.0, 8.0, 7.0")]
    out: String,
    /// When it changed, unix seconds.
    #[schema(example = 1_364_186_204)]
    last: i64,
    /// Who had taken responsibility; empty for nobody.
    #[schema(example = "")]
    owner: String,
}

/// The newest state changes of a check.
#[derive(Serialize, ToSchema)]
struct StateLog {
    /// Oldest first.
    state_log: Vec<StateChange>,
}

/// How much history is wanted.
#[derive(Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
struct Length {
    /// At most so many of the newest entries; more than 1000 are never given.
    #[param(minimum = 0, default = 10)]
    #[serde(default, deserialize_with = "few")]
    limit: Option<u32>,
}

/// The newest state changes of a check
///
/// Needs access viewer.
#[utoipa::path(
    get,
    path = "/state_log/{host}/{check}",
    tag = "state_changes",
    params(
        ("host" = String, Path, description = "Name or address of the host", example = "web1"),
        ("check" = String, Path, description = "Name of the check", example = "check_load"),
        Length,
    ),
    security(("api_key" = [])),
    responses((status = 200, description = "State changes, oldest first", body = StateLog), Unknown, Failures)
)]
async fn list_state_changes(
    ScopedViewer(caller): ScopedViewer,
    State(app): State<App>,
    Path((host, check)): Path<(String, String)>,
    Query(Length { limit }): Query<Length>,
) -> Result<Json<StateLog>, Error> {
    let host_id = hosts::find_id(&app, &host, &caller).await?;
    let limit = i64::from(limit.unwrap_or(10));
    let changes = state_changes::last(&app.pool, host_id, &check, limit)
        .await?
        .ok_or_else(|| Error::NotFound(format!("the host {host:?} has no check {check:?}")))?;
    let state_log = changes.into_iter().map(StateChange::from).collect();
    Ok(Json(StateLog { state_log }))
}

impl From<state_changes::StateChange> for StateChange {
    fn from(change: state_changes::StateChange) -> Self {
        let status = Status::shown(change.status, change.unreachable);
        Self {
            cid: change.check_id.to_string(),
            hostname: change.hostname,
            check: change.check_name,
            status: status.map(|status| !status.is_failing()),
            state: status.map(|status| status.name()),
            hard: change.hard,
            out: change.out,
            last: change.at.timestamp(),
            owner: change.owner,
        }
    }
}
