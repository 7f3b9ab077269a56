//! The configured destinations as rows, so that the owed rule can read them. Secrets never come here.

use sqlx::PgPool;

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
}

/// What has become of channels that were there before.
#[derive(Debug, Clone, Default)]
pub struct Put {
    /// No longer configured.
    pub retired: Vec<String>,
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
    let mut put = Put::default();
    let mut tx = pool.begin().await?;
    // Replicas start at the same time: one after the other, or two upserts in different orders would deadlock.
    sqlx::query!("select pg_advisory_xact_lock(hashtext('stalker channels'))")
        .execute(&mut *tx)
        .await?;
    for channel in channels {
        let was = sqlx::query_scalar!(
            "select settings_id from channels where name = $1",
            channel.name
        )
        .fetch_optional(&mut *tx)
        .await?
        .flatten();
        sqlx::query!(
            r#"
            insert into channels (name, provider, prefix, stable_keys, repeat_s, fallback, settings_id) values ($1, $2, $3, $4, $5, $6, $7)
            on conflict (name) do update
            set provider = excluded.provider, prefix = excluded.prefix, stable_keys = excluded.stable_keys,
                repeat_s = excluded.repeat_s, fallback = excluded.fallback, settings_id = excluded.settings_id, retired_at = null
            "#,
            channel.name,
            channel.provider,
            channel.prefix,
            channel.stable_keys,
            channel.repeat_s,
            channel.fallback,
            channel.settings_id,
        )
        .execute(&mut *tx)
        .await?;
        if was.is_some_and(|was| was != channel.settings_id) {
            let retried = dead_letters::retry(&mut tx, None, Some(&channel.name)).await?;
            put.retried += retried.len();
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
    .fetch_all(&mut *tx)
    .await?;
    routes::put(&mut tx, routes).await?;
    tx.commit().await?;
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
