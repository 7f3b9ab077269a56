//! What a channel has refused for good, and what else is not finished: shown, and tried again (semantics.md, decision 8).

use sqlx::{PgConnection, PgPool};

/// A notification that somebody may want to know of.
#[derive(Debug, Clone)]
pub struct Unfinished {
    /// The notification.
    pub notification_id: i64,
    /// Its alert.
    pub alert_id: i64,
    /// Whom it is for.
    pub channel: String,
    /// `trigger`, `repeat` or `resolve`.
    pub kind: String,
    /// `pending`, `sending` or `refused`.
    pub state: String,
    /// How often it was tried.
    pub attempts: i32,
    /// Why it was not accepted.
    pub reason: Option<String>,
}

/// What waits, is being sent, or was refused for an alert that is not over, by id.
///
/// # Errors
/// If the database does not answer.
pub async fn unfinished(pool: &PgPool) -> sqlx::Result<Vec<Unfinished>> {
    sqlx::query_as!(
        Unfinished,
        r#"
        select n.notification_id, n.alert_id, n.channel, n.kind, n.state, n.attempts, n.reason
        from notifications n join alerts a using (alert_id)
        where n.notification_id = any (array(
            select notification_id from notifications where state in ('pending', 'sending')
            union all
            select r.notification_id from alerts u join notifications r using (alert_id) where not u.is_settled and r.state = 'refused'))
        order by n.notification_id
        "#
    )
    .fetch_all(pool)
    .await
}

/// Another try for dead letters: of these, or of all that a channel has refused. Returns those that are tried again; what
/// is not in the view `dead_letters` is not.
///
/// # Errors
/// If the database does not answer.
pub async fn retry(
    conn: &mut PgConnection,
    ids: Option<&[i64]>,
    channel: Option<&str>,
) -> sqlx::Result<Vec<i64>> {
    sqlx::query_scalar!(
        r#"
        with dead as materialized (
            select n.notification_id from notifications n
            where n.state = 'refused' and n.notification_id in (select notification_id from dead_letters)
              and ($1::bigint[] is null or n.notification_id = any ($1)) and ($2::text is null or n.channel = $2)
            order by n.notification_id for no key update)
        update notifications set state = 'pending', next_attempt_at = now(), settled_at = null
        where notification_id = any (array(select notification_id from dead))
        returning notification_id
        "#,
        ids,
        channel,
    )
    .fetch_all(conn)
    .await
}

/// Why a notification is no dead letter that could be tried again, in words; `None` if there is no such notification.
///
/// # Errors
/// If the database does not answer.
pub async fn why_none(
    conn: &mut PgConnection,
    notification_id: i64,
) -> sqlx::Result<Option<String>> {
    sqlx::query_scalar!(
        r#"
        select case
            when n.state <> 'refused' then format('it is %s, not refused', n.state)
            when c.retired_at is not null then 'its channel is not configured any more'
            when n.kind <> 'resolve' and a.closed_at is not null then 'its alert has closed'
            when n.expires_at <= now() then format('it was of no use any more after %s', utc(n.expires_at))
            else 'a later notification says what it would say, or would be undone by it'
        end as "why!"
        from notifications n join alerts a using (alert_id) join channels c on c.name = n.channel
        where n.notification_id = $1
        "#,
        notification_id,
    )
    .fetch_optional(conn)
    .await
}
