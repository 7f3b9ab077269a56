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

/// Another try for dead letters: of these, or of all that a channel has refused. Returns those that are tried again; a
/// trigger or repeat whose alert has closed is not, nor a resolve that has expired or would end a later alert.
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
            select n.notification_id from notifications n join alerts a using (alert_id)
            where n.state = 'refused' and not a.is_settled
              and ($1::bigint[] is null or n.notification_id = any ($1)) and ($2::text is null or n.channel = $2)
              and case n.kind when 'resolve' then n.expires_at > now() else a.closed_at is null end
              -- of what says the same, the latest
              and not exists (select from notifications later
                              where later.alert_id = n.alert_id and later.channel = n.channel and n.kind <> 'resolve' and later.kind <> 'resolve'
                                and later.notification_id > n.notification_id and later.state <> 'dropped')
              -- with stable keys the resolve of an earlier episode would end a later one
              and not exists (select from notifications later
                              where later.channel = n.channel and later.dedup_key = n.dedup_key and later.alert_id > n.alert_id and later.attempts > 0)
            order by n.notification_id for no key update of n)
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
