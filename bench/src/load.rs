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
    /// A real `stalker-agent` that runs a script.
    Real,
}

/// What scripts print: always about 100 bytes, and different every time.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Answers {
    /// Performance data per run.
    pub(crate) values: u32,
    /// Per cent of the checks that fail nine times of ten, critical and warning by turns.
    pub(crate) failing: u32,
}

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
    /// Nothing fails, nothing is measured.
    pub(crate) const HEALTHY: Self = Self {
        values: 0,
        failing: 0,
    };

    /// The exit code and the output of the `turn`-th run of check number `check`.
    pub(crate) fn of(self, check: u64, turn: u64) -> (i32, String) {
        let is_failing = check % 100 < u64::from(self.failing);
        let (status, word) = match (is_failing, turn % 10) {
            (false, _) | (true, 0) => (0, "OK"),
            (true, odd) if odd % 2 == 1 => (2, "CRITICAL"),
            (true, _) => (1, "WARNING"),
        };
        let mut out = format!("{word} - check {check} in its turn {turn}");
        if self.values > 0 {
            out.push_str(" |");
        }
        for n in 0..u64::from(self.values) {
            let value = (turn * 7 + check + n) % 1000;
            let _ = write!(out, " value{n}={value}ms;800;900;0");
        }
        let rest = LENGTH.saturating_sub(out.len());
        if self.values == 0 {
            out.push_str(&REST[..rest.min(REST.len())]);
        }
        (status, out)
    }
}
