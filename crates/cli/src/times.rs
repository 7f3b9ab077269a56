//! Times, for people.

use chrono::{DateTime, TimeDelta, Utc};

/// `3 min`, `2 h 5 min`, `4 d 3 h`.
pub(crate) fn lasted(time: TimeDelta) -> String {
    let seconds = time.num_seconds().max(0);
    match (
        time.num_days(),
        time.num_hours() % 24,
        time.num_minutes() % 60,
    ) {
        (0, 0, 0) => format!("{seconds} s"),
        (0, 0, minutes) => format!("{minutes} min"),
        (0, hours, 0) => format!("{hours} h"),
        (0, hours, minutes) => format!("{hours} h {minutes} min"),
        (days, 0, _) => format!("{days} d"),
        (days, hours, _) => format!("{days} d {hours} h"),
    }
}

/// How long ago unix seconds are; empty for never.
pub(crate) fn ago(unix: Option<i64>) -> String {
    let time = unix
        .filter(|unix| *unix > 0)
        .and_then(|unix| DateTime::from_timestamp(unix, 0));
    time.map(|time| lasted(now() - time)).unwrap_or_default()
}

/// Unix seconds as `2026-11-30 03:00:00Z`; empty for never.
pub(crate) fn utc(unix: Option<i64>) -> String {
    let time = unix
        .filter(|unix| *unix > 0)
        .and_then(|unix| DateTime::from_timestamp(unix, 0));
    time.map(|time| time.format("%Y-%m-%d %H:%M:%SZ").to_string())
        .unwrap_or_default()
}

/// This machine's clock: it only turns times into words.
#[expect(
    clippy::disallowed_methods,
    reason = "nothing is scheduled or compared by it; it only turns times into words"
)]
fn now() -> DateTime<Utc> {
    std::time::SystemTime::now().into()
}
