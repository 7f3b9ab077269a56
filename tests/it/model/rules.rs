//! The settings of every case, small, so that short stories have floods and flaps, and the rules of one check or host
//! (semantics.md, decisions 1 to 3).
//!
//! The clock of a case moves by multiples of 20 s, and no limit here is one: nothing ever lies on a limit.

use stalker_domain::thresholds::Thresholds;

/// Seconds since a case began.
pub(super) type Time = i64;

pub(super) const ALERT_THRESHOLD: u32 = 2;
pub(super) const HOST_DOWN_AFTER: Time = 30;
pub(super) const FLAP_THRESHOLD: usize = 4;
pub(super) const FLAP_WINDOW: Time = 610;
pub(super) const FLAP_NOTIFY_AFTER: Time = 910;
pub(super) const HOST_THRESHOLD: usize = 3;
pub(super) const HOST_WINDOW: Time = 70;
pub(super) const FLOOD_THRESHOLD: usize = 6;
pub(super) const FLOOD_WINDOW: Time = 130;
pub(super) const REPEAT: Time = 14_410;
/// More counted alerts than this in [`BURST_WINDOW`] make triggers wait for as long.
pub(super) const BURST: usize = 10;
pub(super) const BURST_WINDOW: Time = 10;

/// The same for the workers.
pub(super) fn thresholds() -> Thresholds {
    let seconds = |time: Time| u32::try_from(time).expect("a setting is small");
    let number = |n: usize| u32::try_from(n).expect("a setting is small");
    Thresholds {
        alert_threshold: ALERT_THRESHOLD,
        host_down_after_s: seconds(HOST_DOWN_AFTER),
        flap_threshold: number(FLAP_THRESHOLD),
        flap_window_s: seconds(FLAP_WINDOW),
        flap_notify_after_s: seconds(FLAP_NOTIFY_AFTER),
        host_threshold: number(HOST_THRESHOLD),
        host_window_s: seconds(HOST_WINDOW),
        flood_threshold: number(FLOOD_THRESHOLD),
        flood_window_s: seconds(FLOOD_WINDOW),
    }
}

/// What a rule says of an alert.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Verdict {
    Nothing,
    Opens {
        of_flapping: bool,
    },
    /// It is open, and tells of flapping from now on.
    TellsOfFlapping,
    Closes,
}

/// The flips of a check or a host.
#[derive(Debug, Clone, Default)]
pub(super) struct Flaps {
    /// The last [`FLAP_THRESHOLD`].
    flips: Vec<Time>,
    /// From when to when it flaps, or flapped.
    span: Option<(Time, Time)>,
}

impl Flaps {
    pub(super) fn is_on(&self, now: Time) -> bool {
        self.span.is_some_and(|(_, until)| now < until)
    }

    fn is_long(&self, now: Time) -> bool {
        self.is_on(now)
            && self
                .span
                .is_some_and(|(since, _)| now - since >= FLAP_NOTIFY_AFTER)
    }

    fn flip(&mut self, now: Time) {
        self.flips.push(now);
        self.flips
            .drain(..self.flips.len().saturating_sub(FLAP_THRESHOLD));
        let lately = self
            .flips
            .iter()
            .filter(|at| now - **at <= FLAP_WINDOW)
            .count();
        // it ends when no more than half as many are in the window
        let latest = |n: usize| self.flips[self.flips.len() - n];
        self.span = match self.span {
            Some((since, until)) if now < until => Some((
                since,
                until.max(latest(FLAP_THRESHOLD / 2 + 1) + FLAP_WINDOW),
            )),
            _ if lately >= FLAP_THRESHOLD => {
                Some((now, latest(FLAP_THRESHOLD / 2 + 1) + FLAP_WINDOW))
            }
            _ => None,
        };
    }
}

/// A check that exists, registered or marked as removed.
#[derive(Debug, Clone)]
pub(super) struct Check {
    pub(super) priority: u8,
    pub(super) suspended: bool,
    pub(super) removed: bool,
    pub(super) owned: bool,
    pub(super) unreachable: bool,
    pub(super) hard: bool,
    pub(super) flaps: Flaps,
    /// Exit code of the last answered run.
    pub(super) status: Option<u8>,
    fails: u32,
}

impl Check {
    pub(super) fn new(priority: u8) -> Self {
        Self {
            priority,
            suspended: false,
            removed: false,
            owned: false,
            unreachable: false,
            hard: false,
            flaps: Flaps::default(),
            status: None,
            fails: 0,
        }
    }

    pub(super) fn is_enabled(&self) -> bool {
        !self.removed && !self.suspended
    }

    pub(super) fn answered(&mut self, status: u8, now: Time) -> Verdict {
        let is_failing = status != 0;
        self.unreachable = false;
        self.fails = if is_failing { self.fails + 1 } else { 0 };
        let flipped = self
            .status
            .is_some_and(|before| (before != 0) != is_failing);
        self.status = Some(status);
        if flipped {
            self.flaps.flip(now);
        }
        let of_flapping = flipped && is_failing && self.flaps.is_long(now);
        let was_hard = self.hard;
        self.hard = if is_failing {
            was_hard || self.fails >= ALERT_THRESHOLD || of_flapping
        } else {
            was_hard && self.flaps.is_on(now)
        };
        self.owned &= is_failing || self.hard;
        match (was_hard, self.hard) {
            (false, true) => Verdict::Opens { of_flapping },
            (true, false) => Verdict::Closes,
            (true, true) if of_flapping => Verdict::TellsOfFlapping,
            _ => Verdict::Nothing,
        }
    }

    /// It recovered while it flapped, and flaps no more.
    pub(super) fn is_calm(&self, now: Time) -> bool {
        self.hard && self.status == Some(0) && !self.unreachable && !self.flaps.is_on(now)
    }
}

/// A host that exists.
#[derive(Debug, Clone, Default)]
pub(super) struct Host {
    pub(super) flaps: Flaps,
    pub(super) unreachable_since: Option<Time>,
    count: u32,
}

impl Host {
    /// So many of its checks could not be run; `is_told` if its alert is open.
    pub(super) fn unreachable(&mut self, outcomes: u32, now: Time, is_told: bool) -> Verdict {
        let flipped = self.unreachable_since.is_none();
        if flipped {
            self.flaps.flip(now);
            self.count = 0;
        }
        let since = *self.unreachable_since.get_or_insert(now);
        self.count += outcomes;
        let of_flapping = flipped && self.flaps.is_long(now);
        let is_down = self.count >= ALERT_THRESHOLD && now - since >= HOST_DOWN_AFTER;
        match (is_told, of_flapping || is_down) {
            (false, true) => Verdict::Opens { of_flapping },
            (true, _) if of_flapping => Verdict::TellsOfFlapping,
            _ => Verdict::Nothing,
        }
    }

    pub(super) fn answered(&mut self, now: Time) -> Verdict {
        if self.unreachable_since.take().is_none() {
            return Verdict::Nothing;
        }
        self.count = 0;
        self.flaps.flip(now);
        if self.flaps.is_on(now) {
            Verdict::Nothing
        } else {
            Verdict::Closes
        }
    }

    pub(super) fn is_calm(&self, now: Time) -> bool {
        self.unreachable_since.is_none() && !self.flaps.is_on(now)
    }
}
