//! How checks and their states look on the wire: the only place where the glossary's words become the original's.

use chrono::{DateTime, Utc};
use stalker_db::checks;
use stalker_domain::status::Status;
use stalker_domain::wire::Check;

/// A check as the wire shows it.
pub(crate) fn check(check: checks::Check) -> Check {
    let status = status(check.status, check.unreachable);
    Check {
        id: check.check_id.to_string(),
        hostname: check.hostname,
        ip: check.ip,
        check: check.name,
        status: status.map(|status| !status.is_failing()),
        state: status.map(|status| status.name().to_owned()),
        out: check.out,
        last: unix(check.last_at),
        next: check.next_at.timestamp(),
        interval: i64::from(check.interval_s),
        follow_up: i64::from(check.follow_up_s),
        priority: i64::from(check.priority),
        pending: check.is_leased,
        suspended: check.is_suspended,
        in_maintenance: check.is_in_maintenance,
        flapping: check.is_flapping,
        owner: check.owner,
        fail_count: i64::from(check.fails),
        since: unix(check.since),
        latency_ms: f64::from(check.latency_us) / 1000.0,
        stale: check.is_stale,
    }
}

/// While its agent cannot be reached, a check is shown as unknown, whatever it was (semantics.md, decision 3).
pub(crate) fn status(code: Option<i16>, unreachable: bool) -> Option<Status> {
    if unreachable {
        return Some(Status::Unknown);
    }
    code.map(|code| Status::from_exit_code(i32::from(code)))
}

fn unix(at: Option<DateTime<Utc>>) -> i64 {
    at.map_or(0, |at| at.timestamp())
}
