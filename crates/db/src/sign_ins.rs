//! How often somebody may try to sign in, whichever replica is asked.

use sqlx::{PgConnection, PgPool};

/// Tries of one account, and from one address, at once; later one in [`REFILL`] is added.
const BURST: f64 = 10.0;
/// Per second: one in half a minute.
const REFILL: f64 = 1.0 / 30.0;

/// Counts a try. False if there were too many, for this account or from this address (of IPv6, its network).
///
/// An address that has used up its own tries takes none of anybody's account, or one stranger could keep all people out.
/// And from where somebody is signed in, their account's tries are not counted: strangers may use those up.
///
/// # Errors
/// If the database does not answer.
pub async fn count(pool: &PgPool, username: &str, address: &str) -> sqlx::Result<bool> {
    sqlx::query_scalar!(
        r#"
        with of_address as materialized (select coalesce(take_tokens(sign_in_key('address', $2), 1, $3, $4), 0) as granted)
        select case
            when granted = 0 then false
            when exists (select from sessions s join users u using (user_id) where u.username = $1 and s.network = $2 and is_alive(s)) then true
            else coalesce(take_tokens(sign_in_key('account', $1), 1, $3, $4), 0) > 0
        end as "is_granted!"
        from of_address
        "#,
        username,
        address,
        REFILL,
        BURST,
    )
    .fetch_one(pool)
    .await
}

/// Takes back that a try was counted, for it was the right password: only wrong ones are limited.
///
/// # Errors
/// If the database does not answer.
pub async fn give_back(conn: &mut PgConnection, username: &str, address: &str) -> sqlx::Result<()> {
    // in the order in which tries are counted: two of them must not wait for each other
    for (of_what, value) in [("address", address), ("account", username)] {
        sqlx::query!(
            "update send_rates set tokens = least($3, tokens + 1) where rate_key = sign_in_key($1, $2)",
            of_what,
            value,
            BURST,
        )
        .execute(&mut *conn)
        .await?;
    }
    Ok(())
}

/// Forgets those who have all their tries again. A duty.
///
/// # Errors
/// If the database does not answer.
pub async fn forget(pool: &PgPool) -> sqlx::Result<()> {
    sqlx::query!(
        "delete from send_rates where rate_key = any (array(
             select rate_key from send_rates where rate_key like 'sign-in %' and refilled_at < now() - make_interval(secs => $1)
             for update skip locked))",
        BURST / REFILL,
    )
    .execute(pool)
    .await?;
    Ok(())
}
