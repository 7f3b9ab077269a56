//! Keys of the API, and of agents that register: only their hashes are known here.

use chrono::{DateTime, Utc};
use serde_json::{Value, json};
use sha2::{Digest, Sha256};
use sqlx::{PgConnection, PgPool};

use crate::audit::{self, Actor, Deed};

/// The name under which the key of the configuration file is kept. It is revoked by changing that.
pub const CONFIGURED: &str = "configuration";

/// A key that may be used.
#[derive(Debug, Clone)]
pub struct Key {
    /// Identity.
    pub key_id: i64,
    /// Its name, for people.
    pub name: String,
    /// `viewer`, `operator`, `admin`, or `register`, which agents show.
    pub access: String,
    /// Only hosts with one of these roles, if any are named.
    pub scope: Option<Vec<String>>,
}

/// A key as people see it: not the key itself.
#[derive(Debug, Clone)]
pub struct Listed {
    /// Identity.
    pub key_id: i64,
    /// See [`Key`].
    pub name: String,
    /// See [`Key`].
    pub access: String,
    /// See [`Key`].
    pub scope: Option<Vec<String>>,
    /// Who made it.
    pub made_by: String,
    /// When.
    pub created_at: DateTime<Utc>,
    /// When it ends, or has ended.
    pub expires_at: Option<DateTime<Utc>>,
    /// When it was last used, to the minute.
    pub last_used_at: Option<DateTime<Utc>>,
    /// When it was revoked.
    pub revoked_at: Option<DateTime<Utc>>,
}

/// A key to be added.
#[derive(Debug, Clone)]
pub struct New<'a> {
    /// The key itself.
    pub key: &'a str,
    /// See [`Key`].
    pub name: &'a str,
    /// See [`Key`].
    pub access: &'a str,
    /// See [`Key`].
    pub scope: Option<&'a [String]>,
    /// See [`Listed`].
    pub expires_at: Option<DateTime<Utc>>,
    /// See [`Listed`].
    pub made_by: &'a str,
}

/// A key that is known, not revoked and not expired. Notes that it was used, at most once a minute.
///
/// # Errors
/// If the database does not answer.
pub async fn find(pool: &PgPool, key: &str) -> sqlx::Result<Option<Key>> {
    let found = sqlx::query!(
        r#"
        select key_id, name, access, scope, coalesce(last_used_at < now() - interval '1 minute', true) as "is_stale!"
        from api_keys
        where hash = $1 and revoked_at is null and coalesce(expires_at > now(), true)
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
        key_id: found.key_id,
        name: found.name,
        access: found.access,
        scope: found.scope,
    }))
}

/// Adds a key; returns its id.
///
/// # Errors
/// If the database does not answer.
pub async fn add(conn: &mut PgConnection, new: &New<'_>) -> sqlx::Result<i64> {
    sqlx::query_scalar!(
        "insert into api_keys (name, hash, access, scope, expires_at, made_by) values ($1, $2, $3, $4, $5, $6) returning key_id",
        new.name,
        hash(new.key),
        new.access,
        new.scope,
        new.expires_at,
        new.made_by,
    )
    .fetch_one(conn)
    .await
}

/// Whether a key has not expired.
///
/// # Errors
/// If the database does not answer.
pub async fn is_valid(conn: &mut PgConnection, key_id: i64) -> sqlx::Result<bool> {
    sqlx::query_scalar!(
        r#"select coalesce(expires_at > now(), true) as "is_valid!" from api_keys where key_id = $1"#,
        key_id
    )
    .fetch_one(conn)
    .await
}

/// The next at most `limit` keys whose ids are above `after`, by id: also those that were revoked or have expired.
///
/// # Errors
/// If the database does not answer.
pub async fn page(pool: &PgPool, after: i64, limit: i64) -> sqlx::Result<Vec<Listed>> {
    sqlx::query_as!(
        Listed,
        "select key_id, name, access, scope, made_by, created_at, expires_at, last_used_at, revoked_at from api_keys
         where key_id > $1 order by key_id limit $2",
        after,
        limit,
    )
    .fetch_all(pool)
    .await
}

/// The key of this id. Whoever has it so in a transaction is the only one who changes it.
///
/// # Errors
/// If the database does not answer.
pub async fn find_listed(conn: &mut PgConnection, key_id: i64) -> sqlx::Result<Option<Listed>> {
    sqlx::query_as!(
        Listed,
        "select key_id, name, access, scope, made_by, created_at, expires_at, last_used_at, revoked_at from api_keys where key_id = $1
         for no key update",
        key_id
    )
    .fetch_optional(conn)
    .await
}

/// Revokes a key, for good.
///
/// # Errors
/// If the database does not answer.
pub async fn revoke(conn: &mut PgConnection, key_id: i64) -> sqlx::Result<()> {
    sqlx::query!(
        "update api_keys set revoked_at = now() where key_id = $1 and revoked_at is null",
        key_id
    )
    .execute(conn)
    .await?;
    Ok(())
}

/// Makes `key` the one key that comes from configuration, with access admin; an earlier one is revoked. `actor` is who does so.
///
/// # Errors
/// If the database does not answer.
pub async fn put_configured(pool: &PgPool, key: &str, actor: &Actor) -> sqlx::Result<()> {
    let hash = hash(key);
    let mut tx = pool.begin().await?;
    // several servers start at once
    sqlx::query!(
        "select pg_advisory_xact_lock(hashtextextended('api key of the configuration', 0))"
    )
    .execute(&mut *tx)
    .await?;
    let revoked = sqlx::query_scalar!(
        "update api_keys set revoked_at = now() where name = $1 and made_by = '' and hash <> $2 and revoked_at is null
         returning key_id",
        CONFIGURED,
        &hash
    )
    .fetch_all(&mut *tx)
    .await?;
    let put = sqlx::query_scalar!(
        r#"
        insert into api_keys as k (name, hash, access) values ($1, $2, 'admin')
        on conflict (hash) do update
        set name = excluded.name, access = excluded.access, made_by = '', scope = null, expires_at = null, revoked_at = null
        where (k.name, k.access, k.made_by) is distinct from (excluded.name, excluded.access, '') or k.scope is not null
           or k.expires_at is not null or k.revoked_at is not null
        returning key_id
        "#,
        CONFIGURED,
        &hash
    )
    .fetch_optional(&mut *tx)
    .await?;
    let what = || Some(json!({ "name": CONFIGURED, "access": "admin" }));
    for key_id in revoked {
        audit::write(&mut tx, actor, deed(key_id, what(), None)).await?;
    }
    if let Some(key_id) = put {
        audit::write(&mut tx, actor, deed(key_id, None, what())).await?;
    }
    tx.commit().await
}

/// The key of an earlier configuration that still opens everything, if there is one.
///
/// # Errors
/// If the database does not answer.
pub async fn left_configured(pool: &PgPool) -> sqlx::Result<Option<i64>> {
    sqlx::query_scalar!(
        "select key_id from api_keys where name = $1 and made_by = '' and revoked_at is null limit 1",
        CONFIGURED
    )
    .fetch_optional(pool)
    .await
}

fn deed(key_id: i64, before: Option<Value>, after: Option<Value>) -> Deed<'static> {
    Deed {
        action: "api.api_key",
        subject: format!("key {key_id}"),
        before,
        after,
    }
}

/// Keys are 256 random bits: a slow hash would protect nothing.
fn hash(key: &str) -> Vec<u8> {
    Sha256::digest(key.as_bytes()).to_vec()
}
