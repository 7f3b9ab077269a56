//! What clusters say, read so that both kinds are understood: ours, of any version, and the original's, whose shapes differ
//! in small things. What is as we say it is passed on as it came.

use std::collections::BTreeMap;

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
}

impl Checks {
    /// The list of this state in an answer of `/checks/state/{state}`.
    pub(crate) fn read(body: &[u8], state: &str) -> Result<Self, String> {
        let mut answer: BTreeMap<String, &RawValue> =
            serde_json::from_slice(body).map_err(|error| error.to_string())?;
        let list = answer
            .remove(state)
            .ok_or_else(|| format!("it has no {state:?}"))?;
        let entries: Vec<&RawValue> = serde_json::from_str(list.get())
            .map_err(|error| format!("{state:?} is no list: {error}"))?;
        let is_ours = |entry: &&RawValue| serde_json::from_str::<Check>(entry.get()).is_ok();
        if entries.iter().all(is_ours) {
            let inner = list
                .get()
                .strip_prefix('[')
                .and_then(|list| list.strip_suffix(']'));
            return Ok(Self {
                entries: Bytes::copy_from_slice(inner.unwrap_or_default().as_bytes()),
            });
        }
        let translated = entries.iter().map(|entry| translated(entry));
        let translated = translated.collect::<Result<Vec<_>, _>>()?;
        Ok(Self {
            entries: translated.join(",").into(),
        })
    }

    /// The list in an answer of `/checks/host/{host}`.
    ///
    /// # Errors
    /// If it has none.
    pub fn of_host(reply: &Reply) -> Result<Self, String> {
        Self::read(&reply.body, "checks").map_err(|why| shown(&why))
    }

    /// A part of the list as JSON, without its brackets: at most `limit`, after the one with the id `after`, where ids are
    /// numbers.
    #[must_use]
    pub fn part(&self, limit: Option<u32>, after: Option<i64>) -> Bytes {
        if limit.is_none() && after.is_none() {
            return self.entries.clone();
        }
        let list = [&b"["[..], &self.entries, b"]"].concat();
        let entries: Vec<&RawValue> = serde_json::from_slice(&list).unwrap_or_default();
        let comes_after = |entry: &&RawValue| {
            let id = serde_json::from_str::<Identified>(entry.get()).ok();
            let id = id.and_then(|entry| entry.id.parse::<i64>().ok());
            after.is_none_or(|after| id.is_none_or(|id| id > after))
        };
        let limit = limit.map_or(usize::MAX, |limit| limit as usize);
        let part = entries.into_iter().filter(comes_after).take(limit);
        let part: Vec<&str> = part.map(RawValue::get).collect();
        part.join(",").into()
    }
}

#[derive(Deserialize)]
struct Identified {
    id: String,
}

/// One check of an answer of `/checks/id/{id}`, as JSON.
///
/// # Errors
/// If there is none.
pub fn check(reply: &Reply) -> Result<Box<RawValue>, String> {
    read_check(reply).map_err(|why| shown(&why))
}

fn read_check(reply: &Reply) -> Result<Box<RawValue>, String> {
    let answer: BTreeMap<String, &RawValue> =
        serde_json::from_slice(&reply.body).map_err(|error| error.to_string())?;
    let check = answer.get("check").ok_or("it has no \"check\"")?;
    RawValue::from_string(translated(check)?).map_err(|error| error.to_string())
}

/// A check as ours are, whoever's it is: what the original does not say is what says nothing.
fn translated(entry: &RawValue) -> Result<String, String> {
    if serde_json::from_str::<Check>(entry.get()).is_ok() {
        return Ok(entry.get().to_owned());
    }
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
    let check = Check {
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
    };
    serde_json::to_string(&check).map_err(|error| error.to_string())
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

/// Why a cluster refused, in its own words if it has some.
#[must_use]
pub fn refusal(reply: &Reply) -> String {
    #[derive(Deserialize)]
    struct Problem {
        detail: String,
    }
    let status = format!("HTTP {}", reply.status.as_u16());
    match serde_json::from_slice::<Problem>(&reply.body) {
        Ok(Problem { detail }) => format!("{} ({status})", shown(&detail)),
        Err(_) => status,
    }
}
