//! Keys of the API: only their hashes are known here.

use sha2::{Digest, Sha256};
use sqlx::PgPool;

/// The name under which the key of the configuration file is kept.
const CONFIGURED: &str = "configuration";

/// A key that may be used.
#[derive(Debug, Clone)]
pub struct Key {
    /// Its name, for people.
    pub name: String,
    /// `viewer`, `operator`, `admin`.
    pub access: String,
}

/// A key that is known, not revoked and not expired. Notes that it was used, at most once a minute.
///
/// # Errors
/// If the database does not answer.
pub async fn find(pool: &PgPool, key: &str) -> sqlx::Result<Option<Key>> {
    let found = sqlx::query!(
        // A key that is limited to some roles is refused as long as no list honours that limit.
        r#"
        select key_id, name, access, coalesce(last_used_at < now() - interval '1 minute', true) as "is_stale!"
        from api_keys
        where hash = $1 and scope is null and revoked_at is null and coalesce(expires_at > now(), true)
        "#,
        hash(key)
    )
    .fetch_optional(pool)
    .await?;
    let Some(found) = found else { return Ok(None) };
    if found.is_stale {
        sqlx::query!(
            "update api_keys set last_used_at = now()
             where key_id = $1 and coalesce(last_used_at < now() - interval '1 minute', true)",
            found.key_id
        )
        .execute(pool)
        .await?;
    }
    Ok(Some(Key {
        name: found.name,
        access: found.access,
    }))
}

/// Makes `key` the one key that comes from configuration, with access admin; an earlier one is revoked.
///
/// # Errors
/// If the database does not answer.
pub async fn put_configured(pool: &PgPool, key: &str) -> sqlx::Result<()> {
    let hash = hash(key);
    let mut tx = pool.begin().await?;
    // several servers start at once
    sqlx::query!(
        "select pg_advisory_xact_lock(hashtextextended('api key of the configuration', 0))"
    )
    .execute(&mut *tx)
    .await?;
    sqlx::query!(
        "update api_keys set revoked_at = now() where name = $1 and hash <> $2 and revoked_at is null",
        CONFIGURED,
        &hash
    )
    .execute(&mut *tx)
    .await?;
    sqlx::query!(
        "insert into api_keys (name, hash, access) values ($1, $2, 'admin')
         on conflict (hash) do update set name = excluded.name, access = excluded.access, scope = null, expires_at = null, revoked_at = null",
        CONFIGURED,
        &hash
    )
    .execute(&mut *tx)
    .await?;
    tx.commit().await
}

/// Keys are 256 random bits: a slow hash would protect nothing.
fn hash(key: &str) -> Vec<u8> {
    Sha256::digest(key.as_bytes()).to_vec()
}
