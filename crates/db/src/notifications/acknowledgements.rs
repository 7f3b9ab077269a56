//! Whoever takes ownership of a check is made known where its alert was told: best effort, for ten minutes.

use sqlx::PgConnection;

/// Owes an acknowledgement of the check's open alert to every channel that can take one and has accepted the alert.
///
/// # Errors
/// If the database does not answer.
pub async fn owe(conn: &mut PgConnection, check_id: i64) -> sqlx::Result<u64> {
    let done = sqlx::query!(
        r#"
        insert into notifications (alert_id, channel, kind, n, dedup_key, expires_at)
        select a.alert_id, c.name, 'acknowledge',
               1 + (select count(*) from notifications x where x.alert_id = a.alert_id and x.channel = c.name and x.kind = 'acknowledge'),
               told.dedup_key, now() + interval '10 min'
        from alerts a join alert_targets t using (alert_id) join channels c on c.name = t.channel
        cross join lateral (
            select x.dedup_key from notifications x
            where x.alert_id = a.alert_id and x.channel = c.name and x.kind in ('trigger', 'repeat') and x.state = 'accepted'
            limit 1) as told
        where a.check_id = $1 and a.kind = 'check' and a.closed_at is null and c.takes_acknowledge and c.retired_at is null
        order by a.alert_id, c.name
        on conflict do nothing
        "#,
        check_id,
    )
    .execute(conn)
    .await?;
    Ok(done.rows_affected())
}
