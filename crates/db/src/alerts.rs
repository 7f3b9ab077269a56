//! Opening, changing and closing alerts. Each of these belongs into the transaction of what caused it, and brings
//! its consequences along: targets are written when an alert opens, what is owed follows at once.

use sqlx::PgConnection;

use crate::notifications;

/// A check whose problem became hard, or took another status while it was.
#[derive(Debug, Clone, Copy)]
pub struct HardCheck<'a> {
    /// The check.
    pub check_id: i64,
    /// Status code, 1 to 3.
    pub status: i16,
    /// Failing runs in a row.
    pub fails: i32,
    /// First line of the output.
    pub out: &'a str,
}

/// Opens the alerts of these checks, names their targets and owes their triggers. A check whose alert is open
/// already keeps it.
///
/// # Errors
/// If the database does not answer.
pub async fn open_of_checks(conn: &mut PgConnection, checks: &[HardCheck<'_>]) -> sqlx::Result<()> {
    let (check_ids, statuses, fails, outs) = columns(checks);
    let opened = sqlx::query_scalar!(
        r#"
        insert into alerts (kind, host_id, check_id, hostname, ip, check_name, priority, status, fails, out)
        select 'check', h.host_id, k.check_id, h.hostname, h.ip, k.name, k.priority, o.status, o.fails, o.out
        from unnest($1::bigint[], $2::smallint[], $3::int[], $4::text[]) as o(check_id, status, fails, out)
        join checks k using (check_id) join hosts h using (host_id)
        order by k.check_id
        on conflict (check_id) where kind = 'check' and closed_at is null do nothing
        returning alert_id
        "#,
        &check_ids,
        &statuses,
        &fails,
        &outs as &[&str],
    )
    .fetch_all(&mut *conn)
    .await?;
    target_and_owe(conn, &opened).await
}

/// Notes that open alerts of these checks stand at another status now.
///
/// # Errors
/// If the database does not answer.
pub async fn change_of_checks(
    conn: &mut PgConnection,
    checks: &[HardCheck<'_>],
) -> sqlx::Result<()> {
    let (check_ids, statuses, fails, outs) = columns(checks);
    sqlx::query!(
        r#"
        with c as (
            select a.alert_id, o.status, o.fails, o.out
            from unnest($1::bigint[], $2::smallint[], $3::int[], $4::text[]) as o(check_id, status, fails, out)
            join alerts a on a.check_id = o.check_id and a.kind = 'check' and a.closed_at is null
            order by a.alert_id for no key update of a)
        update alerts a set status = c.status, fails = c.fails, out = c.out from c where a.alert_id = c.alert_id
        "#,
        &check_ids,
        &statuses,
        &fails,
        &outs as &[&str],
    )
    .execute(conn)
    .await?;
    Ok(())
}

/// Closes the open alerts of these checks, if there are any, and owes what that demands. `reason` is for people:
/// `recovered`, `removed`.
///
/// # Errors
/// If the database does not answer.
pub async fn close_of_checks(
    conn: &mut PgConnection,
    check_ids: &[i64],
    reason: &str,
) -> sqlx::Result<()> {
    let closed = sqlx::query_scalar!(
        r#"
        with closing as materialized (
            select alert_id from alerts where kind = 'check' and closed_at is null and check_id = any ($1)
            order by alert_id for no key update)
        update alerts set closed_at = now(), close_reason = $2
        where alert_id = any (array(select alert_id from closing))
        returning alert_id
        "#,
        check_ids,
        reason,
    )
    .fetch_all(&mut *conn)
    .await?;
    settle_and_owe(conn, &closed).await
}

/// Opens the alerts of hosts that count as down, each as urgent as its most urgent check; `outs` are their reasons.
///
/// # Errors
/// If the database does not answer.
pub async fn open_of_hosts(
    conn: &mut PgConnection,
    host_ids: &[i64],
    outs: &[&str],
) -> sqlx::Result<()> {
    let opened = sqlx::query_scalar!(
        r#"
        insert into alerts (kind, host_id, hostname, ip, priority, fails, out)
        select 'host', h.host_id, h.hostname, h.ip,
               coalesce((select min(k.priority) from checks k join check_state s using (check_id)
                         where k.host_id = h.host_id and k.kind = 'agent' and k.priority > 0 and not s.removed and not s.suspended), 0),
               h.unreachable_count, o.out
        from unnest($1::bigint[], $2::text[]) as o(host_id, out) join hosts h using (host_id)
        order by h.host_id
        on conflict (host_id) where kind = 'host' and closed_at is null do nothing
        returning alert_id
        "#,
        host_ids,
        outs as &[&str],
    )
    .fetch_all(&mut *conn)
    .await?;
    target_and_owe(conn, &opened).await
}

/// Closes the open alerts of these hosts. `reason` is for people: `answered`, `removed`.
///
/// # Errors
/// If the database does not answer.
pub async fn close_of_hosts(
    conn: &mut PgConnection,
    host_ids: &[i64],
    reason: &str,
) -> sqlx::Result<()> {
    let closed = sqlx::query_scalar!(
        r#"
        with closing as materialized (
            select alert_id from alerts where kind = 'host' and closed_at is null and host_id = any ($1)
            order by alert_id for no key update)
        update alerts set closed_at = now(), close_reason = $2
        where alert_id = any (array(select alert_id from closing))
        returning alert_id
        "#,
        host_ids,
        reason,
    )
    .fetch_all(&mut *conn)
    .await?;
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
    if idle.is_empty() {
        return Ok(());
    }
    close_of_hosts(conn, &idle, "no check left").await
}

/// Writes down whom new alerts concern, and owes their triggers. Routes do not exist yet: every channel gets
/// everything.
async fn target_and_owe(conn: &mut PgConnection, alert_ids: &[i64]) -> sqlx::Result<()> {
    if alert_ids.is_empty() {
        return Ok(());
    }
    sqlx::query!(
        r#"
        insert into alert_targets (alert_id, channel, why)
        select alert_id, c.name, 'no routes: every channel'
        from unnest($1::bigint[]) as alert_id cross join channels c
        where c.retired_at is null
        order by alert_id, c.name
        on conflict do nothing
        "#,
        alert_ids,
    )
    .execute(&mut *conn)
    .await?;
    notifications::owe(conn, alert_ids).await?;
    Ok(())
}

async fn settle_and_owe(conn: &mut PgConnection, alert_ids: &[i64]) -> sqlx::Result<()> {
    if alert_ids.is_empty() {
        return Ok(());
    }
    notifications::settle_closed(conn, alert_ids).await?;
    notifications::owe(conn, alert_ids).await?;
    Ok(())
}

fn columns<'a>(checks: &[HardCheck<'a>]) -> (Vec<i64>, Vec<i16>, Vec<i32>, Vec<&'a str>) {
    let mut columns = (Vec::new(), Vec::new(), Vec::new(), Vec::new());
    for check in checks {
        columns.0.push(check.check_id);
        columns.1.push(check.status);
        columns.2.push(check.fails);
        columns.3.push(check.out);
    }
    columns
}
