//! What a result means: soft and hard, the beginning and the end of an alert, and when to look again.
//!
//! The rules are semantics.md, decisions 1 and 3. [`advance`] is the only place that applies them.

use crate::outcome::Verdict;
use crate::status::Status;

/// What is remembered of a check between two runs.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct State {
    /// Of the last answered run; none before the first.
    pub status: Option<Status>,
    /// The last outcome was that the agent could not be reached.
    pub unreachable: bool,
    /// Failing for at least the threshold: an alert of this check is open.
    pub hard: bool,
    /// Failing runs in a row.
    pub fails: u32,
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
}

/// What one outcome did to a check.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Step {
    /// The state to remember.
    pub next: State,
    /// Whether history gets a row.
    pub changed: bool,
    /// What it means for the check's alert.
    pub alert: Consequence,
    /// Seconds until the check is due out of turn; none leaves it on its grid.
    pub retry_in_s: Option<u32>,
}

/// What a step means for the alert of its check.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Consequence {
    /// Nothing to do.
    Nothing,
    /// The problem became hard: an alert opens.
    Opens,
    /// The alert stays open with another status.
    Changes,
    /// The check recovered: its alert closes.
    Closes,
}

/// Applies one outcome's verdict to what is remembered of a check.
#[must_use]
pub fn advance(previous: &State, verdict: Verdict, policy: &Policy) -> Step {
    match verdict {
        Verdict::Answered(status) => answered(previous, status, policy),
        Verdict::Unreachable => unreachable(previous, policy),
    }
}

fn answered(previous: &State, status: Status, policy: &Policy) -> Step {
    let fails = if status.is_failing() {
        previous.fails.saturating_add(1)
    } else {
        0
    };
    // A problem that is hard stays hard until recovery, also when the threshold is raised meanwhile.
    let hard = status.is_failing() && (previous.hard || fails >= policy.alert_threshold);
    let next = State {
        status: Some(status),
        unreachable: false,
        hard,
        fails,
    };
    Step {
        next,
        changed: previous.status != next.status || previous.unreachable || previous.hard != hard,
        alert: match (previous.hard, hard) {
            (false, true) => Consequence::Opens,
            (true, false) => Consequence::Closes,
            (true, true) if previous.status != next.status => Consequence::Changes,
            _ => Consequence::Nothing,
        },
        retry_in_s: (status.is_failing() && policy.follow_up_s != policy.interval_s)
            .then_some(policy.follow_up_s),
    }
}

/// Says nothing about the check, so nothing of it moves but the mark; and it is looked at in the rush lane, where
/// hosts that swallow packets cannot take more than half of the slots.
fn unreachable(previous: &State, policy: &Policy) -> Step {
    Step {
        next: State {
            unreachable: true,
            ..*previous
        },
        changed: !previous.unreachable,
        alert: Consequence::Nothing,
        retry_in_s: Some(policy.follow_up_s),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Runs a sequence of outcomes and tells, for each, what happened: `o w c u` the verdicts, `-` unreachable;
    /// the story shows fails, `!` while hard, `*` for a row of history, and the consequence.
    fn check(policy: Policy, outcomes: &str, story: &str) {
        let mut state = State::default();
        let mut told = Vec::new();
        for outcome in outcomes.split_whitespace() {
            let verdict = match outcome {
                "ok" => Verdict::Answered(Status::Ok),
                "warn" => Verdict::Answered(Status::Warning),
                "crit" => Verdict::Answered(Status::Critical),
                "unknown" => Verdict::Answered(Status::Unknown),
                "gone" => Verdict::Unreachable,
                other => panic!("no such outcome: {other}"),
            };
            let step = advance(&state, verdict, &policy);
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
            told.push(format!("{}{hard}{changed}{retry}{alert}", state.fails));
        }
        assert_eq!(told.join(" "), story, "after {outcomes}");
    }

    const POLICY: Policy = Policy {
        alert_threshold: 3,
        interval_s: 60,
        follow_up_s: 10,
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
        };
        let raised = Policy {
            alert_threshold: 10,
            ..POLICY
        };
        assert_eq!(
            advance(&hard, Verdict::Answered(Status::Critical), &raised).alert,
            Consequence::Nothing
        );
        assert!(
            advance(&hard, Verdict::Answered(Status::Critical), &raised)
                .next
                .hard
        );
    }
}
