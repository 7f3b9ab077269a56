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
use crate::extract::{Path, Query};

/// The most entries in one answer: this list is gathered, since its newest entries are wanted, oldest first.
const MOST: u32 = 1000;

pub(crate) fn routes() -> OpenApiRouter<App> {
    OpenApiRouter::new().routes(routes!(list_state_changes))
}

/// One state change.
#[derive(Serialize, ToSchema)]
struct StateChange {
    /// The check's id.
    cid: String,
    /// The host's name at that time.
    hostname: String,
    /// The check's name at that time.
    check: String,
    /// True if it became ok; null if it had never answered.
    status: Option<bool>,
    /// `ok`, `warning`, `critical`, `unknown`, or null.
    state: Option<&'static str>,
    /// Failing for at least the threshold of runs: its alert is open.
    hard: bool,
    /// The output, at most 8 KiB.
    out: String,
    /// When it changed, unix seconds.
    last: i64,
    /// Who had taken responsibility; empty for nobody.
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
    /// At most so many of the newest entries; 1000 is the most.
    #[param(minimum = 0, maximum = 1000, default = 10)]
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
        ("host" = String, Path, description = "Name or address of the host"),
        ("check" = String, Path, description = "Name of the check"),
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
    let limit = i64::from(limit.unwrap_or(10).min(MOST));
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
