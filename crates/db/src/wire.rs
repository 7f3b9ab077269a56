//! A check as the wire shows it: the one place where the glossary's words become the original's field names.

use chrono::{DateTime, Utc};
use stalker_domain::plugin_output::split_line;
use stalker_domain::status::Status;
use stalker_domain::wire;

use crate::checks::Check;

impl From<Check> for wire::Check {
    fn from(check: Check) -> Self {
        let unix = |time: Option<DateTime<Utc>>| time.map_or(0, |time| time.timestamp());
        let status = Status::shown(check.status, check.unreachable);
        let (out, perfdata) = split_line(&check.out);
        Self {
            id: check.check_id.to_string(),
            hostname: check.hostname,
            ip: check.ip,
            check: check.name,
            status: status.map(|status| !status.is_failing()),
            state: status.map(|status| status.name().to_owned()),
            out: out.to_owned(),
            perfdata: perfdata.to_owned(),
            last: unix(check.last_at),
            next: check.next_at.timestamp(),
            interval: check.interval_s.into(),
            follow_up: check.follow_up_s.into(),
            priority: check.priority.into(),
            pending: check.is_leased,
            suspended: check.is_suspended,
            in_maintenance: check.is_in_maintenance,
            flapping: check.is_flapping,
            owner: check.owner,
            fail_count: check.fails.into(),
            since: unix(check.since),
            latency_ms: f64::from(check.latency_us) / 1000.0,
            stale: check.is_stale,
        }
    }
}
