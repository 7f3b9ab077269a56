//! What people set in place of what an agent says of a check.

use axum::Json;
use axum::extract::State;
use axum::http::HeaderMap;
use axum::response::Response;
use serde::Serialize;
use serde_json::{Value, json};
use sqlx::PgConnection;
use stalker_db::audit::Deed;
use stalker_db::overrides::{self, Overridden, Values};
use utoipa::ToSchema;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use super::Success;
use super::checks::{number, require, unknown};
use crate::access::{Caller, ScopedOperator, ScopedViewer};
use crate::error::{Error, Failures, IfMatch, IfNoneMatch, NotModified, Problem, Unknown};
use crate::extract::{Body, Path};
use crate::fields::{self, Fields, integer};
use crate::{App, etag};

/// Seconds; a week is the longest interval.
const WEEK: std::ops::RangeInclusive<i64> = 1..=604_800;

pub(crate) fn routes() -> OpenApiRouter<App> {
    OpenApiRouter::new().routes(routes!(get_overrides, set_overrides, delete_overrides))
}

/// Of a check: null is the server's setting, and among overrides what its agent says.
#[derive(Debug, PartialEq, Serialize, ToSchema)]
struct Settings {
    /// Seconds between runs while ok, 1 to 604800.
    #[schema(required, minimum = 1, maximum = 604_800, example = 60)]
    interval: Option<i32>,
    /// Seconds between runs while failing, 1 to 604800.
    #[schema(required, example = 15, minimum = 1, maximum = 604_800)]
    follow_up: Option<i32>,
    /// 0 never notifies, 1 most urgent, 2.
    #[schema(required, example = 1, minimum = 0, maximum = 2)]
    priority: Option<i16>,
    /// Failing runs in a row until an alert opens, 1 to 1000.
    #[schema(required, example = 3, minimum = 1, maximum = 1000)]
    alert_threshold: Option<i32>,
    /// Flips until it flaps, 2 to 1000.
    #[schema(required, example = 5, minimum = 2, maximum = 1000)]
    flap_threshold: Option<i32>,
    /// Seconds within which those happen, 1 to 604800.
    #[schema(required, example = 1200, minimum = 1, maximum = 604_800)]
    flap_window: Option<i32>,
}

/// What people say of a check; what is absent or null is taken back.
#[derive(ToSchema)]
#[allow(dead_code)] // a description: the body is read by hand, so that all mistakes are named
struct NewOverrides {
    /// Seconds between runs while ok, 1 to 604800.
    #[schema(minimum = 1, maximum = 604_800, example = 60)]
    interval: Option<i32>,
    /// Seconds between runs while failing, 1 to 604800.
    #[schema(minimum = 1, maximum = 604_800)]
    follow_up: Option<i32>,
    /// 0 never notifies, 1 most urgent, 2.
    #[schema(minimum = 0, maximum = 2)]
    priority: Option<i16>,
    /// Failing runs in a row until an alert opens, 1 to 1000.
    #[schema(minimum = 1, maximum = 1000)]
    alert_threshold: Option<i32>,
    /// Flips until it flaps, 2 to 1000.
    #[schema(minimum = 2, maximum = 1000)]
    flap_threshold: Option<i32>,
    /// Seconds within which those happen, 1 to 604800.
    #[schema(minimum = 1, maximum = 604_800)]
    flap_window: Option<i32>,
}

/// What holds for a check, and why.
#[derive(Debug, PartialEq, Serialize, ToSchema)]
struct Overrides {
    /// What its agent says.
    declared: Settings,
    /// What people say.
    overrides: Settings,
    /// What holds.
    effective: Settings,
}

/// The overrides of a check
///
/// The answer's `ETag` is what `If-Match` takes. Needs access viewer.
#[utoipa::path(
    get,
    path = "/checks/id/{id}/overrides",
    tag = "checks",
    params(("id" = String, Path, description = "Id of the check", example = "17"), IfNoneMatch),
    security(("api_key" = [])),
    responses(
        (status = 200, description = "What holds, and why", body = Overrides, headers(("ETag" = String, description = "Its version"))),
        NotModified,
        Unknown,
        Failures,
    )
)]
async fn get_overrides(
    ScopedViewer(caller): ScopedViewer,
    State(app): State<App>,
    Path(id): Path<String>,
    headers: HeaderMap,
) -> Result<Response, Error> {
    require(&app, &id, &caller).await?;
    let mut conn = app.pool.acquire().await?;
    etag::tagged(find(&mut conn, &id).await?, &headers)
}

/// Overrides what an agent says of a check
///
/// All of it at once: what is absent or null is taken back. It survives registrations. Needs access operator.
#[utoipa::path(
    put,
    path = "/checks/id/{id}/overrides",
    tag = "checks",
    params(("id" = String, Path, description = "Id of the check", example = "17"), IfMatch),
    request_body = NewOverrides,
    security(("api_key" = [])),
    responses(
        (status = 200, description = "It is so", body = Success),
        (status = 412, description = "They were changed since that version was seen", body = Problem, content_type = "application/problem+json"),
        Unknown,
        Failures,
    )
)]
async fn set_overrides(
    ScopedOperator(caller): ScopedOperator,
    State(app): State<App>,
    Path(id): Path<String>,
    headers: HeaderMap,
    Body(body): Body,
) -> Result<Json<Success>, Error> {
    let new = wanted(&body)?;
    put(&app, &caller, &id, &headers, "set_overrides", &new).await
}

/// Takes back all overrides of a check
///
/// What its agent says holds again. Needs access operator.
#[utoipa::path(
    delete,
    path = "/checks/id/{id}/overrides",
    tag = "checks",
    params(("id" = String, Path, description = "Id of the check", example = "17"), IfMatch),
    security(("api_key" = [])),
    responses(
        (status = 200, description = "Taken back", body = Success),
        (status = 412, description = "They were changed since that version was seen", body = Problem, content_type = "application/problem+json"),
        Unknown,
        Failures,
    )
)]
async fn delete_overrides(
    ScopedOperator(caller): ScopedOperator,
    State(app): State<App>,
    Path(id): Path<String>,
    headers: HeaderMap,
) -> Result<Json<Success>, Error> {
    let none = Values::default();
    put(&app, &caller, &id, &headers, "delete_overrides", &none).await
}

async fn put(
    app: &App,
    caller: &Caller,
    id: &str,
    headers: &HeaderMap,
    action: &str,
    new: &Values,
) -> Result<Json<Success>, Error> {
    require(app, id, caller).await?;
    let mut tx = app.pool.begin().await?;
    let before = find(&mut tx, id).await?;
    etag::require_seen(&before, headers)?;
    overrides::set(&mut tx, number(id)?, new).await?;
    let after = find(&mut tx, id).await?;
    let deed = Deed {
        action,
        subject: format!("check {id}"),
        before: Some(json!(before.overrides)),
        after: Some(json!(after.overrides)),
    };
    caller.audit(&mut tx, deed).await?;
    tx.commit().await?;
    Ok(Json(Success::YES))
}

async fn find(conn: &mut PgConnection, id: &str) -> Result<Overrides, Error> {
    let found = overrides::find(conn, number(id)?).await?;
    Ok(found.ok_or_else(|| unknown(id))?.into())
}

fn wanted(body: &Value) -> Result<Values, Error> {
    let int = |fields: &mut Fields, field: &str, range| {
        let number = fields.optional(field, |value| integer(value, range));
        number.and_then(|number| i32::try_from(number).ok())
    };
    fields::read(body, |fields| Values {
        interval_s: int(fields, "interval", WEEK),
        follow_up_s: int(fields, "follow_up", WEEK),
        priority: int(fields, "priority", 0..=2).and_then(|priority| priority.try_into().ok()),
        alert_threshold: int(fields, "alert_threshold", 1..=1000),
        // with one, a first failure would be flapping
        flap_threshold: int(fields, "flap_threshold", 2..=1000),
        flap_window_s: int(fields, "flap_window", WEEK),
    })
}

impl From<Overridden> for Overrides {
    fn from(overridden: Overridden) -> Self {
        Self {
            declared: overridden.declared.into(),
            overrides: overridden.overrides.into(),
            effective: overridden.effective.into(),
        }
    }
}

impl From<Values> for Settings {
    fn from(values: Values) -> Self {
        Self {
            interval: values.interval_s,
            follow_up: values.follow_up_s,
            priority: values.priority,
            alert_threshold: values.alert_threshold,
            flap_threshold: values.flap_threshold,
            flap_window: values.flap_window_s,
        }
    }
}
