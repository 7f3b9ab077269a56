//! How often somebody may try to sign in, whichever replica is asked.

use sqlx::PgPool;

/// Tries of one account, and from one address, at once; later one in [`REFILL`] is added.
const BURST: f64 = 10.0;
/// Per second: one in half a minute.
const REFILL: f64 = 1.0 / 30.0;

/// Counts a try. False if there were too many, for this account or from this address.
///
/// # Errors
/// If the database does not answer.
pub async fn count(pool: &PgPool, username: &str, address: &str) -> sqlx::Result<bool> {
    // Names are what somebody typed: perhaps a password. So neither is kept as it is.
    let granted = sqlx::query_scalar!(
        r#"
        select coalesce(take_tokens('sign-in account ' || encode(sha256(convert_to($1, 'UTF8')), 'hex'), 1, $3, $4), 0)
             * coalesce(take_tokens('sign-in address ' || encode(sha256(convert_to($2, 'UTF8')), 'hex'), 1, $3, $4), 0) as "granted!"
        "#,
        username,
        address,
        REFILL,
        BURST,
    )
    .fetch_one(pool)
    .await?;
    Ok(granted > 0)
}
