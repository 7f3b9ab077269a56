//! Alerts as the reference knows them, and as they are seen.

use std::collections::BTreeMap;

use super::super::rules::Time;
use super::CheckName;
use super::told::Telling;

#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(in super::super) enum Kind {
    Check,
    Host,
    Flood,
}

/// An alert as the database has it.
#[derive(Debug, Clone)]
pub(in super::super) struct Seen {
    pub(in super::super) id: i64,
    pub(in super::super) kind: Kind,
    pub(in super::super) hostname: String,
    pub(in super::super) check: String,
    pub(in super::super) parent: Option<i64>,
    pub(in super::super) is_open: bool,
    pub(in super::super) opened_at: Time,
    pub(in super::super) is_counted: bool,
}

/// An alert as it must be.
#[derive(Debug, Clone)]
pub(super) struct Alert {
    /// Its episode; 0 until it was seen.
    pub(super) id: i64,
    pub(super) kind: Kind,
    /// Empty for the flood overall.
    pub(super) hostname: String,
    /// Which host of this name: one that was deleted and returns is another.
    pub(super) life: u32,
    /// Empty for a host or a flood.
    pub(super) check: String,
    pub(super) priority: u8,
    pub(super) opened_at: Time,
    pub(super) closed_at: Option<Time>,
    /// Since when floods count it: since nothing suppresses it, for the first time.
    pub(super) counted_at: Option<Time>,
    pub(super) of_flapping: bool,
    pub(super) parent: Option<i64>,
    pub(super) takes_in: bool,
    pub(super) telling: BTreeMap<&'static str, Telling>,
}

impl Alert {
    /// It began to count within this window.
    pub(super) fn is_counted_since(&self, since: Time) -> bool {
        self.counted_at.is_some_and(|at| at >= since)
    }

    pub(super) fn is_open(&self) -> bool {
        self.closed_at.is_none()
    }
    pub(super) fn full_name(&self) -> CheckName {
        format!("{}/{}", self.hostname, self.check)
    }
    pub(super) fn shown(&self) -> String {
        format!(
            "{:?} {}/{} ({}, opened at {} s)",
            self.kind, self.hostname, self.check, self.id, self.opened_at
        )
    }
}

#[derive(Debug, Clone)]
pub(super) struct Maintenance {
    pub(super) hostname: String,
    pub(super) check: Option<String>,
    pub(super) from: Time,
    pub(super) until: Time,
}

/// How often things happened, to see that the stories are about something.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord)]
pub(in super::super) struct Happened {
    pub(in super::super) alerts: usize,
    pub(in super::super) host_floods: usize,
    pub(in super::super) floods_overall: usize,
    pub(in super::super) joined: usize,
    pub(in super::super) handed_back: usize,
    pub(in super::super) hosts_down: usize,
    pub(in super::super) flapping: usize,
    pub(in super::super) flapping_told: usize,
    pub(in super::super) in_maintenance: usize,
    pub(in super::super) removed: usize,
    pub(in super::super) triggers: usize,
    pub(in super::super) repeats: usize,
    pub(in super::super) resolves: usize,
    pub(in super::super) dead_letters: usize,
    pub(in super::super) to_fallback: usize,
}
