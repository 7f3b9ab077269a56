//! What people need at three in the morning, put together once for all providers: what, where, since when, the output's
//! first line, how often, who takes care of it, a link, and why they are told late.

use chrono::{DateTime, SecondsFormat, TimeDelta, Utc};
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};
use serde::Serialize;
use stalker_db::notifications::ClaimedNotification;
use stalker_domain::status::Status;

/// After so long a message says why it comes late.
const LATE: TimeDelta = TimeDelta::seconds(60);
/// All but what RFC 3986 leaves alone.
const ESCAPED: AsciiSet = NON_ALPHANUMERIC
    .remove(b'-')
    .remove(b'.')
    .remove(b'_')
    .remove(b'~');

/// The values that templates may use. Times are RFC 3339 in UTC.
#[derive(Debug, Serialize)]
pub(crate) struct Facts {
    /// `trigger`, `repeat`, `resolve`, `acknowledge`.
    pub(crate) kind: String,
    /// All of it in one line: `check_disk on db1 is critical`.
    pub(crate) summary: String,
    /// What it is about: `check_disk on db1`.
    pub(crate) what: String,
    /// `warning`, `critical`, `unknown`, `flapping`, of a host or a cluster `unreachable`, of a flood `flood`; of a test `test`.
    pub(crate) state: &'static str,
    /// The alert is over.
    pub(crate) is_over: bool,
    /// Of a cluster its id.
    pub(crate) host: String,
    pub(crate) ip: String,
    /// Empty for a host or a cluster.
    pub(crate) check: String,
    /// 1 most urgent, 2.
    pub(crate) priority: i16,
    /// First line of the output.
    pub(crate) output: String,
    /// Failing runs in a row.
    pub(crate) fails: i32,
    pub(crate) since: String,
    /// When it ended.
    pub(crate) until: Option<String>,
    /// How long it has lasted: `12 min`.
    pub(crate) lasted: String,
    /// Who has taken responsibility; empty for nobody.
    pub(crate) owner: String,
    /// The page of the check, if the server knows where its pages are.
    pub(crate) url: Option<String>,
    /// Why it is told late, if it is.
    pub(crate) late: Option<String>,
    /// The receiver may have been told this already.
    pub(crate) is_possible_repeat: bool,
    /// Of a flood: how many it stands for.
    pub(crate) members: i64,
    /// Of a flood: the first of them.
    pub(crate) member_names: Vec<String>,
    /// The channel's name.
    pub(crate) channel: String,
}

impl Facts {
    pub(crate) fn of(about: &ClaimedNotification, public_url: Option<&str>) -> Self {
        Self {
            kind: about.kind.clone(),
            summary: summary(about),
            what: what(about),
            state: state(about),
            is_over: is_over(about),
            host: about.hostname.clone(),
            ip: about.ip.clone(),
            check: about.check_name.clone(),
            priority: about.priority,
            output: about.out.clone(),
            fails: about.fails,
            since: rfc3339(about.opened_at),
            until: about.closed_at.map(rfc3339),
            lasted: lasted(about.closed_at.unwrap_or(about.claimed_at) - about.opened_at),
            owner: about.owner.clone(),
            url: public_url.map(|base| page(base, about)),
            late: late(about),
            is_possible_repeat: about.is_possible_repeat,
            members: about.members,
            member_names: about.member_names.clone(),
            channel: about.channel.clone(),
        }
    }
}

/// `check_load on web1 is DOWN`, as the original said it. More is said where the original's words would not be true, or
/// would be the first that the receiver hears of it (semantics.md, decisions 2, 4, 8 and 9).
pub(crate) fn headline(about: &ClaimedNotification) -> String {
    let what = what(about);
    match about.alert_kind.as_str() {
        "test" => summary(about),
        _ if is_over(about) => ended(about, "is UP"),
        "flood" => grown(about, "UP", "DOWN"),
        _ if about.is_of_flapping => format!("{what} is FLAPPING"),
        _ => format!("{what} is DOWN"),
    }
}

fn summary(about: &ClaimedNotification) -> String {
    let what = what(about);
    let still = if about.kind == "repeat" { "still " } else { "" };
    match about.alert_kind.as_str() {
        "test" if is_over(about) => format!("the test of channel {} is over", about.channel),
        "test" => format!(
            "a test of channel {}, asked for by {}",
            about.channel, about.owner
        ),
        _ if about.kind == "acknowledge" => format!("{} takes care of {what}", about.owner),
        "host" | "cluster" if is_over(about) => ended(about, "can be reached again"),
        _ if is_over(about) => ended(about, "is ok again"),
        "flood" => grown(about, "ok", "down"),
        _ if about.is_of_flapping => format!("{what} is {still}flapping"),
        "host" | "cluster" => format!("{what} {still}cannot be reached"),
        _ => format!("{what} is {still}{}", state(about)),
    }
}

/// What the alert is of.
pub(crate) fn what(about: &ClaimedNotification) -> String {
    match (
        about.alert_kind.as_str(),
        about.hostname.as_str(),
        about.check_name.as_str(),
    ) {
        ("test", ..) => format!("channel {}", about.channel),
        ("flood", "", _) => "a flood of alerts".to_owned(),
        ("flood", host, _) => format!("a flood of alerts on {host}"),
        ("cluster", cluster, _) => format!("cluster {cluster}"),
        (_, host, "") => host.to_owned(),
        (_, host, check) => format!("{check} on {host}"),
    }
}

fn state(about: &ClaimedNotification) -> &'static str {
    match about.alert_kind.as_str() {
        "test" => "test",
        "flood" => "flood",
        _ if about.is_of_flapping => "flapping",
        "host" | "cluster" => "unreachable",
        _ => about
            .status
            .map_or("unknown", |code| Status::from_exit_code(code.into()).name()),
    }
}

pub(crate) fn is_over(about: &ClaimedNotification) -> bool {
    about.kind == "resolve"
}

/// How an alert ended; from when to when it lasted, if nobody there has heard of it.
fn ended(about: &ClaimedNotification, recovered: &str) -> String {
    let what = what(about);
    let is_now = match about.close_reason.as_deref() {
        Some("removed") => "was removed",
        Some("no check left") => "has no check left that could tell",
        Some("not configured") => "is not watched from here any more",
        Some("over") => "is over; what is still down is told by itself",
        _ => recovered,
    };
    match about.closed_at {
        Some(closed_at) if !about.is_known => {
            let (from, to) = (rfc3339(about.opened_at), rfc3339(closed_at));
            format!("{what} {is_now}; it was down from {from} to {to}")
        }
        _ => format!("{what} {is_now}"),
    }
}

fn grown(flood: &ClaimedNotification, up: &str, down: &str) -> String {
    let what = what(flood);
    match flood.members {
        0 => format!("{what}: all are {up} again"),
        1 => format!("{what}: 1 is {down}: {}", members(flood)),
        n => format!("{what}: {n} are {down}: {}", members(flood)),
    }
}

fn members(flood: &ClaimedNotification) -> String {
    let named = flood.member_names.len();
    let more = usize::try_from(flood.members)
        .unwrap_or(0)
        .saturating_sub(named);
    let names = flood.member_names.join(", ");
    if more > 0 {
        format!("{names} and {more} more")
    } else {
        names
    }
}

/// By how much, and why.
fn late(about: &ClaimedNotification) -> Option<String> {
    let happened = about.closed_at.filter(|_| is_over(about));
    let since = match about.kind.as_str() {
        // is told again because time has passed
        "repeat" | "acknowledge" => about.created_at,
        _ => happened.unwrap_or(about.opened_at),
    };
    let by = about.claimed_at - since;
    if by < LATE {
        return None;
    }
    let why = match (&about.last_failure, &about.held_for) {
        (Some(failure), _) if about.attempt > 1 => {
            format!(
                "attempt {}, the one before failed: {failure}",
                about.attempt
            )
        }
        (_, Some(reason)) if about.created_at - since >= LATE => format!("it was held: {reason}"),
        _ => "it waited for its turn".to_owned(),
    };
    Some(format!("{} late: {why}", lasted(by)))
}

/// The page of a check, of a host, or of the clusters.
fn page(base: &str, about: &ClaimedNotification) -> String {
    let base = base.trim_end_matches('/');
    let [host, check] = [&about.hostname, &about.check_name].map(|name| escaped(name));
    match (host.as_str(), check.as_str()) {
        _ if about.alert_kind == "cluster" => format!("{base}/#/clusters"),
        ("", _) => format!("{base}/#/alerts"),
        (host, "") => format!("{base}/#/hosts/{host}"),
        (host, check) => format!("{base}/#/hosts/{host}/checks/{check}"),
    }
}

/// As one part of a path.
pub(crate) fn escaped(name: &str) -> String {
    utf8_percent_encode(name, &ESCAPED).to_string()
}

/// `45 s`, `12 min`, `3 h 5 min`, `2 d 4 h`.
fn lasted(time: TimeDelta) -> String {
    let (days, hours) = (time.num_days(), time.num_hours() % 24);
    let (minutes, seconds) = (time.num_minutes() % 60, time.num_seconds().max(0));
    match (days, hours) {
        (0, 0) if seconds < 60 => format!("{seconds} s"),
        (0, 0) => format!("{minutes} min"),
        (0, hours) => format!("{hours} h {minutes} min"),
        (days, hours) => format!("{days} d {hours} h"),
    }
}

pub(crate) fn rfc3339(time: DateTime<Utc>) -> String {
    time.to_rfc3339_opts(SecondsFormat::Secs, true)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_time_is_said_in_two_parts_at_most() {
        for (seconds, said) in [
            (-3, "0 s"),
            (59, "59 s"),
            (61, "1 min"),
            (3 * 3600 + 5 * 60, "3 h 5 min"),
            (52 * 3600, "2 d 4 h"),
        ] {
            assert_eq!(lasted(TimeDelta::seconds(seconds)), said);
        }
    }
}
