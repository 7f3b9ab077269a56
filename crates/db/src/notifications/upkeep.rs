//! What happens to notifications only because time passed: the duties of the schedulers. Each is idempotent.

use sqlx::PgPool;

use super::{fall_back, owe, settle_closed};
use crate::pools::BEGIN_BY_KEY;

/// Inserts everything that is owed: the same rule, applied to all alerts. A duty, and the net below the recorder.
///
/// # Errors
/// If the database does not answer.
pub async fn owe_all(pool: &PgPool) -> sqlx::Result<u64> {
    let mut tx = pool.begin_with(BEGIN_BY_KEY).await?;
    let failing = sqlx::query_scalar!(
        r#"
        select n.alert_id as "alert_id!" from notifications n
        where n.kind <> 'resolve' and (n.state = 'refused' or (n.state in ('pending', 'sending') and n.attempts >= 3))
          and (select true from alerts a where a.alert_id = n.alert_id and a.closed_at is null limit 1)
        union
        select n.alert_id from notifications n join channels c on c.name = n.channel
        where c.disabled_at is not null and n.state = 'pending' and n.kind <> 'resolve'
        "#
    )
    .fetch_all(&mut *tx)
    .await?;
    if !failing.is_empty() {
        fall_back(&mut tx, &failing).await?;
    }
    let indebted =
        sqlx::query_scalar!(r#"select distinct alert_id as "alert_id!" from owed order by 1"#)
            .fetch_all(&mut *tx)
            .await?;
    let owed = owe(&mut tx, &indebted).await?;
    tx.commit().await?;
    Ok(owed)
}

/// Ends the attempts of senders that died: they may have arrived, and are made again. Returns how many. A duty.
///
/// # Errors
/// If the database does not answer.
pub async fn take_back_lost(pool: &PgPool) -> sqlx::Result<u64> {
    let done = sqlx::query!(
        r#"
        with lost as materialized (
            select notification_id from notifications
            where state = 'sending' and leased_until < now()
            order by notification_id for no key update skip locked),
        ended as (
            update attempts set ended_at = now(), error = 'its sender died', may_have_arrived = true
            where notification_id in (select notification_id from lost) and ended_at is null)
        update notifications
        set state = 'pending', lease = null, leased_until = null, may_have_arrived = true, reason = 'its sender died'
        where notification_id in (select notification_id from lost)
        "#
    )
    .execute(pool)
    .await?;
    Ok(done.rows_affected())
}

/// Settles the triggers and repeats that wait although their alert has closed. A duty, and the net below
/// [`settle_closed`].
///
/// # Errors
/// If the database does not answer.
pub async fn settle_all_closed(pool: &PgPool) -> sqlx::Result<()> {
    let closed = sqlx::query_scalar!(
        r#"
        select distinct n.alert_id from notifications n join alerts a using (alert_id)
        where n.state = 'pending' and n.kind <> 'resolve' and a.closed_at is not null and not a.is_settled
        order by 1
        "#
    )
    .fetch_all(pool)
    .await?;
    if closed.is_empty() {
        return Ok(());
    }
    let mut tx = pool.begin().await?;
    settle_closed(&mut tx, &closed).await?;
    // in the same transaction, or the next episode's trigger could overtake the resolve
    owe(&mut tx, &closed).await?;
    tx.commit().await
}

/// Marks closed alerts of which nothing is owed, under way or worth another try any more: the owed rule need not look at them again.
/// A duty.
///
/// # Errors
/// If the database does not answer.
pub async fn mark_settled(pool: &PgPool) -> sqlx::Result<()> {
    let mut tx = pool.begin_with(BEGIN_BY_KEY).await?;
    sqlx::query!(
        r#"
        with over as materialized (
            select a.alert_id from alerts a
            where not a.is_settled and a.closed_at is not null
              and not exists (select from notifications x where x.alert_id = a.alert_id
                                and (x.state in ('pending', 'sending') or (x.state = 'refused' and x.kind = 'resolve' and x.expires_at > now())))
              -- `limit`, for a join would ask the whole rule of everybody, and could read all that is suppressed for each
              and (select true from owed o where o.alert_id = a.alert_id limit 1) is null
              and (select true from suppressions s where s.alert_id = a.alert_id and s.ended_at is null limit 1) is null
            order by a.alert_id for no key update of a skip locked)
        update alerts set is_settled = true where alert_id = any (array(select alert_id from over))
        "#
    )
    .execute(&mut *tx)
    .await?;
    tx.commit().await
}

/// Drops what nobody took until it was of no use. A duty.
///
/// # Errors
/// If the database does not answer.
pub async fn drop_expired(pool: &PgPool) -> sqlx::Result<()> {
    sqlx::query!(
        r#"
        with expired as materialized (
            select notification_id from notifications
            where state = 'pending' and expires_at < now()
            order by notification_id for no key update skip locked)
        update notifications set state = 'dropped', reason = 'expired', settled_at = now()
        where notification_id in (select notification_id from expired)
        "#
    )
    .execute(pool)
    .await?;
    Ok(())
}
