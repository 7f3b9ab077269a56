//! Floods: one alert that stands for many (semantics.md, decision 4).
//!
//! Counting and deciding happen under one lock, in the transaction that opens the alerts: two recorders cannot both
//! see "not yet". It is one lock and not one per host too, because every alert that counts for its host counts for the
//! whole as well.

use sqlx::{PgConnection, PgPool};
use stalker_domain::thresholds::Thresholds;

use crate::alerts::{self, int};

/// Waits for the others that open alerts or end floods. Held until the transaction ends; taken before any alert's row.
pub(crate) async fn lock(conn: &mut PgConnection) -> sqlx::Result<()> {
    sqlx::query!("select pg_advisory_xact_lock(hashtextextended('stalker floods', 0))")
        .execute(conn)
        .await?;
    Ok(())
}

/// Lets floods take these alerts in, which have just opened or been set free and have their targets, and opens the floods
/// that they make. Returns every other alert of which this changed something.
pub(crate) async fn take_in(
    conn: &mut PgConnection,
    opened: &[i64],
    thresholds: &Thresholds,
) -> sqlx::Result<Vec<i64>> {
    if opened.is_empty() {
        return Ok(Vec::new());
    }
    let counted = count(conn, opened).await?;
    if counted.is_empty() {
        return Ok(Vec::new());
    }
    end_growth(conn, &counted).await?;
    let joined = join(conn, &counted).await?;
    let mut touched = grow(conn, &joined).await?;
    let of_hosts = open_of_hosts(conn, &counted, thresholds).await?;
    touched.extend(adopt(conn, &of_hosts).await?);
    let overall = open_overall(conn, thresholds).await?;
    touched.extend(adopt(conn, &overall).await?);
    Ok(touched)
}

/// A flood is as urgent as its most urgent member and concerns whom its members concern. These are members that are
/// new or concern further channels; others are passed over. Returns their floods, and the floods of those.
pub(crate) async fn grow(conn: &mut PgConnection, members: &[i64]) -> sqlx::Result<Vec<i64>> {
    let mut grown = Vec::new();
    let mut members = members.to_vec();
    loop {
        let floods = floods_of(conn, &members).await?;
        if floods.is_empty() {
            return Ok(grown);
        }
        sqlx::query!(
            r#"
            update alerts f set priority = m.priority
            from unnest($2::bigint[]) as o(flood_id)
            cross join lateral (
                select min(a.priority) as priority
                from unnest($1::bigint[]) as i(alert_id) cross join lateral (select * from alerts a where a.alert_id = i.alert_id limit 1) as a
                where a.parent_id = o.flood_id) as m
            where f.alert_id = o.flood_id and f.priority > m.priority
            "#,
            &members,
            &floods,
        )
        .execute(&mut *conn)
        .await?;
        sqlx::query!(
            r#"
            insert into alert_targets (alert_id, channel, why)
            select distinct m.parent_id, t.channel, 'target of a member'
            from unnest($1::bigint[]) as o(alert_id) cross join lateral (select * from alerts a where a.alert_id = o.alert_id limit 1) as m
            join alert_targets t on t.alert_id = m.alert_id
            where m.parent_id = any ($2)
            order by 1, 2
            on conflict do nothing
            "#,
            &members,
            &floods,
        )
        .execute(&mut *conn)
        .await?;
        grown.extend(&floods);
        members = floods;
    }
}

/// Those that nothing suppresses count from now on.
async fn count(conn: &mut PgConnection, opened: &[i64]) -> sqlx::Result<Vec<i64>> {
    sqlx::query_scalar!(
        "update alerts a set counted_at = now() where a.alert_id = any ($1) and a.closed_at is null and a.counted_at is null and suppression(a) is null returning a.alert_id",
        opened,
    )
    .fetch_all(conn)
    .await
}

/// What has ended its growth takes in nobody any more; what opens now may begin another one beside it. Floods that these
/// alerts cannot join are left to the duty.
async fn end_growth(conn: &mut PgConnection, but_for: &[i64]) -> sqlx::Result<()> {
    sqlx::query!(
        r#"
        update alerts f set takes_in = false
        where f.takes_in and coalesce(f.host_id, 0) = any (array(select 0::bigint union select a.host_id from alerts a where a.alert_id = any ($1)))
          and flood_is_full(f, $1)
        "#,
        but_for,
    )
    .execute(conn)
    .await?;
    Ok(())
}

/// Into their host's flood, else into the one overall. Returns who joined.
async fn join(conn: &mut PgConnection, counted: &[i64]) -> sqlx::Result<Vec<i64>> {
    lock_waiting(conn, counted).await?;
    let joined = sqlx::query_scalar!(
        r#"
        with joining as (
            select a.alert_id,
                   (select f.alert_id from alerts f where f.takes_in and coalesce(f.host_id, 0) in (a.host_id, 0)
                    order by f.host_id nulls last limit 1) as flood_id
            from alerts a where a.alert_id = any ($1)
              and not exists (select from notifications n where n.alert_id = a.alert_id and n.attempts > 0))
        update alerts a set parent_id = j.flood_id from joining j
        where a.alert_id = j.alert_id and j.flood_id is not null
        returning a.alert_id
        "#,
        counted,
    )
    .fetch_all(&mut *conn)
    .await?;
    drop_waiting(conn, &joined).await?;
    Ok(joined)
}

/// A sender that took one of these notifications just now is waited for, and has told the alert.
async fn lock_waiting(conn: &mut PgConnection, alert_ids: &[i64]) -> sqlx::Result<()> {
    sqlx::query!(
        "select notification_id from notifications where alert_id = any ($1) and state = 'pending' order by notification_id for no key update",
        alert_ids,
    )
    .fetch_all(conn)
    .await?;
    Ok(())
}

/// What waits for members is not sent: their flood speaks for them.
async fn drop_waiting(conn: &mut PgConnection, members: &[i64]) -> sqlx::Result<()> {
    sqlx::query!(
        "update notifications set state = 'dropped', reason = 'flood', settled_at = now() where alert_id = any ($1) and state = 'pending'",
        members,
    )
    .execute(conn)
    .await?;
    Ok(())
}

/// The open floods of these members. Each is looked up by its key: an index of all members, or of all that is open, looks
/// better to a planner whose statistics know of none, and would be read once for each of them.
async fn floods_of(conn: &mut PgConnection, members: &[i64]) -> sqlx::Result<Vec<i64>> {
    sqlx::query_scalar!(
        r#"
        select f.alert_id as "alert_id!"
        from (select distinct a.parent_id
              from unnest($1::bigint[]) as o(alert_id) cross join lateral (select * from alerts a where a.alert_id = o.alert_id limit 1) as a
              where a.parent_id is not null) as of_members
        cross join lateral (select * from alerts f where f.alert_id = of_members.parent_id limit 1) as f
        where f.closed_at is null
        "#,
        members,
    )
    .fetch_all(conn)
    .await
}

async fn open_of_hosts(
    conn: &mut PgConnection,
    counted: &[i64],
    thresholds: &Thresholds,
) -> sqlx::Result<Vec<i64>> {
    sqlx::query_scalar!(
        r#"
        insert into alerts (kind, host_id, hostname, ip, priority, out, threshold, window_s, takes_in, counted_at)
        select 'flood', h.host_id, h.hostname, h.ip, 2, 'more than ' || $2::integer || ' alerts within ' || $3::integer || ' s', $2, $3, true, now()
        from (select distinct a.host_id from alerts a where a.alert_id = any ($1) and a.parent_id is null) as news
        join hosts h using (host_id)
        where (select count(*) from (select from counted_towards_flood(h.host_id, null, $3) limit $2::integer + 1) as c) > $2
        order by h.host_id
        on conflict (coalesce(host_id, 0)) where takes_in do nothing
        returning alert_id
        "#,
        counted,
        int(thresholds.host_threshold),
        int(thresholds.host_window_s),
    )
    .fetch_all(conn)
    .await
}

async fn open_overall(conn: &mut PgConnection, thresholds: &Thresholds) -> sqlx::Result<Vec<i64>> {
    sqlx::query_scalar!(
        r#"
        insert into alerts (kind, priority, out, threshold, window_s, takes_in)
        select 'flood', 2, 'more than ' || $1::integer || ' alerts within ' || $2::integer || ' s', $1, $2, true
        where (select count(*) from (select from counted_towards_flood(null, null, $2) limit $1::integer + 1) as c) > $1
        on conflict (coalesce(host_id, 0)) where takes_in do nothing
        returning alert_id
        "#,
        int(thresholds.flood_threshold),
        int(thresholds.flood_window_s),
    )
    .fetch_all(conn)
    .await
}

/// Makes members of new floods all that counted towards them and was not told yet. The rows of those alerts are locked
/// already. Returns the floods and the members.
async fn adopt(conn: &mut PgConnection, floods: &[i64]) -> sqlx::Result<Vec<i64>> {
    if floods.is_empty() {
        return Ok(Vec::new());
    }
    let candidates = sqlx::query_scalar!(
        r#"
        select c.alert_id as "alert_id!" from alerts f cross join lateral counted_towards_flood(f.host_id, null, f.window_s) c
        where f.alert_id = any ($1) and c.closed_at is null and c.alert_id <> f.alert_id
        "#,
        floods,
    )
    .fetch_all(&mut *conn)
    .await?;
    lock_waiting(conn, &candidates).await?;
    let adopted = sqlx::query_scalar!(
        r#"
        with adopted as (
            select f.alert_id as flood_id, c.alert_id
            from alerts f cross join lateral counted_towards_flood(f.host_id, null, f.window_s) c
            where f.alert_id = any ($1) and c.closed_at is null and c.alert_id <> f.alert_id
              and not exists (select from notifications n where n.alert_id = c.alert_id and n.attempts > 0)
              -- it counted, but something else keeps it from being told by now
              and suppression(c) is null)
        update alerts a set parent_id = d.flood_id from adopted d where a.alert_id = d.alert_id
        returning a.alert_id
        "#,
        floods,
    )
    .fetch_all(&mut *conn)
    .await?;
    drop_waiting(conn, &adopted).await?;
    let mut touched = grow(conn, &adopted).await?;
    touched.extend(adopted);
    touched.extend(floods);
    Ok(touched)
}

/// Counts the alerts that something suppressed when they opened and nothing does now: at the end of a maintenance many may
/// be set free together, and are a flood like others. A duty; before what they owe is inserted.
///
/// # Errors
/// If the database does not answer.
pub async fn count_freed(pool: &PgPool, thresholds: &Thresholds) -> sqlx::Result<()> {
    let freed = sqlx::query!(
        r#"
        select a.alert_id, a.check_id, a.host_id from alerts a cross join lateral suppression_of(a) held
        where a.closed_at is null and a.counted_at is null and a.parent_id is null and a.priority > 0 and a.kind not in ('flood', 'cluster') and held.reason is null
        order by a.alert_id
        "#
    )
    .fetch_all(pool)
    .await?;
    if freed.is_empty() {
        return Ok(());
    }
    let alert_ids: Vec<i64> = freed.iter().map(|alert| alert.alert_id).collect();
    let check_ids: Vec<i64> = freed.iter().filter_map(|alert| alert.check_id).collect();
    let host_ids: Vec<i64> = freed.iter().filter_map(|alert| alert.host_id).collect();
    let mut tx = pool.begin().await?;
    lock(&mut tx).await?;
    alerts::lock_open(&mut tx, &check_ids, &host_ids, Some(thresholds)).await?;
    let mut touched = take_in(&mut tx, &alert_ids, thresholds).await?;
    touched.extend(alert_ids);
    alerts::settle_and_owe(&mut tx, &touched).await?;
    tx.commit().await
}

/// Ends the growth of floods, and closes those that are over: their members stand alone again, and are owed one by one; or
/// they join the flood that this one was a member of. A duty.
///
/// # Errors
/// If the database does not answer.
pub async fn settle_all(pool: &PgPool) -> sqlx::Result<()> {
    // Asked without a lock: each second, while a flood lasts for a day, all who open alerts would wait for the answer.
    let ready = sqlx::query_scalar!(
        r#"
        select f.alert_id from alerts f
        where f.kind = 'flood' and f.closed_at is null
          and case when f.takes_in then flood_is_full(f, '{}') else flood_is_over(f) end
        order by f.alert_id
        "#
    )
    .fetch_all(pool)
    .await?;
    for flood_id in ready {
        let mut tx = pool.begin().await?;
        lock(&mut tx).await?;
        settle(&mut tx, flood_id).await?;
        tx.commit().await?;
    }
    Ok(())
}

async fn settle(conn: &mut PgConnection, flood_id: i64) -> sqlx::Result<()> {
    // itself and its members, in the order of ids
    sqlx::query!(
        "select alert_id from alerts where closed_at is null and alert_id = any (array(
             select alert_id from alerts where alert_id = $1 union select alert_id from alerts where parent_id = $1 and closed_at is null))
         order by alert_id for no key update",
        flood_id,
    )
    .fetch_all(&mut *conn)
    .await?;
    sqlx::query!(
        "update alerts f set takes_in = false where f.alert_id = $1 and f.takes_in and flood_is_full(f, '{}')",
        flood_id,
    )
    .execute(&mut *conn)
    .await?;
    // While it takes in it stays, however few are open: what comes next would only make another one.
    let is_over = sqlx::query_scalar!(
        r#"
        update alerts f set closed_at = now(), close_reason = 'over'
        where f.alert_id = $1 and f.closed_at is null and flood_is_over(f)
        returning true as "is_over!"
        "#,
        flood_id,
    )
    .fetch_optional(&mut *conn)
    .await?;
    if is_over.is_none() {
        return Ok(());
    }
    let mut alert_ids = sqlx::query_scalar!(
        "update alerts set parent_id = (select f.parent_id from alerts f where f.alert_id = $1)
         where parent_id = $1 and closed_at is null returning alert_id",
        flood_id,
    )
    .fetch_all(&mut *conn)
    .await?;
    alert_ids.push(flood_id);
    alerts::settle_and_owe(conn, &alert_ids).await
}
