//! Maintenances: where people work, so that nobody is told of what happens there.

use std::time::Duration;

use axum::Json;
use axum::extract::State;
use axum::http::HeaderMap;
use axum::response::Response;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use stalker_db::audit::Deed;
use stalker_db::maintenances::{
    self, AddError, End, Ended, Maintenance as Known, NewMaintenance, Which,
};
use utoipa::{IntoParams, ToSchema};
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use super::Success;
use crate::access::{Operator, Viewer};
use crate::error::{Error, Failures, IfMatch, IfNoneMatch, NotModified, Problem, Unknown};
use crate::extract::{Body, Path, Query};
use crate::fields::{self, Fields, integer, short, shorts, unix};
use crate::list::{self, Part};
use crate::{App, etag};

/// Characters of a pattern or a name.
const LONGEST: usize = 255;
/// Characters of a reason.
const LONGEST_REASON: usize = 1000;
/// Seconds; ten years are longer than any maintenance.
const LASTS: std::ops::RangeInclusive<i64> = 1..=315_360_000;

pub(crate) fn routes() -> OpenApiRouter<App> {
    OpenApiRouter::new()
        .routes(routes!(list_maintenances, create_maintenance))
        .routes(routes!(
            get_maintenance,
            update_maintenance,
            end_maintenance
        ))
}

/// A time in which people work on hosts, roles or checks: all that is not null must match, each by one of its patterns.
#[derive(Debug, Clone, PartialEq, Serialize, ToSchema)]
struct Maintenance {
    /// Opaque.
    #[schema(example = "3")]
    id: String,
    /// When it begins, unix seconds.
    #[schema(example = 1_364_186_204)]
    starts: i64,
    /// When it is over, unix seconds.
    #[schema(example = 1_364_189_804)]
    ends: i64,
    /// `coming`, `now` or `over`.
    #[schema(value_type = Phase)]
    phase: String,
    /// Names of hosts; `*` stands for any text and `?` for one character.
    #[schema(required, example = json!(["web*"]))]
    hosts: Option<Vec<String>>,
    /// Roles, one of which the host must have.
    #[schema(required, example = json!(null))]
    roles: Option<Vec<String>>,
    /// Names of checks.
    #[schema(required, example = json!(null))]
    checks: Option<Vec<String>>,
    /// Who declared it.
    #[schema(example = "ann")]
    author: String,
    /// What for.
    #[schema(example = "new disks")]
    reason: String,
}

/// How a maintenance stands to the present.
#[derive(ToSchema)]
#[allow(dead_code)] // a description: the database says it in these words
#[schema(as = MaintenancePhase, rename_all = "lowercase")]
enum Phase {
    Coming,
    Now,
    Over,
}

/// Maintenances, in the order in which they were declared.
#[derive(Serialize, ToSchema)]
struct Maintenances {
    /// In force and to come, and on request those that are over.
    maintenances: Vec<Maintenance>,
}

/// A maintenance that was declared.
#[derive(Serialize, ToSchema)]
struct Declared {
    /// As it is.
    maintenance: Maintenance,
    /// How many of today's checks and other clusters it matches; none may be a mistake.
    #[schema(minimum = 0, example = 12)]
    reach: i64,
}

/// Which are wanted.
#[derive(Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
struct Filter {
    /// Those that are over as well.
    #[serde(default)]
    #[param(required = false)]
    past: bool,
    /// Those that concern the host of this name or address, as it is today, or some of its checks.
    host: Option<String>,
}

/// A maintenance to be declared. It needs `hosts`, `roles` or `checks`, and `ends` or `lasts`.
#[derive(ToSchema)]
#[allow(dead_code)] // a description: the body is read by hand, so that all mistakes are named
struct NewMaintenanceBody {
    /// When it begins, unix seconds. Absent: now.
    #[schema(minimum = 0, exclusive_maximum = 253_402_300_800_u64)]
    starts: Option<f64>,
    /// When it is over, unix seconds.
    #[schema(minimum = 0, exclusive_maximum = 253_402_300_800_u64)]
    ends: Option<f64>,
    /// Instead of `ends`: seconds that it lasts.
    #[schema(minimum = 1, maximum = 315_360_000, example = 3600)]
    lasts: Option<i64>,
    /// Names of hosts; `*` stands for any text and `?` for one character.
    hosts: Option<Vec<String>>,
    /// Roles, one of which the host must have.
    roles: Option<Vec<String>>,
    /// Names of checks. The alert of a host that is down has none.
    checks: Option<Vec<String>>,
    /// What for, at most 1000 characters: who is not told will want to know.
    #[schema(min_length = 1, max_length = 1000, example = "new disks")]
    reason: String,
}

/// Another end.
#[derive(ToSchema)]
#[allow(dead_code)] // a description, as above
struct MaintenanceChange {
    /// When it is over, unix seconds, in the future.
    #[schema(minimum = 0, exclusive_maximum = 253_402_300_800_u64)]
    ends: f64,
}

/// Maintenances
///
/// Needs access viewer.
#[utoipa::path(
    get,
    path = "/maintenances",
    tag = "maintenances",
    params(Filter, Part),
    security(("api_key" = [])),
    responses((status = 200, description = "The maintenances, streamed", body = Maintenances), Failures)
)]
async fn list_maintenances(
    _: Viewer,
    State(app): State<App>,
    Query(Filter { past, host }): Query<Filter>,
    Query(part): Query<Part>,
) -> Result<Response, Error> {
    let host_id = match &host {
        // nothing concerns a host that is not there
        Some(host) => match stalker_db::hosts::find_id(&app.pool, host, None).await? {
            None => Some(-1),
            found => found,
        },
        None => None,
    };
    let which = Which {
        with_past: past,
        host_id,
    };
    list::send("maintenances", part, list::SMALL, move |after, limit| {
        let (pool, which) = (app.pool.clone(), which.clone());
        async move {
            let page = maintenances::page(&pool, &which, after, limit).await?;
            Ok(page
                .into_iter()
                .map(|known| (known.maintenance_id, Maintenance::from(known)))
                .collect())
        }
    })
    .await
}

/// Declares a maintenance
///
/// While it lasts, what it matches runs and is shown, and nobody is told; what is still broken at its end is told then. What
/// was told before and recovers meanwhile is resolved at once. Needs access operator.
#[utoipa::path(
    post,
    path = "/maintenances",
    tag = "maintenances",
    request_body = NewMaintenanceBody,
    security(("api_key" = [])),
    responses((status = 200, description = "Declared", body = Declared), Failures)
)]
async fn create_maintenance(
    Operator(caller): Operator,
    State(app): State<App>,
    Body(body): Body,
) -> Result<Json<Declared>, Error> {
    let new = new(&body, caller.actor.name.clone())?;
    let mut tx = app.pool.begin().await?;
    let declared = maintenances::add(&mut tx, &new).await?;
    let maintenance_id = declared.maintenance_id;
    let maintenance = Maintenance::from(declared);
    let deed = Deed {
        action: "create_maintenance",
        subject: format!("maintenance {maintenance_id}"),
        before: None,
        after: Some(json!(maintenance)),
    };
    caller.audit(&mut tx, deed).await?;
    tx.commit().await?;
    let reach = maintenances::reach(&app.pool, maintenance_id).await?;
    Ok(Json(Declared { maintenance, reach }))
}

/// One maintenance
///
/// The answer's `ETag` is what `If-Match` takes. Needs access viewer.
#[utoipa::path(
    get,
    path = "/maintenances/{id}",
    tag = "maintenances",
    params(("id" = String, Path, description = "Id of the maintenance", example = "3"), IfNoneMatch),
    security(("api_key" = [])),
    responses(
        (status = 200, description = "The maintenance", body = Maintenance, headers(("ETag" = String, description = "Its version"))),
        NotModified,
        Unknown,
        Failures,
    )
)]
async fn get_maintenance(
    _: Viewer,
    State(app): State<App>,
    Path(id): Path<String>,
    headers: HeaderMap,
) -> Result<Response, Error> {
    let mut conn = app.pool.acquire().await?;
    let found = maintenances::find(&mut conn, number(&id)?).await?;
    etag::tagged(
        Maintenance::from(found.ok_or_else(|| unknown(&id))?),
        &headers,
    )
}

/// Gives a maintenance another end
///
/// Needs access operator.
#[utoipa::path(
    post,
    path = "/maintenances/{id}",
    tag = "maintenances",
    params(("id" = String, Path, description = "Id of the maintenance", example = "3"), IfMatch),
    request_body = MaintenanceChange,
    security(("api_key" = [])),
    responses(
        (status = 200, description = "It is so", body = Success),
        (status = 409, description = "It is over", body = Problem, content_type = "application/problem+json"),
        (status = 412, description = "It was changed since that version was seen", body = Problem, content_type = "application/problem+json"),
        Unknown,
        Failures,
    )
)]
async fn update_maintenance(
    Operator(caller): Operator,
    State(app): State<App>,
    Path(id): Path<String>,
    headers: HeaderMap,
    Body(body): Body,
) -> Result<Json<Success>, Error> {
    let ends_at = fields::read(&body, |fields| fields.required("ends", unix))?;
    let ends_at = ends_at.ok_or(Error::Internal)?;
    let maintenance_id = number(&id)?;
    let mut tx = app.pool.begin().await?;
    let found = maintenances::find(&mut tx, maintenance_id).await?;
    let before = Maintenance::from(found.ok_or_else(|| unknown(&id))?);
    etag::require_seen(&before, &headers)?;
    if before.phase == "over" {
        return Err(Error::Conflict(format!("maintenance {id} is over")));
    }
    if !maintenances::set_end(&mut tx, maintenance_id, ends_at).await? {
        return Err(Error::field(
            "ends",
            "must be in the future, and after the start",
        ));
    }
    let after = maintenances::find(&mut tx, maintenance_id).await?;
    let deed = Deed {
        action: "update_maintenance",
        subject: format!("maintenance {id}"),
        before: Some(json!(before)),
        after: Some(json!(after.map(Maintenance::from))),
    };
    caller.audit(&mut tx, deed).await?;
    tx.commit().await?;
    Ok(Json(Success::YES))
}

/// Ends a maintenance
///
/// One in force is over now; one to come is deleted. What is broken then is told. Needs access operator.
#[utoipa::path(
    delete,
    path = "/maintenances/{id}",
    tag = "maintenances",
    params(("id" = String, Path, description = "Id of the maintenance", example = "3"), IfMatch),
    security(("api_key" = [])),
    responses(
        (status = 200, description = "It is over", body = Success),
        (status = 409, description = "It was over already", body = Problem, content_type = "application/problem+json"),
        (status = 412, description = "It was changed since that version was seen", body = Problem, content_type = "application/problem+json"),
        Unknown,
        Failures,
    )
)]
async fn end_maintenance(
    Operator(caller): Operator,
    State(app): State<App>,
    Path(id): Path<String>,
    headers: HeaderMap,
) -> Result<Json<Success>, Error> {
    let maintenance_id = number(&id)?;
    let mut tx = app.pool.begin().await?;
    let found = maintenances::find(&mut tx, maintenance_id).await?;
    let before = Maintenance::from(found.ok_or_else(|| unknown(&id))?);
    etag::require_seen(&before, &headers)?;
    match maintenances::end(&mut tx, maintenance_id).await? {
        Ended::Now | Ended::BeforeItsStart => {}
        Ended::WasOver => {
            return Err(Error::Conflict(format!(
                "maintenance {id} was over already"
            )));
        }
        Ended::Unknown => return Err(unknown(&id)),
    }
    let after = maintenances::find(&mut tx, maintenance_id).await?;
    let deed = Deed {
        action: "end_maintenance",
        subject: format!("maintenance {id}"),
        before: Some(json!(before)),
        after: after.map(|after| json!(Maintenance::from(after))),
    };
    caller.audit(&mut tx, deed).await?;
    tx.commit().await?;
    Ok(Json(Success::YES))
}

fn new(body: &Value, author: String) -> Result<NewMaintenance, Error> {
    let (ends, lasts, new) = fields::read(body, |fields| {
        let ends = fields.optional("ends", unix);
        let lasts = fields.optional("lasts", |value| integer(value, LASTS));
        match (
            fields.map.contains_key("ends"),
            fields.map.contains_key("lasts"),
        ) {
            (true, true) => fields.wrong("lasts", "must not be there beside `ends`".to_owned()),
            (false, false) => fields.wrong("ends", "is missing, and `lasts` too".to_owned()),
            _ => {}
        }
        let new = NewMaintenance {
            starts_at: fields.optional("starts", unix),
            end: End::After(Duration::ZERO),
            hosts: patterns(fields, "hosts"),
            roles: patterns(fields, "roles"),
            checks: patterns(fields, "checks"),
            author,
            reason: fields
                .required("reason", |value| short(value, LONGEST_REASON))
                .unwrap_or_default(),
        };
        (ends, lasts, new)
    })?;
    let end = match (ends, lasts) {
        (Some(at), _) => End::At(at),
        (None, lasts) => End::After(Duration::from_secs(
            lasts.unwrap_or_default().unsigned_abs(),
        )),
    };
    Ok(NewMaintenance { end, ..new })
}

fn patterns(fields: &mut Fields, field: &str) -> Vec<String> {
    fields
        .optional(field, |value| shorts(value, LONGEST))
        .unwrap_or_default()
}

impl From<AddError> for Error {
    fn from(error: AddError) -> Self {
        let at = match error {
            AddError::Database(error) => return Self::Database(error),
            AddError::SaysNowhere => "hosts",
            AddError::EndsBeforeStart | AddError::IsOver | AddError::LastsTooLong => "ends",
        };
        Self::field(at, error.to_string())
    }
}

fn number(id: &str) -> Result<i64, Error> {
    id.parse().map_err(|_| unknown(id))
}

fn unknown(id: &str) -> Error {
    Error::NotFound(format!("no maintenance has the id {id:?}"))
}

impl From<Known> for Maintenance {
    fn from(known: Known) -> Self {
        Self {
            id: known.maintenance_id.to_string(),
            starts: known.starts_at.timestamp(),
            ends: known.ends_at.timestamp(),
            phase: known.phase,
            hosts: known.hosts,
            roles: known.roles,
            checks: known.checks,
            author: known.author,
            reason: known.reason,
        }
    }
}
