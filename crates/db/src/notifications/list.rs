//! Notifications as people look at them: with every attempt, and with what they wait for.

use chrono::{DateTime, Utc};
use serde::Deserialize;
use sqlx::PgPool;
use sqlx::types::Json;

use crate::pools::BEGIN_LIST;

/// Which notifications a list is of: all that is given must be so.
#[derive(Debug, Clone, Default)]
pub struct Which {
    /// Of this alert.
    pub alert_id: Option<i64>,
    /// Of alerts of the host of this name, as it was then.
    pub hostname: Option<String>,
    /// To this channel.
    pub channel: Option<String>,
    /// `pending`, `sending`, `accepted`, `refused`, `dropped` or `superseded`.
    pub state: Option<String>,
    /// Of alerts of hosts with one of these roles: the scope of a key.
    pub scope: Option<Vec<String>>,
}

/// A notification with its attempts.
#[derive(Debug, Clone)]
pub struct Notification {
    /// Identity, in the order of which lists are read.
    pub notification_id: i64,
    /// Its alert.
    pub alert_id: i64,
    /// The host's name; empty for a flood overall.
    pub hostname: String,
    /// The check's name; empty for a host or a flood.
    pub check_name: String,
    /// Whom it is for.
    pub channel: String,
    /// `trigger`, `repeat`, `resolve` or `acknowledge`.
    pub kind: String,
    /// The how many-th of its kind.
    pub n: i32,
    /// The same for every attempt, and for the resolve of its trigger.
    pub dedup_key: String,
    /// See [`Which::state`].
    pub state: String,
    /// Why it was not accepted, or what it waits for.
    pub reason: Option<String>,
    /// When it was owed.
    pub created_at: DateTime<Utc>,
    /// When it is tried next, if it waits.
    pub next_attempt_at: Option<DateTime<Utc>>,
    /// When it was over.
    pub settled_at: Option<DateTime<Utc>>,
    /// The receiver may have it, for all that is known.
    pub may_have_arrived: bool,
    /// In their order.
    pub attempts: Json<Vec<Attempt>>,
}

/// One try to send a notification.
#[derive(Debug, Clone, Deserialize)]
pub struct Attempt {
    /// Which one it was, from 1.
    pub n: i32,
    /// When it began.
    pub began_at: DateTime<Utc>,
    /// Milliseconds from the beginning to the answer.
    pub latency_ms: Option<i32>,
    /// HTTP status, if there was an answer.
    pub http_status: Option<i32>,
    /// Why it failed.
    pub error: Option<String>,
    /// The beginning of the receiver's answer.
    pub answer: Option<String>,
    /// The receiver may have it; `None` while it is under way.
    pub may_have_arrived: Option<bool>,
}

/// The next at most `limit` notifications of a list whose ids are above `after`, by id.
///
/// # Errors
/// If the database does not answer.
pub async fn page(
    pool: &PgPool,
    which: &Which,
    after: i64,
    limit: i64,
) -> sqlx::Result<Vec<Notification>> {
    let mut tx = pool.begin_with(BEGIN_LIST).await?;
    sqlx::query_as!(
        Notification,
        r#"
        select shown.notification_id, shown.alert_id, shown.hostname, shown.check_name, shown.channel, shown.kind, shown.n, shown.dedup_key,
               shown.state, shown.reason, shown.created_at, shown.next_attempt_at, shown.settled_at, shown.may_have_arrived,
               shown.attempts as "attempts!: Json<Vec<Attempt>>"
        from (
            select n.notification_id from notifications n join alerts a using (alert_id)
            -- what is not asked for is folded away before anything is planned, so that each question finds its index
            where n.notification_id > $1
              and ($3::bigint is null or (n.alert_id = $3 and a.alert_id = $3))
              and ($4::text is null or a.hostname = $4)
              and ($5::text is null or n.channel = $5)
              and ($6::text is null or n.state = $6)
              and ($7::text[] is null or exists (select from hosts h where h.host_id = a.host_id and h.roles && $7))
            order by n.notification_id limit $2
        ) as listed
        cross join lateral (
            select message.notification_id, message.alert_id, a.hostname, a.check_name, message.channel, message.kind, message.n, message.dedup_key, message.state,
                   case when message.settled_at is null then waits_for(message, a, (select held.reason from suppression_of(a) as held))
                        else message.reason end as reason,
                   message.created_at, case when message.state = 'pending' then message.next_attempt_at end as next_attempt_at, message.settled_at, message.may_have_arrived,
                   (select coalesce(jsonb_agg(jsonb_build_object(
                        'n', t.n, 'began_at', t.began_at, 'latency_ms', t.latency_ms, 'http_status', t.http_status, 'error', t.error,
                        'answer', t.answer, 'may_have_arrived', t.may_have_arrived) order by t.n), '[]')
                    from attempts t where t.notification_id = message.notification_id) as attempts
            from notifications message join alerts a using (alert_id)
            where message.notification_id = listed.notification_id
            -- looked up one by one: a plan that knows no parameters would walk the tables from their beginning
            limit 1
        ) as shown
        order by shown.notification_id
        "#,
        after,
        limit,
        which.alert_id,
        which.hostname.as_deref(),
        which.channel.as_deref(),
        which.state.as_deref(),
        which.scope.as_deref(),
    )
    .fetch_all(&mut *tx)
    .await
}
