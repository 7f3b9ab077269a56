//! The configured destinations as rows, so that the owed rule can read them. Secrets never come here.

use sqlx::PgPool;

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
}

/// Makes the table say what this process's configuration says. A channel that is no longer configured is retired,
/// not removed: open alerts may still concern it. Returns the names of those.
///
/// # Errors
/// If the database does not answer.
pub async fn put_configured(pool: &PgPool, channels: &[Channel]) -> sqlx::Result<Vec<String>> {
    let mut tx = pool.begin().await?;
    // Replicas start at the same time: one after the other, or two upserts in different orders would deadlock.
    sqlx::query!("select pg_advisory_xact_lock(hashtext('stalker channels'))")
        .execute(&mut *tx)
        .await?;
    for channel in channels {
        sqlx::query!(
            r#"
            insert into channels (name, provider, prefix, stable_keys, repeat_s) values ($1, $2, $3, $4, $5)
            on conflict (name) do update
            set provider = excluded.provider, prefix = excluded.prefix, stable_keys = excluded.stable_keys,
                repeat_s = excluded.repeat_s, retired_at = null
            "#,
            channel.name,
            channel.provider,
            channel.prefix,
            channel.stable_keys,
            channel.repeat_s,
        )
        .execute(&mut *tx)
        .await?;
    }
    let names: Vec<String> = channels
        .iter()
        .map(|channel| channel.name.clone())
        .collect();
    let retired = sqlx::query_scalar!(
        "update channels set retired_at = now() where retired_at is null and name <> all ($1) returning name",
        &names
    )
    .fetch_all(&mut *tx)
    .await?;
    tx.commit().await?;
    Ok(retired)
}
