//! Checks as people look at them and steer them: lists, one check, run now, suspend, delete.

use chrono::{DateTime, Utc};
use sqlx::{PgConnection, PgPool};

use crate::alerts;
use crate::notifications::acknowledgements;

/// A check with its host and its present state.
#[derive(Debug, Clone)]
pub struct Check {
    /// Identity, in the order of which lists are read.
    pub check_id: i64,
    /// The host's name.
    pub hostname: String,
    /// The host's address.
    pub ip: String,
    /// The check's name.
    pub name: String,
    /// Seconds between runs while ok.
    pub interval_s: i32,
    /// Seconds between runs while failing.
    pub follow_up_s: i32,
    /// 0 never notifies, 1 most urgent, 2.
    pub priority: i16,
    /// 0 ok, 1 warning, 2 critical, 3 unknown; `None` before the first answered run.
    pub status: Option<i16>,
    /// The last outcome was that the agent could not be reached, so `status` is old.
    pub unreachable: bool,
    /// First line of the last output with its performance data, at most 1 KiB.
    pub out: String,
    /// Failing runs in a row.
    pub fails: i32,
    /// When it last ran.
    pub last_at: Option<DateTime<Utc>>,
    /// When it is due next.
    pub next_at: DateTime<Utc>,
    /// When the present state began.
    pub since: Option<DateTime<Utc>>,
    /// How long the last run took, in microseconds.
    pub latency_us: i32,
    /// A worker holds it.
    pub is_leased: bool,
    /// Does not run at all.
    pub is_suspended: bool,
    /// Runs but does not notify.
    pub is_in_maintenance: bool,
    /// Too many flips lately.
    pub is_flapping: bool,
    /// Overdue by more than an interval and half a minute, and not running: what is shown is old.
    pub is_stale: bool,
    /// Who has taken responsibility; empty for nobody.
    pub owner: String,
}

/// Which checks a list is of.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Which {
    /// Every check.
    All,
    /// One check, by its id.
    One(i64),
    /// The checks of one host, by its id.
    OfHost(i64),
    /// Failing ones, hard or soft, whatever is suppressed.
    Failing,
    /// Failing for at least the threshold of runs.
    Hard,
    /// Held by a worker.
    Leased,
    /// In maintenance.
    InMaintenance,
    /// Suspended.
    Suspended,
}

impl Which {
    fn word(self) -> &'static str {
        match self {
            Self::All => "all",
            Self::One(_) => "one",
            Self::OfHost(_) => "of host",
            Self::Failing => "failing",
            Self::Hard => "hard",
            Self::Leased => "leased",
            Self::InMaintenance => "in maintenance",
            Self::Suspended => "suspended",
        }
    }

    fn id(self) -> Option<i64> {
        match self {
            Self::One(id) | Self::OfHost(id) => Some(id),
            _ => None,
        }
    }
}

/// The next at most `limit` checks of a list whose ids are above `after`, by id. Removed checks are in no list.
///
/// A page is a statement of its own: a cursor would hold a snapshot as long as the slowest client reads.
///
/// # Errors
/// If the database does not answer.
pub async fn page(pool: &PgPool, which: Which, after: i64, limit: i64) -> sqlx::Result<Vec<Check>> {
    sqlx::query_as!(
        Check,
        r#"
        select c.* from (
            -- one branch is executed; each reads its own index, which one condition with `or` could not
            (select check_id from check_state
             where $1::text = 'all' and not removed and check_id > $3 order by check_id limit $4)
            union all
            (select check_id from check_state where $1 = 'one' and not removed and check_id = $2)
            union all
            (select check_id from checks
             where $1 = 'of host' and host_id = $2 and removed_at is null and check_id > $3 order by check_id limit $4)
            union all
            (select check_id from check_state
             where $1 = 'failing' and (status <> 0 or unreachable) and not removed and check_id > $3 order by check_id limit $4)
            union all
            (select check_id from check_state
             where $1 = 'hard' and (status <> 0 or unreachable) and hard and not removed and check_id > $3 order by check_id limit $4)
            union all
            (select check_id from check_state
             where $1 = 'leased' and leased_until >= now() and not removed and check_id > $3 order by check_id limit $4)
            union all
            (select check_id from check_state
             where $1 = 'suspended' and suspended and not removed and check_id > $3 order by check_id limit $4)
            union all
            (select k.check_id from checks k join hosts h using (host_id)
             where $1 = 'in maintenance' and k.removed_at is null and k.check_id > $3
               and exists (select from maintenances m where m.ends_at > now() and m.starts_at <= now())
               and exists (select from maintenances_at(now(), h.hostname, h.roles, k.name))
             order by k.check_id limit $4)
        ) as listed
        cross join lateral (
            select s.check_id, h.hostname, h.ip, k.name, k.interval_s, k.follow_up_s, k.priority, s.status, s.unreachable,
                s.out, s.fails, s.last_at, coalesce(s.rush_at, s.due_at) as "next_at!", s.since, s.latency_us,
                coalesce(s.leased_until >= now(), false) as "is_leased!", s.suspended as "is_suspended!",
                -- the first is asked once, and unless a maintenance is in force at all the second of no row
                (exists (select from maintenances m where m.ends_at > now() and m.starts_at <= now())
                    and exists (select from maintenances_at(now(), h.hostname, h.roles, k.name))) as "is_in_maintenance!",
                coalesce(s.flap_until > now(), false) as "is_flapping!",
                (not s.suspended and coalesce(s.leased_until < now(), true)
                    and coalesce(s.rush_at, s.due_at) < now() - make_interval(secs => k.interval_s + 30)) as "is_stale!",
                s.owner
            from check_state s join checks k using (check_id) join hosts h using (host_id)
            where s.check_id = listed.check_id
            -- looked up one by one: a plan that knows no parameters would walk the tables from their beginning
            limit 1
        ) as c
        order by c.check_id
        "#,
        which.word(),
        which.id(),
        after,
        limit
    )
    .fetch_all(pool)
    .await
}

/// One check, unless it is unknown or removed.
///
/// # Errors
/// If the database does not answer.
pub async fn find(pool: &PgPool, check_id: i64) -> sqlx::Result<Option<Check>> {
    Ok(page(pool, Which::One(check_id), 0, 1).await?.pop())
}

/// Makes a check due at `at`, or now if that is past. `None` means now. A run that is under way does not lose the
/// wish: recording leaves a `rush_at` alone. False if there is no such check.
///
/// # Errors
/// If the database does not answer.
pub async fn run_at(pool: &PgPool, check_id: i64, at: Option<DateTime<Utc>>) -> sqlx::Result<bool> {
    // greatest() passes over null
    let done = sqlx::query!(
        "update check_state set rush_at = greatest(now(), $2::timestamptz) where check_id = $1 and not removed",
        check_id,
        at
    )
    .execute(pool)
    .await?;
    Ok(done.rows_affected() == 1)
}

/// Suspends or resumes a check; what is resumed runs at once, and until then nobody is told of it. False if there is no such check.
///
/// # Errors
/// If the database does not answer.
pub async fn set_suspended(pool: &PgPool, check_id: i64, suspended: bool) -> sqlx::Result<bool> {
    let done = sqlx::query!(
        "update check_state
         set suspended = $2, rush_at = case when suspended and not $2 then now() else rush_at end,
             resumed = case when suspended and not $2 then true when not $2 then resumed end
         where check_id = $1 and not removed",
        check_id,
        suspended
    )
    .execute(pool)
    .await?;
    Ok(done.rows_affected() == 1)
}

/// Says who takes care of a check, and makes it known where its alert was told; empty for nobody. False if there is no
/// such check.
///
/// # Errors
/// If the database does not answer; nothing is changed then.
pub async fn set_owner(pool: &PgPool, check_id: i64, owner: &str) -> sqlx::Result<bool> {
    let mut tx = pool.begin().await?;
    let has_changed = sqlx::query_scalar!(
        r#"
        update check_state s set owner = $2
        from (select check_id, owner from check_state where check_id = $1 and not removed for no key update) as was
        where s.check_id = was.check_id
        returning was.owner <> $2 as "has_changed!"
        "#,
        check_id,
        owner,
    )
    .fetch_optional(&mut *tx)
    .await?;
    if has_changed == Some(true) && !owner.is_empty() {
        acknowledgements::owe(&mut tx, check_id).await?;
    }
    tx.commit().await?;
    Ok(has_changed.is_some())
}

/// Deletes a check; its history stays, its alert closes with reason `removed`. False if there is no such check.
///
/// # Errors
/// If the database does not answer.
pub async fn delete(pool: &PgPool, check_id: i64) -> sqlx::Result<bool> {
    let mut tx = pool.begin().await?;
    let deleted = sqlx::query!("delete from checks where check_id = $1", check_id)
        .execute(&mut *tx)
        .await?;
    delete_states(&mut tx, &[check_id]).await?;
    alerts::close(&mut tx, &[check_id], &[], "removed").await?;
    tx.commit().await?;
    Ok(deleted.rows_affected() == 1)
}

/// Deletes what runs have left of these checks, but for history. A run that is under way is refused by its fence.
pub(crate) async fn delete_states(conn: &mut PgConnection, check_ids: &[i64]) -> sqlx::Result<()> {
    // the inner select locks in the order of ids, as the recorder does
    sqlx::query!(
        "delete from check_state where check_id = any (array(
             select check_id from check_state where check_id = any ($1) order by check_id for update))",
        check_ids
    )
    .execute(&mut *conn)
    .await?;
    sqlx::query!("delete from outputs where check_id = any ($1)", check_ids)
        .execute(&mut *conn)
        .await?;
    Ok(())
}
