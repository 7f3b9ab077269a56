//! People who sign in. Of their passwords only slow hashes are known here.

use sqlx::{PgConnection, PgPool};

/// A person.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct User {
    /// Identity.
    pub user_id: i64,
    /// The name to sign in with.
    pub username: String,
    /// Where mail reaches them; may be empty.
    pub email: String,
    /// How the user interface looks.
    pub theme: String,
    /// `viewer`, `operator`, `admin`.
    pub access: String,
}

/// What may be changed of a user; `None` leaves it as it is.
#[derive(Debug, Clone, Default)]
pub struct Change {
    /// See [`User`].
    pub email: Option<String>,
    /// See [`User`].
    pub theme: Option<String>,
    /// See [`User`].
    pub access: Option<String>,
    /// Argon2id as a PHC string. A new one ends every session.
    pub password_hash: Option<String>,
}

/// The next at most `limit` users whose names come after `after`, by name.
///
/// # Errors
/// If the database does not answer.
pub async fn page(pool: &PgPool, after: &str, limit: i64) -> sqlx::Result<Vec<User>> {
    sqlx::query_as!(
        User,
        "select user_id, username, email, theme, access from users where username > $1 order by username limit $2",
        after,
        limit,
    )
    .fetch_all(pool)
    .await
}

/// The user of this name. Whoever has it so in a transaction is the only one who changes it.
///
/// # Errors
/// If the database does not answer.
pub async fn find(conn: &mut PgConnection, username: &str) -> sqlx::Result<Option<User>> {
    sqlx::query_as!(
        User,
        "select user_id, username, email, theme, access from users where username = $1 for no key update",
        username
    )
    .fetch_optional(conn)
    .await
}

/// The hash of a user's password, and their id.
///
/// # Errors
/// If the database does not answer.
pub async fn password_hash(pool: &PgPool, username: &str) -> sqlx::Result<Option<(i64, String)>> {
    let found = sqlx::query!(
        "select user_id, password_hash from users where username = $1",
        username
    )
    .fetch_optional(pool)
    .await?;
    Ok(found.map(|user| (user.user_id, user.password_hash)))
}

/// Adds a user. False if there is one of this name.
///
/// # Errors
/// If the database does not answer.
pub async fn add(
    conn: &mut PgConnection,
    username: &str,
    email: &str,
    theme: &str,
    access: &str,
    password_hash: &str,
) -> sqlx::Result<bool> {
    let done = sqlx::query!(
        "insert into users (username, email, theme, access, password_hash) values ($1, $2, $3, $4, $5) on conflict (username) do nothing",
        username,
        email,
        theme,
        access,
        password_hash,
    )
    .execute(conn)
    .await?;
    Ok(done.rows_affected() == 1)
}

/// Changes a user; with the password all sessions end.
///
/// # Errors
/// If the database does not answer.
pub async fn change(conn: &mut PgConnection, user_id: i64, change: &Change) -> sqlx::Result<()> {
    sqlx::query!(
        "update users set email = coalesce($2, email), theme = coalesce($3, theme), access = coalesce($4, access),
                          password_hash = coalesce($5, password_hash)
         where user_id = $1",
        user_id,
        change.email.as_deref(),
        change.theme.as_deref(),
        change.access.as_deref(),
        change.password_hash.as_deref(),
    )
    .execute(&mut *conn)
    .await?;
    if change.password_hash.is_some() {
        sqlx::query!("delete from sessions where user_id = $1", user_id)
            .execute(conn)
            .await?;
    }
    Ok(())
}

/// Deletes a user and their sessions.
///
/// # Errors
/// If the database does not answer.
pub async fn delete(conn: &mut PgConnection, user_id: i64) -> sqlx::Result<()> {
    sqlx::query!("delete from users where user_id = $1", user_id)
        .execute(conn)
        .await?;
    Ok(())
}

/// Whether there is any admin, also among those that others change just now: they are waited for.
///
/// # Errors
/// If the database does not answer.
pub async fn have_admin(conn: &mut PgConnection) -> sqlx::Result<bool> {
    let admins = sqlx::query_scalar!(
        "select user_id from users where access = 'admin' order by user_id for no key update"
    )
    .fetch_all(conn)
    .await?;
    Ok(!admins.is_empty())
}

/// Whether there is no user at all.
///
/// # Errors
/// If the database does not answer.
pub async fn is_empty(pool: &PgPool) -> sqlx::Result<bool> {
    sqlx::query_scalar!(r#"select not exists (select from users) as "is_empty!""#)
        .fetch_one(pool)
        .await
}
