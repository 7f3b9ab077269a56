//! Alerts as people look at them: open and past.

use chrono::{DateTime, Utc};
use sqlx::PgPool;

use crate::pools::BEGIN_LIST;

/// Which alerts a list is of: all that is given must be so.
#[derive(Debug, Clone, Default)]
pub struct Which {
    /// This one.
    pub alert_id: Option<i64>,
    /// Open ones, or those that have closed.
    pub is_open: Option<bool>,
    /// `check`, `host`, `flood` or `cluster`.
    pub kind: Option<String>,
    /// Of the host of this name, as it was then.
    pub hostname: Option<String>,
    /// Of hosts that have this role today.
    pub role: Option<String>,
    /// Of checks of this name, as it was then.
    pub check_name: Option<String>,
    /// Of checks with this status; -1 is a host or a cluster that cannot be reached.
    pub status: Option<i16>,
    /// Of checks that this person takes care of.
    pub owner: Option<String>,
    /// Suppressed for this reason now.
    pub suppression: Option<String>,
    /// Members of this flood.
    pub parent_id: Option<i64>,
    /// Opened since then. (Ids are given in the order of this time, give or take an hour: more than a transaction lasts, and
    /// than a clock is set back.)
    pub from: Option<DateTime<Utc>>,
    /// Opened before then.
    pub to: Option<DateTime<Utc>>,
    /// Of hosts with one of these roles: the scope of a key.
    pub scope: Option<Vec<String>>,
}

/// An alert.
#[derive(Debug, Clone)]
pub struct Alert {
    /// Identity: the episode. In the order of it lists are read.
    pub alert_id: i64,
    /// `check`, `host`, `flood` or `cluster`.
    pub kind: String,
    /// The flood that stands for it.
    pub parent_id: Option<i64>,
    /// The check.
    pub check_id: Option<i64>,
    /// The host's name; empty for a flood overall; of a cluster its id.
    pub hostname: String,
    /// Its address then.
    pub ip: String,
    /// The check's name; empty for a host or a flood.
    pub check_name: String,
    /// 0 never notifies, 1 most urgent, 2.
    pub priority: i16,
    /// Status code of a check.
    pub status: Option<i16>,
    /// Failing runs in a row.
    pub fails: i32,
    /// First line of the output.
    pub out: String,
    /// When it opened.
    pub opened_at: DateTime<Utc>,
    /// When it closed.
    pub closed_at: Option<DateTime<Utc>>,
    /// Why it closed.
    pub close_reason: Option<String>,
    /// It tells of the flapping itself.
    pub is_of_flapping: bool,
    /// Why it is not being told now.
    pub suppression: Option<String>,
    /// Who takes care of its check; empty for nobody.
    pub owner: String,
    /// The channels that it concerns.
    pub targets: Vec<String>,
}

/// The next at most `limit` alerts of a list whose ids are above `after`, by id.
///
/// # Errors
/// If the database does not answer.
pub async fn page(
    pool: &PgPool,
    which: &Which,
    after: i64,
    limit: i64,
) -> sqlx::Result<Vec<Alert>> {
    let mut tx = pool.begin_with(BEGIN_LIST).await?;
    sqlx::query_as!(
        Alert,
        r#"
        select a.alert_id as "alert_id!", a.kind as "kind!", a.parent_id, a.check_id, a.hostname as "hostname!", a.ip as "ip!",
               a.check_name as "check_name!", a.priority as "priority!", a.status, a.fails as "fails!", a.out as "out!",
               a.opened_at as "opened_at!", a.closed_at, a.close_reason, a.is_of_flapping as "is_of_flapping!",
               case when a.closed_at is null then (select held.reason from suppression_of(a) as held) end as suppression,
               case when a.closed_at is null then coalesce((select s.owner from check_state s where s.check_id = a.check_id), '') else '' end as "owner!",
               array(select t.channel from alert_targets t where t.alert_id = a.alert_id order by t.channel) as "targets!"
        from alerts a
        -- what is not asked for is folded away before anything is planned, so that each question finds its index
        where a.alert_id > $1
          and ($3::bigint is null or a.alert_id = $3)
          and ($4::boolean is null or (a.closed_at is null) = $4)
          -- an index of its own, which is none to what the engine asks: to statistics that know of no host's alert all of them look few
          and ($5::text is null or a.kind || '' = $5)
          and ($6::text is null or a.hostname = $6)
          and ($7::text is null or exists (select from hosts h where h.host_id = a.host_id and h.roles @> array[$7]))
          and ($8::text is null or a.check_name = $8)
          and ($9::smallint is null or ($9 = -1 and a.kind || '' in ('host', 'cluster'))
            -- an index has the closed ones by their status; there are few others
            or ($9 <> -1 and a.status = $9 and (a.closed_at is null or a.closed_at is not null)))
          and ($10::text is null or (a.closed_at is null and exists (
            select from check_state s where s.check_id = a.check_id and s.owner = $10 and s.owner <> '')))
          and ($11::text is null or (a.closed_at is null and exists (
            select from suppressions s where s.alert_id = a.alert_id and s.ended_at is null and s.reason = $11)))
          and ($12::bigint is null or a.parent_id = $12)
          -- The walk by ids begins and ends near these times. `offset` keeps the planner from walking all ids for their bound.
          and ($13::timestamptz is null or (a.opened_at >= $13 and a.alert_id >= (
            select min(near.alert_id) from (
                select alert_id from alerts where opened_at >= $13
                  and opened_at <= (select min(opened_at) from alerts where opened_at >= $13) + interval '1 hour' offset 0) as near)))
          and ($14::timestamptz is null or (a.opened_at < $14 and a.alert_id <= (
            select max(near.alert_id) from (
                select alert_id from alerts where opened_at < $14
                  and opened_at >= (select max(opened_at) from alerts where opened_at < $14) - interval '1 hour' offset 0) as near)))
          and ($15::text[] is null or exists (select from hosts h where h.host_id = a.host_id and h.roles && $15))
        order by a.alert_id limit $2
        "#,
        after,
        limit,
        which.alert_id,
        which.is_open,
        which.kind.as_deref(),
        which.hostname.as_deref(),
        which.role.as_deref(),
        which.check_name.as_deref(),
        which.status,
        which.owner.as_deref(),
        which.suppression.as_deref(),
        which.parent_id,
        which.from,
        which.to,
        which.scope.as_deref(),
    )
    .fetch_all(&mut *tx)
    .await
}

/// One alert, if there is one in this scope.
///
/// # Errors
/// If the database does not answer.
pub async fn find(
    pool: &PgPool,
    alert_id: i64,
    scope: Option<&[String]>,
) -> sqlx::Result<Option<Alert>> {
    let which = Which {
        alert_id: Some(alert_id),
        scope: scope.map(<[String]>::to_vec),
        ..Which::default()
    };
    Ok(page(pool, &which, 0, 1).await?.pop())
}
