//! Which channels an alert concerns: the configured routes as rows, and the targets that follow from them
//! (semantics.md, decision 5).

pub mod rehearsal;

use sqlx::{PgConnection, PgPool};

use crate::{floods, notifications, suppressions};

/// A route as its configuration declares it. `None` matches everything; text may hold `*` and `?`.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Route {
    /// Names of hosts.
    pub hosts: Option<Vec<String>>,
    /// Roles, one of which the host must have.
    pub roles: Option<Vec<String>>,
    /// Names of checks.
    pub checks: Option<Vec<String>>,
    /// Kinds of checks.
    pub kinds: Option<Vec<String>>,
    /// 1, 2.
    pub priorities: Option<Vec<i16>>,
    /// `warning`, `critical`, `unknown`; of a host's alert `unreachable`.
    pub statuses: Option<Vec<String>>,
    /// Who is told.
    pub channels: Vec<String>,
    /// Later routes are asked as well.
    pub continues: bool,
}

/// The routes of now, in the order in which they are asked.
///
/// # Errors
/// If the database does not answer.
pub async fn list(pool: &PgPool) -> sqlx::Result<Vec<Route>> {
    sqlx::query_as!(
        Route,
        "select hosts, roles, checks, kinds, priorities, statuses, channels, continues from routes order by position"
    )
    .fetch_all(pool)
    .await
}

/// What [`reapply`] changed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Reapplied {
    /// Targets that open alerts have now, and did not have before.
    pub added: u64,
    /// Targets that they had, and that nobody has tried to tell.
    pub removed: u64,
}

/// Makes the table say what this process's configuration says. What is the same already is not written.
pub(crate) async fn put(conn: &mut PgConnection, routes: &[Route]) -> sqlx::Result<()> {
    for (position, route) in (1..).zip(routes) {
        sqlx::query!(
            r#"
            insert into routes (position, hosts, roles, checks, kinds, priorities, statuses, channels, continues)
            values ($1, $2, $3, $4, $5, $6, $7, $8, $9)
            on conflict (position) do update
            set hosts = excluded.hosts, roles = excluded.roles, checks = excluded.checks, kinds = excluded.kinds,
                priorities = excluded.priorities, statuses = excluded.statuses, channels = excluded.channels, continues = excluded.continues
            where routes is distinct from excluded
            "#,
            position,
            route.hosts.as_deref(),
            route.roles.as_deref(),
            route.checks.as_deref(),
            route.kinds.as_deref(),
            route.priorities.as_deref(),
            route.statuses.as_deref(),
            &route.channels,
            route.continues,
        )
        .execute(&mut *conn)
        .await?;
    }
    let last = i32::try_from(routes.len()).unwrap_or(i32::MAX);
    sqlx::query!("delete from routes where position > $1", last)
        .execute(conn)
        .await?;
    Ok(())
}

/// Writes down whom these alerts concern by the routes of now. What they concern already stays. Returns those that concern
/// more now.
pub(crate) async fn target(conn: &mut PgConnection, alert_ids: &[i64]) -> sqlx::Result<Vec<i64>> {
    if alert_ids.is_empty() {
        return Ok(Vec::new());
    }
    sqlx::query_scalar!(
        r#"
        with added as (
            insert into alert_targets (alert_id, channel, why)
            select a.alert_id, r.channel, r.why from alerts a cross join lateral routed(a) r
            where a.alert_id = any ($1) and a.kind <> 'flood'
            order by 1, 2
            on conflict do nothing
            returning alert_id)
        select distinct alert_id from added
        "#,
        alert_ids,
    )
    .fetch_all(conn)
    .await
}

/// Applies the routes of now to the alerts that are open. A channel that was told, or fell back on, stays a target, for
/// its resolve must come.
///
/// # Errors
/// If the database does not answer; nothing is changed then.
pub async fn reapply(conn: &mut PgConnection) -> sqlx::Result<Reapplied> {
    let tx = conn;
    floods::lock(tx).await?;
    let open = sqlx::query_scalar!(
        "select alert_id from alerts where closed_at is null and not is_settled order by alert_id for no key update"
    )
    .fetch_all(&mut *tx)
    .await?;
    let before = targets(tx, &open).await?;
    // a sender that takes one of these just now is waited for
    sqlx::query!(
        "select notification_id from notifications where alert_id = any ($1) and state in ('pending', 'sending') order by notification_id for no key update",
        &open,
    )
    .fetch_all(&mut *tx)
    .await?;
    let mut removed = sqlx::query!(
        r#"
        delete from alert_targets t using alerts a
        where a.alert_id = t.alert_id and a.alert_id = any ($1) and a.kind <> 'flood'
          and t.why not like 'fallback of %'
          and not exists (select from routed(a) r where r.channel = t.channel)
          and not exists (select from notifications n where n.alert_id = t.alert_id and n.channel = t.channel and n.attempts > 0)
        "#,
        &open,
    )
    .execute(&mut *tx)
    .await?
    .rows_affected();
    removed += untarget_floods(tx, &open).await?;
    sqlx::query!(
        r#"
        update notifications n set state = 'dropped', reason = 'no longer a target', settled_at = now()
        where n.alert_id = any ($1) and n.state = 'pending'
          and not exists (select from alert_targets t where t.alert_id = n.alert_id and t.channel = n.channel)
        "#,
        &open,
    )
    .execute(&mut *tx)
    .await?;
    target(tx, &open).await?;
    floods::grow(tx, &open).await?;
    let added = targets(tx, &open).await? + removed - before;
    notifications::owe(tx, &open).await?;
    suppressions::note(tx, &open).await?;
    Ok(Reapplied { added, removed })
}

/// A flood concerns nobody whom no member concerns any more; a flood of floods comes after those.
async fn untarget_floods(conn: &mut PgConnection, open: &[i64]) -> sqlx::Result<u64> {
    let mut removed = 0;
    for of_host in [true, false] {
        let done = sqlx::query!(
            r#"
            delete from alert_targets t using alerts f
            where f.alert_id = t.alert_id and f.alert_id = any ($1) and f.kind = 'flood' and (f.host_id is not null) = $2
              and t.why not like 'fallback of %'
              and not exists (select from alerts m join alert_targets mt on mt.alert_id = m.alert_id
                              where m.parent_id = f.alert_id and m.closed_at is null and mt.channel = t.channel)
              and not exists (select from notifications n where n.alert_id = t.alert_id and n.channel = t.channel and n.attempts > 0)
            "#,
            open,
            of_host,
        )
        .execute(&mut *conn)
        .await?;
        removed += done.rows_affected();
    }
    Ok(removed)
}

async fn targets(conn: &mut PgConnection, alert_ids: &[i64]) -> sqlx::Result<u64> {
    let count = sqlx::query_scalar!(
        r#"select count(*) as "count!" from alert_targets where alert_id = any ($1)"#,
        alert_ids
    )
    .fetch_one(conn)
    .await?;
    Ok(u64::try_from(count).unwrap_or(0))
}
