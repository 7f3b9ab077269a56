//! What a result means: soft and hard, the beginning and the end of an alert, and when to look again.
//!
//! The rules are semantics.md, decisions 1 to 3. [`advance`] is the only place that applies them.

use chrono::{DateTime, Utc};

use crate::flapping::{FlapPolicy, Flapping};
use crate::outcome::Verdict;
use crate::status::Status;

/// What is remembered of a check between two runs.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct State {
    /// Of the last answered run; none before the first.
    pub status: Option<Status>,
    /// The last outcome was that the agent could not be reached.
    pub unreachable: bool,
    /// It was failing for at least the threshold, or flapping for long, and that is not over: its alert is open.
    pub hard: bool,
    /// Failing runs in a row.
    pub fails: u32,
    /// Its flips between ok and failing.
    pub flapping: Flapping,
}

/// The settings that decide about one check.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Policy {
    /// Failing runs in a row that make a problem hard; at least 1.
    pub alert_threshold: u32,
    /// Seconds between runs while ok.
    pub interval_s: u32,
    /// Seconds between runs while failing.
    pub follow_up_s: u32,
    /// When flips are too many.
    pub flaps: FlapPolicy,
}

/// What one outcome did to a check.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Step {
    /// The state to remember.
    pub next: State,
    /// Whether history gets a row.
    pub changed: bool,
    /// The check went from ok to failing or back.
    pub flipped: bool,
    /// What it means for the check's alert.
    pub alert: Consequence,
    /// It flaps for so long that its alert tells of that.
    pub flaps_long: bool,
    /// Seconds until the check is due out of turn; none leaves it on its grid.
    pub retry_in_s: Option<u32>,
}

/// What a step means for the alert of its check.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Consequence {
    /// Nothing to do.
    Nothing,
    /// The problem became hard, or the check flaps for long: an alert opens.
    Opens,
    /// The alert stays open and has something new to say.
    Changes,
    /// The check recovered and does not flap: its alert closes.
    Closes,
}

/// Applies one outcome's verdict, of a run that ended at `now`, to what is remembered of a check.
#[must_use]
pub fn advance(previous: &State, verdict: Verdict, policy: &Policy, now: DateTime<Utc>) -> Step {
    match verdict {
        Verdict::Answered(status) => answered(previous, status, policy, now),
        Verdict::Unreachable => unreachable(previous, policy),
    }
}

fn answered(previous: &State, status: Status, policy: &Policy, now: DateTime<Utc>) -> Step {
    let is_failing = status.is_failing();
    let fails = if is_failing {
        previous.fails.saturating_add(1)
    } else {
        0
    };
    // The first result is nothing that it could have flipped from.
    let flipped = previous
        .status
        .is_some_and(|before| before.is_failing() != is_failing);
    let flapping = if flipped {
        previous.flapping.flip(now, &policy.flaps)
    } else {
        previous.flapping.clone()
    };
    let flaps_long = flipped && is_failing && flapping.is_long(now, &policy.flaps);
    // What is hard stays so until the check is ok and calm, also when a threshold is raised meanwhile.
    let hard = if is_failing {
        previous.hard || fails >= policy.alert_threshold || flaps_long
    } else {
        previous.hard && flapping.is_on(now)
    };
    let is_news = is_failing && (previous.status != Some(status) || flaps_long);
    Step {
        changed: previous.status != Some(status) || previous.unreachable || previous.hard != hard,
        flipped,
        alert: match (previous.hard, hard) {
            (false, true) => Consequence::Opens,
            (true, false) => Consequence::Closes,
            (true, true) if is_news => Consequence::Changes,
            _ => Consequence::Nothing,
        },
        flaps_long,
        retry_in_s: (is_failing && policy.follow_up_s != policy.interval_s)
            .then_some(policy.follow_up_s),
        next: State {
            status: Some(status),
            unreachable: false,
            hard,
            fails,
            flapping,
        },
    }
}

/// Says nothing about the check, so nothing of it moves but the mark; and it is looked at in the rush lane, where
/// hosts that swallow packets cannot take more than half of the slots.
fn unreachable(previous: &State, policy: &Policy) -> Step {
    Step {
        next: State {
            unreachable: true,
            ..previous.clone()
        },
        changed: !previous.unreachable,
        flipped: false,
        alert: Consequence::Nothing,
        flaps_long: false,
        retry_in_s: Some(policy.follow_up_s),
    }
}

#[cfg(test)]
mod tests {
    use chrono::TimeDelta;

    use super::*;

    /// Runs a sequence of outcomes, one each minute, and tells for each what happened: the story shows fails, `!` while hard, `*` for a row of history, and the consequence.
    fn check(policy: Policy, outcomes: &str, story: &str) {
        let mut state = State::default();
        let mut told = Vec::new();
        let mut now = DateTime::UNIX_EPOCH;
        for outcome in outcomes.split_whitespace() {
            let verdict = match outcome {
                "ok" => Verdict::Answered(Status::Ok),
                "warn" => Verdict::Answered(Status::Warning),
                "crit" => Verdict::Answered(Status::Critical),
                "unknown" => Verdict::Answered(Status::Unknown),
                "gone" => Verdict::Unreachable,
                other => panic!("no such outcome: {other}"),
            };
            now += TimeDelta::minutes(1);
            let step = advance(&state, verdict, &policy, now);
            state = step.next;
            let hard = if state.hard { "!" } else { "" };
            let changed = if step.changed { "*" } else { "" };
            let retry = step.retry_in_s.map(|s| format!("+{s}")).unwrap_or_default();
            let alert = match step.alert {
                Consequence::Nothing => "",
                Consequence::Opens => "opens",
                Consequence::Changes => "changes",
                Consequence::Closes => "closes",
            };
            let flapping = if state.flapping.is_on(now) { "~" } else { "" };
            let long = if step.flaps_long { "long" } else { "" };
            told.push(format!(
                "{}{hard}{changed}{flapping}{retry}{alert}{long}",
                state.fails
            ));
        }
        assert_eq!(told.join(" "), story, "after {outcomes}");
    }

    const POLICY: Policy = Policy {
        alert_threshold: 3,
        interval_s: 60,
        follow_up_s: 10,
        flaps: FlapPolicy {
            threshold: 5,
            window_s: 1200,
            notify_after_s: 1800,
        },
    };
    const SAME_PACE: Policy = Policy {
        follow_up_s: 60,
        ..POLICY
    };

    #[test]
    fn soft_then_hard_then_over() {
        check(POLICY, "ok ok", "0* 0");
        check(POLICY, "ok crit ok", "0* 1*+10 0*");
        check(
            POLICY,
            "ok crit crit crit crit ok",
            "0* 1*+10 2+10 3!*+10opens 4!+10 0*closes",
        );
        check(POLICY, "crit crit crit", "1*+10 2+10 3!*+10opens");
        check(
            Policy {
                alert_threshold: 1,
                ..POLICY
            },
            "ok warn ok",
            "0* 1!*+10opens 0*closes",
        );
    }

    #[test]
    fn any_failing_status_counts_and_one_alert_spans_them() {
        check(
            POLICY,
            "warn crit unknown warn ok",
            "1*+10 2*+10 3!*+10opens 4!*+10changes 0*closes",
        );
    }

    #[test]
    fn a_failing_check_whose_follow_up_is_its_interval_stays_on_its_grid() {
        check(
            SAME_PACE,
            "ok crit crit crit ok",
            "0* 1* 2 3!*opens 0*closes",
        );
    }

    #[test]
    fn unreachable_says_nothing_about_the_check() {
        check(POLICY, "ok gone gone ok", "0* 0*+10 0+10 0*");
        check(
            POLICY,
            "crit crit gone gone crit",
            "1*+10 2+10 2*+10 2+10 3!*+10opens",
        );
        check(
            POLICY,
            "crit crit crit gone crit ok",
            "1*+10 2+10 3!*+10opens 3!*+10 4!*+10 0*closes",
        );
        check(SAME_PACE, "gone", "0*+60");
    }

    #[test]
    fn a_raised_threshold_closes_nothing() {
        let hard = State {
            status: Some(Status::Critical),
            unreachable: false,
            hard: true,
            fails: 3,
            flapping: Flapping::default(),
        };
        let raised = Policy {
            alert_threshold: 10,
            ..POLICY
        };
        assert_eq!(
            advance(
                &hard,
                Verdict::Answered(Status::Critical),
                &raised,
                DateTime::UNIX_EPOCH
            )
            .alert,
            Consequence::Nothing
        );
        assert!(
            advance(
                &hard,
                Verdict::Answered(Status::Critical),
                &raised,
                DateTime::UNIX_EPOCH
            )
            .next
            .hard
        );
    }

    #[test]
    fn an_alert_outlives_recoveries_while_the_check_flaps() {
        let quick = Policy {
            alert_threshold: 2,
            ..SAME_PACE
        };
        // five flips make it flap; hard then, it stays so although it is ok, and is hard again at the first failure
        check(
            quick,
            "ok crit ok crit ok crit crit ok crit ok",
            "0* 1* 0* 1* 0* 1*~ 2!*~opens 0!*~ 1!*~changes 0!*~",
        );
        // before that it was hard and not flapping
        check(quick, "crit crit ok crit ok", "1* 2!*opens 0*closes 1* 0*");
    }

    #[test]
    fn an_alert_closes_with_the_first_ok_after_flapping() {
        let short = Policy {
            alert_threshold: 2,
            flaps: FlapPolicy {
                threshold: 3,
                window_s: 180,
                notify_after_s: 1800,
            },
            ..SAME_PACE
        };
        check(
            short,
            "ok crit ok crit crit ok ok ok ok",
            "0* 1* 0* 1*~ 2!*~opens 0!*~ 0*closes 0 0",
        );
    }

    #[test]
    fn what_flaps_for_long_is_told() {
        let story = (0..20).map(|_| "ok crit").collect::<Vec<_>>().join(" ");
        let mut state = State::default();
        let mut now = DateTime::UNIX_EPOCH;
        let mut opened = Vec::new();
        for (minute, outcome) in story.split(' ').enumerate() {
            now += TimeDelta::minutes(1);
            let status = if outcome == "ok" {
                Status::Ok
            } else {
                Status::Critical
            };
            let step = advance(&state, Verdict::Answered(status), &POLICY, now);
            if step.alert == Consequence::Opens {
                opened.push((minute, step.flaps_long));
            }
            state = step.next;
        }
        // it flaps since its fifth flip, at minute 5
        assert_eq!(opened, [(35, true)]);
        assert!(state.hard);
    }
}
