//! Alerts: open and past, and the story of one.

use axum::Json;
use axum::extract::State;
use axum::response::Response;
use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};
use stalker_db::alerts::list::{self as alerts, Which};
use stalker_db::explanations;
use stalker_domain::status::Status;
use utoipa::{IntoParams, ToSchema};
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use crate::App;
use crate::access::ScopedViewer;
use crate::error::{Error, Failures, Unknown};
use crate::extract::{Path, Query, id, time};
use crate::list::{self, Part};

pub(crate) fn routes() -> OpenApiRouter<App> {
    OpenApiRouter::new()
        .routes(routes!(list_alerts))
        .routes(routes!(get_alert))
}

/// A hard problem from its beginning to its end.
#[derive(Serialize, ToSchema)]
struct Alert {
    /// Opaque; what `after` takes.
    #[schema(example = "41")]
    id: String,
    /// Of a `check`, of a `host` or another `cluster` that cannot be reached, or a `flood` of alerts.
    #[schema(value_type = Kind)]
    kind: String,
    /// The flood that stands for it.
    #[schema(required, example = json!(null))]
    parent: Option<String>,
    /// The check's id; null for all but checks.
    #[schema(required, example = "17")]
    cid: Option<String>,
    /// The host's name at that time; empty for a flood of several hosts; of a cluster its id.
    #[schema(example = "web1")]
    hostname: String,
    /// The host's address at that time.
    #[schema(example = "10.0.0.7")]
    ip: String,
    /// The check's name at that time; empty for all but checks.
    #[schema(example = "check_load")]
    check: String,
    /// 0 never notifies, 1 most urgent, 2.
    #[schema(minimum = 0, maximum = 2, example = 1)]
    priority: i16,
    /// `warning`, `critical`, `unknown`, and `ok` while it flaps; of a host or a cluster `unreachable`; of a flood null.
    #[schema(required, value_type = Option<AlertState>)]
    state: Option<&'static str>,
    /// Failing runs in a row.
    #[schema(example = 3)]
    fail_count: i32,
    /// First line of the output.
    #[schema(example = "CRITICAL - load average: 9.0, 8.0, 7.0")]
    out: String,
    /// When it opened, unix seconds.
    #[schema(example = 1_364_186_204)]
    opened: i64,
    /// When it closed, unix seconds; null while it is open.
    #[schema(required, example = json!(null))]
    closed: Option<i64>,
    /// Why it closed.
    #[schema(required, example = json!(null))]
    close_reason: Option<String>,
    /// It tells of the flapping itself.
    #[schema(example = false)]
    flapping: bool,
    /// Why it is not being told now; null if it is, or is over.
    #[schema(required, value_type = Option<Suppression>)]
    suppression: Option<String>,
    /// Who takes care of its check; empty for nobody.
    #[schema(example = "")]
    owner: String,
    /// The channels that it concerns.
    #[schema(example = json!(["pager"]))]
    channels: Vec<String>,
}

/// Alerts, in the order in which they opened.
#[derive(Serialize, ToSchema)]
struct Alerts {
    /// The oldest first.
    alerts: Vec<Alert>,
}

/// Something that happened to an alert, or that it waits for.
#[derive(Serialize, ToSchema)]
struct Event {
    /// When, unix seconds.
    #[schema(example = 1_364_186_204)]
    time: i64,
    /// To which channel; null to the alert itself.
    #[schema(required, example = "pager")]
    channel: Option<String>,
    /// What happened.
    #[schema(value_type = EventKind)]
    event: String,
    /// Why, in words.
    #[schema(example = "trigger 1")]
    why: String,
}

/// What happened to an alert; `waits` is what is still to come.
#[derive(ToSchema)]
#[allow(dead_code)] // a description: the database says it in these words
#[schema(rename_all = "lowercase")]
enum EventKind {
    Opened,
    Changed,
    Target,
    #[schema(rename = "not a target")]
    NotATarget,
    Suppressed,
    #[schema(rename = "not suppressed")]
    NotSuppressed,
    Owed,
    Attempt,
    Refused,
    Dropped,
    Superseded,
    Closed,
    Waits,
}

/// An alert with its story.
#[derive(Serialize, ToSchema)]
struct AlertStory {
    /// The alert.
    alert: Alert,
    /// What happened, in the order of time; what it waits for last.
    timeline: Vec<Event>,
}

/// What an alert can be of.
#[derive(Debug, Clone, Copy, Deserialize, Serialize, ToSchema)]
#[serde(rename_all = "lowercase")]
#[schema(as = AlertKind)]
enum Kind {
    Check,
    Host,
    Flood,
    Cluster,
}

/// How bad it can be.
#[derive(Debug, Clone, Copy, Deserialize, ToSchema)]
#[serde(rename_all = "lowercase")]
pub(super) enum AlertStatus {
    Warning,
    Critical,
    Unknown,
    Unreachable,
}

/// What an alert can show.
#[derive(ToSchema)]
#[allow(dead_code)] // a description: names of statuses, and one more
#[schema(rename_all = "lowercase")]
enum AlertState {
    Ok,
    Warning,
    Critical,
    Unknown,
    Unreachable,
}

/// Why an alert can be not told.
#[derive(Debug, Clone, Copy, Deserialize, Serialize, ToSchema)]
#[serde(rename_all = "lowercase")]
enum Suppression {
    #[serde(rename = "priority 0")]
    Priority0,
    Flood,
    Maintenance,
    Flapping,
    Unreachable,
    Suspended,
    Recovered,
}

/// Which alerts are wanted: all that is given must be so.
#[derive(Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
struct Filter {
    /// True: open ones; false: those that have closed.
    open: Option<bool>,
    /// `check`, `host`, `flood` or `cluster`.
    #[param(inline)]
    kind: Option<Kind>,
    /// Of the host of this name, as it was then.
    host: Option<String>,
    /// Of hosts that have this role today.
    role: Option<String>,
    /// Of checks of this name, as it was then.
    check: Option<String>,
    /// `warning`, `critical`, `unknown`, or `unreachable` for hosts and clusters.
    #[param(inline)]
    status: Option<AlertStatus>,
    /// Open ones of checks that this person takes care of.
    owner: Option<String>,
    /// Open ones that are not told for this reason: `priority 0`, `flood`, `maintenance`, `flapping`, `unreachable`,
    /// `suspended` or `recovered`.
    #[param(inline)]
    suppression: Option<Suppression>,
    /// Members of this flood.
    #[param(value_type = Option<String>, pattern = "^[0-9]{1,18}$")]
    #[serde(default, deserialize_with = "id")]
    parent: Option<i64>,
    /// Opened since then, unix seconds.
    #[param(value_type = Option<f64>, minimum = 0, exclusive_maximum = 253_402_300_800_u64)]
    #[serde(default, deserialize_with = "time")]
    from: Option<DateTime<Utc>>,
    /// Opened before then, unix seconds.
    #[param(value_type = Option<f64>, minimum = 0, exclusive_maximum = 253_402_300_800_u64)]
    #[serde(default, deserialize_with = "time")]
    to: Option<DateTime<Utc>>,
}

impl Filter {
    fn which(self, scope: Option<Vec<String>>) -> Which {
        Which {
            alert_id: None,
            is_open: self.open,
            kind: self.kind.map(|kind| word(&kind)),
            hostname: self.host,
            role: self.role,
            check_name: self.check,
            status: self.status.map(|status| match status {
                AlertStatus::Warning => 1,
                AlertStatus::Critical => 2,
                AlertStatus::Unknown => 3,
                AlertStatus::Unreachable => -1,
            }),
            owner: self.owner,
            suppression: self.suppression.map(|suppression| word(&suppression)),
            parent_id: self.parent,
            from: self.from,
            to: self.to,
            scope,
        }
    }
}

/// The word that stands for it on the wire and in the database.
fn word(word: &impl Serialize) -> String {
    let word = serde_json::to_value(word).unwrap_or_default();
    word.as_str().unwrap_or_default().to_owned()
}

/// Alerts, open and past
///
/// Needs access viewer.
#[utoipa::path(
    get,
    path = "/alerts",
    tag = "alerts",
    params(Filter, Part),
    security(("api_key" = [])),
    responses((status = 200, description = "The alerts, streamed", body = Alerts), Failures)
)]
async fn list_alerts(
    ScopedViewer(caller): ScopedViewer,
    State(app): State<App>,
    Query(filter): Query<Filter>,
    Query(part): Query<Part>,
) -> Result<Response, Error> {
    let which = filter.which(caller.scope);
    list::send("alerts", part, list::SMALL, move |after, limit| {
        let (pool, which) = (app.pool.clone(), which.clone());
        async move {
            let page = alerts::page(&pool, &which, after, limit).await?;
            Ok(page
                .into_iter()
                .map(|alert| (alert.alert_id, Alert::from(alert)))
                .collect())
        }
    })
    .await
}

/// One alert with its story
///
/// State changes, suppressions, whom it concerns, what was sent and what it waits for, each with its reason. Needs access
/// viewer.
#[utoipa::path(
    get,
    path = "/alerts/{id}",
    tag = "alerts",
    params(("id" = String, Path, description = "Id of the alert", example = "41")),
    security(("api_key" = [])),
    responses((status = 200, description = "The alert and its story", body = AlertStory), Unknown, Failures)
)]
async fn get_alert(
    ScopedViewer(caller): ScopedViewer,
    State(app): State<App>,
    Path(id): Path<String>,
) -> Result<Json<AlertStory>, Error> {
    let unknown = || Error::NotFound(format!("no alert has the id {id:?}"));
    let alert_id: i64 = id.parse().map_err(|_| unknown())?;
    let alert = alerts::find(&app.pool, alert_id, caller.scope()).await?;
    let alert = alert.ok_or_else(unknown)?;
    let story = explanations::explain_alert(&app.pool, alert_id).await?;
    let timeline = story.into_iter().map(|event| Event {
        time: event.at.timestamp(),
        channel: event.channel,
        event: event.event,
        why: event.why,
    });
    Ok(Json(AlertStory {
        alert: alert.into(),
        timeline: timeline.collect(),
    }))
}

impl From<alerts::Alert> for Alert {
    fn from(alert: alerts::Alert) -> Self {
        let state = match alert.kind.as_str() {
            "host" | "cluster" => Some("unreachable"),
            _ => Status::shown(alert.status, false).map(|status| status.name()),
        };
        Self {
            id: alert.alert_id.to_string(),
            kind: alert.kind,
            parent: alert.parent_id.map(|id| id.to_string()),
            cid: alert.check_id.map(|id| id.to_string()),
            hostname: alert.hostname,
            ip: alert.ip,
            check: alert.check_name,
            priority: alert.priority,
            state,
            fail_count: alert.fails,
            out: alert.out,
            opened: alert.opened_at.timestamp(),
            closed: alert.closed_at.map(|at| at.timestamp()),
            close_reason: alert.close_reason,
            flapping: alert.is_of_flapping,
            suppression: alert.suppression,
            owner: alert.owner,
            channels: alert.targets,
        }
    }
}
