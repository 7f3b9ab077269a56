//! What is owed, and its delivery: claimed, counted before it is tried, settled (semantics.md, decisions 7 and 8).

pub mod acknowledgements;
mod claims;
pub mod dead_letters;
pub mod list;
pub mod upkeep;

use chrono::{DateTime, Utc};
use sqlx::{PgConnection, PgPool};

pub use claims::{claim_due, give_back};

/// A notification that was taken to be sent. All that a message says is a copy, true when the attempt began.
#[derive(Debug, Clone)]
pub struct ClaimedNotification {
    /// The notification.
    pub notification_id: i64,
    /// Fencing token: whoever settles must show it.
    pub lease: i64,
    /// The channel that it is owed to.
    pub channel: String,
    /// `trigger`, `repeat`, `resolve`, or `acknowledge`.
    pub kind: String,
    /// The same for every attempt, and for the resolve of its trigger.
    pub dedup_key: String,
    /// Which attempt this is, from 1.
    pub attempt: i32,
    /// The check, if the alert is of one.
    pub check_id: Option<i64>,
    /// The host's name; of a cluster its id.
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
    /// The alert tells of flapping.
    pub is_of_flapping: bool,
    /// Which secret it is sent with: the one that its trigger was sent with.
    pub secret_id: Option<String>,
    /// What the alert is of: `check`, `host`, `flood`, `cluster`.
    pub alert_kind: String,
    /// Of a flood: how many of its open members concern this channel.
    pub members: i64,
    /// The first of them, as `check on host`.
    pub member_names: Vec<String>,
    /// Who has taken responsibility for the check; empty for nobody.
    pub owner: String,
    /// An earlier attempt may have arrived: for all that is known, the receiver has this already.
    pub is_possible_repeat: bool,
    /// When it was owed.
    pub created_at: DateTime<Utc>,
    /// When this attempt began, in the database's time.
    pub claimed_at: DateTime<Utc>,
    /// After this it is not tried again: nobody needs it any more.
    pub expires_at: Option<DateTime<Utc>>,
    /// Why the attempt before this one failed.
    pub last_failure: Option<String>,
    /// Why the alert was suppressed before this was owed, if it was.
    pub held_for: Option<String>,
}

/// How many messages may be sent with one key: a token bucket in the database, shared by all workers.
#[derive(Debug, Clone, PartialEq)]
pub struct Rate {
    /// Whose bucket it is: provider and what identifies its receiver, never a secret. Each key that messages are sent with has
    /// its own.
    pub key: String,
    /// Tokens per second.
    pub per_s: f64,
    /// Tokens that a full bucket has.
    pub burst: f64,
}

/// Which secrets a channel has, each by the beginning of its hash.
#[derive(Debug, Clone, Default)]
pub struct SecretIds {
    /// Those of today, for priority 1 and for priority 2.
    pub of_today: [Option<String>; 2],
    /// All, those of before included.
    pub known: Vec<String>,
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
    /// The receiver says that it is gone for good: refused, and its channel is disabled.
    Gone(String),
    /// To be tried again.
    Retry {
        /// Why it failed.
        why: String,
        /// Milliseconds until then.
        after_ms: i64,
        /// The receiver asked to wait so long.
        is_asked: bool,
    },
}

/// Inserts what these alerts owe now; returns how many. Idempotent.
///
/// # Errors
/// If the database does not answer.
pub async fn owe(conn: &mut PgConnection, alert_ids: &[i64]) -> sqlx::Result<u64> {
    if alert_ids.is_empty() {
        return Ok(0);
    }
    let done = sqlx::query!(
        r#"
        with burst as materialized (select is_burst() as is_on)
        insert into notifications (alert_id, channel, kind, n, dedup_key, next_attempt_at, expires_at)
        select o.alert_id, o.channel, o.kind, o.n,
               -- the key of what was sent before, whatever the channel's prefix is by now
               coalesce((select x.dedup_key from notifications x
                         where x.alert_id = o.alert_id and x.channel = o.channel order by x.notification_id limit 1),
                        -- of another cluster, the same wherever it is seen from: whoever has a receiver in common tells it once
                        case when a.kind = 'cluster' then 'cluster:' || a.hostname end,
                        c.prefix || a.hostname || case when a.check_name <> '' then ':' || a.check_name else '' end
                                 || case when a.kind = 'flood' then ':flood' else '' end
                                 || case when c.stable_keys and a.kind <> 'flood' then '' else ':' || a.alert_id end),
               -- in a burst a trigger waits a little: a flood may come to speak for its alert
               now() + case when o.kind = 'trigger' and burst.is_on and a.kind <> 'cluster' then interval '10 s' else interval '0' end,
               case when o.kind = 'resolve' then a.closed_at + interval '72 hours' end
        from owed o join alerts a using (alert_id) join channels c on c.name = o.channel
        cross join burst
        where o.alert_id = any ($1)
          -- what was set free is counted first (floods::count_freed): with others it may be a flood, which speaks for it
          and (o.kind <> 'trigger' or a.kind in ('flood', 'cluster') or a.counted_at is not null)
        order by o.alert_id, o.channel
        on conflict do nothing
        "#,
        alert_ids,
    )
    .execute(conn)
    .await?;
    Ok(done.rows_affected())
}

/// Triggers and repeats of closed alerts that wait are not tried any more. What is being sent just now is settled
/// by its own end.
///
/// # Errors
/// If the database does not answer.
pub async fn settle_closed(conn: &mut PgConnection, alert_ids: &[i64]) -> sqlx::Result<()> {
    if alert_ids.is_empty() {
        return Ok(());
    }
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
    let (outcome, reason, retry_ms, is_asked) = match &attempt.end {
        AttemptEnd::Accepted => ("accepted", None, None, false),
        // nobody need do anything about an acknowledgement that came too late
        AttemptEnd::Refused(why) | AttemptEnd::Gone(why) if taken.kind == "acknowledge" => {
            ("dropped", Some(why.as_str()), None, false)
        }
        AttemptEnd::Refused(why) | AttemptEnd::Gone(why) => {
            ("refused", Some(why.as_str()), None, false)
        }
        AttemptEnd::Retry {
            why,
            after_ms,
            is_asked,
        } => ("pending", Some(why.as_str()), Some(*after_ms), *is_asked),
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
            waits_until = case when $8 then now() + coalesce($5::bigint, 0) * interval '1 ms' end,
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
        is_asked,
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
    if let AttemptEnd::Gone(why) = &attempt.end {
        sqlx::query!(
            "update channels set disabled_at = now(), disabled_why = $2 where name = $1 and disabled_at is null",
            taken.channel,
            why,
        )
        .execute(&mut *tx)
        .await?;
    }
    if let Some(alert_id) = alert_id {
        fall_back(&mut tx, &[alert_id]).await?;
        owe(&mut tx, &[alert_id]).await?;
    }
    tx.commit().await?;
    Ok(alert_id.is_some())
}

/// A channel that has taken a message is back: what waits for its next attempt there is made within 10 s, unless its
/// receiver asked to wait longer; once in ten minutes, for it may be that message alone that is not taken. Returns how many.
///
/// # Errors
/// If the database does not answer.
pub async fn hurry(pool: &PgPool, channel: &str) -> sqlx::Result<u64> {
    let done = sqlx::query!(
        r#"
        with waiting as materialized (
            select notification_id from notifications
            where channel = $1 and state = 'pending' and not is_held and attempts > 0 and next_attempt_at > now() + interval '10 s'
              and coalesce(waits_until <= now() + interval '10 s', true) and coalesce(hurried_at < now() - interval '10 min', true)
            -- never waits: whoever holds one of these is about to settle it
            for no key update skip locked)
        update notifications set next_attempt_at = now() + random() * interval '10 s', hurried_at = now()
        where notification_id = any (array(select notification_id from waiting))
        "#,
        channel,
    )
    .execute(pool)
    .await?;
    Ok(done.rows_affected())
}

/// Makes the fallback of a channel a target of the alerts of which it does not take a trigger or repeat: after the
/// third failure, where a 429 counts only once the channel has been asked for 5 minutes, or after a permanent one
/// (decision 8); at once if the channel is disabled.
async fn fall_back(conn: &mut PgConnection, alert_ids: &[i64]) -> sqlx::Result<()> {
    sqlx::query!(
        r#"
        insert into alert_targets (alert_id, channel, why)
        select distinct n.alert_id, f.name, 'fallback of ' || c.name
        from notifications n join alerts a using (alert_id)
        join channels c on c.name = n.channel
        join channels f on (f.name = c.fallback or f.part_of = c.fallback) and f.retired_at is null
        where a.closed_at is null and a.alert_id = any ($1) and n.kind in ('trigger', 'repeat')
          and (n.state = 'refused' or (n.state in ('pending', 'sending') and (n.attempts >= 3 or c.disabled_at is not null)))
          and (n.state = 'refused' or c.disabled_at is not null or 3 <= (
                select count(*) from attempts t
                where t.notification_id = n.notification_id and t.error is not null
                  and (t.http_status is distinct from 429
                    or t.began_at >= (select min(first.began_at) from attempts first where first.notification_id = n.notification_id) + interval '5 min')))
        order by 1, 2
        on conflict do nothing
        "#,
        alert_ids,
    )
    .execute(conn)
    .await?;
    Ok(())
}
