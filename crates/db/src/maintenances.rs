//! Maintenances: what is seen there is recorded, and told nobody while they last (0017, function `suppression_of`).

use std::time::Duration;

use chrono::{DateTime, Utc};
use sqlx::postgres::types::PgInterval;
use sqlx::{PgConnection, PgPool};

use crate::pools::BEGIN_LIST;

/// A maintenance, and where it is in force. `None` matches everything; text may hold `*` and `?`.
#[derive(Debug, Clone)]
pub struct Maintenance {
    /// Identity.
    pub maintenance_id: i64,
    /// When it begins.
    pub starts_at: DateTime<Utc>,
    /// When it is over.
    pub ends_at: DateTime<Utc>,
    /// Names of hosts.
    pub hosts: Option<Vec<String>>,
    /// Roles, one of which the host must have.
    pub roles: Option<Vec<String>>,
    /// Names of checks.
    pub checks: Option<Vec<String>>,
    /// Who declared it.
    pub author: String,
    /// What for.
    pub reason: String,
    /// `coming`, `now` or `over`.
    pub phase: String,
}

/// A maintenance to be declared.
#[derive(Debug, Clone)]
pub struct NewMaintenance {
    /// When it begins; `None` for now.
    pub starts_at: Option<DateTime<Utc>>,
    /// When it is over.
    pub end: End,
    /// As in [`Maintenance`], but that empty matches everything.
    pub hosts: Vec<String>,
    /// As `hosts`.
    pub roles: Vec<String>,
    /// As `hosts`.
    pub checks: Vec<String>,
    /// Who declares it.
    pub author: String,
    /// What for.
    pub reason: String,
}

/// The end of a maintenance.
#[derive(Debug, Clone, Copy)]
pub enum End {
    /// At this time.
    At(DateTime<Utc>),
    /// So long after its start.
    After(Duration),
}

/// Why a maintenance was not declared.
#[derive(Debug, thiserror::Error)]
pub enum AddError {
    /// It would end before its start, or at once.
    #[error("a maintenance must end after its start")]
    EndsBeforeStart,
    /// It would be over already.
    #[error("this maintenance would be over already")]
    IsOver,
    /// It names no host, role or check.
    #[error("a maintenance must name hosts, roles or checks")]
    SaysNowhere,
    /// Longer than a century.
    #[error("a maintenance cannot last so long")]
    LastsTooLong,
    /// The database does not answer.
    #[error("the database did not take the maintenance")]
    Database(#[source] sqlx::Error),
}

impl From<sqlx::Error> for AddError {
    fn from(error: sqlx::Error) -> Self {
        let constraint = error
            .as_database_error()
            .and_then(|error| error.constraint());
        match constraint {
            Some("maintenances_end_after_their_start") => Self::EndsBeforeStart,
            Some("maintenances_say_where") => Self::SaysNowhere,
            _ => Self::Database(error),
        }
    }
}

/// What [`end`] did.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Ended {
    /// It was in force and is over now.
    Now,
    /// It had not begun and is deleted.
    BeforeItsStart,
    /// It was over already.
    WasOver,
    /// There is none with this id.
    Unknown,
}

/// Declares a maintenance.
///
/// # Errors
/// If it cannot be, or the database does not answer.
pub async fn add(conn: &mut PgConnection, new: &NewMaintenance) -> Result<Maintenance, AddError> {
    let (ends_at, lasts) = match new.end {
        End::At(at) => (Some(at), None),
        End::After(lasts) => (None, Some(interval(lasts)?)),
    };
    sqlx::query_as!(
        Maintenance,
        r#"
        insert into maintenances (starts_at, ends_at, hosts, roles, checks, author, reason)
        select n.starts_at, n.ends_at, $4::text[], $5::text[], $6::text[], $7, $8
        from (select coalesce($1, now()) as starts_at, coalesce($2, coalesce($1, now()) + $3::interval) as ends_at) as n
        -- an end before the start is the constraint's to name
        where n.ends_at > now() or n.ends_at <= n.starts_at
        returning maintenance_id, starts_at, ends_at, hosts, roles, checks, author, reason,
                  case when starts_at <= now() then 'now' else 'coming' end as "phase!"
        "#,
        new.starts_at,
        ends_at,
        lasts,
        unless_empty(&new.hosts),
        unless_empty(&new.roles),
        unless_empty(&new.checks),
        new.author,
        new.reason,
    )
    .fetch_optional(conn)
    .await?
    .ok_or(AddError::IsOver)
}

fn unless_empty(patterns: &[String]) -> Option<&[String]> {
    (!patterns.is_empty()).then_some(patterns)
}

/// A century is more than any maintenance, and less than what the calendar of the database ends at.
fn interval(lasts: Duration) -> Result<PgInterval, AddError> {
    const CENTURY: Duration = Duration::from_secs(100 * 365 * 86_400);
    if lasts > CENTURY {
        return Err(AddError::LastsTooLong);
    }
    Ok(PgInterval {
        months: 0,
        days: 0,
        microseconds: i64::try_from(lasts.as_micros()).map_err(|_| AddError::LastsTooLong)?,
    })
}

/// Which maintenances a list is of.
#[derive(Debug, Clone, Default)]
pub struct Which {
    /// Those that are over as well.
    pub with_past: bool,
    /// Those that concern the host of this id, as it is today, or some of its checks.
    pub host_id: Option<i64>,
}

/// The next at most `limit` maintenances of a list whose ids are above `after`, by id. Whether a pattern matches a host no
/// index tells: of one host all that are in the list are read.
///
/// # Errors
/// If the database does not answer.
pub async fn page(
    pool: &PgPool,
    which: &Which,
    after: i64,
    limit: i64,
) -> sqlx::Result<Vec<Maintenance>> {
    let mut tx = pool.begin_with(BEGIN_LIST).await?;
    sqlx::query_as!(
        Maintenance,
        r#"
        select maintenance_id, starts_at, ends_at, hosts, roles, checks, author, reason,
               case when ends_at <= now() then 'over' when starts_at <= now() then 'now' else 'coming' end as "phase!"
        from maintenances m
        where maintenance_id > $1 and ($3 or ends_at > now())
          and ($4::bigint is null or (
            exists (select from hosts where host_id = $4)
            and matches_glob((select hostname from hosts where host_id = $4), m.hosts)
            and any_matches_glob((select roles from hosts where host_id = $4), m.roles)))
        order by maintenance_id limit $2
        "#,
        after,
        limit,
        which.with_past,
        which.host_id,
    )
    .fetch_all(&mut *tx)
    .await
}

/// Where checks can be that are in maintenance now: what is not `None` holds all that it may be.
#[derive(Debug, Default)]
pub(crate) struct Reach {
    /// Ids of hosts; `None` if some maintenance says any.
    pub(crate) host_ids: Option<Vec<i64>>,
    /// Names of checks; `None` if some maintenance says any, or has a pattern.
    pub(crate) names: Option<Vec<String>>,
}

/// Where the maintenances in force reach: few things beside what they are looked for in.
///
/// # Errors
/// If the database does not answer.
pub(crate) async fn in_force(conn: &mut PgConnection) -> sqlx::Result<Reach> {
    sqlx::query_as!(
        Reach,
        r#"
        with in_force as materialized (select hosts, roles, checks from maintenances where ends_at > now() and starts_at <= now()),
        reached as (
            -- a pattern is looked up by how it begins; nothing begins with more than the last of all characters
            select h.host_id
            from in_force m cross join lateral unnest(m.hosts) as pattern
            cross join lateral (select split_part(translate(pattern, '?', '*'), '*', 1) as start) as its
            join hosts h on h.hostname ~>=~ its.start and h.hostname ~<=~ (its.start || chr(1114111)) and matches_glob(h.hostname, array[pattern])
            where any_matches_glob(h.roles, m.roles)
            union
            select h.host_id from in_force m join hosts h on h.roles && m.roles
            where m.hosts is null and array_to_string(m.roles, '') !~ '[*?]'
            union
            select h.host_id from in_force m join hosts h on any_matches_glob(h.roles, m.roles)
            where m.hosts is null and array_to_string(m.roles, '') ~ '[*?]')
        select case when not exists (select from in_force where hosts is null and roles is null)
                    then array(select host_id from reached) end as host_ids,
               case when not exists (select from in_force where checks is null or array_to_string(checks, '') ~ '[*?]')
                    then array(select unnest(checks) from in_force) end as names
        "#
    )
    .fetch_one(conn)
    .await
}

/// One maintenance, over or not. Whoever has it so in a transaction is the only one who changes it.
///
/// # Errors
/// If the database does not answer.
pub async fn find(
    conn: &mut PgConnection,
    maintenance_id: i64,
) -> sqlx::Result<Option<Maintenance>> {
    sqlx::query_as!(
        Maintenance,
        r#"
        select maintenance_id, starts_at, ends_at, hosts, roles, checks, author, reason,
               case when ends_at <= now() then 'over' when starts_at <= now() then 'now' else 'coming' end as "phase!"
        from maintenances where maintenance_id = $1 for no key update
        "#,
        maintenance_id,
    )
    .fetch_optional(conn)
    .await
}

/// Gives a maintenance another end, if it is not over and would not be over by that. False if that cannot be.
///
/// # Errors
/// If the database does not answer.
pub async fn set_end(
    conn: &mut PgConnection,
    maintenance_id: i64,
    ends_at: DateTime<Utc>,
) -> sqlx::Result<bool> {
    let done = sqlx::query!(
        "update maintenances set ends_at = $2 where maintenance_id = $1 and ends_at > now() and $2 > now() and $2 > starts_at",
        maintenance_id,
        ends_at,
    )
    .execute(conn)
    .await?;
    Ok(done.rows_affected() == 1)
}

/// How many checks a maintenance is about, as hosts and checks are today; and other clusters, whose ids are names of hosts to it.
///
/// # Errors
/// If the database does not answer.
pub async fn reach(pool: &PgPool, maintenance_id: i64) -> sqlx::Result<i64> {
    sqlx::query_scalar!(
        r#"
        -- each host and each name is compared once: there are few of both beside the checks
        with m as materialized (select hosts, roles, checks from maintenances where maintenance_id = $1),
        named as (
            select k.name, count(*) as n from checks k
            where k.removed_at is null and k.host_id = any (array(
                select h.host_id from hosts h, m where matches_glob(h.hostname, m.hosts) and any_matches_glob(h.roles, m.roles)))
            group by k.name)
        select coalesce((select sum(named.n) from named, m where matches_glob(named.name, m.checks)), 0)::bigint
               + (select count(*) from clusters c, m where m.roles is null and m.checks is null and matches_glob(c.cluster, m.hosts)) as "count!"
        "#,
        maintenance_id,
    )
    .fetch_one(pool)
    .await
}

/// Ends a maintenance: one in force is over now, one to come is deleted. What is owed then is told.
///
/// # Errors
/// If the database does not answer.
pub async fn end(conn: &mut PgConnection, maintenance_id: i64) -> sqlx::Result<Ended> {
    let ended = sqlx::query!(
        r#"
        with ended as (
            update maintenances set ends_at = now()
            where maintenance_id = $1 and starts_at < now() and ends_at > now() returning maintenance_id),
        deleted as (
            delete from maintenances where maintenance_id = $1 and starts_at >= now() returning maintenance_id)
        select exists (select from ended) as "is_ended!", exists (select from deleted) as "is_deleted!",
               exists (select from maintenances where maintenance_id = $1) as "is_known!"
        "#,
        maintenance_id,
    )
    .fetch_one(conn)
    .await?;
    Ok(match ended {
        row if row.is_ended => Ended::Now,
        row if row.is_deleted => Ended::BeforeItsStart,
        row if row.is_known => Ended::WasOver,
        _ => Ended::Unknown,
    })
}
