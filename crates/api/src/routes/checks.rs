//! Checks: their lists, one of them, when it runs next, whether it runs at all.

use axum::Json;
use axum::extract::State;
use axum::response::Response;
use chrono::{DateTime, Utc};
use futures::future::BoxFuture;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use sqlx::{PgConnection, PgPool};
use stalker_db::audit::Deed;
use stalker_db::checks::{self, State as CheckState, Which};
use stalker_domain::wire::Check;
use utoipa::{IntoParams, ToSchema};
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use super::{Success, hosts};
use crate::App;
use crate::access::{Admin, Caller, ScopedOperator, ScopedViewer};
use crate::error::{Error, Failures, Unknown};
use crate::extract::{Body, Path, Query};
use crate::fields::{kind, unix};
use crate::list::{self, Part};

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
pub(super) struct Checks {
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

/// What a check can be found to be.
#[derive(Debug, Clone, Copy, Deserialize, ToSchema)]
#[serde(rename_all = "lowercase")]
enum CheckStatus {
    Ok,
    Warning,
    Critical,
    Unknown,
}

/// The states that checks are listed by.
#[derive(ToSchema)]
#[allow(dead_code)] // a description: the path is read by hand, so that a mistake is named
#[serde(rename_all = "snake_case")]
pub(super) enum StateName {
    Alerting,
    Pending,
    InMaintenance,
    Suspended,
}

/// Which checks are wanted: all that is given must be so.
#[derive(Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
struct Filter {
    /// Of the host of this name or address.
    host: Option<String>,
    /// Of hosts with this role.
    role: Option<String>,
    /// Of this name.
    check: Option<String>,
    /// `ok`, `warning`, `critical` or `unknown`.
    #[param(inline)]
    status: Option<CheckStatus>,
    /// Those that this person takes care of.
    owner: Option<String>,
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

/// Checks
///
/// Needs access viewer.
#[utoipa::path(
    get,
    path = "/checks",
    tag = "checks",
    params(Filter, Part),
    security(("api_key" = [])),
    responses((status = 200, description = "The checks, streamed", body = Checks), Failures)
)]
async fn list_checks(
    ScopedViewer(caller): ScopedViewer,
    State(app): State<App>,
    Query(filter): Query<Filter>,
    Query(part): Query<Part>,
) -> Result<Response, Error> {
    let host_id = match &filter.host {
        // of a host that is not there, there are no checks
        Some(host) => match stalker_db::hosts::find_id(&app.pool, host, caller.scope()).await? {
            None => Some(-1),
            found => found,
        },
        None => None,
    };
    let which = Which {
        host_id,
        role: filter.role,
        name: filter.check,
        owner: filter.owner,
        status: filter.status.map(|status| status as i16),
        scope: caller.scope,
        ..Which::default()
    };
    send(app, "checks", which, part).await
}

/// The checks of a host
///
/// Needs access viewer.
#[utoipa::path(
    get,
    path = "/checks/host/{host}",
    tag = "checks",
    params(("host" = String, Path, description = "Name or address of the host", example = "web1"), Part),
    security(("api_key" = [])),
    responses((status = 200, description = "Its checks, streamed", body = Checks), Unknown, Failures)
)]
pub(super) async fn list_checks_of_host(
    ScopedViewer(caller): ScopedViewer,
    State(app): State<App>,
    Path(host): Path<String>,
    Query(part): Query<Part>,
) -> Result<Response, Error> {
    let which = Which {
        host_id: Some(hosts::find_id(&app, &host, &caller).await?),
        ..Which::default()
    };
    send(app, "checks", which, part).await
}

/// The checks in a state
///
/// `alerting`: failing, hard or soft, whatever is suppressed. `pending`: held by a worker. `in_maintenance`: running
/// but not notifying. `suspended`: not running. Needs access viewer.
#[utoipa::path(
    get,
    path = "/checks/state/{state}",
    tag = "checks",
    params(("state" = inline(StateName), Path, description = "`alerting`, `pending`, `in_maintenance` or `suspended`", example = "alerting"), Hardness, Part),
    security(("api_key" = [])),
    responses((status = 200, description = "Its checks under the state's name, streamed", body = ChecksInState), Failures)
)]
async fn list_checks_in_state(
    ScopedViewer(caller): ScopedViewer,
    State(app): State<App>,
    Path(state): Path<String>,
    Query(Hardness { hard }): Query<Hardness>,
    Query(part): Query<Part>,
) -> Result<Response, Error> {
    let which = Which {
        state: state_named(&state, hard)?,
        scope: caller.scope,
        ..Which::default()
    };
    send(app, &state, which, part).await
}

/// The state that a path names.
pub(super) fn state_named(state: &str, hard: bool) -> Result<CheckState, Error> {
    Ok(match state {
        "alerting" if hard => CheckState::Hard,
        "alerting" => CheckState::Failing,
        "pending" => CheckState::Leased,
        "in_maintenance" => CheckState::InMaintenance,
        "suspended" => CheckState::Suspended,
        other => {
            return Err(Error::field(
                "state",
                format!("must be alerting, pending, in_maintenance or suspended, not {other:?}"),
            ));
        }
    })
}

/// One check
///
/// Needs access viewer.
#[utoipa::path(
    get,
    path = "/checks/id/{id}",
    tag = "checks",
    params(("id" = String, Path, description = "Id of the check", example = "17")),
    security(("api_key" = [])),
    responses((status = 200, description = "The check", body = OneCheck), Unknown, Failures)
)]
pub(super) async fn get_check(
    ScopedViewer(caller): ScopedViewer,
    State(app): State<App>,
    Path(id): Path<String>,
) -> Result<Json<OneCheck>, Error> {
    find(&app, &id, &caller).await
}

/// Deletes a check
///
/// Its alert closes, its history stays. An agent that still offers it brings it back as a new one with its next
/// registration. Needs access admin.
#[utoipa::path(
    delete,
    path = "/checks/id/{id}",
    tag = "checks",
    params(("id" = String, Path, description = "Id of the check", example = "17")),
    security(("api_key" = [])),
    responses((status = 200, description = "Deleted", body = Success), Unknown, Failures)
)]
pub(super) async fn delete_check(
    Admin(caller): Admin,
    State(app): State<App>,
    Path(id): Path<String>,
) -> Result<Json<Success>, Error> {
    let check = require(&app, &id, &caller).await?;
    let before =
        json!({ "host": check.hostname, "check": check.name, "interval": check.interval_s });
    let work = async |conn: &mut PgConnection| {
        let is_deleted = checks::delete(conn, check.check_id).await?;
        Ok(is_deleted.then_some(before))
    };
    change(&app, &caller, &check, "delete_check", None, work).await
}

/// When a check runs next
///
/// Needs access viewer.
#[utoipa::path(
    get,
    path = "/checks/id/{id}/next",
    tag = "checks",
    params(("id" = String, Path, description = "Id of the check", example = "17")),
    security(("api_key" = [])),
    responses((status = 200, description = "The check; `next` is the time", body = OneCheck), Unknown, Failures)
)]
async fn get_next_run(
    ScopedViewer(caller): ScopedViewer,
    State(app): State<App>,
    Path(id): Path<String>,
) -> Result<Json<OneCheck>, Error> {
    find(&app, &id, &caller).await
}

/// When a check is to run.
#[derive(ToSchema)]
#[allow(dead_code)] // a description: the body is read by hand, so that a mistake is named
pub(super) struct NextRun {
    /// What is past is now.
    next: NextTime,
}

/// `now`, or unix seconds.
#[derive(ToSchema)]
#[allow(dead_code)] // a description, as above
#[schema(example = "now")]
#[serde(untagged)]
enum NextTime {
    Word(Now),
    Unix(UnixTime),
}

/// Unix seconds.
#[derive(ToSchema)]
#[allow(dead_code)] // a description, as above
#[schema(exclusive_maximum = 253_402_300_800_u64)]
struct UnixTime(f64);

/// At once.
#[derive(ToSchema)]
#[allow(dead_code)] // a description, as above
#[serde(rename_all = "lowercase")]
enum Now {
    Now,
}

/// Runs a check now or at a time
///
/// Needs access operator.
#[utoipa::path(
    post,
    path = "/checks/id/{id}/next",
    tag = "checks",
    params(("id" = String, Path, description = "Id of the check", example = "17")),
    request_body = NextRun,
    security(("api_key" = [])),
    responses((status = 200, description = "It will run then", body = Success), Unknown, Failures)
)]
pub(super) async fn set_next_run(
    ScopedOperator(caller): ScopedOperator,
    State(app): State<App>,
    Path(id): Path<String>,
    Body(body): Body,
) -> Result<Json<Success>, Error> {
    let at = next_time(&body["next"])?;
    let check = require(&app, &id, &caller).await?;
    let after = json!({ "next": next_shown(at) });
    let work = async |conn: &mut PgConnection| {
        let before = checks::run_at(conn, check.check_id, at).await?;
        Ok(before.map(|next_at| json!({ "next": next_at.timestamp() })))
    };
    change(&app, &caller, &check, "set_next_run", Some(after), work).await
}

/// Whether a check runs at all
///
/// Needs access viewer.
#[utoipa::path(
    get,
    path = "/checks/id/{id}/suspended",
    tag = "checks",
    params(("id" = String, Path, description = "Id of the check", example = "17")),
    security(("api_key" = [])),
    responses((status = 200, description = "The check; `suspended` tells", body = OneCheck), Unknown, Failures)
)]
async fn get_suspension(
    ScopedViewer(caller): ScopedViewer,
    State(app): State<App>,
    Path(id): Path<String>,
) -> Result<Json<OneCheck>, Error> {
    find(&app, &id, &caller).await
}

/// Whether a check is to run at all.
#[derive(ToSchema)]
#[allow(dead_code)] // a description, as above
pub(super) struct Suspension {
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
    params(("id" = String, Path, description = "Id of the check", example = "17")),
    request_body = Suspension,
    security(("api_key" = [])),
    responses((status = 200, description = "It is so", body = Success), Unknown, Failures)
)]
pub(super) async fn set_suspension(
    ScopedOperator(caller): ScopedOperator,
    State(app): State<App>,
    Path(id): Path<String>,
    Body(body): Body,
) -> Result<Json<Success>, Error> {
    let suspended = suspended(&body)?;
    let check = require(&app, &id, &caller).await?;
    let after = json!({ "suspended": suspended });
    let work = async |conn: &mut PgConnection| {
        let before = checks::set_suspended(conn, check.check_id, suspended).await?;
        Ok(before.map(|suspended| json!({ "suspended": suspended })))
    };
    change(&app, &caller, &check, "set_suspension", Some(after), work).await
}

async fn send(app: App, field: &str, which: Which, part: Part) -> Result<Response, Error> {
    list::send(field, part, list::SMALL, pages(app.pool, which)).await
}

/// Pages of a list of checks, as they are sent.
pub(super) fn pages(
    pool: PgPool,
    which: Which,
) -> impl Fn(i64, i64) -> BoxFuture<'static, sqlx::Result<Vec<(i64, Check)>>> + Clone + Send + 'static
{
    move |after, limit| {
        let (pool, which) = (pool.clone(), which.clone());
        Box::pin(async move {
            let checks = checks::page(&pool, &which, after, limit).await?;
            Ok(checks
                .into_iter()
                .map(|check| (check.check_id, Check::from(check)))
                .collect())
        })
    }
}

pub(super) async fn find(app: &App, id: &str, caller: &Caller) -> Result<Json<OneCheck>, Error> {
    let check = require(app, id, caller).await?;
    Ok(Json(OneCheck {
        check: Check::from(check),
    }))
}

/// The check of this id, which the caller may know of.
pub(super) async fn require(app: &App, id: &str, caller: &Caller) -> Result<checks::Check, Error> {
    let found = checks::find(&app.pool, number(id)?, caller.scope()).await?;
    found.ok_or_else(|| unknown(id))
}

/// Changes a check by `work`, which gives what was so before, if the check is still there; and writes down who did so.
pub(super) async fn change(
    app: &App,
    caller: &Caller,
    check: &checks::Check,
    action: &str,
    after: Option<Value>,
    work: impl AsyncFnOnce(&mut PgConnection) -> sqlx::Result<Option<Value>>,
) -> Result<Json<Success>, Error> {
    let mut tx = app.pool.begin().await?;
    let Some(before) = work(&mut tx).await? else {
        return Err(unknown(&check.check_id.to_string()));
    };
    let deed = Deed {
        action,
        subject: format!("check {}", check.check_id),
        before: Some(before),
        after,
    };
    caller.audit(&mut tx, deed).await?;
    tx.commit().await?;
    Ok(Json(Success::YES))
}

/// To a client an id is opaque: one that is no number is as unknown as one that is not there.
pub(super) fn number(id: &str) -> Result<i64, Error> {
    id.parse().map_err(|_| unknown(id))
}

pub(super) fn unknown(id: &str) -> Error {
    Error::NotFound(format!("no check has the id {id:?}"))
}

/// Whether a body says that a check is to be suspended.
pub(super) fn suspended(body: &Value) -> Result<bool, Error> {
    let suspended = &body["suspended"];
    suspended.as_bool().ok_or_else(|| {
        Error::field(
            "suspended",
            format!("must be true or false, not {}", kind(suspended)),
        )
    })
}

/// As a body has it.
pub(super) fn next_shown(at: Option<DateTime<Utc>>) -> Value {
    at.map_or(json!("now"), |at| json!(at.timestamp()))
}

/// `None` is now, and so is what is long past.
pub(super) fn next_time(next: &Value) -> Result<Option<DateTime<Utc>>, Error> {
    if next == "now" || next.as_f64().is_some_and(|seconds| seconds < 0.0) {
        return Ok(None);
    }
    unix(next).map(Some).map_err(|_| {
        Error::field(
            "next",
            format!("must be \"now\" or unix seconds, not {}", kind(next)),
        )
    })
}
