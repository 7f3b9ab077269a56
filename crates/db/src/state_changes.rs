//! History: what a check's states were, one row per change.

use chrono::{DateTime, Utc};
use sqlx::PgPool;

/// One change of a check's state.
#[derive(Debug, Clone)]
pub struct StateChange {
    /// The check.
    pub check_id: i64,
    /// The host's name at that time.
    pub hostname: String,
    /// The check's name at that time.
    pub check_name: String,
    /// When it changed.
    pub at: DateTime<Utc>,
    /// 0 ok, 1 warning, 2 critical, 3 unknown; `None` if it had never answered.
    pub status: Option<i16>,
    /// From here on the agent could not be reached.
    pub unreachable: bool,
    /// Failing for at least the threshold of runs.
    pub hard: bool,
    /// The output, at most 8 KiB.
    pub out: String,
    /// Who had taken responsibility; empty for nobody.
    pub owner: String,
}

/// The last `limit` changes of a check, oldest first. A check that was removed keeps its history; `None` if the host
/// never had such a check.
///
/// # Errors
/// If the database does not answer.
pub async fn last(
    pool: &PgPool,
    host_id: i64,
    check_name: &str,
    limit: i64,
) -> sqlx::Result<Option<Vec<StateChange>>> {
    let check_id = sqlx::query_scalar!(
        "select check_id from checks where host_id = $1 and name = $2",
        host_id,
        check_name
    )
    .fetch_optional(pool)
    .await?;
    let Some(check_id) = check_id else {
        return Ok(None);
    };
    let mut changes = sqlx::query_as!(
        StateChange,
        "select check_id, hostname, check_name, at, status, unreachable, hard, out, owner from state_changes
         where check_id = $1 order by at desc, change_id desc limit $2",
        check_id,
        limit
    )
    .fetch_all(pool)
    .await?;
    changes.reverse();
    Ok(Some(changes))
}
