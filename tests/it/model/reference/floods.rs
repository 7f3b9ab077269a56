//! Floods (semantics.md, decision 4). Whom a new flood takes in depends on who was told before it began, so that is
//! read off what happened and judged; everything after that is foretold.

use std::collections::BTreeSet;

use super::super::rules::{FLOOD_THRESHOLD, FLOOD_WINDOW, HOST_THRESHOLD, HOST_WINDOW, Time};
use super::told::Telling;
use super::{Alert, Kind, Reference, Seen};

/// Whose flood: a host's, or all.
type Whose<'a> = Option<(&'a str, u32)>;

impl Alert {
    /// Of a flood: what made it one.
    fn measure(&self) -> (usize, Time) {
        if self.hostname.is_empty() {
            (FLOOD_THRESHOLD, FLOOD_WINDOW)
        } else {
            (HOST_THRESHOLD, HOST_WINDOW)
        }
    }

    fn whose(&self) -> Whose<'_> {
        (!self.hostname.is_empty()).then_some((&self.hostname, self.life))
    }

    /// A check's or host's alert is counted for its host, and these and the floods of hosts for the whole.
    fn counts_for(&self, whose: Whose<'_>) -> bool {
        match whose {
            Some(_) => self.kind != Kind::Flood && self.whose() == whose,
            None => self.kind != Kind::Flood || self.whose().is_some(),
        }
    }
}

impl Reference {
    /// Compares with the alerts that there are. `paged` are those of which anything was ever sent; unless `all_is_seen`
    /// there may be attempts that no receiver saw.
    pub(in super::super) fn reconcile(
        &mut self,
        seen: &[Seen],
        paged: &BTreeSet<i64>,
        all_is_seen: bool,
    ) -> Result<(), String> {
        let takes_in_before: Vec<i64> = self
            .alerts
            .iter()
            .filter(|alert| alert.takes_in)
            .map(|alert| alert.id)
            .collect();
        let floods = self.name(seen)?;
        self.settle();
        self.set_free(seen, paged);
        let news: Vec<i64> = floods.iter().map(|flood| flood.id).collect();
        self.alerts.extend(floods);
        self.alerts.sort_by_key(|alert| alert.id);
        for id in &news {
            self.fill(*id, seen, paged)?;
        }
        for id in &news {
            self.judge_new_flood(*id, paged, all_is_seen)?;
        }
        self.judge_missing_floods(&takes_in_before, &news)?;
        self.settle();
        self.compare(seen)
    }

    /// Whom a flood that opens now takes in is not asked: nobody who opens meanwhile has joined yet.
    pub(super) fn end_growth(&mut self) {
        for index in 0..self.alerts.len() {
            let flood = &self.alerts[index];
            if flood.takes_in
                && self
                    .counted(flood.whose(), Some(flood.id), flood.measure().1)
                    .len()
                    <= flood.measure().0 / 2
            {
                self.alerts[index].takes_in = false;
            }
        }
    }

    /// The flood that an alert which opens now joins: its host's, else the one overall.
    pub(super) fn flood_for(&self, alert: &Alert) -> Option<i64> {
        let of = |whose: Whose<'_>| {
            self.alerts
                .iter()
                .find(|flood| flood.takes_in && flood.whose() == whose)
                .map(|flood| flood.id)
        };
        of(alert.whose()).or_else(|| of(None))
    }

    /// As urgent as its most urgent member, and it concerns whom its members concern; and so for the flood of the flood.
    pub(super) fn grow(&mut self, flood: i64, member: &Alert) {
        self.happened.joined += 1;
        let mut next = Some(flood);
        while let Some(flood) =
            next.and_then(|id| self.alerts.iter_mut().find(|alert| alert.id == id))
        {
            flood.priority = flood.priority.min(member.priority);
            for (channel, telling) in &member.telling {
                flood
                    .telling
                    .entry(channel)
                    .or_insert_with(|| telling.untold());
            }
            next = flood.parent;
        }
    }

    /// What something suppressed since it opened, and nothing does now, counts from now on, and joins as if it had just
    /// opened. What closed meanwhile may have been free for a moment.
    fn set_free(&mut self, seen: &[Seen], paged: &BTreeSet<i64>) {
        self.end_growth();
        for index in 0..self.alerts.len() {
            let alert = &self.alerts[index];
            if alert.counted_at.is_some() || alert.kind == Kind::Flood {
                continue;
            }
            let was_free = || {
                seen.iter()
                    .any(|seen| seen.id == alert.id && seen.is_counted)
            };
            let is_free = match alert.closed_at {
                None => !self.is_suppressed(alert),
                Some(at) => at >= self.began && was_free(),
            };
            if !is_free {
                continue;
            }
            let flood = self.flood_for(alert).filter(|_| !paged.contains(&alert.id));
            let member = alert.clone();
            let alert = &mut self.alerts[index];
            (alert.counted_at, alert.parent) = (Some(self.now), flood);
            if let Some(flood) = flood {
                self.grow(flood, &member);
            }
        }
    }

    pub(super) fn settle_floods(&mut self) {
        loop {
            self.end_growth();
            let over = self.alerts.iter().find(|flood| {
                flood.kind == Kind::Flood
                    && flood.is_open()
                    && !flood.takes_in
                    && self.is_over(flood)
            });
            let Some((id, parent)) = over.map(|flood| (flood.id, flood.parent)) else {
                return;
            };
            for alert in &mut self.alerts {
                if alert.id == id {
                    alert.closed_at = Some(self.now);
                } else if alert.parent == Some(id) && alert.is_open() {
                    alert.parent = parent;
                    self.happened.handed_back += 1;
                }
            }
        }
    }

    fn is_over(&self, flood: &Alert) -> bool {
        let (threshold, window) = flood.measure();
        let members = || {
            self.alerts
                .iter()
                .filter(|alert| alert.parent == Some(flood.id))
        };
        let open = members().filter(|member| member.is_open()).count();
        let last = members().filter_map(|member| member.closed_at).max();
        open <= threshold / 2 && (open == 0 || last.is_none_or(|last| self.now - last >= window))
    }

    /// What counts: opened within the window, and nobody else's member.
    fn counted(&self, whose: Whose<'_>, flood: Option<i64>, window: Time) -> Vec<&Alert> {
        let counts = |alert: &&Alert| {
            alert.is_counted_since(self.now - window)
                && (alert.parent.is_none() || (flood.is_some() && alert.parent == flood))
                && alert.counts_for(whose)
        };
        self.alerts.iter().filter(counts).collect()
    }

    /// Gives every alert that opened its id, and takes up the floods that nobody could foretell. Gives those.
    fn name(&mut self, seen: &[Seen]) -> Result<Vec<Alert>, String> {
        let mut floods = Vec::new();
        for new in seen {
            if self.alerts.iter().any(|alert| alert.id == new.id) {
                continue;
            }
            if new.kind == Kind::Flood {
                floods.push(Alert {
                    id: new.id,
                    kind: Kind::Flood,
                    hostname: new.hostname.clone(),
                    life: self.lives.get(&new.hostname).copied().unwrap_or(0),
                    check: String::new(),
                    priority: 2,
                    opened_at: new.opened_at,
                    closed_at: None,
                    counted_at: (!new.hostname.is_empty()).then_some(new.opened_at),
                    of_flapping: false,
                    parent: None,
                    takes_in: true,
                    telling: Default::default(),
                });
                continue;
            }
            let opened = self.alerts.iter_mut().find(|alert| {
                alert.id == 0
                    && alert.kind == new.kind
                    && alert.hostname == new.hostname
                    && alert.check == new.check
            });
            opened
                .ok_or_else(|| format!("an alert opened that should not: {new:?}"))?
                .id = new.id;
        }
        if let Some(missing) = self.alerts.iter().find(|alert| alert.id == 0) {
            return Err(format!("an alert should have opened: {}", missing.shown()));
        }
        self.alerts.sort_by_key(|alert| alert.id);
        Ok(floods)
    }

    /// Its members, as they are seen.
    fn fill(&mut self, flood: i64, seen: &[Seen], paged: &BTreeSet<i64>) -> Result<(), String> {
        let members: Vec<i64> = seen
            .iter()
            .filter(|alert| alert.parent == Some(flood))
            .map(|alert| alert.id)
            .collect();
        let of = self.alert(flood)?.clone();
        for id in members {
            let member = self.alert(id)?;
            let may_join = member.is_counted_since(self.now - of.measure().1)
                && member.is_open()
                && member.parent.is_none()
                && member.counts_for(of.whose());
            if !may_join {
                return Err(format!(
                    "{} is no business of {}",
                    member.shown(),
                    of.shown()
                ));
            }
            if paged.contains(&id) {
                return Err(format!(
                    "{} was told before {}, and is its member",
                    member.shown(),
                    of.shown()
                ));
            }
            let member = member.clone();
            if let Some(member) = self.alerts.iter_mut().find(|alert| alert.id == id) {
                member.parent = Some(flood);
            }
            self.grow(flood, &member);
        }
        Ok(())
    }

    fn judge_new_flood(
        &mut self,
        id: i64,
        paged: &BTreeSet<i64>,
        all_is_seen: bool,
    ) -> Result<(), String> {
        let flood = self.alert(id)?.clone();
        let (threshold, window) = flood.measure();
        if flood.whose().is_some() {
            self.happened.host_floods += 1
        } else {
            self.happened.floods_overall += 1
        }
        let counted = self.counted(flood.whose(), Some(id), window);
        if counted.len() <= threshold {
            return Err(format!(
                "{} was made of {} alerts",
                flood.shown(),
                counted.len()
            ));
        }
        if !counted
            .iter()
            .any(|alert| alert.is_counted_since(self.began))
        {
            return Err(format!("{} began although nothing opened", flood.shown()));
        }
        let alone = counted
            .iter()
            .filter(|alert| alert.is_open() && alert.id != id && !self.is_suppressed(alert));
        // what a cut line refused was an attempt too, though the line is whole by now
        let was_tried = |alert: &Alert| alert.telling.values().any(Telling::is_tried);
        let (told, untold): (Vec<&Alert>, Vec<&Alert>) =
            alone.partition(|alert| paged.contains(&alert.id) || was_tried(alert));
        if all_is_seen && let Some(left) = untold.first() {
            return Err(format!(
                "{} has no page and is no member of {}",
                left.shown(),
                flood.shown()
            ));
        }
        // the next one made the flood
        let told_now = told
            .iter()
            .filter(|alert| alert.is_counted_since(self.began))
            .count();
        if told_now > threshold {
            return Err(format!(
                "{} came after {told_now} single pages",
                flood.shown()
            ));
        }
        Ok(())
    }

    /// Whatever opened alone just now would have made a flood if it were one too many.
    fn judge_missing_floods(&self, takes_in_before: &[i64], news: &[i64]) -> Result<(), String> {
        let alone = self
            .alerts
            .iter()
            .filter(|alert| alert.is_counted_since(self.began) && alert.parent.is_none());
        let mut whose: BTreeSet<Whose<'_>> = alone.clone().map(Alert::whose).collect();
        if alone.count() > 0 {
            whose.insert(None);
        }
        for whose in whose {
            let (threshold, window) = if whose.is_some() {
                (HOST_THRESHOLD, HOST_WINDOW)
            } else {
                (FLOOD_THRESHOLD, FLOOD_WINDOW)
            };
            let is_there = self.alerts.iter().any(|flood| {
                flood.kind == Kind::Flood
                    && flood.whose() == whose
                    && (takes_in_before.contains(&flood.id) || news.contains(&flood.id))
            });
            let alone = self.counted(whose, None, window);
            if !is_there && alone.len() > threshold {
                return Err(format!("{} alerts of {whose:?} and no flood", alone.len()));
            }
        }
        Ok(())
    }

    fn compare(&self, seen: &[Seen]) -> Result<(), String> {
        for alert in &self.alerts {
            let Some(seen) = seen.iter().find(|seen| seen.id == alert.id) else {
                return Err(format!("{} is gone", alert.shown()));
            };
            if seen.is_open != alert.is_open() {
                return Err(format!(
                    "{} should be {}",
                    alert.shown(),
                    if alert.is_open() { "open" } else { "closed" }
                ));
            }
            if seen.parent != alert.parent {
                return Err(format!(
                    "{} should be a member of {:?}, and is of {:?}",
                    alert.shown(),
                    alert.parent,
                    seen.parent
                ));
            }
        }
        Ok(())
    }

    pub(super) fn alert(&self, id: i64) -> Result<&Alert, String> {
        self.alerts
            .iter()
            .find(|alert| alert.id == id)
            .ok_or_else(|| format!("nobody knows an alert {id}"))
    }
}
