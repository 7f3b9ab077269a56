//! Checks as people look at them and steer them: lists, one check, run now, suspend, delete.

use chrono::{DateTime, Utc};
use sqlx::{PgConnection, PgPool};

use crate::alerts;
use crate::maintenances::{self, Reach};
use crate::notifications::acknowledgements;
use crate::pools::{BEGIN_LIST, BEGIN_LIST_IN_ORDER};

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

/// Which checks a list is of: all that is given must be so.
#[derive(Debug, Clone, Default)]
pub struct Which {
    /// Those in this state.
    pub state: State,
    /// This one.
    pub check_id: Option<i64>,
    /// Those of the host of this id.
    pub host_id: Option<i64>,
    /// Those of hosts with this role.
    pub role: Option<String>,
    /// Those of this name.
    pub name: Option<String>,
    /// Those that this person takes care of.
    pub owner: Option<String>,
    /// Those with this status; what cannot be reached is unknown.
    pub status: Option<i16>,
    /// Those of hosts with one of these roles: the scope of a key.
    pub scope: Option<Vec<String>>,
}

/// What a list may ask of its checks.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum State {
    /// Nothing.
    #[default]
    Any,
    /// Failing, hard or soft, whatever is suppressed.
    Failing,
    /// Failing for at least the threshold of runs.
    Hard,
    /// Held by a worker. No index can tell that and leave runs cheap, so the checks are read until enough are found.
    Leased,
    /// In maintenance.
    InMaintenance,
    /// Suspended.
    Suspended,
}

impl State {
    fn word(self) -> &'static str {
        match self {
            Self::Any => "any",
            Self::Failing => "failing",
            Self::Hard => "hard",
            Self::Leased => "leased",
            Self::InMaintenance => "in maintenance",
            Self::Suspended => "suspended",
        }
    }
}

/// The next at most `limit` checks of a list whose ids are above `after`, by id. Removed checks are in no list.
///
/// A page is a transaction of its own: a cursor would hold a snapshot as long as the slowest client reads.
///
/// # Errors
/// If the database does not answer.
pub async fn page(
    pool: &PgPool,
    which: &Which,
    after: i64,
    limit: i64,
) -> sqlx::Result<Vec<Check>> {
    let mut tx = pool
        .begin_with(match which.state {
            State::Leased => BEGIN_LIST_IN_ORDER,
            _ => BEGIN_LIST,
        })
        .await?;
    let Reach { host_ids, names } = match which.state {
        State::InMaintenance => maintenances::in_force(&mut tx).await?,
        _ => Reach::default(),
    };
    sqlx::query_as!(
        Check,
        r#"
        select s.check_id, h.hostname, h.ip, k.name, k.interval_s, k.follow_up_s as "follow_up_s!", k.priority as "priority!", s.status, s.unreachable,
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
        -- what is not asked for is folded away before anything is planned, so that each question finds its index
        where not s.removed and s.check_id > $1 and k.check_id > $1
          and ($3::bigint is null or s.check_id = $3)
          and ($4::bigint is null or k.host_id = $4)
          and ($5::text is null or h.roles @> array[$5])
          and ($6::text is null or k.name = $6)
          and ($7::text is null or (s.owner = $7 and s.owner <> ''))
          and ($8::smallint is null or case when s.unreachable then 3 else s.status end = $8)
          and ($9::text[] is null or h.roles && $9)
          and ($10::text not in ('failing', 'hard') or s.status <> 0 or s.unreachable)
          and ($10 <> 'hard' or s.hard)
          and ($10 <> 'leased' or s.leased_until >= now())
          and ($10 <> 'suspended' or s.suspended)
          -- first where it may be, by index; then whether it is
          and ($11::bigint[] is null or k.host_id = any ($11))
          and ($12::text[] is null or k.name = any ($12))
          and ($10 <> 'in maintenance' or exists (select from maintenances_at(now(), h.hostname, h.roles, k.name)))
        order by s.check_id limit $2
        "#,
        after,
        limit,
        which.check_id,
        which.host_id,
        which.role.as_deref(),
        which.name.as_deref(),
        which.owner.as_deref(),
        which.status,
        which.scope.as_deref(),
        which.state.word(),
        host_ids.as_deref(),
        names.as_deref(),
    )
    .fetch_all(&mut *tx)
    .await
}

/// One check, unless it is unknown, removed, or out of this scope.
///
/// # Errors
/// If the database does not answer.
pub async fn find(
    pool: &PgPool,
    check_id: i64,
    scope: Option<&[String]>,
) -> sqlx::Result<Option<Check>> {
    let which = Which {
        check_id: Some(check_id),
        scope: scope.map(<[String]>::to_vec),
        ..Which::default()
    };
    Ok(page(pool, &which, 0, 1).await?.pop())
}

/// Makes a check due at `at`, or now if that is past. `None` means now. A run that is under way does not lose the
/// wish: recording leaves a `rush_at` alone. Gives when it was due before; `None` if there is no such check.
///
/// # Errors
/// If the database does not answer.
pub async fn run_at(
    conn: &mut PgConnection,
    check_id: i64,
    at: Option<DateTime<Utc>>,
) -> sqlx::Result<Option<DateTime<Utc>>> {
    // greatest() passes over null
    sqlx::query_scalar!(
        r#"
        update check_state s set rush_at = greatest(now(), $2::timestamptz)
        from (select check_id, coalesce(rush_at, due_at) as next_at from check_state where check_id = $1 and not removed for no key update) as was
        where s.check_id = was.check_id
        returning was.next_at as "next_at!"
        "#,
        check_id,
        at
    )
    .fetch_optional(conn)
    .await
}

/// Suspends or resumes a check; what is resumed runs at once, and until then nobody is told of it. Gives what was so before;
/// `None` if there is no such check.
///
/// # Errors
/// If the database does not answer.
pub async fn set_suspended(
    conn: &mut PgConnection,
    check_id: i64,
    suspended: bool,
) -> sqlx::Result<Option<bool>> {
    sqlx::query_scalar!(
        r#"
        update check_state s
        set suspended = $2, rush_at = case when was.suspended and not $2 then now() else rush_at end,
            resumed = case when was.suspended and not $2 then true when not $2 then resumed end
        from (select check_id, suspended from check_state where check_id = $1 and not removed for no key update) as was
        where s.check_id = was.check_id
        returning was.suspended as "suspended!"
        "#,
        check_id,
        suspended
    )
    .fetch_optional(conn)
    .await
}

/// Says who takes care of a check, and makes it known where its alert was told; empty for nobody. Gives who did before;
/// `None` if there is no such check.
///
/// # Errors
/// If the database does not answer.
pub async fn set_owner(
    conn: &mut PgConnection,
    check_id: i64,
    owner: &str,
) -> sqlx::Result<Option<String>> {
    let before = sqlx::query_scalar!(
        r#"
        update check_state s set owner = $2
        from (select check_id, owner from check_state where check_id = $1 and not removed for no key update) as was
        where s.check_id = was.check_id
        returning was.owner as "owner!"
        "#,
        check_id,
        owner,
    )
    .fetch_optional(&mut *conn)
    .await?;
    if before.as_ref().is_some_and(|before| before != owner) && !owner.is_empty() {
        acknowledgements::owe(conn, check_id).await?;
    }
    Ok(before)
}

/// Deletes a check; its history stays, its alert closes with reason `removed`. False if there is no such check.
///
/// # Errors
/// If the database does not answer.
pub async fn delete(conn: &mut PgConnection, check_id: i64) -> sqlx::Result<bool> {
    let deleted = sqlx::query!("delete from checks where check_id = $1", check_id)
        .execute(&mut *conn)
        .await?;
    delete_states(conn, &[check_id]).await?;
    alerts::close(conn, &[check_id], &[], "removed").await?;
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
