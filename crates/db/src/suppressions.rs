//! From when to when an alert was suppressed, and why. The rule itself is the function `suppression` (0007); this
//! writes down its answers, for people who ask afterwards why they were not told.

use sqlx::{PgConnection, PgPool};

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
            select s.suppression_id from suppressions s join alerts a using (alert_id)
            where s.alert_id = any ($1) and s.ended_at is null
              and s.reason is distinct from case when a.closed_at is null then suppression(a) end
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
        select alert_id, reason
        from (select a.alert_id, suppression(a) as reason from alerts a where a.alert_id = any ($1) and a.closed_at is null) as now_is
        where reason is not null
        order by alert_id
        on conflict (alert_id) where ended_at is null do nothing
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
    let changed = sqlx::query_scalar!(
        r#"
        select a.alert_id from alerts a
        left join suppressions s on s.alert_id = a.alert_id and s.ended_at is null
        where not a.is_settled and s.reason is distinct from case when a.closed_at is null then suppression(a) end
        order by 1
        "#
    )
    .fetch_all(pool)
    .await?;
    if changed.is_empty() {
        return Ok(());
    }
    let mut tx = pool.begin().await?;
    note(&mut tx, &changed).await?;
    tx.commit().await
}
