//! Alerts as people ask about them: which are open, and why somebody was told or was not (0008).

use chrono::{DateTime, Utc};
use sqlx::PgPool;

/// An open alert, in a line.
#[derive(Debug, Clone)]
pub struct OpenAlert {
    /// Identity: the episode.
    pub alert_id: i64,
    /// `check`, `host` or `flood`.
    pub kind: String,
    /// The host's name; empty for a flood overall.
    pub hostname: String,
    /// The check's name; empty for a host or a flood.
    pub check_name: String,
    /// Status code of the check.
    pub status: Option<i16>,
    /// When it opened.
    pub opened_at: DateTime<Utc>,
    /// Why it is not being told now.
    pub suppression: Option<String>,
    /// The flood that stands for it.
    pub parent_id: Option<i64>,
}

/// Something that happened to an alert, or that it waits for.
#[derive(Debug, Clone)]
pub struct Event {
    /// When.
    pub at: DateTime<Utc>,
    /// To which channel; `None` to the alert itself.
    pub channel: Option<String>,
    /// `opened`, `target`, `suppressed`, `not suppressed`, `owed`, `attempt`, `refused`, `dropped`, `superseded`,
    /// `closed`, or `waits` for what is to come.
    pub event: String,
    /// Why, in words.
    pub why: String,
}

/// All open alerts, the oldest first.
///
/// # Errors
/// If the database does not answer.
pub async fn open_alerts(pool: &PgPool) -> sqlx::Result<Vec<OpenAlert>> {
    sqlx::query_as!(
        OpenAlert,
        r#"
        select a.alert_id, a.kind, a.hostname, a.check_name, a.status, a.opened_at, suppression(a) as suppression, a.parent_id
        from alerts a where not a.is_settled and a.closed_at is null
        order by a.alert_id
        "#
    )
    .fetch_all(pool)
    .await
}

/// The story of an alert in the order of time, what it waits for last; empty if there is no such alert.
///
/// # Errors
/// If the database does not answer.
pub async fn explain_alert(pool: &PgPool, alert_id: i64) -> sqlx::Result<Vec<Event>> {
    sqlx::query_as!(
        Event,
        r#"select at as "at!", channel, event as "event!", why as "why!" from explain_alert($1)"#,
        alert_id,
    )
    .fetch_all(pool)
    .await
}
