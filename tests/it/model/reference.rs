//! The reference: what must be so after any sequence of events, written from semantics.md ("Decisions of ours" 1 to 9)
//! and from nothing else. No database, no clock, none of the code under test.
//!
//! It is exact but for what the rules leave open: which of several alerts opened first within one event decides who was
//! told before a flood began. That is read off what happened ([`Seen`]), and judged ([`floods`]); all else is foretold.

mod alerts;
mod floods;
mod told;

use std::collections::{BTreeMap, BTreeSet};

use super::rules::{BURST, BURST_WINDOW, Check, Host, Time, Verdict};
use alerts::{Alert, Maintenance};
pub(super) use alerts::{Happened, Kind, Seen};
pub(super) use told::{BACKUP, CHANNELS, CHAT, PAGER};
pub(super) use told::{Sent, World};

/// `web1/check_1`.
pub(super) type CheckName = String;

/// What came of one run.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Outcome {
    Answered(u8),
    Unreachable,
}

#[derive(Debug, Default)]
pub(super) struct Reference {
    pub(super) now: Time,
    /// When the present event began.
    pub(super) began: Time,
    pub(super) happened: Happened,
    checks: BTreeMap<CheckName, Check>,
    hosts: BTreeMap<String, Host>,
    lives: BTreeMap<String, u32>,
    /// In the order of their ids.
    alerts: Vec<Alert>,
    maintenances: Vec<Maintenance>,
}

impl Reference {
    pub(super) fn is_runnable(&self, check: &str) -> bool {
        self.checks.get(check).is_some_and(Check::is_enabled)
    }

    pub(super) fn is_registered(&self, check: &str) -> bool {
        self.checks.get(check).is_some_and(|check| !check.removed)
    }

    pub(super) fn is_suspended(&self, check: &str) -> bool {
        self.checks
            .get(check)
            .is_some_and(|check| check.suspended && !check.removed)
    }

    pub(super) fn is_failing(&self, check: &str) -> bool {
        self.checks
            .get(check)
            .is_some_and(|check| !check.removed && check.status.is_some_and(|status| status != 0))
    }

    /// No flood and no flapping: nothing that depends on which of two things at different times came first.
    pub(super) fn is_simple(&self) -> bool {
        !self
            .alerts
            .iter()
            .any(|alert| alert.is_open() && alert.kind == Kind::Flood)
            && !self
                .checks
                .values()
                .any(|check| check.flaps.is_on(self.now))
            && !self.hosts.values().any(|host| host.flaps.is_on(self.now))
            && !self.maintenances.iter().any(|m| m.until > self.now)
    }

    /// A check is registered: it is new, or returns as it was.
    pub(super) fn register(&mut self, check: &str, priority: u8) {
        let (hostname, _) = split(check);
        self.hosts.entry(hostname.to_owned()).or_default();
        self.lives.entry(hostname.to_owned()).or_default();
        let check = self
            .checks
            .entry(check.to_owned())
            .or_insert_with(|| Check::new(priority));
        check.removed = false;
        check.priority = priority;
    }

    pub(super) fn remove(&mut self, check: &str) {
        let Some(known) = self.checks.get_mut(check) else {
            return;
        };
        (known.removed, known.hard) = (true, false);
        self.happened.removed += usize::from(self.close_of_check(check));
    }

    pub(super) fn delete(&mut self, check: &str) {
        self.checks.remove(check);
        self.happened.removed += usize::from(self.close_of_check(check));
    }

    pub(super) fn delete_host(&mut self, hostname: &str) {
        let of_host: Vec<_> = self
            .checks
            .keys()
            .filter(|check| split(check).0 == hostname)
            .cloned()
            .collect();
        for check in of_host {
            self.delete(&check);
        }
        self.close_of_host(hostname);
        self.hosts.remove(hostname);
        *self.lives.entry(hostname.to_owned()).or_default() += 1;
    }

    pub(super) fn suspend(&mut self, check: &str, suspended: bool) {
        if let Some(check) = self.checks.get_mut(check).filter(|check| !check.removed) {
            check.suspended = suspended;
        }
    }

    pub(super) fn own(&mut self, check: &str) {
        if let Some(check) = self.checks.get_mut(check) {
            check.owned = true;
        }
    }

    pub(super) fn maintain(
        &mut self,
        hostname: &str,
        check: Option<&str>,
        from: Time,
        until: Time,
    ) {
        let (hostname, check) = (hostname.to_owned(), check.map(str::to_owned));
        self.maintenances.push(Maintenance {
            hostname,
            check,
            from,
            until,
        });
    }

    pub(super) fn end_maintenances(&mut self) {
        let now = self.now;
        self.maintenances.retain(|m| m.until <= now);
    }

    /// What these runs mean, of which no check has two.
    pub(super) fn record(&mut self, outcomes: &BTreeMap<CheckName, Outcome>) {
        let now = self.now;
        self.end_growth();
        let mut answered = BTreeSet::new();
        let mut unreachable: BTreeMap<String, u32> = BTreeMap::new();
        for (name, outcome) in outcomes {
            let hostname = split(name).0.to_owned();
            let Some(check) = self.checks.get_mut(name).filter(|check| check.is_enabled()) else {
                continue;
            };
            match outcome {
                Outcome::Unreachable => {
                    check.unreachable = true;
                    *unreachable.entry(hostname).or_default() += 1;
                }
                Outcome::Answered(status) => {
                    let was_flapping = check.flaps.is_on(now);
                    let verdict = check.answered(*status, now);
                    self.happened.flapping += usize::from(!was_flapping && check.flaps.is_on(now));
                    answered.insert(hostname);
                    self.follow_check(name, verdict);
                }
            }
        }
        for hostname in answered {
            let verdict = self
                .hosts
                .get_mut(&hostname)
                .map_or(Verdict::Nothing, |host| host.answered(now));
            if verdict == Verdict::Closes {
                self.close_of_host(&hostname);
            }
        }
        for (hostname, outcomes) in unreachable {
            let is_told = self.open_of_host(&hostname).is_some();
            let Some(host) = self.hosts.get_mut(&hostname) else {
                continue;
            };
            match host.unreachable(outcomes, now, is_told) {
                Verdict::Opens { of_flapping } => {
                    let of_host = self
                        .checks
                        .iter()
                        .filter(|(name, check)| split(name).0 == hostname && check.is_enabled());
                    let priority = of_host
                        .map(|(_, check)| check.priority)
                        .filter(|p| *p > 0)
                        .min()
                        .unwrap_or(0);
                    self.happened.hosts_down += 1;
                    self.open(Kind::Host, &hostname, "", priority, of_flapping);
                }
                Verdict::TellsOfFlapping => {
                    if let Some(alert) = self.open_of_host(&hostname) {
                        alert.of_flapping = true;
                    }
                }
                _ => {}
            }
        }
    }

    fn follow_check(&mut self, name: &str, verdict: Verdict) {
        match verdict {
            Verdict::Opens { of_flapping } => {
                let priority = self.checks[name].priority;
                let (hostname, check) = split(name);
                self.happened.flapping_told += usize::from(of_flapping);
                self.open(Kind::Check, hostname, check, priority, of_flapping);
            }
            Verdict::TellsOfFlapping => {
                if let Some(alert) = self.open_of_check(name) {
                    alert.of_flapping = true;
                }
                self.happened.flapping_told += 1;
            }
            Verdict::Closes => drop(self.close_of_check(name)),
            Verdict::Nothing => {}
        }
    }

    fn open(&mut self, kind: Kind, hostname: &str, check: &str, priority: u8, of_flapping: bool) {
        let mut alert = Alert {
            id: 0,
            kind,
            hostname: hostname.to_owned(),
            life: self.lives[hostname],
            check: check.to_owned(),
            priority,
            opened_at: self.now,
            closed_at: None,
            counted_at: None,
            of_flapping,
            parent: None,
            takes_in: false,
            telling: told::routed(hostname),
        };
        alert.counted_at = (!self.is_suppressed(&alert)).then_some(self.now);
        self.happened.alerts += 1;
        self.happened.in_maintenance += usize::from(self.is_in_maintenance(&alert));
        if alert.counted_at.is_some() {
            alert.parent = self.flood_for(&alert);
        }
        if let Some(flood) = alert.parent {
            self.grow(flood, &alert.clone());
        }
        self.alerts.push(alert);
    }

    /// What happens because time passed, or because something else did.
    pub(super) fn settle(&mut self) {
        let now = self.now;
        let idle = |reference: &Self, hostname: &str| {
            !reference
                .checks
                .iter()
                .any(|(name, check)| split(name).0 == hostname && check.is_enabled())
        };
        let hostnames: Vec<String> = self.hosts.keys().cloned().collect();
        for hostname in hostnames {
            if idle(self, &hostname) || self.hosts[&hostname].is_calm(now) {
                self.close_of_host(&hostname);
            }
        }
        let calm: Vec<_> = self
            .checks
            .iter()
            .filter(|(_, check)| check.is_calm(now))
            .map(|(name, _)| name.clone())
            .collect();
        for name in calm {
            if self.close_of_check(&name) {
                let check = self
                    .checks
                    .get_mut(&name)
                    .expect("it was found a moment ago");
                (check.hard, check.owned) = (false, false);
            }
        }
        self.settle_floods();
    }

    /// Whether nobody may be told of it now (decision 6).
    fn is_suppressed(&self, alert: &Alert) -> bool {
        if alert.priority == 0 || alert.parent.is_some() || self.is_in_maintenance(alert) {
            return true;
        }
        match alert.kind {
            Kind::Check => self.checks.get(&alert.full_name()).is_some_and(|check| {
                check.unreachable
                    || check.suspended
                    || (check.flaps.is_on(self.now) && !alert.of_flapping)
            }),
            Kind::Host => {
                !alert.of_flapping
                    && self
                        .hosts
                        .get(&alert.hostname)
                        .is_some_and(|host| host.flaps.is_on(self.now))
            }
            Kind::Flood => false,
        }
    }

    fn is_in_maintenance(&self, alert: &Alert) -> bool {
        self.maintenances.iter().any(|m| {
            m.from <= self.now
                && self.now < m.until
                && m.hostname == alert.hostname
                && m.check.as_ref().is_none_or(|check| *check == alert.check)
        })
    }

    /// Many alerts opened just now: triggers may wait.
    fn is_burst(&self) -> bool {
        let since = self.now - BURST_WINDOW;
        let lately = |alert: &&Alert| alert.kind != Kind::Flood && alert.is_counted_since(since);
        self.alerts.iter().filter(lately).count() > BURST
    }

    fn is_owned(&self, alert: &Alert) -> bool {
        alert.kind == Kind::Check
            && self
                .checks
                .get(&alert.full_name())
                .is_some_and(|check| check.owned)
    }

    fn open_of_check(&mut self, check: &str) -> Option<&mut Alert> {
        self.alerts.iter_mut().find(|alert| {
            alert.kind == Kind::Check && alert.is_open() && alert.full_name() == check
        })
    }

    fn open_of_host(&mut self, hostname: &str) -> Option<&mut Alert> {
        self.alerts
            .iter_mut()
            .find(|alert| alert.kind == Kind::Host && alert.is_open() && alert.hostname == hostname)
    }

    fn close_of_check(&mut self, check: &str) -> bool {
        let now = self.now;
        let alert = self.open_of_check(check);
        alert.map(|alert| alert.closed_at = Some(now)).is_some()
    }

    fn close_of_host(&mut self, hostname: &str) {
        let now = self.now;
        if let Some(alert) = self.open_of_host(hostname) {
            alert.closed_at = Some(now);
        }
    }
}

fn split(check: &str) -> (&str, &str) {
    check.split_once('/').expect("a check is called HOST/NAME")
}
