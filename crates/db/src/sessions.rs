//! Who is signed in. How long a session lives is said once, by the function `is_alive` (0014).

use chrono::{DateTime, Utc};
use sha2::{Digest, Sha256};
use sqlx::{PgConnection, PgPool};

/// A session as its owner sees it.
#[derive(Debug, Clone)]
pub struct Session {
    /// Identity.
    pub session_id: i64,
    /// From where it was begun.
    pub address: String,
    /// What the browser called itself.
    pub agent: String,
    /// When it was begun.
    pub created_at: DateTime<Utc>,
    /// When it was last used, to the minute.
    pub seen_at: DateTime<Utc>,
}

/// Who uses a session.
#[derive(Debug, Clone)]
pub struct SignedIn {
    /// The session.
    pub session_id: i64,
    /// Whose it is.
    pub user_id: i64,
    /// Their name.
    pub username: String,
    /// `viewer`, `operator`, `admin`.
    pub access: String,
}

/// The session of a secret, if it lives. Notes that it was used, at most once a minute.
///
/// # Errors
/// If the database does not answer.
pub async fn find(pool: &PgPool, secret: &str) -> sqlx::Result<Option<SignedIn>> {
    let found = sqlx::query!(
        r#"
        select s.session_id, s.user_id, u.username, u.access, s.seen_at < now() - interval '1 minute' as "is_stale!"
        from sessions s join users u using (user_id) where s.hash = $1 and is_alive(s)
        "#,
        hash(secret)
    )
    .fetch_optional(pool)
    .await?;
    let Some(found) = found else { return Ok(None) };
    if found.is_stale {
        sqlx::query!(
            "update sessions s set seen_at = now() where session_id = $1 and seen_at < now() - interval '1 minute' and is_alive(s)",
            found.session_id
        )
        .execute(pool)
        .await?;
    }
    Ok(Some(SignedIn {
        session_id: found.session_id,
        user_id: found.user_id,
        username: found.username,
        access: found.access,
    }))
}

/// Begins a session from an address in a network, unless the user or their password is no longer what it was when the password was looked at.
///
/// # Errors
/// If the database does not answer.
pub async fn begin(
    conn: &mut PgConnection,
    user_id: i64,
    password_hash: &str,
    secret: &str,
    address: &str,
    network: &str,
    agent: &str,
) -> sqlx::Result<bool> {
    let done = sqlx::query!(
        "insert into sessions (user_id, hash, address, network, agent)
         select user_id, $3, $4, $5, $6 from users where user_id = $1 and password_hash = $2 for share",
        user_id,
        password_hash,
        hash(secret),
        address,
        network,
        agent,
    )
    .execute(conn)
    .await?;
    Ok(done.rows_affected() == 1)
}

/// The sessions of a user that live, the latest first.
///
/// # Errors
/// If the database does not answer.
pub async fn list(pool: &PgPool, user_id: i64) -> sqlx::Result<Vec<Session>> {
    sqlx::query_as!(
        Session,
        "select session_id, address, agent, created_at, seen_at from sessions s
         where user_id = $1 and is_alive(s) order by session_id desc",
        user_id
    )
    .fetch_all(pool)
    .await
}

/// Ends a session of a user. False if they have none of this id.
///
/// # Errors
/// If the database does not answer.
pub async fn end(conn: &mut PgConnection, user_id: i64, session_id: i64) -> sqlx::Result<bool> {
    let done = sqlx::query!(
        "delete from sessions where user_id = $1 and session_id = $2",
        user_id,
        session_id
    )
    .execute(conn)
    .await?;
    Ok(done.rows_affected() == 1)
}

/// Deletes what lives no longer. A duty.
///
/// # Errors
/// If the database does not answer.
pub async fn delete_dead(pool: &PgPool) -> sqlx::Result<()> {
    sqlx::query!("delete from sessions s where not is_alive(s)")
        .execute(pool)
        .await?;
    Ok(())
}

/// Secrets are 256 random bits: a slow hash would protect nothing.
fn hash(secret: &str) -> Vec<u8> {
    Sha256::digest(secret.as_bytes()).to_vec()
}
