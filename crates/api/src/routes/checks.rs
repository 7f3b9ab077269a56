//! Checks: their lists, one of them, when it runs next, whether it runs at all.

use axum::Json;
use axum::extract::State;
use axum::response::Response;
use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};
use serde_json::Value;
use stalker_db::checks::{self, Which};
use stalker_domain::wire::Check;
use utoipa::{IntoParams, ToSchema};
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use super::{Success, hosts};
use crate::App;
use crate::access::{Admin, Operator, Viewer};
use crate::error::{Error, Failures, Unknown};
use crate::extract::{Body, Path, Query};
use crate::list::{self, Part};
use crate::registration::kind;

pub(crate) fn routes() -> OpenApiRouter<App> {
    OpenApiRouter::new()
        .routes(routes!(list_checks))
        .routes(routes!(list_checks_of_host))
        .routes(routes!(list_checks_in_state))
        .routes(routes!(get_check, delete_check))
        .routes(routes!(get_next_run, set_next_run))
        .routes(routes!(get_suspension, set_suspension))
}

/// Checks, in the order of their ids.
#[derive(Serialize, ToSchema)]
struct Checks {
    /// Each with its present state.
    checks: Vec<Check>,
}

/// Checks in one state, under its name, in the order of their ids.
#[derive(Serialize, ToSchema)]
struct ChecksInState {
    alerting: Option<Vec<Check>>,
    pending: Option<Vec<Check>>,
    in_maintenance: Option<Vec<Check>>,
    suspended: Option<Vec<Check>>,
}

/// One check.
#[derive(Serialize, ToSchema)]
pub(super) struct OneCheck {
    /// With its present state.
    check: Check,
}

/// Which failing checks are wanted.
#[derive(Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
struct Hardness {
    /// Of `alerting`, only those that have failed for at least their threshold of runs.
    #[serde(default)]
    #[param(required = false)]
    hard: bool,
}

/// All checks
///
/// Needs access viewer.
#[utoipa::path(
    get,
    path = "/checks",
    tag = "checks",
    params(Part),
    security(("api_key" = [])),
    responses((status = 200, description = "The checks, streamed", body = Checks), Failures)
)]
async fn list_checks(
    _: Viewer,
    State(app): State<App>,
    Query(part): Query<Part>,
) -> Result<Response, Error> {
    send(app, "checks", Which::All, part).await
}

/// The checks of a host
///
/// Needs access viewer.
#[utoipa::path(
    get,
    path = "/checks/host/{host}",
    tag = "checks",
    params(("host" = String, Path, description = "Name or address of the host"), Part),
    security(("api_key" = [])),
    responses((status = 200, description = "Its checks, streamed", body = Checks), Unknown, Failures)
)]
async fn list_checks_of_host(
    _: Viewer,
    State(app): State<App>,
    Path(host): Path<String>,
    Query(part): Query<Part>,
) -> Result<Response, Error> {
    let host_id = hosts::find_id(&app, &host).await?;
    send(app, "checks", Which::OfHost(host_id), part).await
}

/// The checks in a state
///
/// `alerting`: failing, hard or soft, whatever is suppressed. `pending`: held by a worker. `in_maintenance`: running
/// but not notifying. `suspended`: not running. Needs access viewer.
#[utoipa::path(
    get,
    path = "/checks/state/{state}",
    tag = "checks",
    params(("state" = String, Path, description = "`alerting`, `pending`, `in_maintenance` or `suspended`"), Hardness, Part),
    security(("api_key" = [])),
    responses((status = 200, description = "Its checks under the state's name, streamed", body = ChecksInState), Failures)
)]
async fn list_checks_in_state(
    _: Viewer,
    State(app): State<App>,
    Path(state): Path<String>,
    Query(Hardness { hard }): Query<Hardness>,
    Query(part): Query<Part>,
) -> Result<Response, Error> {
    let which = match state.as_str() {
        "alerting" if hard => Which::Hard,
        "alerting" => Which::Failing,
        "pending" => Which::Leased,
        "in_maintenance" => Which::InMaintenance,
        "suspended" => Which::Suspended,
        other => {
            return Err(Error::field(
                "state",
                format!("must be alerting, pending, in_maintenance or suspended, not {other:?}"),
            ));
        }
    };
    send(app, &state, which, part).await
}

/// One check
///
/// Needs access viewer.
#[utoipa::path(
    get,
    path = "/checks/id/{id}",
    tag = "checks",
    params(("id" = String, Path, description = "Id of the check")),
    security(("api_key" = [])),
    responses((status = 200, description = "The check", body = OneCheck), Unknown, Failures)
)]
async fn get_check(
    _: Viewer,
    State(app): State<App>,
    Path(id): Path<String>,
) -> Result<Json<OneCheck>, Error> {
    find(&app, &id).await
}

/// Deletes a check
///
/// Its alert closes, its history stays. An agent that still offers it brings it back as a new one with its next
/// registration. Needs access admin.
#[utoipa::path(
    delete,
    path = "/checks/id/{id}",
    tag = "checks",
    params(("id" = String, Path, description = "Id of the check")),
    security(("api_key" = [])),
    responses((status = 200, description = "Deleted", body = Success), Unknown, Failures)
)]
async fn delete_check(
    _: Admin,
    State(app): State<App>,
    Path(id): Path<String>,
) -> Result<Json<Success>, Error> {
    done(checks::delete(&app.pool, number(&id)?).await?, &id)
}

/// When a check runs next
///
/// Needs access viewer.
#[utoipa::path(
    get,
    path = "/checks/id/{id}/next",
    tag = "checks",
    params(("id" = String, Path, description = "Id of the check")),
    security(("api_key" = [])),
    responses((status = 200, description = "The check; `next` is the time", body = OneCheck), Unknown, Failures)
)]
async fn get_next_run(
    _: Viewer,
    State(app): State<App>,
    Path(id): Path<String>,
) -> Result<Json<OneCheck>, Error> {
    find(&app, &id).await
}

/// When a check is to run.
#[derive(ToSchema)]
#[allow(dead_code)] // a description: the body is read by hand, so that a mistake is named
struct NextRun {
    /// What is past is now.
    next: NextTime,
}

/// `now`, or unix seconds.
#[derive(ToSchema)]
#[allow(dead_code)] // a description, as above
#[schema(example = "now")]
#[serde(untagged)]
enum NextTime {
    Word(String),
    Unix(f64),
}

/// Runs a check now or at a time
///
/// Needs access operator.
#[utoipa::path(
    post,
    path = "/checks/id/{id}/next",
    tag = "checks",
    params(("id" = String, Path, description = "Id of the check")),
    request_body = NextRun,
    security(("api_key" = [])),
    responses((status = 200, description = "It will run then", body = Success), Unknown, Failures)
)]
async fn set_next_run(
    _: Operator,
    State(app): State<App>,
    Path(id): Path<String>,
    Body(body): Body,
) -> Result<Json<Success>, Error> {
    let at = next_time(&body["next"])?;
    done(checks::run_at(&app.pool, number(&id)?, at).await?, &id)
}

/// Whether a check runs at all
///
/// Needs access viewer.
#[utoipa::path(
    get,
    path = "/checks/id/{id}/suspended",
    tag = "checks",
    params(("id" = String, Path, description = "Id of the check")),
    security(("api_key" = [])),
    responses((status = 200, description = "The check; `suspended` tells", body = OneCheck), Unknown, Failures)
)]
async fn get_suspension(
    _: Viewer,
    State(app): State<App>,
    Path(id): Path<String>,
) -> Result<Json<OneCheck>, Error> {
    find(&app, &id).await
}

/// Whether a check is to run at all.
#[derive(ToSchema)]
#[allow(dead_code)] // a description, as above
struct Suspension {
    /// True: no runs until it is false again.
    suspended: bool,
}

/// Suspends or resumes a check
///
/// What is resumed runs at once. Needs access operator.
#[utoipa::path(
    post,
    path = "/checks/id/{id}/suspended",
    tag = "checks",
    params(("id" = String, Path, description = "Id of the check")),
    request_body = Suspension,
    security(("api_key" = [])),
    responses((status = 200, description = "It is so", body = Success), Unknown, Failures)
)]
async fn set_suspension(
    _: Operator,
    State(app): State<App>,
    Path(id): Path<String>,
    Body(body): Body,
) -> Result<Json<Success>, Error> {
    let suspended = &body["suspended"];
    let suspended = suspended.as_bool().ok_or_else(|| {
        Error::field(
            "suspended",
            format!("must be true or false, not {}", kind(suspended)),
        )
    })?;
    done(
        checks::set_suspended(&app.pool, number(&id)?, suspended).await?,
        &id,
    )
}

async fn send(app: App, field: &str, which: Which, part: Part) -> Result<Response, Error> {
    list::send(field, part, move |after, limit| {
        let pool = app.pool.clone();
        async move {
            let checks = checks::page(&pool, which, after, limit).await?;
            Ok(checks
                .into_iter()
                .map(|check| (check.check_id, Check::from(check)))
                .collect())
        }
    })
    .await
}

pub(super) async fn find(app: &App, id: &str) -> Result<Json<OneCheck>, Error> {
    let check = checks::find(&app.pool, number(id)?)
        .await?
        .ok_or_else(|| unknown(id))?;
    Ok(Json(OneCheck {
        check: Check::from(check),
    }))
}

pub(super) fn done(is_done: bool, id: &str) -> Result<Json<Success>, Error> {
    if is_done {
        Ok(Json(Success::YES))
    } else {
        Err(unknown(id))
    }
}

/// To a client an id is opaque: one that is no number is as unknown as one that is not there.
pub(super) fn number(id: &str) -> Result<i64, Error> {
    id.parse().map_err(|_| unknown(id))
}

fn unknown(id: &str) -> Error {
    Error::NotFound(format!("no check has the id {id:?}"))
}

/// `None` is now.
fn next_time(next: &Value) -> Result<Option<DateTime<Utc>>, Error> {
    if next == "now" {
        return Ok(None);
    }
    next.as_f64()
        // the database's years end long after 9999, chrono's text does not
        .filter(|seconds| (0.0..253_402_300_800.0).contains(seconds))
        .and_then(|seconds| DateTime::from_timestamp_millis((seconds * 1000.0) as i64))
        .map(Some)
        .ok_or_else(|| {
            Error::field(
                "next",
                format!("must be \"now\" or unix seconds, not {}", kind(next)),
            )
        })
}
