//! From when to when an alert was suppressed, and why. The rule itself is the function `suppression_of` (0017); this
//! writes down its answers, for people who ask afterwards why they were not told.

use sqlx::{PgConnection, PgPool};

use crate::pools::BEGIN_BY_KEY;

/// Writes down what suppresses these alerts now, where that has changed.
///
/// # Errors
/// If the database does not answer.
pub async fn note(conn: &mut PgConnection, alert_ids: &[i64]) -> sqlx::Result<()> {
    if alert_ids.is_empty() {
        return Ok(());
    }
    sqlx::query!(
        r#"
        with ended as materialized (
            select s.suppression_id from suppressions s join alerts a using (alert_id) cross join lateral suppression_of(a) now_is
            where s.alert_id = any ($1) and s.ended_at is null
              and s.reason is distinct from case when a.closed_at is null then now_is.reason end
            order by s.alert_id for no key update of s)
        update suppressions set ended_at = now() where suppression_id = any (array(select suppression_id from ended))
        "#,
        alert_ids,
    )
    .execute(&mut *conn)
    .await?;
    sqlx::query!(
        r#"
        insert into suppressions (alert_id, reason)
        select a.alert_id, now_is.reason from alerts a cross join lateral suppression_of(a) now_is
        where a.alert_id = any ($1) and a.closed_at is null and now_is.reason is not null
        order by a.alert_id
        on conflict (alert_id) where ended_at is null do nothing
        "#,
        alert_ids,
    )
    .execute(&mut *conn)
    .await?;
    hold(conn, alert_ids).await
}

/// What waits to be sent, and may not be: claims pass over it until this is taken back.
async fn hold(conn: &mut PgConnection, alert_ids: &[i64]) -> sqlx::Result<()> {
    sqlx::query!(
        r#"
        with waiting as materialized (
            select n.notification_id from notifications n
            where n.alert_id = any ($1) and n.state = 'pending' and n.kind <> 'resolve'
              and n.is_held <> exists (select from suppressions s where s.alert_id = n.alert_id and s.ended_at is null)
            order by n.notification_id for no key update)
        update notifications set is_held = not is_held where notification_id = any (array(select notification_id from waiting)) and state = 'pending'
        "#,
        alert_ids,
    )
    .execute(conn)
    .await?;
    Ok(())
}

/// Writes down what the passing of time has begun or ended. A duty.
///
/// # Errors
/// If the database does not answer.
pub async fn note_all(pool: &PgPool) -> sqlx::Result<()> {
    let mut tx = pool.begin_with(BEGIN_BY_KEY).await?;
    let changed = sqlx::query_scalar!(
        r#"
        select a.alert_id as "alert_id!" from alerts a
        cross join lateral suppression_of(a) now_is
        -- `limit` here and below, for a join could read all that is suppressed for each
        left join lateral (select s.reason from suppressions s where s.alert_id = a.alert_id and s.ended_at is null limit 1) s on true
        -- other reasons end by somebody's hand, and are noted there
        where a.closed_at is null and a.parent_id is null and a.priority > 0 and s.reason is distinct from now_is.reason
        union
        select a.alert_id from alerts a
        where a.closed_at is not null and not a.is_settled
          and (select true from suppressions s where s.alert_id = a.alert_id and s.ended_at is null limit 1)
        union
        select n.alert_id from notifications n
        where n.state = 'pending' and n.is_held
          and (select true from suppressions s where s.alert_id = n.alert_id and s.ended_at is null limit 1) is null
        order by 1
        "#
    )
    .fetch_all(&mut *tx)
    .await?;
    if changed.is_empty() {
        return Ok(());
    }
    // as whoever changes an alert does before it notes, or the two would wait for each other in what waits to be sent
    sqlx::query!(
        "select alert_id from alerts where alert_id = any ($1) order by alert_id for no key update",
        &changed
    )
    .fetch_all(&mut *tx)
    .await?;
    note(&mut tx, &changed).await?;
    tx.commit().await
}
