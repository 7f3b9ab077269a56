//! The cluster in eight numbers.

use sqlx::PgPool;

/// Counts, of checks but for the last two; removed checks are not counted.
#[derive(Debug, Clone, Copy)]
pub struct Stats {
    /// Due and not leased.
    pub due: i64,
    /// Failing, hard or soft, or of an agent that cannot be reached.
    pub failing: i64,
    /// Flapping.
    pub flapping: i64,
    /// Suspended.
    pub suspended: i64,
    /// All.
    pub checks: i64,
    /// Held by a worker.
    pub leased: i64,
    /// Notifications that a channel has refused for good, and that another try could still deliver.
    pub dead_letters: i64,
    /// Channels to which nothing is sent, because their receiver said that it is gone for good.
    pub disabled_channels: i64,
}

/// Counts now.
///
/// # Errors
/// If the database does not answer.
pub async fn count(pool: &PgPool) -> sqlx::Result<Stats> {
    sqlx::query_as!(
        Stats,
        r#"
        select
            count(*) filter (where not suspended and coalesce(leased_until < now(), true) and coalesce(rush_at, due_at) <= now()) as "due!",
            count(*) filter (where status <> 0 or unreachable) as "failing!",
            count(*) filter (where flap_until > now()) as "flapping!",
            count(*) filter (where suspended) as "suspended!",
            count(*) as "checks!",
            count(*) filter (where leased_until >= now()) as "leased!",
            (select count(*) from dead_letters) as "dead_letters!",
            (select count(*) from channels where disabled_at is not null and retired_at is null) as "disabled_channels!"
        from check_state where not removed
        "#
    )
    .fetch_one(pool)
    .await
}

/// What the alerts of now demand and nobody has written down yet.
///
/// # Errors
/// If the database does not answer.
pub async fn count_owed(pool: &PgPool) -> sqlx::Result<i64> {
    sqlx::query_scalar!(r#"select count(*) as "owed!" from owed"#)
        .fetch_one(pool)
        .await
}
