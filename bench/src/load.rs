//! What is put on the system: how many checks, how often, answered by whom and how.

use std::fmt::Write as _;

use serde::{Deserialize, Serialize};

/// The load of a scenario.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct Load {
    /// Checks, spread over hosts of [`CHECKS_PER_HOST`].
    pub(crate) checks: u32,
    /// Seconds between two runs of a check, ok or failing.
    pub(crate) interval_s: u32,
    /// Worker processes.
    pub(crate) workers: u32,
    /// Slots of each.
    pub(crate) slots: usize,
    /// Connections of each to the database.
    pub(crate) connections: u32,
    /// Who answers.
    pub(crate) agents: Agents,
    /// What is answered.
    pub(crate) answers: Answers,
}

/// Who answers the workers.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) enum Agents {
    /// A function in the worker's process: no network, no TLS.
    InProcess,
    /// One process that plays all agents: real HTTPS over kept connections.
    Simulated {
        /// Milliseconds from the request to the answer.
        after_ms: u32,
    },
    /// A real `stalker-agent` that was started apart.
    Elsewhere,
}

/// What scripts print: about 100 bytes, different every time.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Answers {
    /// Performance data per run.
    pub(crate) values: u32,
    /// Per cent of the checks that fail nine times of ten, critical and warning by turns.
    pub(crate) failing: u32,
    /// Checks that take turns in failing.
    pub(crate) trouble: Option<Trouble>,
    /// Of a thousand checks five are critical, ten warning and two unknown, and stay so.
    pub(crate) standing: bool,
}

/// Checks fail one after the other, each for [`TROUBLE_S`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Trouble {
    /// Milliseconds after which a further check begins to fail.
    pub(crate) every_ms: u64,
    /// Checks that take their turns: all of the load's, or some would begin together.
    pub(crate) checks: u64,
}

/// Seconds of failing, which three runs at 6 s make an alert.
const TROUBLE_S: u64 = 30;

pub(crate) const CHECKS_PER_HOST: u32 = 200;

impl Load {
    /// Runs per second that are due.
    pub(crate) fn offered(&self) -> f64 {
        f64::from(self.checks) / f64::from(self.interval_s)
    }
}

/// What outputs are filled up with.
const REST: &str = ", and has nothing else to say of itself, but that its words shall be as long as those of others are";
const LENGTH: usize = 100;

impl Answers {
    /// The exit code and the output of the `turn`-th run of check number `check`, which runs every `interval_s`.
    pub(crate) fn of(self, check: u64, turn: u64, interval_s: u64) -> (i32, String) {
        let fails_mostly = check % 100 < u64::from(self.failing);
        // each at another time: else all would recover at once, and all would fail at once
        let (status, word) = match (turn + check / 100) % 10 {
            _ if self.standing && check % 1000 < 5 => (2, "CRITICAL"),
            _ if self.standing && check % 1000 < 15 => (1, "WARNING"),
            _ if self.standing && check % 1000 < 17 => (3, "UNKNOWN"),
            _ if self.is_in_trouble(check, turn * interval_s) => (2, "CRITICAL"),
            0 => (0, "OK"),
            odd if fails_mostly && odd % 2 == 1 => (2, "CRITICAL"),
            _ if fails_mostly => (1, "WARNING"),
            _ => (0, "OK"),
        };
        let mut out = format!("{word} - check {check} in its turn {turn}");
        if self.values > 0 {
            out.push_str(" |");
        }
        for n in 0..u64::from(self.values) {
            let value = (turn * 7 + check + n) % 1000;
            let _ = write!(out, " value{n}={value}ms;800;900;0");
        }
        if self.values == 0 {
            let rest = LENGTH.saturating_sub(out.len());
            out.push_str(&REST[..rest.min(REST.len())]);
        }
        (status, out)
    }

    /// Whether some checks fail on purpose.
    pub(crate) fn can_fail(self) -> bool {
        self.failing > 0 || self.trouble.is_some() || self.standing
    }

    fn is_in_trouble(self, check: u64, at_s: u64) -> bool {
        self.trouble.is_some_and(|trouble| {
            let Trouble { every_ms, checks } = trouble;
            let begins_ms = check % checks * every_ms;
            let round_ms = checks * every_ms;
            (at_s * 1000 + round_ms - begins_ms) % round_ms < TROUBLE_S * 1000
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_answer_is_a_hundred_bytes_and_another() {
        let answers = Answers::default();
        let (status, out) = answers.of(17, 3, 6);
        assert_eq!((status, out.len()), (0, LENGTH));
        assert_ne!(answers.of(17, 4, 6).1, out);
    }

    #[test]
    fn a_fifth_fails_nine_times_of_ten() {
        let answers = Answers {
            failing: 20,
            ..Answers::default()
        };
        let failures = |check| {
            (0..10)
                .filter(|turn| answers.of(check, *turn, 6).0 != 0)
                .count()
        };
        assert_eq!((failures(119), failures(120)), (9, 0));
    }

    #[test]
    fn some_of_a_thousand_stay_in_each_state() {
        let answers = Answers {
            standing: true,
            ..Answers::default()
        };
        let of = |status| {
            let is_so = |check: &u64| (0..20).all(|turn| answers.of(*check, turn, 6).0 == status);
            (0..1000).filter(is_so).count()
        };
        assert_eq!([0, 1, 2, 3].map(of), [983, 10, 5, 2]);
    }

    #[test]
    fn one_after_the_other_is_in_trouble() {
        let answers = Answers {
            trouble: Some(Trouble {
                every_ms: 1000,
                checks: 5000,
            }),
            ..Answers::default()
        };
        let troubled = |at_s| {
            (0..5000)
                .filter(|check| answers.is_in_trouble(*check, at_s))
                .count()
        };
        assert_eq!((troubled(0), troubled(7001)), (30, 30));
        assert!(answers.is_in_trouble(40, 5040) && !answers.is_in_trouble(40, 5071));
    }
}
