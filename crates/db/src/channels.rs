//! The configured destinations as rows, so that the owed rule can read them. Secrets never come here.

use chrono::{DateTime, Utc};
use sqlx::{PgConnection, PgPool};

use crate::notifications::dead_letters;
use crate::routes::{self, Route};

/// A channel as its configuration declares it, without its secrets.
#[derive(Debug, Clone)]
pub struct Channel {
    /// Its name: `[channels.NAME]`.
    pub name: String,
    /// The code that speaks its protocol.
    pub provider: String,
    /// Put in front of deduplication keys.
    pub prefix: String,
    /// Keys without an episode, as the original made them.
    pub stable_keys: bool,
    /// Seconds after which an open alert is told again.
    pub repeat_s: i32,
    /// The channel that is told what this one does not take.
    pub fallback: Option<String>,
    /// Says which settings these are, secrets included, and nothing of them.
    pub settings_id: String,
    /// The configured channel of which this is one recipient.
    pub part_of: Option<String>,
    /// Where it leads, without what is secret.
    pub address: String,
    /// Whoever takes ownership is made known there.
    pub takes_acknowledge: bool,
}

/// What has become of channels that were there before.
#[derive(Debug, Clone, Default)]
pub struct Put {
    /// No longer configured.
    pub retired: Vec<String>,
    /// With other settings than before.
    pub changed: Vec<String>,
    /// Dead letters that are tried again, because their channel has other settings now.
    pub retried: usize,
}

/// Makes the tables say what this process's configuration says of channels and routes. A channel that is no longer
/// configured is retired, not removed: open alerts may still concern it.
///
/// # Errors
/// If the database does not answer.
pub async fn put_configured(
    pool: &PgPool,
    channels: &[Channel],
    routes: &[Route],
) -> sqlx::Result<Put> {
    let mut tx = pool.begin().await?;
    let mut put = put(&mut tx, channels, routes).await?;
    for channel in &put.changed {
        put.retried += dead_letters::retry(&mut tx, None, Some(channel))
            .await?
            .len();
    }
    tx.commit().await?;
    Ok(put)
}

/// As [`put_configured`], in a transaction that may still be given up, and without another try for dead letters.
pub(crate) async fn put(
    conn: &mut PgConnection,
    channels: &[Channel],
    routes: &[Route],
) -> sqlx::Result<Put> {
    let mut put = Put::default();
    // Replicas start at the same time: one after the other, or two upserts in different orders would deadlock.
    sqlx::query!("select pg_advisory_xact_lock(hashtext('stalker channels'))")
        .execute(&mut *conn)
        .await?;
    for channel in channels {
        let was = sqlx::query_scalar!(
            "select settings_id from channels where name = $1",
            channel.name
        )
        .fetch_optional(&mut *conn)
        .await?
        .flatten();
        sqlx::query!(
            r#"
            insert into channels as c (name, provider, prefix, stable_keys, repeat_s, fallback, settings_id, part_of, address, takes_acknowledge)
            values ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10)
            on conflict (name) do update
            set provider = excluded.provider, prefix = excluded.prefix, stable_keys = excluded.stable_keys,
                repeat_s = excluded.repeat_s, fallback = excluded.fallback, settings_id = excluded.settings_id, part_of = excluded.part_of,
                address = excluded.address, takes_acknowledge = excluded.takes_acknowledge, retired_at = null,
                -- other settings may lead to somebody who is there
                disabled_at = case when c.settings_id = excluded.settings_id then c.disabled_at end,
                disabled_why = case when c.settings_id = excluded.settings_id then c.disabled_why end
            "#,
            channel.name,
            channel.provider,
            channel.prefix,
            channel.stable_keys,
            channel.repeat_s,
            channel.fallback,
            channel.settings_id,
            channel.part_of,
            channel.address,
            channel.takes_acknowledge,
        )
        .execute(&mut *conn)
        .await?;
        if was.is_some_and(|was| was != channel.settings_id) {
            put.changed.push(channel.name.clone());
        }
    }
    let names: Vec<String> = channels
        .iter()
        .map(|channel| channel.name.clone())
        .collect();
    put.retired = sqlx::query_scalar!(
        "update channels set retired_at = now() where retired_at is null and name <> all ($1) returning name",
        &names
    )
    .fetch_all(&mut *conn)
    .await?;
    routes::put(conn, routes).await?;
    Ok(put)
}

/// Of each channel, the secrets with which alerts were told that are not over: they are needed for the resolves.
///
/// # Errors
/// If the database does not answer.
pub async fn secrets_in_use(pool: &PgPool) -> sqlx::Result<Vec<(String, String)>> {
    let used = sqlx::query!(
        r#"
        select distinct n.channel, n.secret_id as "secret_id!" from notifications n join alerts a using (alert_id)
        where not a.is_settled and n.may_have_arrived and n.kind <> 'resolve' and n.secret_id is not null
        order by 1, 2
        "#
    )
    .fetch_all(pool)
    .await?;
    Ok(used
        .into_iter()
        .map(|used| (used.channel, used.secret_id))
        .collect())
}

/// A channel as people look at it: what it is, and how it does.
#[derive(Debug, Clone)]
pub struct Listed {
    /// Its name; of one of several recipients `NAME/RECIPIENT`.
    pub name: String,
    /// The code that speaks its protocol.
    pub provider: String,
    /// Where it leads, without what is secret.
    pub address: String,
    /// The configured channel of which this is one recipient.
    pub part_of: Option<String>,
    /// Put in front of deduplication keys.
    pub prefix: String,
    /// The channel that is told what this one does not take.
    pub fallback: Option<String>,
    /// Since when it is no longer configured.
    pub retired_at: Option<DateTime<Utc>>,
    /// Since when nothing is sent there, because its receiver said that it is gone for good.
    pub disabled_at: Option<DateTime<Utc>>,
    /// What the receiver said.
    pub disabled_why: Option<String>,
    /// Notifications that wait.
    pub pending: i64,
    /// Notifications that are being sent.
    pub sending: i64,
    /// Age of the oldest one that waits and is not suppressed, in seconds.
    pub oldest_pending_s: Option<f64>,
    /// Refused for good, and another try could still deliver them.
    pub dead_letters: i64,
    /// Accepted within the last hour.
    pub accepted_1h: i64,
    /// Refused within the last hour.
    pub refused_1h: i64,
    /// Dropped within the last hour.
    pub dropped_1h: i64,
    /// Superseded within the last hour.
    pub superseded_1h: i64,
    /// When it accepted something for the last time.
    pub accepted_at: Option<DateTime<Utc>>,
}

/// All channels by name, retired ones too.
///
/// # Errors
/// If the database does not answer.
pub async fn list(pool: &PgPool) -> sqlx::Result<Vec<Listed>> {
    sqlx::query_as!(
        Listed,
        r#"
        select c.name, c.provider, c.address, c.part_of, c.prefix, c.fallback, c.retired_at, c.disabled_at, c.disabled_why,
               waiting.pending as "pending!", waiting.sending as "sending!", waiting.oldest_s as oldest_pending_s,
               coalesce(dead.n, 0) as "dead_letters!",
               lately.accepted as "accepted_1h!", lately.refused as "refused_1h!", lately.dropped as "dropped_1h!", lately.superseded as "superseded_1h!",
               (select n.settled_at from notifications n
                where n.channel = c.name and n.settled_at is not null and n.state = 'accepted' order by n.settled_at desc limit 1) as accepted_at
        from channels c
        left join (select channel, count(*) as n from dead_letters group by channel) as dead on dead.channel = c.name
        cross join lateral (
            select count(*) filter (where n.state = 'pending') as pending, count(*) filter (where n.state = 'sending') as sending,
                   extract(epoch from now() - min(n.created_at) filter (where n.state = 'pending' and not n.is_held))::float8 as oldest_s
            from notifications n where n.channel = c.name and n.state in ('pending', 'sending')) as waiting
        cross join lateral (
            select count(*) filter (where n.state = 'accepted') as accepted, count(*) filter (where n.state = 'refused') as refused,
                   count(*) filter (where n.state = 'dropped') as dropped, count(*) filter (where n.state = 'superseded') as superseded
            from notifications n where n.channel = c.name and n.settled_at > now() - interval '1 hour') as lately
        order by c.name
        "#
    )
    .fetch_all(pool)
    .await
}

/// Whether a channel is configured now.
///
/// # Errors
/// If the database does not answer.
pub async fn is_configured(pool: &PgPool, name: &str) -> sqlx::Result<bool> {
    sqlx::query_scalar!(
        r#"select exists (select from channels where name = $1 and retired_at is null) as "is_configured!""#,
        name,
    )
    .fetch_one(pool)
    .await
}
