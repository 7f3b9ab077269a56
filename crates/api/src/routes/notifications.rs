//! Notifications: their list with every attempt, and another try for what was refused.

use axum::Json;
use axum::extract::State;
use axum::response::Response;
use serde::{Deserialize, Serialize};
use stalker_db::audit::Deed;
use stalker_db::notifications::dead_letters;
use stalker_db::notifications::list::{self as notifications, Which};
use utoipa::{IntoParams, ToSchema};
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use super::Success;
use crate::App;
use crate::access::{Operator, ScopedViewer};
use crate::error::{Error, Failures, Problem, Unknown};
use crate::extract::{Path, Query, id};
use crate::list::{self, Part};

pub(crate) fn routes() -> OpenApiRouter<App> {
    OpenApiRouter::new()
        .routes(routes!(list_notifications))
        .routes(routes!(retry_notification))
}

/// Notifications per statement: they carry all of their attempts, with what was answered.
const PAGE_ROWS: i64 = 100;

/// A message to one channel, and what became of it.
#[derive(Serialize, ToSchema)]
struct Notification {
    /// Opaque; what `after` takes.
    #[schema(example = "73")]
    id: String,
    /// The alert that it tells of.
    #[schema(example = "41")]
    alert: String,
    /// The host's name at that time; empty for a flood of several hosts.
    #[schema(example = "web1")]
    hostname: String,
    /// The check's name at that time; empty if it is of a host, or of a flood.
    #[schema(example = "check_load")]
    check: String,
    /// Whom it is for.
    #[schema(example = "pager")]
    channel: String,
    /// `trigger`, `repeat`, `resolve` or `acknowledge`.
    #[schema(value_type = NotificationKind)]
    kind: String,
    /// The how many-th of its kind.
    #[schema(example = 1)]
    n: i32,
    /// The incident's key: the same for every attempt, and for the resolve of its trigger.
    #[schema(example = "web1:check_load:41")]
    key: String,
    /// `pending`, `sending`, `accepted`, `refused` (for good), `dropped` (nobody needs it any more) or `superseded` (the
    /// resolve tells of it).
    #[schema(value_type = NotificationState)]
    state: String,
    /// Why it was not accepted; while it waits, what for. Null if it was accepted.
    #[schema(required, example = json!(null))]
    reason: Option<String>,
    /// When it was owed, unix seconds.
    #[schema(example = 1_364_186_204)]
    created: i64,
    /// When it is tried next, unix seconds; null unless it waits.
    #[schema(required, example = json!(null))]
    next: Option<i64>,
    /// When it was over, unix seconds; null while it is not.
    #[schema(required, example = 1_364_186_205)]
    settled: Option<i64>,
    /// The receiver may have it, for all that is known.
    #[schema(example = true)]
    may_have_arrived: bool,
    /// Every try to send it, in their order.
    attempts: Vec<Attempt>,
}

/// What a notification can say.
#[derive(ToSchema)]
#[allow(dead_code)] // a description: the database keeps these words
#[schema(rename_all = "lowercase")]
enum NotificationKind {
    Trigger,
    Repeat,
    Resolve,
    Acknowledge,
}

/// One try to send a notification.
#[derive(Serialize, ToSchema)]
struct Attempt {
    /// Which one it was, from 1.
    #[schema(minimum = 1, example = 1)]
    n: i32,
    /// When it began, unix seconds.
    #[schema(example = 1_364_186_204)]
    time: i64,
    /// From the beginning to the answer; null while it is under way.
    #[schema(required, example = 120)]
    latency_ms: Option<i32>,
    /// HTTP status, or what the protocol has in its place; null without an answer.
    #[schema(required, example = 202)]
    status_code: Option<i32>,
    /// Why it failed; null if it was accepted, or is under way.
    #[schema(required, example = json!(null))]
    error: Option<String>,
    /// The beginning of the receiver's answer.
    #[schema(required, example = json!(null))]
    answer: Option<String>,
    /// The receiver may have it; null while it is under way.
    #[schema(required, example = true)]
    may_have_arrived: Option<bool>,
}

/// Notifications, in the order of their ids.
#[derive(Serialize, ToSchema)]
struct Notifications {
    /// Each with its attempts.
    notifications: Vec<Notification>,
}

/// What can have become of a notification.
#[derive(Debug, Clone, Copy, Deserialize, ToSchema)]
#[serde(rename_all = "lowercase")]
enum NotificationState {
    Pending,
    Sending,
    Accepted,
    Refused,
    Dropped,
    Superseded,
}

impl NotificationState {
    fn word(self) -> &'static str {
        match self {
            Self::Pending => "pending",
            Self::Sending => "sending",
            Self::Accepted => "accepted",
            Self::Refused => "refused",
            Self::Dropped => "dropped",
            Self::Superseded => "superseded",
        }
    }
}

/// Which notifications are wanted: all that is given must be so.
#[derive(Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
struct Filter {
    /// Of this alert.
    #[param(value_type = Option<String>, pattern = "^[0-9]{1,18}$")]
    #[serde(default, deserialize_with = "id")]
    alert: Option<i64>,
    /// Of alerts of the host of this name.
    host: Option<String>,
    /// To this channel.
    channel: Option<String>,
    /// `pending`, `sending`, `accepted`, `refused`, `dropped` or `superseded`.
    #[param(inline)]
    state: Option<NotificationState>,
}

impl Filter {
    fn which(self, scope: Option<Vec<String>>) -> Which {
        Which {
            alert_id: self.alert,
            hostname: self.host,
            channel: self.channel,
            state: self.state.map(|state| state.word().to_owned()),
            scope,
        }
    }
}

/// Notifications with every attempt
///
/// Needs access viewer.
#[utoipa::path(
    get,
    path = "/notifications",
    tag = "notifications",
    params(Filter, Part),
    security(("api_key" = [])),
    responses((status = 200, description = "The notifications, streamed", body = Notifications), Failures)
)]
async fn list_notifications(
    ScopedViewer(caller): ScopedViewer,
    State(app): State<App>,
    Query(filter): Query<Filter>,
    Query(part): Query<Part>,
) -> Result<Response, Error> {
    let which = filter.which(caller.scope);
    list::send("notifications", part, PAGE_ROWS, move |after, limit| {
        let (pool, which) = (app.pool.clone(), which.clone());
        async move {
            let page = notifications::page(&pool, &which, after, limit).await?;
            Ok(page
                .into_iter()
                .map(|notification| {
                    (
                        notification.notification_id,
                        Notification::from(notification),
                    )
                })
                .collect())
        }
    })
    .await
}

/// Tries a refused notification again
///
/// If its alert still needs it. Needs access operator.
#[utoipa::path(
    post,
    path = "/notifications/{id}/retry",
    tag = "notifications",
    params(("id" = String, Path, description = "Id of the notification", example = "73")),
    security(("api_key" = [])),
    responses(
        (status = 200, description = "It waits for its turn again; what holds it is its `reason`", body = Success),
        (status = 409, description = "It is no dead letter; the document says why", body = Problem, content_type = "application/problem+json"),
        Unknown,
        Failures,
    )
)]
async fn retry_notification(
    Operator(caller): Operator,
    State(app): State<App>,
    Path(id): Path<String>,
) -> Result<Json<Success>, Error> {
    let unknown = || Error::NotFound(format!("no notification has the id {id:?}"));
    let number: i64 = id.parse().map_err(|_| unknown())?;
    let mut tx = app.pool.begin().await?;
    let retried = dead_letters::retry(&mut tx, Some(&[number]), None).await?;
    if retried.is_empty() {
        let why = dead_letters::why_none(&mut tx, number).await?;
        return Err(why.map_or_else(unknown, |why| {
            Error::Conflict(format!("notification {id} is not tried again: {why}"))
        }));
    }
    let deed = Deed {
        action: "retry_notification",
        subject: format!("notification {id}"),
        before: None,
        after: None,
    };
    caller.audit(&mut tx, deed).await?;
    tx.commit().await?;
    Ok(Json(Success::YES))
}

impl From<notifications::Notification> for Notification {
    fn from(shown: notifications::Notification) -> Self {
        Self {
            id: shown.notification_id.to_string(),
            alert: shown.alert_id.to_string(),
            hostname: shown.hostname,
            check: shown.check_name,
            channel: shown.channel,
            kind: shown.kind,
            n: shown.n,
            key: shown.dedup_key,
            state: shown.state,
            reason: shown.reason,
            created: shown.created_at.timestamp(),
            next: shown.next_attempt_at.map(|at| at.timestamp()),
            settled: shown.settled_at.map(|at| at.timestamp()),
            may_have_arrived: shown.may_have_arrived,
            attempts: shown.attempts.0.into_iter().map(Attempt::from).collect(),
        }
    }
}

impl From<notifications::Attempt> for Attempt {
    fn from(attempt: notifications::Attempt) -> Self {
        Self {
            n: attempt.n,
            time: attempt.began_at.timestamp(),
            latency_ms: attempt.latency_ms,
            status_code: attempt.http_status,
            error: attempt.error,
            answer: attempt.answer,
            may_have_arrived: attempt.may_have_arrived,
        }
    }
}
