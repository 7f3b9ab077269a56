//! What people write down about hosts.

use chrono::{DateTime, Utc};
use sqlx::{PgConnection, PgPool};

/// A note.
#[derive(Debug, Clone)]
pub struct Note {
    /// Identity.
    pub note_id: i64,
    /// The host's name.
    pub hostname: String,
    /// Who wrote it.
    pub author: String,
    /// The text.
    pub note: String,
    /// When.
    pub at: DateTime<Utc>,
    /// Names of the checks that were failing then.
    pub alerting: Vec<String>,
}

/// The last `limit` notes about a host, oldest first.
///
/// # Errors
/// If the database does not answer.
pub async fn last(pool: &PgPool, hostname: &str, limit: i64) -> sqlx::Result<Vec<Note>> {
    let mut notes = sqlx::query_as!(
        Note,
        "select note_id, hostname, author, note, at, alerting from notes where hostname = $1 order by note_id desc limit $2",
        hostname,
        limit
    )
    .fetch_all(pool)
    .await?;
    notes.reverse();
    Ok(notes)
}

/// Adds a note about a host, with the names of the checks that are failing there now.
///
/// # Errors
/// If the database does not answer.
pub async fn add(
    conn: &mut PgConnection,
    host_id: i64,
    author: &str,
    note: &str,
) -> sqlx::Result<Note> {
    sqlx::query_as!(
        Note,
        r#"
        insert into notes (hostname, author, note, alerting)
        select h.hostname, $2, $3, array(
            select k.name from checks k join check_state s using (check_id)
            where k.host_id = h.host_id and not s.removed and (s.status <> 0 or s.unreachable) order by k.name)
        from hosts h where h.host_id = $1
        returning note_id, hostname, author, note, at, alerting
        "#,
        host_id,
        author,
        note,
    )
    .fetch_one(conn)
    .await
}
