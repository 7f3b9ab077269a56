//! What clusters say, read so that both kinds are understood: ours, of any version, and the original's, whose shapes differ
//! in small things. What is as we say it is passed on as it came.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::ops::Range;

use bytes::Bytes;
use serde::Deserialize;
use serde_json::value::RawValue;
use serde_json::{Map, Value};
use stalker_domain::wire::Check;

use crate::cluster::Reply;

/// Characters of what another cluster says that people are shown.
const SHOWN: usize = 300;

/// A list of checks.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Checks {
    /// As JSON, without the brackets.
    entries: Bytes,
    /// Where each of them stands, with its id if that is a number, in their order.
    places: Vec<(Option<i64>, Range<usize>)>,
}

impl Checks {
    /// The list of this state in an answer of `/checks/state/{state}`.
    pub(crate) async fn read(body: Vec<u8>, state: &'static str) -> Result<Self, String> {
        // ten thousand checks are worth a thread of their own
        let reading = tokio::task::spawn_blocking(move || Self::find(&body, state));
        let read = reading.await.unwrap_or_else(|error| Err(error.to_string()));
        read.map_err(|why| shown(&format!("its list cannot be read: {why}")))
    }

    /// The list in an answer of `/checks/host/{host}`.
    ///
    /// # Errors
    /// If it has none.
    pub async fn of_host(reply: Reply) -> Result<Self, String> {
        Self::read(reply.body, "checks").await
    }

    fn find(body: &[u8], field: &str) -> Result<Self, String> {
        let mut answer: BTreeMap<String, &RawValue> =
            serde_json::from_slice(body).map_err(|error| error.to_string())?;
        let list = answer
            .remove(field)
            .ok_or_else(|| format!("it has no {field:?}"))?;
        let list: Vec<&RawValue> = serde_json::from_str(list.get())
            .map_err(|error| format!("{field:?} is no list: {error}"))?;
        let mut checks = Vec::with_capacity(list.len());
        for entry in list {
            checks.push(read_entry(entry)?);
        }
        // as lists of ours are, so that what comes after an id is found
        if checks.iter().all(|(id, _)| id.is_some()) {
            checks.sort_by_key(|(id, _)| *id);
        }
        let mut entries = Vec::with_capacity(body.len());
        let mut places = Vec::with_capacity(checks.len());
        for (id, check) in checks {
            if !entries.is_empty() {
                entries.push(b',');
            }
            let begin = entries.len();
            entries.extend_from_slice(check.as_bytes());
            places.push((id, begin..entries.len()));
        }
        Ok(Self {
            entries: entries.into(),
            places,
        })
    }

    /// A part of the list as JSON, without its brackets: at most `limit`, after the one with the id `after`, where ids are
    /// numbers.
    #[must_use]
    pub fn part(&self, limit: Option<u32>, after: Option<i64>) -> Bytes {
        let comes_after =
            |(id, _): &(Option<i64>, _)| after.is_none_or(|after| id.is_none_or(|id| id > after));
        let first = self.places.iter().position(comes_after);
        let places = first.map_or(&[][..], |first| &self.places[first..]);
        let wanted = limit.map_or(usize::MAX, |limit| limit as usize);
        let places = &places[..places.len().min(wanted)];
        match (places.first(), places.last()) {
            (Some((_, first)), Some((_, last))) => self.entries.slice(first.start..last.end),
            _ => Bytes::new(),
        }
    }
}

/// An entry as ours are, and its id if that is a number.
fn read_entry(entry: &RawValue) -> Result<(Option<i64>, Cow<'_, str>), String> {
    let (id, text) = match serde_json::from_str::<Check>(entry.get()) {
        Ok(check) => (check.id, Cow::Borrowed(entry.get())),
        Err(_) => {
            let check = translated(entry)?;
            let text = serde_json::to_string(&check).map_err(|error| error.to_string())?;
            (check.id, Cow::Owned(text))
        }
    };
    Ok((id.parse().ok(), text))
}

/// One check of an answer of `/checks/id/{id}`, as JSON.
///
/// # Errors
/// If there is none.
pub fn check(reply: &Reply) -> Result<String, String> {
    let read = || {
        let answer: BTreeMap<String, &RawValue> =
            serde_json::from_slice(&reply.body).map_err(|error| error.to_string())?;
        let check = answer.get("check").ok_or("it has no \"check\"")?;
        let (_, text) = read_entry(check)?;
        Ok(text.into_owned())
    };
    read().map_err(|why: String| shown(&why))
}

/// A check as ours are, of one that is not: what the original does not say is what says nothing.
fn translated(entry: &RawValue) -> Result<Check, String> {
    let check: Map<String, Value> = serde_json::from_str(entry.get())
        .map_err(|error| format!("it holds something that is no check: {error}"))?;
    let text = |name: &str| match check.get(name) {
        Some(Value::String(text)) => text.clone(),
        Some(Value::Number(number)) => number.to_string(),
        _ => String::new(),
    };
    let number = |name: &str| {
        let number = check.get(name);
        let float = || Some(number?.as_f64()? as i64);
        number.and_then(Value::as_i64).or_else(float).unwrap_or(0)
    };
    let is = |name: &str| check.get(name).and_then(Value::as_bool).unwrap_or(false);
    let status = check.get("status").and_then(Value::as_bool);
    let id = if check.contains_key("id") {
        "id"
    } else {
        "_id"
    };
    let known = ["ok", "warning", "critical", "unknown"];
    let said = text("state");
    Ok(Check {
        id: text(id),
        hostname: text("hostname"),
        ip: text("ip"),
        check: text("check"),
        status,
        // what fails does so in a way that is not said
        state: match status {
            _ if known.contains(&said.as_str()) => Some(said),
            Some(true) => Some("ok".to_owned()),
            _ => None,
        },
        out: text("out"),
        last: number("last"),
        next: number("next"),
        interval: number("interval"),
        follow_up: number("follow_up"),
        priority: number("priority").clamp(0, 2),
        pending: is("pending"),
        suspended: is("suspended"),
        in_maintenance: is("in_maintenance"),
        flapping: is("flapping"),
        owner: text("owner"),
        fail_count: number("fail_count").max(0),
        since: number("since"),
        perfdata: text("perfdata"),
        latency_ms: check
            .get("latency_ms")
            .and_then(Value::as_f64)
            .unwrap_or(0.0),
        stale: is("stale"),
    })
}

/// A cluster in numbers. The original counts six of them; what it cannot count is `None`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Numbers {
    /// What the cluster calls itself.
    pub of: String,
    numbers: BTreeMap<String, i64>,
}

impl Numbers {
    /// The numbers in an answer of `/stats`: those of `id`, or the only ones.
    pub(crate) fn read(body: &[u8], id: &str) -> Result<Self, String> {
        Self::find(body, id).map_err(|why| shown(&format!("its numbers cannot be read: {why}")))
    }

    fn find(body: &[u8], id: &str) -> Result<Self, String> {
        let answer: BTreeMap<String, BTreeMap<String, Value>> =
            serde_json::from_slice(body).map_err(|error| error.to_string())?;
        let of = match answer.keys().next() {
            _ if answer.contains_key(id) => id,
            Some(only) if answer.len() == 1 => only,
            _ => return Err(format!("it has no {id:?}")),
        };
        let whole = |value: &Value| value.as_i64().or_else(|| Some(value.as_f64()? as i64));
        let numbers = answer[of].iter();
        Ok(Self {
            of: of.to_owned(),
            numbers: numbers
                .filter_map(|(name, value)| Some((name.clone(), whole(value)?)))
                .collect(),
        })
    }

    /// One of them.
    #[must_use]
    pub fn get(&self, name: &str) -> Option<i64> {
        self.numbers.get(name).copied()
    }
}

/// The beginning of what another cluster says, in one line, for people.
pub(crate) fn shown(text: &str) -> String {
    let line = text.chars().filter(|c| !c.is_control());
    line.take(SHOWN).collect()
}

/// Whether it says that something was done: both kinds do.
#[must_use]
pub fn is_done(reply: &Reply) -> Option<bool> {
    #[derive(Deserialize)]
    struct Done {
        success: bool,
    }
    let done = serde_json::from_slice::<Done>(&reply.body).ok()?;
    Some(done.success)
}

/// Why a cluster refused, in its own words, if it has some.
#[must_use]
pub fn words(reply: &Reply) -> Option<String> {
    #[derive(Deserialize)]
    struct Problem {
        detail: String,
    }
    let problem = serde_json::from_slice::<Problem>(&reply.body).ok()?;
    Some(shown(&problem.detail))
}

/// Why a cluster refused: its words, if it has some, and the status.
#[must_use]
pub fn refusal(reply: &Reply) -> String {
    let status = format!("HTTP {}", reply.status.as_u16());
    match words(reply) {
        Some(words) => format!("{words} ({status})"),
        None => status,
    }
}
