//! One run's result: always there, whatever happened. Refused, timed out and malformed are outcomes with text.

use std::time::Duration;

use crate::plugin_output::PluginOutput;
use crate::status::Status;

/// What one run of a check brought.
#[derive(Debug, Clone, PartialEq)]
pub struct Outcome {
    /// What it says about the check, or that it says nothing about it.
    pub verdict: Verdict,
    /// The script's words and numbers, or why there are none.
    pub output: PluginOutput,
    /// Standard output as it arrived.
    pub out: String,
    /// Standard error as it arrived.
    pub err: String,
    /// From the call to the answer.
    pub latency: Duration,
}

/// What an outcome says about its check.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Verdict {
    /// The check was run and has this status.
    Answered(Status),
    /// The agent could not be reached: this says nothing about the check (semantics.md, decision 3).
    Unreachable,
}

impl Outcome {
    /// The outcome of a run that yielded no plugin output: `text` says why.
    #[must_use]
    pub fn without_output(verdict: Verdict, text: String, latency: Duration) -> Self {
        let output = PluginOutput {
            text: text.clone(),
            perfdata: Vec::new(),
            perfdata_errors: 0,
        };
        Self {
            verdict,
            output,
            out: text,
            err: String::new(),
            latency,
        }
    }
}
