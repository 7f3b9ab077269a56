//! Who did what: a row for every write by somebody, in the transaction of what was written. Rows are only added (0014).

use std::fmt;

use chrono::{DateTime, Utc};
use serde_json::Value;
use sqlx::{PgConnection, PgPool};

use crate::pools::BEGIN_LIST;

/// Somebody who writes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Actor {
    /// What kind of somebody.
    pub kind: Kind,
    /// Of a user or a key: names of keys are not unique, and a user may be deleted and made anew.
    pub id: Option<i64>,
    /// The name of a user, a key, a host, or of who called a command.
    pub name: String,
    /// From where: an IP address; of a command the name of its machine.
    pub address: String,
    /// For whom, where a key acts for somebody of another cluster: as that says.
    pub on_behalf_of: Option<String>,
}

/// What an [`Actor`] is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// A person who signed in.
    User,
    /// A program with an API key.
    Key,
    /// An agent, by its host's name.
    Agent,
    /// A tool on a server, by the name of its user there.
    Command,
}

impl fmt::Display for Kind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::User => "user",
            Self::Key => "key",
            Self::Agent => "agent",
            Self::Command => "command",
        })
    }
}

/// What was done. It must hold no secret: whoever reads the audit need not know any.
#[derive(Debug)]
pub struct Deed<'a> {
    /// The operation of the API, or the words of a command.
    pub action: &'a str,
    /// What it was done to, as in `check 17` or `host web1`.
    pub subject: String,
    /// What was so before; `None` if there was nothing.
    pub before: Option<Value>,
    /// What is so now; `None` if nothing is left.
    pub after: Option<Value>,
}

/// Writes down what `actor` has done.
///
/// # Errors
/// If the database does not answer.
pub async fn write(conn: &mut PgConnection, actor: &Actor, deed: Deed<'_>) -> sqlx::Result<()> {
    sqlx::query!(
        "insert into audit (actor_kind, actor_id, actor, address, on_behalf_of, action, subject, before, after) values ($1, $2, $3, $4, $5, $6, $7, $8, $9)",
        actor.kind.to_string(),
        actor.id,
        actor.name,
        actor.address,
        actor.on_behalf_of,
        deed.action,
        deed.subject,
        deed.before,
        deed.after,
    )
    .execute(conn)
    .await?;
    Ok(())
}

/// A row of the audit.
#[derive(Debug, Clone)]
pub struct Entry {
    /// Identity, in the order of which lists are read.
    pub audit_id: i64,
    /// When.
    pub at: DateTime<Utc>,
    /// See [`Kind`].
    pub actor_kind: String,
    /// See [`Actor`].
    pub actor_id: Option<i64>,
    /// See [`Actor`].
    pub actor: String,
    /// See [`Actor`].
    pub address: String,
    /// See [`Actor`].
    pub on_behalf_of: Option<String>,
    /// See [`Deed`].
    pub action: String,
    /// See [`Deed`].
    pub subject: String,
    /// See [`Deed`].
    pub before: Option<Value>,
    /// See [`Deed`].
    pub after: Option<Value>,
}

/// Which entries a list is of: all that is given must be so.
#[derive(Debug, Clone, Default)]
pub struct Which {
    /// By this actor.
    pub actor: Option<String>,
    /// Of this action.
    pub action: Option<String>,
    /// Of what was done to this.
    pub subject: Option<String>,
    /// Since then.
    pub from: Option<DateTime<Utc>>,
    /// Before then.
    pub to: Option<DateTime<Utc>>,
}

/// The next at most `limit` entries of a list whose ids are above `after`, by id.
///
/// # Errors
/// If the database does not answer.
pub async fn page(
    pool: &PgPool,
    which: &Which,
    after: i64,
    limit: i64,
) -> sqlx::Result<Vec<Entry>> {
    let mut tx = pool.begin_with(BEGIN_LIST).await?;
    let (first, last) = between(&mut tx, which).await?;
    sqlx::query_as!(
        Entry,
        r#"
        select audit_id, at, actor_kind, actor_id, actor, address, on_behalf_of, action, subject, before, after from audit
        where audit_id > $6 and ($1::text is null or actor = $1) and ($2::text is null or action = $2) and ($3::text is null or subject = $3)
          and ($4::timestamptz is null or at >= $4) and ($5::timestamptz is null or at < $5)
          and audit_id between $8 and $9
        order by audit_id limit $7
        "#,
        which.actor.as_deref(),
        which.action.as_deref(),
        which.subject.as_deref(),
        which.from,
        which.to,
        after,
        limit,
        first,
        last,
    )
    .fetch_all(&mut *tx)
    .await
}

/// As [`page`], but the newest first: the next at most `limit` entries whose ids are below `before`.
///
/// # Errors
/// If the database does not answer.
pub async fn page_of_newest(
    pool: &PgPool,
    which: &Which,
    before: i64,
    limit: i64,
) -> sqlx::Result<Vec<Entry>> {
    let mut tx = pool.begin_with(BEGIN_LIST).await?;
    let (first, last) = between(&mut tx, which).await?;
    sqlx::query_as!(
        Entry,
        r#"
        select audit_id, at, actor_kind, actor_id, actor, address, on_behalf_of, action, subject, before, after from audit
        where audit_id < $6 and ($1::text is null or actor = $1) and ($2::text is null or action = $2) and ($3::text is null or subject = $3)
          and ($4::timestamptz is null or at >= $4) and ($5::timestamptz is null or at < $5)
          and audit_id between $8 and $9
        order by audit_id desc limit $7
        "#,
        which.actor.as_deref(),
        which.action.as_deref(),
        which.subject.as_deref(),
        which.from,
        which.to,
        before,
        limit,
        first,
        last,
    )
    .fetch_all(&mut *tx)
    .await
}

/// The ids between which entries of the wanted time are. Ids are given in the order of time, give or take an hour: more
/// than a transaction lasts, and than a clock is set back.
async fn between(conn: &mut PgConnection, which: &Which) -> sqlx::Result<(i64, i64)> {
    if which.from.is_none() && which.to.is_none() {
        return Ok((i64::MIN, i64::MAX));
    }
    let ids = sqlx::query!(
        r#"
        -- `offset` keeps the planner from walking all ids for their bound
        select
            (select min(near.audit_id) from (
                select audit_id from audit where at >= $1
                  and at <= (select min(at) from audit where at >= $1) + interval '1 hour' offset 0) as near) as first,
            (select max(near.audit_id) from (
                select audit_id from audit where at < $2
                  and at >= (select max(at) from audit where at < $2) - interval '1 hour' offset 0) as near) as last
        "#,
        which.from,
        which.to,
    )
    .fetch_one(conn)
    .await?;
    // where nothing is as late, or as early, nothing is between
    let first = which
        .from
        .map_or(i64::MIN, |_| ids.first.unwrap_or(i64::MAX));
    let last = which.to.map_or(i64::MAX, |_| ids.last.unwrap_or(i64::MIN));
    Ok((first, last))
}
