//! Opening, changing and closing alerts. Each of these belongs into the transaction of what caused it, and brings its
//! consequences along: targets, floods, and what is owed.

pub mod list;

use sqlx::PgConnection;
use stalker_domain::thresholds::Thresholds;

use crate::{floods, notifications, routes, suppressions};

/// What one transaction means for alerts.
#[derive(Debug, Default)]
pub struct Changes<'a> {
    /// Checks whose problem became hard. One whose alert is open already keeps it.
    pub opens: Vec<Problem<'a>>,
    /// Hard checks that have something new to say.
    pub changes: Vec<Problem<'a>>,
    /// Checks that recovered.
    pub closes: Vec<i64>,
    /// Hosts that count as down, or flap for long.
    pub hosts_down: Vec<DownHost<'a>>,
    /// Hosts that answered.
    pub hosts_back: Vec<i64>,
}

/// A failing check.
#[derive(Debug, Clone, Copy)]
pub struct Problem<'a> {
    /// The check.
    pub check_id: i64,
    /// Status code, 1 to 3.
    pub status: i16,
    /// Failing runs in a row.
    pub fails: i32,
    /// First line of the output.
    pub out: &'a str,
    /// It flaps for so long that its alert tells of that.
    pub is_of_flapping: bool,
}

/// A host that cannot be reached.
#[derive(Debug, Clone, Copy)]
pub struct DownHost<'a> {
    /// The host.
    pub host_id: i64,
    /// Why it cannot be reached.
    pub out: &'a str,
    /// It flaps for so long that its alert tells of that.
    pub is_of_flapping: bool,
}

/// Does all of it, and owes what follows.
///
/// Locks, in this order: that of floods, if an alert may open; every alert that may be written, by id; notifications.
/// Two recorders meet in the rows of a flood's members, so no alert may be locked later. (What became worse is as urgent
/// as before, so its flood's row is not written.)
///
/// # Errors
/// If the database does not answer.
pub async fn apply(
    conn: &mut PgConnection,
    changes: &Changes<'_>,
    thresholds: &Thresholds,
) -> sqlx::Result<()> {
    let problems = || changes.opens.iter().chain(&changes.changes);
    let mut check_ids: Vec<i64> = problems().map(|problem| problem.check_id).collect();
    check_ids.extend(&changes.closes);
    let mut host_ids: Vec<i64> = changes.hosts_down.iter().map(|host| host.host_id).collect();
    host_ids.extend(&changes.hosts_back);
    if check_ids.is_empty() && host_ids.is_empty() {
        return Ok(());
    }
    let may_open = !changes.opens.is_empty() || !changes.hosts_down.is_empty();
    if may_open {
        floods::lock(conn).await?;
    }
    lock_open(conn, &check_ids, &host_ids, may_open.then_some(thresholds)).await?;

    let mut touched = close_checks(conn, &changes.closes, "recovered").await?;
    touched.extend(close_hosts(conn, &changes.hosts_back, "answered").await?);
    notifications::settle_closed(conn, &touched).await?;
    let changed = change_checks(conn, &changes.changes).await?;
    let concerning = routes::target(conn, &changed.worse).await?;
    touched.extend(floods::grow(conn, &concerning).await?);
    touched.extend(concerning);
    touched.extend(changed.of_flapping);
    if may_open {
        let mut opened = open_checks(conn, &changes.opens).await?;
        for host in open_hosts(conn, &changes.hosts_down).await? {
            // one that was open already, and tells of flapping now, is neither routed nor counted again
            let alerts = if host.is_new {
                &mut opened
            } else {
                &mut touched
            };
            alerts.push(host.alert_id);
        }
        routes::target(conn, &opened).await?;
        touched.extend(floods::take_in(conn, &opened, thresholds).await?);
        touched.extend(opened);
    }
    notifications::owe(conn, &touched).await?;
    suppressions::note(conn, &touched).await
}

/// Closes the open alerts of these checks and hosts, if there are any, and owes what that demands. `reason` is for people:
/// `removed`, `no check left`.
///
/// # Errors
/// If the database does not answer.
pub async fn close(
    conn: &mut PgConnection,
    check_ids: &[i64],
    host_ids: &[i64],
    reason: &str,
) -> sqlx::Result<()> {
    if check_ids.is_empty() && host_ids.is_empty() {
        return Ok(());
    }
    lock_open(conn, check_ids, host_ids, None).await?;
    let mut closed = close_checks(conn, check_ids, reason).await?;
    closed.extend(close_hosts(conn, host_ids, reason).await?);
    settle_and_owe(conn, &closed).await
}

/// Closes the alerts of hosts that have no enabled agent check left: nothing could ever close them. A duty.
///
/// # Errors
/// If the database does not answer.
pub async fn close_of_idle_hosts(conn: &mut PgConnection) -> sqlx::Result<()> {
    let idle = sqlx::query_scalar!(
        r#"
        select a.host_id as "host_id!" from alerts a
        where a.kind = 'host' and a.closed_at is null
          and not exists (
            select from checks k join check_state s using (check_id)
            where k.host_id = a.host_id and k.kind = 'agent' and not s.removed and not s.suspended)
        "#
    )
    .fetch_all(&mut *conn)
    .await?;
    close(conn, &[], &idle, "no check left").await
}

/// Closes the alerts of checks and hosts that recovered while they flapped, and have calmed down. A duty: nothing
/// happens then but that time passes, and the next run may be a day away.
///
/// # Errors
/// If the database does not answer.
pub async fn close_of_calm(conn: &mut PgConnection) -> sqlx::Result<()> {
    // A check that runs just now is left to its run, which knows that its alert is open. A run that is late is not to
    // record any more: it knows that too, and would be wrong.
    let checks = sqlx::query_scalar!(
        r#"
        with calm as materialized (
            select s.check_id from check_state s
            where s.hard and s.status = 0 and not s.unreachable
              and exists (select from alerts a where a.check_id = s.check_id and a.kind = 'check' and a.closed_at is null)
              and (s.flap_until is null or s.flap_until <= now()) and (s.leased_until is null or s.leased_until < now())
            order by s.check_id for no key update)
        update check_state set hard = false, owner = '', lease = null, leased_until = null where check_id = any (array(select check_id from calm))
        returning check_id
        "#
    )
    .fetch_all(&mut *conn)
    .await?;
    let hosts = sqlx::query_scalar!(
        r#"
        select h.host_id from hosts h
        where h.host_id = any (array(select a.host_id from alerts a where a.kind = 'host' and a.closed_at is null and not a.is_settled))
          and h.unreachable_since is null and (h.flap_until is null or h.flap_until <= now())
        order by h.host_id for no key update
        "#
    )
    .fetch_all(&mut *conn)
    .await?;
    if checks.is_empty() && hosts.is_empty() {
        return Ok(());
    }
    lock_open(conn, &checks, &hosts, None).await?;
    let mut closed = close_checks(conn, &checks, "recovered").await?;
    closed.extend(close_hosts(conn, &hosts, "answered").await?);
    settle_and_owe(conn, &closed).await
}

/// Locks the open alerts of these checks and hosts, and those that a flood may take in, all in the order of ids.
pub(crate) async fn lock_open(
    conn: &mut PgConnection,
    check_ids: &[i64],
    host_ids: &[i64],
    floods: Option<&Thresholds>,
) -> sqlx::Result<()> {
    let within_s = floods.map(|t| t.host_window_s.max(t.flood_window_s));
    sqlx::query!(
        r#"
        select alert_id from alerts
        where closed_at is null and alert_id = any (array(
            select alert_id from alerts where kind = 'check' and closed_at is null and check_id = any ($1)
            union
            select alert_id from alerts where kind = 'host' and closed_at is null and host_id = any ($2)
            union
            select alert_id from alerts
            where $3::integer is not null and counted_at > now() - make_interval(secs => $3::integer) and closed_at is null and parent_id is null
            union
            select unnest(array[f.alert_id, f.parent_id]) from alerts f
            where $3::integer is not null and f.takes_in
              and coalesce(f.host_id, 0) = any (array(select 0::bigint union select k.host_id from checks k where k.check_id = any ($1) union select unnest($2)))))
        order by alert_id for no key update
        "#,
        check_ids,
        host_ids,
        within_s.map(int),
    )
    .fetch_all(conn)
    .await?;
    Ok(())
}

async fn open_checks(conn: &mut PgConnection, problems: &[Problem<'_>]) -> sqlx::Result<Vec<i64>> {
    if problems.is_empty() {
        return Ok(Vec::new());
    }
    let columns = Columns::of(problems);
    sqlx::query_scalar!(
        r#"
        insert into alerts (kind, host_id, check_id, hostname, ip, check_name, priority, status, fails, out, is_of_flapping)
        select 'check', h.host_id, k.check_id, h.hostname, h.ip, k.name, k.priority, o.status, o.fails, o.out, o.is_of_flapping
        from unnest($1::bigint[], $2::smallint[], $3::int[], $4::text[], $5::bool[]) as o(check_id, status, fails, out, is_of_flapping)
        join checks k using (check_id) join hosts h using (host_id)
        order by k.check_id
        on conflict (check_id) where kind = 'check' and closed_at is null do nothing
        returning alert_id
        "#,
        &columns.check_ids,
        &columns.statuses,
        &columns.fails,
        &columns.outs as &[&str],
        &columns.of_flapping,
    )
    .fetch_all(conn)
    .await
}

struct OpenHost {
    alert_id: i64,
    is_new: bool,
}

/// Each as urgent as the most urgent of its checks.
async fn open_hosts(
    conn: &mut PgConnection,
    hosts: &[DownHost<'_>],
) -> sqlx::Result<Vec<OpenHost>> {
    if hosts.is_empty() {
        return Ok(Vec::new());
    }
    let host_ids: Vec<i64> = hosts.iter().map(|host| host.host_id).collect();
    let outs: Vec<&str> = hosts.iter().map(|host| host.out).collect();
    let of_flapping: Vec<bool> = hosts.iter().map(|host| host.is_of_flapping).collect();
    sqlx::query_as!(
        OpenHost,
        r#"
        insert into alerts (kind, host_id, hostname, ip, priority, fails, out, is_of_flapping)
        select 'host', h.host_id, h.hostname, h.ip,
               coalesce((select min(k.priority) from checks k join check_state s using (check_id)
                         where k.host_id = h.host_id and k.kind = 'agent' and k.priority > 0 and not s.removed and not s.suspended), 0),
               h.unreachable_count, o.out, o.is_of_flapping
        from unnest($1::bigint[], $2::text[], $3::bool[]) as o(host_id, out, is_of_flapping) join hosts h using (host_id)
        order by h.host_id
        on conflict (host_id) where kind = 'host' and closed_at is null do update set is_of_flapping = true
            where excluded.is_of_flapping and not alerts.is_of_flapping
        returning alert_id, xmax = 0 as "is_new!"
        "#,
        &host_ids,
        &outs as &[&str],
        &of_flapping,
    )
    .fetch_all(conn)
    .await
}

/// Changed alerts of which more may follow than that they say something else.
#[derive(Default)]
struct Changed {
    /// They may concern further channels.
    worse: Vec<i64>,
    /// They tell of flapping now, so it suppresses them no more.
    of_flapping: Vec<i64>,
}

async fn change_checks(conn: &mut PgConnection, problems: &[Problem<'_>]) -> sqlx::Result<Changed> {
    if problems.is_empty() {
        return Ok(Changed::default());
    }
    let columns = Columns::of(problems);
    let rows = sqlx::query!(
        r#"
        with c as (
            select a.alert_id, a.status as was, a.is_of_flapping as was_of_flapping, o.*
            from unnest($1::bigint[], $2::smallint[], $3::int[], $4::text[], $5::bool[]) as o(check_id, status, fails, out, is_of_flapping)
            -- `limit`, for a join could read all that is open first: it may be ten thousand, where statistics say one
            cross join lateral (select * from alerts a where a.check_id = o.check_id and a.kind = 'check' and a.closed_at is null limit 1) as a)
        update alerts a
        set status = c.status, fails = c.fails, out = c.out, is_of_flapping = c.was_of_flapping or c.is_of_flapping
        from c where a.alert_id = c.alert_id
        returning a.alert_id, severity(c.status) > severity(c.was) as "is_worse!", c.is_of_flapping and not c.was_of_flapping as "flaps!"
        "#,
        &columns.check_ids,
        &columns.statuses,
        &columns.fails,
        &columns.outs as &[&str],
        &columns.of_flapping,
    )
    .fetch_all(conn)
    .await?;
    let worse = rows.iter().filter(|alert| alert.is_worse);
    let of_flapping = rows.iter().filter(|alert| alert.flaps);
    Ok(Changed {
        worse: worse.map(|alert| alert.alert_id).collect(),
        of_flapping: of_flapping.map(|alert| alert.alert_id).collect(),
    })
}

async fn close_checks(
    conn: &mut PgConnection,
    check_ids: &[i64],
    reason: &str,
) -> sqlx::Result<Vec<i64>> {
    if check_ids.is_empty() {
        return Ok(Vec::new());
    }
    sqlx::query_scalar!(
        "update alerts set closed_at = now(), close_reason = $2
         where kind = 'check' and closed_at is null and check_id = any ($1) returning alert_id",
        check_ids,
        reason,
    )
    .fetch_all(conn)
    .await
}

async fn close_hosts(
    conn: &mut PgConnection,
    host_ids: &[i64],
    reason: &str,
) -> sqlx::Result<Vec<i64>> {
    if host_ids.is_empty() {
        return Ok(Vec::new());
    }
    sqlx::query_scalar!(
        "update alerts set closed_at = now(), close_reason = $2
         where kind = 'host' and closed_at is null and host_id = any ($1) returning alert_id",
        host_ids,
        reason,
    )
    .fetch_all(conn)
    .await
}

pub(crate) async fn settle_and_owe(conn: &mut PgConnection, alert_ids: &[i64]) -> sqlx::Result<()> {
    notifications::settle_closed(conn, alert_ids).await?;
    notifications::owe(conn, alert_ids).await?;
    suppressions::note(conn, alert_ids).await
}

/// A setting as Postgres keeps it.
pub(crate) fn int(setting: u32) -> i32 {
    i32::try_from(setting).unwrap_or(i32::MAX)
}

struct Columns<'a> {
    check_ids: Vec<i64>,
    statuses: Vec<i16>,
    fails: Vec<i32>,
    outs: Vec<&'a str>,
    of_flapping: Vec<bool>,
}

impl<'a> Columns<'a> {
    fn of(problems: &[Problem<'a>]) -> Self {
        Self {
            check_ids: problems.iter().map(|p| p.check_id).collect(),
            statuses: problems.iter().map(|p| p.status).collect(),
            fails: problems.iter().map(|p| p.fails).collect(),
            outs: problems.iter().map(|p| p.out).collect(),
            of_flapping: problems.iter().map(|p| p.is_of_flapping).collect(),
        }
    }
}
