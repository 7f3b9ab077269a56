//! What servers answer, read leniently: other clusters may be of another version, or the original's, and a field that one
//! of them lacks must not hide its alerts.

use std::collections::BTreeMap;
use std::sync::Arc;

use serde_json::Value;

/// How the original's client, and everything since, knows a check whose agent does not answer.
const UNREACHABLE: &str = "<urlopen error [Errno";
/// The default of `alert_threshold`, where a cluster does not say which of its problems are hard.
const USUAL_THRESHOLD: i64 = 3;

/// How bad it is. The worst comes first.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum State {
    Critical,
    /// Failing; its cluster does not say how.
    Failing,
    Unknown,
    Warning,
}

impl State {
    pub(super) fn word(self) -> &'static str {
        match self {
            Self::Critical => "critical",
            Self::Failing => "failing",
            Self::Unknown => "unknown",
            Self::Warning => "warning",
        }
    }
}

/// A failing check.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Problem {
    pub(super) cluster: String,
    pub(super) id: String,
    pub(super) host: String,
    pub(super) check: String,
    pub(super) state: State,
    pub(super) is_unreachable: bool,
    pub(super) out: String,
    pub(super) owner: String,
    /// Unix seconds.
    pub(super) since: Option<i64>,
    pub(super) last: Option<i64>,
    pub(super) next: Option<i64>,
    pub(super) fails: Option<i64>,
    pub(super) is_suspended: bool,
    pub(super) is_maintained: bool,
    pub(super) is_flapping: bool,
    pub(super) is_stale: bool,
    /// In lower case, what a filter looks at.
    pub(super) haystack: String,
}

impl Problem {
    fn read(cluster: &str, check: &Value) -> Option<Self> {
        let text = |name: &str| check[name].as_str().unwrap_or_default().to_owned();
        let number = |name: &str| {
            let number = &check[name];
            number
                .as_i64()
                .or_else(|| number.as_f64().map(|n| n as i64))
        };
        let time = |name: &str| number(name).filter(|time| *time > 0);
        let is = |name: &str| check[name].as_bool().unwrap_or(false);
        let out = text("out");
        let mut problem = Self {
            cluster: cluster.to_owned(),
            id: id(&check["id"]).or_else(|| id(&check["_id"]))?,
            host: text("hostname"),
            check: text("check"),
            state: match check["state"].as_str() {
                Some("warning") => State::Warning,
                Some("critical") => State::Critical,
                Some("unknown") => State::Unknown,
                _ => State::Failing,
            },
            is_unreachable: out.starts_with(UNREACHABLE),
            out,
            owner: text("owner"),
            since: time("since"),
            last: time("last"),
            next: time("next"),
            fails: number("fail_count"),
            is_suspended: is("suspended"),
            is_maintained: is("in_maintenance"),
            is_flapping: is("flapping"),
            is_stale: is("stale"),
            haystack: String::new(),
        };
        problem.haystack = [
            cluster,
            &problem.host,
            &problem.check,
            problem.state.word(),
            &problem.owner,
            &problem.out,
        ]
        .join("\n")
        .to_lowercase();
        Some(problem)
    }

    /// Whether it has failed often enough, as far as that can be told without its alert.
    pub(super) fn seems_hard(&self) -> bool {
        self.fails.is_none_or(|fails| fails >= USUAL_THRESHOLD)
    }
}

/// An id is text; the original's are `_id`, and some servers' are numbers.
fn id(id: &Value) -> Option<String> {
    match id {
        Value::String(id) => Some(id.clone()),
        Value::Number(id) => Some(id.to_string()),
        _ => None,
    }
}

/// The checks of a list. What has no id cannot be told from others, and is left out.
pub(super) fn problems(cluster: &str, list: &Value) -> Vec<Arc<Problem>> {
    let list = list.as_array().map(Vec::as_slice).unwrap_or_default();
    list.iter()
        .filter_map(|check| Problem::read(cluster, check).map(Arc::new))
        .collect()
}

/// Open alerts, as far as they tell more than the checks.
#[derive(Debug, Clone, Default, PartialEq)]
pub(super) struct Alerts {
    /// By the check's id.
    pub(super) of_checks: BTreeMap<String, Alert>,
    /// By the host's name.
    pub(super) of_hosts: BTreeMap<String, Alert>,
    pub(super) floods: Vec<Flood>,
}

/// The alert of a check, or of a host that cannot be reached.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Alert {
    pub(super) id: String,
    pub(super) parent: Option<String>,
    /// Why it is not told.
    pub(super) suppression: Option<String>,
}

/// The alert that stands for many.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Flood {
    pub(super) id: String,
    /// Empty if it is of several hosts.
    pub(super) host: String,
    pub(super) opened: Option<i64>,
    /// Open alerts that it stands for.
    pub(super) members: usize,
}

/// Reads `/alerts?open=true`.
pub(super) fn alerts(answer: &Value) -> Alerts {
    let mut alerts = Alerts::default();
    let mut members: BTreeMap<String, usize> = BTreeMap::new();
    for entry in answer["alerts"]
        .as_array()
        .map(Vec::as_slice)
        .unwrap_or_default()
    {
        let Some(alert_id) = id(&entry["id"]) else {
            continue;
        };
        let host = entry["hostname"].as_str().unwrap_or_default().to_owned();
        let alert = Alert {
            id: alert_id,
            parent: id(&entry["parent"]),
            suppression: entry["suppression"].as_str().map(str::to_owned),
        };
        if let Some(parent) = &alert.parent {
            *members.entry(parent.clone()).or_default() += 1;
        }
        match (entry["kind"].as_str(), id(&entry["cid"])) {
            (Some("flood"), _) => alerts.floods.push(Flood {
                id: alert.id,
                host,
                opened: entry["opened"].as_i64(),
                members: 0,
            }),
            (Some("host"), _) => drop(alerts.of_hosts.insert(host, alert)),
            (_, Some(check)) => drop(alerts.of_checks.insert(check, alert)),
            _ => {}
        }
    }
    for flood in &mut alerts.floods {
        flood.members = members.get(&flood.id).copied().unwrap_or(0);
    }
    alerts
}

/// One entry of a check's history, a note, or an event of an alert's story: when, what, and the words.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Entry {
    pub(super) time: Option<i64>,
    pub(super) what: String,
    pub(super) text: String,
}

/// Reads `/state_log/…`, the newest first.
pub(super) fn history(answer: &Value) -> Vec<Entry> {
    entries(&answer["state_log"], true, |change| {
        let state = match (change["state"].as_str(), change["status"].as_bool()) {
            (Some(state), _) => state,
            (None, Some(true)) => "ok",
            _ => "failing",
        };
        let is_soft = state != "ok" && change["hard"].as_bool() == Some(false);
        let soft = if is_soft { " (soft)" } else { "" };
        (change["last"].as_i64(), format!("{state}{soft}"), "out")
    })
}

/// Reads `/notes/…`, the newest first.
pub(super) fn notes(answer: &Value) -> Vec<Entry> {
    entries(&answer["notes"], true, |note| {
        let author = note["user"].as_str().unwrap_or_default().to_owned();
        (note["ts"].as_i64(), author, "note")
    })
}

/// Reads `/alerts/{id}`, in the order of time: what it waits for comes last.
pub(super) fn story(answer: &Value) -> Vec<Entry> {
    entries(&answer["timeline"], false, |event| {
        let what = event["event"].as_str().unwrap_or_default();
        let what = match event["channel"].as_str() {
            Some(channel) => format!("{what} {channel}"),
            None => what.to_owned(),
        };
        (event["time"].as_i64(), what, "why")
    })
}

fn entries(
    list: &Value,
    is_reversed: bool,
    read: impl Fn(&Value) -> (Option<i64>, String, &'static str),
) -> Vec<Entry> {
    let list = list.as_array().map(Vec::as_slice).unwrap_or_default();
    let mut entries: Vec<Entry> = list
        .iter()
        .map(|value| {
            let (time, what, name) = read(value);
            let text = value[name].as_str().unwrap_or_default().to_owned();
            Entry { time, what, text }
        })
        .collect();
    if is_reversed {
        entries.reverse();
    }
    entries
}
