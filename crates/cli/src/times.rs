//! Times, for people.

use chrono::{DateTime, NaiveDateTime, TimeDelta, Utc};

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

/// How long: `90s`, `30m`, `2h`, `1d`, or several of them, as `1h30m`.
///
/// # Errors
/// If it is no such time.
pub(crate) fn lasting(text: &str) -> Result<TimeDelta, String> {
    let wrong = || "such as 90s, 30m, 2h, 1d or 1h30m".to_owned();
    let mut total = 0_i64;
    let mut rest = text;
    while !rest.is_empty() {
        let digits = rest.find(|c: char| !c.is_ascii_digit()).ok_or_else(wrong)?;
        let number: i64 = rest[..digits].parse().map_err(|_| wrong())?;
        let seconds = match rest[digits..].chars().next() {
            Some('s') => 1,
            Some('m') => 60,
            Some('h') => 3600,
            Some('d') => 86_400,
            _ => return Err(wrong()),
        };
        total = number
            .checked_mul(seconds)
            .and_then(|part| total.checked_add(part))
            .ok_or_else(wrong)?;
        rest = &rest[digits + 1..];
    }
    let most = 10 * 366 * 86_400;
    match total {
        1.. if total <= most => Ok(TimeDelta::seconds(total)),
        0 => Err(wrong()),
        _ => Err("at most ten years".to_owned()),
    }
}

/// When, as unix seconds: `2030-01-31T22:00:00Z`, `2030-01-31 22:00` (UTC, as times are shown).
///
/// # Errors
/// If it is no such time.
pub(crate) fn at(text: &str) -> Result<i64, String> {
    if let Ok(time) = DateTime::parse_from_rfc3339(text) {
        return Ok(time.timestamp());
    }
    let plain = text.trim_end_matches('Z');
    ["%Y-%m-%d %H:%M:%S", "%Y-%m-%d %H:%M"]
        .into_iter()
        .find_map(|form| NaiveDateTime::parse_from_str(plain, form).ok())
        .map(|time| time.and_utc().timestamp())
        .ok_or_else(|| {
            "such as 2030-01-31T22:00:00+01:00, or \"2030-01-31 22:00\" in UTC".to_owned()
        })
}

/// Unix seconds of a time from now on, or back.
pub(crate) fn from_now(time: TimeDelta) -> i64 {
    (now() + time).timestamp()
}

/// Both forms.
pub(crate) fn utc_and_ago(unix: Option<i64>) -> String {
    match (utc(unix), ago(unix)) {
        (utc, _) if utc.is_empty() => utc,
        (utc, ago) => format!("{utc}, {ago} ago"),
    }
}

/// This machine's clock: it only turns times into words.
#[expect(
    clippy::disallowed_methods,
    reason = "nothing is scheduled or compared by it; it only turns times into words"
)]
fn now() -> DateTime<Utc> {
    std::time::SystemTime::now().into()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_people_write_is_understood() {
        for (text, seconds) in [
            ("90s", 90),
            ("30m", 1800),
            ("2h", 7200),
            ("1d", 86_400),
            ("1h30m", 5400),
        ] {
            assert_eq!(lasting(text), Ok(TimeDelta::seconds(seconds)), "{text}");
        }
        for text in [
            "",
            "0s",
            "h",
            "2",
            "2w",
            "-1h",
            "99999999999999999999s",
            "11000d",
        ] {
            assert!(lasting(text).is_err(), "{text}");
        }
        for text in [
            "2030-01-31T22:00:00Z",
            "2030-01-31T23:00:00+01:00",
            "2030-01-31 22:00",
            "2030-01-31 22:00:00Z",
        ] {
            assert_eq!(at(text), Ok(1_896_127_200), "{text}");
        }
        assert!(at("tomorrow").is_err());
    }

    #[test]
    fn times_are_said_in_two_words() {
        let said = |seconds| lasted(TimeDelta::seconds(seconds));
        assert_eq!(said(-5), "0 s");
        assert_eq!(said(59), "59 s");
        assert_eq!(said(200), "3 min");
        assert_eq!(said(7500), "2 h 5 min");
        assert_eq!(said(356_400), "4 d 3 h");
    }
}
