//! What people set in place of what an agent declares of a check. It survives registrations, and can be taken back (0014).

use sqlx::PgConnection;

use crate::registrations;

/// Of a check: what is declared, what people set, or what holds. `None`: the server's setting, or not set.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Values {
    /// Seconds between runs while ok.
    pub interval_s: Option<i32>,
    /// Seconds between runs while failing.
    pub follow_up_s: Option<i32>,
    /// 0 never notifies, 1 most urgent, 2.
    pub priority: Option<i16>,
    /// Failing runs in a row until an alert opens.
    pub alert_threshold: Option<i32>,
    /// Flips until it flaps.
    pub flap_threshold: Option<i32>,
    /// Seconds within which those happen.
    pub flap_window_s: Option<i32>,
}

/// All of it, of one check.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Overridden {
    /// What its agent says.
    pub declared: Values,
    /// What people say.
    pub overrides: Values,
    /// What holds.
    pub effective: Values,
}

/// A check's overrides. Whoever has them so in a transaction is the only one who changes them; `None` if there is no such
/// check.
///
/// # Errors
/// If the database does not answer.
pub async fn find(conn: &mut PgConnection, check_id: i64) -> sqlx::Result<Option<Overridden>> {
    let found = sqlx::query!(
        "select declared_interval_s, declared_follow_up_s, declared_priority, declared_alert_threshold, declared_flap_threshold,
                declared_flap_window_s, override_interval_s, override_follow_up_s, override_priority, override_alert_threshold,
                override_flap_threshold, override_flap_window_s, interval_s, follow_up_s, priority, alert_threshold, flap_threshold, flap_window_s
         from checks where check_id = $1 and removed_at is null for no key update",
        check_id
    )
    .fetch_optional(conn)
    .await?;
    Ok(found.map(|check| Overridden {
        declared: Values {
            interval_s: Some(check.declared_interval_s),
            follow_up_s: Some(check.declared_follow_up_s),
            priority: Some(check.declared_priority),
            alert_threshold: check.declared_alert_threshold,
            flap_threshold: check.declared_flap_threshold,
            flap_window_s: check.declared_flap_window_s,
        },
        overrides: Values {
            interval_s: check.override_interval_s,
            follow_up_s: check.override_follow_up_s,
            priority: check.override_priority,
            alert_threshold: check.override_alert_threshold,
            flap_threshold: check.override_flap_threshold,
            flap_window_s: check.override_flap_window_s,
        },
        effective: Values {
            interval_s: Some(check.interval_s),
            follow_up_s: Some(check.follow_up_s),
            priority: Some(check.priority),
            alert_threshold: check.alert_threshold,
            flap_threshold: check.flap_threshold,
            flap_window_s: check.flap_window_s,
        },
    }))
}

/// Sets what people say of a check, whole: what is `None` is what its agent says again. A check whose interval changes
/// finds another place on the grid.
///
/// # Errors
/// If the database does not answer.
pub async fn set(conn: &mut PgConnection, check_id: i64, new: &Values) -> sqlx::Result<()> {
    let host_id = sqlx::query_scalar!(
        "update checks set override_interval_s = $2, override_follow_up_s = $3, override_priority = $4,
             override_alert_threshold = $5, override_flap_threshold = $6, override_flap_window_s = $7
         where check_id = $1 returning host_id",
        check_id,
        new.interval_s,
        new.follow_up_s,
        new.priority,
        new.alert_threshold,
        new.flap_threshold,
        new.flap_window_s,
    )
    .fetch_one(&mut *conn)
    .await?;
    registrations::plan_edited(conn, host_id).await
}
