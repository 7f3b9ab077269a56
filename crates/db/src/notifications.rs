//! What is owed, and its delivery: claimed, counted before it is tried, settled (semantics.md, decisions 7 and 8).

use chrono::{DateTime, Utc};
use sqlx::{PgConnection, PgPool};

/// A notification that was taken to be sent. All that a message says is a copy, true when the attempt began.
#[derive(Debug, Clone)]
pub struct ClaimedNotification {
    /// The notification.
    pub notification_id: i64,
    /// Fencing token: whoever settles must show it.
    pub lease: i64,
    /// The channel that it is owed to.
    pub channel: String,
    /// `trigger`, `repeat` or `resolve`.
    pub kind: String,
    /// The same for every attempt, and for the resolve of its trigger.
    pub dedup_key: String,
    /// Which attempt this is, from 1.
    pub attempt: i32,
    /// The check, if the alert is of one.
    pub check_id: Option<i64>,
    /// The host's name.
    pub hostname: String,
    /// The host's address.
    pub ip: String,
    /// The check's name; empty for a host.
    pub check_name: String,
    /// 1 most urgent, 2.
    pub priority: i16,
    /// Status code of the check.
    pub status: Option<i16>,
    /// Failing runs in a row when the alert opened or last changed.
    pub fails: i32,
    /// First line of the output at that time.
    pub out: String,
    /// When the alert opened.
    pub opened_at: DateTime<Utc>,
    /// When it closed.
    pub closed_at: Option<DateTime<Utc>>,
    /// Why it closed.
    pub close_reason: Option<String>,
    /// The channel has accepted a trigger or repeat of this alert: its people know of it.
    pub is_known: bool,
}

/// How one attempt ended.
#[derive(Debug, Clone)]
pub struct Attempt {
    /// What follows from it.
    pub end: AttemptEnd,
    /// The receiver may have it, for all that is known.
    pub may_have_arrived: bool,
    /// Milliseconds from the beginning to the answer.
    pub latency_ms: i32,
    /// HTTP status, if there was an answer.
    pub http_status: Option<i32>,
    /// The beginning of the receiver's answer.
    pub answer: Option<String>,
    /// First 8 hex digits of the SHA-256 of the secret that was used.
    pub secret_id: Option<String>,
}

/// What follows from an attempt.
#[derive(Debug, Clone)]
pub enum AttemptEnd {
    /// The receiver has taken it.
    Accepted,
    /// The receiver will never take it: a dead letter.
    Refused(String),
    /// To be tried again after so many milliseconds.
    Retry(String, i64),
}

/// Inserts what these alerts owe now; returns how many. Idempotent.
///
/// # Errors
/// If the database does not answer.
pub async fn owe(conn: &mut PgConnection, alert_ids: &[i64]) -> sqlx::Result<u64> {
    let done = sqlx::query!(
        r#"
        insert into notifications (alert_id, channel, kind, n, dedup_key, expires_at)
        select o.alert_id, o.channel, o.kind, o.n,
               -- the key of what was sent before, whatever the channel's prefix is by now
               coalesce((select x.dedup_key from notifications x
                         where x.alert_id = o.alert_id and x.channel = o.channel order by x.notification_id limit 1),
                        c.prefix || a.hostname || case when a.check_name <> '' then ':' || a.check_name else '' end
                                 || case when c.stable_keys then '' else ':' || a.alert_id end),
               case when o.kind = 'resolve' then a.closed_at + interval '72 hours' end
        from owed o join alerts a using (alert_id) join channels c on c.name = o.channel
        where o.alert_id = any ($1)
        order by o.alert_id, o.channel
        on conflict do nothing
        "#,
        alert_ids,
    )
    .execute(conn)
    .await?;
    Ok(done.rows_affected())
}

/// Inserts everything that is owed: the same rule, applied to all alerts. A duty, and the net below the recorder.
///
/// # Errors
/// If the database does not answer.
pub async fn owe_all(pool: &PgPool) -> sqlx::Result<u64> {
    let mut tx = pool.begin().await?;
    let indebted =
        sqlx::query_scalar!(r#"select distinct alert_id as "alert_id!" from owed order by 1"#)
            .fetch_all(&mut *tx)
            .await?;
    let owed = owe(&mut tx, &indebted).await?;
    tx.commit().await?;
    Ok(owed)
}

/// Triggers and repeats of closed alerts that wait are not tried any more. What is being sent just now is settled
/// by its own end.
///
/// # Errors
/// If the database does not answer.
pub async fn settle_closed(conn: &mut PgConnection, alert_ids: &[i64]) -> sqlx::Result<()> {
    sqlx::query!(
        r#"
        with waiting as materialized (
            select notification_id from notifications
            where alert_id = any ($1) and kind <> 'resolve' and state = 'pending'
            order by notification_id for no key update)
        update notifications
        set state = case when attempts = 0 then 'dropped' else 'superseded' end, reason = 'the alert closed', settled_at = now()
        where notification_id = any (array(select notification_id from waiting))
        "#,
        alert_ids,
    )
    .execute(conn)
    .await?;
    Ok(())
}

/// Takes up to `free` notifications that are due on this channel, for `lease_s` seconds, and counts an attempt
/// of each: one at a time per channel and key, in the order of their ids; no trigger or repeat of an alert that is
/// closed or suppressed.
///
/// # Errors
/// If the database does not answer; nothing is taken then.
pub async fn claim_due(
    pool: &PgPool,
    channel: &str,
    free: i64,
    lease: i64,
    lease_s: i32,
) -> sqlx::Result<Vec<ClaimedNotification>> {
    sqlx::query_as!(
        ClaimedNotification,
        r#"
        with due as materialized (
            select n.notification_id from notifications n join alerts a using (alert_id)
            where n.state = 'pending' and n.state in ('pending', 'sending') and n.next_attempt_at <= now() and n.channel = $1
              and not exists (
                select from notifications before
                where before.channel = n.channel and before.dedup_key = n.dedup_key
                  and before.state in ('pending', 'sending')
                  -- an earlier episode first: with stable keys its resolve may have been owed after this trigger
                  and (before.alert_id, before.notification_id) < (n.alert_id, n.notification_id))
              and (n.kind = 'resolve' or (a.closed_at is null and suppression(a) is null))
            order by n.next_attempt_at, n.notification_id
            limit $2 for no key update of n skip locked),
        claimed as (
            update notifications
            set state = 'sending', attempts = attempts + 1, lease = $3::bigint, leased_until = now() + make_interval(secs => $4::int)
            where notification_id = any (array(select notification_id from due))
            returning *),
        counted as (
            insert into attempts (notification_id, n) select notification_id, attempts from claimed)
        select c.notification_id, c.lease as "lease!", c.channel, c.kind, c.dedup_key, c.attempts as attempt,
               a.check_id, a.hostname, a.ip, a.check_name, a.priority, a.status, a.fails, a.out,
               a.opened_at, a.closed_at, a.close_reason,
               exists (select from notifications x
                       where x.alert_id = c.alert_id and x.channel = c.channel and x.kind <> 'resolve' and x.state = 'accepted') as "is_known!"
        from claimed c join alerts a using (alert_id)
        order by c.notification_id
        "#,
        channel,
        free,
        lease,
        lease_s,
    )
    .fetch_all(pool)
    .await
}

/// Settles one attempt, and owes what follows from it. False if the lease was lost: then the attempt counts as one
/// that may have arrived, and this result is only noted.
///
/// # Errors
/// If the database does not answer; the lease runs out then.
pub async fn settle(
    pool: &PgPool,
    taken: &ClaimedNotification,
    attempt: &Attempt,
) -> sqlx::Result<bool> {
    let (outcome, reason, retry_ms) = match &attempt.end {
        AttemptEnd::Accepted => ("accepted", None, None),
        AttemptEnd::Refused(reason) => ("refused", Some(reason.as_str()), None),
        AttemptEnd::Retry(reason, after_ms) => ("pending", Some(reason.as_str()), Some(*after_ms)),
    };
    let mut tx = pool.begin().await?;
    // Waits for a transaction that is closing the alert just now, so that one of the two sees the other.
    let is_closed = sqlx::query_scalar!(
        r#"select a.closed_at is not null as "is_closed!" from alerts a join notifications n using (alert_id)
           where n.notification_id = $1 for share of a"#,
        taken.notification_id,
    )
    .fetch_optional(&mut *tx)
    .await?
    .unwrap_or(true);
    let outcome = if is_closed && outcome == "pending" && taken.kind != "resolve" {
        "superseded"
    } else {
        outcome
    };
    let alert_id = sqlx::query_scalar!(
        r#"
        update notifications
        set state = $3, reason = $4, lease = null, leased_until = null,
            next_attempt_at = now() + coalesce($5::bigint, 0) * interval '1 ms',
            may_have_arrived = may_have_arrived or $6,
            secret_id = coalesce($7, secret_id),
            settled_at = case when $3 <> 'pending' then now() end
        where notification_id = $1 and lease = $2 and state = 'sending'
        returning alert_id
        "#,
        taken.notification_id,
        taken.lease,
        outcome,
        reason,
        retry_ms,
        attempt.may_have_arrived,
        attempt.secret_id,
    )
    .fetch_optional(&mut *tx)
    .await?;
    sqlx::query!(
        r#"
        update attempts
        set ended_at = now(), latency_ms = $3, http_status = $4, error = $5, answer = $6,
            may_have_arrived = coalesce(may_have_arrived, false) or $7
        where notification_id = $1 and n = $2
        "#,
        taken.notification_id,
        taken.attempt,
        attempt.latency_ms,
        attempt.http_status,
        reason,
        attempt.answer,
        attempt.may_have_arrived,
    )
    .execute(&mut *tx)
    .await?;
    if let Some(alert_id) = alert_id {
        owe(&mut tx, &[alert_id]).await?;
    }
    tx.commit().await?;
    Ok(alert_id.is_some())
}

/// Gives back what was taken and not begun: its attempt was counted, and did not take place.
///
/// # Errors
/// If the database does not answer; the leases run out then.
pub async fn give_back(pool: &PgPool, taken: &[(i64, i64)]) -> sqlx::Result<()> {
    let (ids, leases): (Vec<i64>, Vec<i64>) = taken.iter().copied().unzip();
    sqlx::query!(
        r#"
        with back as (
            update notifications n
            set state = 'pending', attempts = n.attempts - 1, lease = null, leased_until = null
            from (select * from unnest($1::bigint[], $2::bigint[]) as u(notification_id, lease) order by u.notification_id) t
            where n.notification_id = t.notification_id and n.lease = t.lease and n.state = 'sending'
            returning n.notification_id, n.attempts + 1 as attempt)
        delete from attempts a using back b where a.notification_id = b.notification_id and a.n = b.attempt
        "#,
        &ids,
        &leases,
    )
    .execute(pool)
    .await?;
    Ok(())
}

/// Ends the attempts of senders that died: they may have arrived, and are made again. Returns how many. A duty.
///
/// # Errors
/// If the database does not answer.
pub async fn take_back_lost(pool: &PgPool) -> sqlx::Result<u64> {
    let done = sqlx::query!(
        r#"
        with lost as materialized (
            select notification_id from notifications
            where state = 'sending' and state in ('pending', 'sending') and leased_until < now()
            order by notification_id for no key update skip locked),
        ended as (
            update attempts set ended_at = now(), error = 'its sender died', may_have_arrived = true
            where notification_id in (select notification_id from lost) and ended_at is null)
        update notifications
        set state = 'pending', lease = null, leased_until = null, may_have_arrived = true, reason = 'its sender died'
        where notification_id in (select notification_id from lost)
        "#
    )
    .execute(pool)
    .await?;
    Ok(done.rows_affected())
}

/// Settles the triggers and repeats that wait although their alert has closed. A duty, and the net below
/// [`settle_closed`].
///
/// # Errors
/// If the database does not answer.
pub async fn settle_all_closed(pool: &PgPool) -> sqlx::Result<()> {
    let closed = sqlx::query_scalar!(
        r#"
        select distinct n.alert_id from notifications n join alerts a using (alert_id)
        where n.state = 'pending' and n.state in ('pending', 'sending') and n.kind <> 'resolve' and a.closed_at is not null
        order by 1
        "#
    )
    .fetch_all(pool)
    .await?;
    if closed.is_empty() {
        return Ok(());
    }
    let mut tx = pool.begin().await?;
    settle_closed(&mut tx, &closed).await?;
    // in the same transaction, or the next episode's trigger could overtake the resolve
    owe(&mut tx, &closed).await?;
    tx.commit().await
}

/// Marks closed alerts of which nothing is owed or under way any more: the owed rule need not look at them again.
/// A duty.
///
/// # Errors
/// If the database does not answer.
pub async fn mark_settled(pool: &PgPool) -> sqlx::Result<()> {
    sqlx::query!(
        r#"
        with over as materialized (
            select a.alert_id from alerts a
            where not a.is_settled and a.closed_at is not null
              and not exists (select from notifications x where x.alert_id = a.alert_id and x.state in ('pending', 'sending'))
              and not exists (select from owed o where o.alert_id = a.alert_id)
            order by a.alert_id for no key update of a skip locked)
        update alerts set is_settled = true where alert_id = any (array(select alert_id from over))
        "#
    )
    .execute(pool)
    .await?;
    Ok(())
}

/// Drops what nobody took until it was of no use. A duty.
///
/// # Errors
/// If the database does not answer.
pub async fn drop_expired(pool: &PgPool) -> sqlx::Result<()> {
    sqlx::query!(
        r#"
        with expired as materialized (
            select notification_id from notifications
            where state = 'pending' and state in ('pending', 'sending') and expires_at < now()
            order by notification_id for no key update skip locked)
        update notifications set state = 'dropped', reason = 'expired', settled_at = now()
        where notification_id in (select notification_id from expired)
        "#
    )
    .execute(pool)
    .await?;
    Ok(())
}
