//! One run's result: always there, whatever happened. Refused, timed out and malformed are outcomes with text.

use std::time::Duration;

use crate::plugin_output::{self, PluginOutput};
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

/// Seconds that a request to an agent may take beyond its script's timeout (decision 3).
pub const REQUEST_MARGIN_S: u32 = 5;
/// Seconds that a lease lasts beyond the script's timeout (decision 3).
pub const LEASE_MARGIN_S: u32 = 15;
/// The longest timeout of a script that a registration may ask for, in seconds.
pub const TIMEOUT_MAX_S: u32 = 3600;

impl Outcome {
    /// The outcome of a script that ran. NUL becomes U+FFFD, for Postgres refuses it and an original agent sends it.
    #[must_use]
    pub fn of_script(
        status: Status,
        out: &str,
        err: &str,
        truncated: bool,
        latency: Duration,
    ) -> Self {
        Self {
            verdict: Verdict::Answered(status),
            output: plugin_output::parse(out, err, truncated),
            out: without_nul(out),
            err: without_nul(err),
            latency,
        }
    }

    /// What the check's state keeps, at most 1 KiB: the first line with its performance data, or the words that stand
    /// for it.
    #[must_use]
    pub fn kept_line(&self) -> &str {
        let line = self.out.trim_start().lines().next().unwrap_or_default();
        let kept = plugin_output::clip(line, plugin_output::FIRST_LINE_MAX);
        let (words, items) = plugin_output::split_line(kept);
        if words.is_empty() || items.is_empty() {
            return self.output.first_line();
        }
        // half a number looks like a number: the item that the cut went through goes
        let is_cut = kept.len() < line.len();
        let whole = kept.rsplit_once(' ').filter(|_| is_cut);
        whole.map_or(kept, |(whole, _)| whole)
    }

    /// The outcome of a run that yielded no plugin output: `text` says why.
    #[must_use]
    pub fn without_output(verdict: Verdict, text: &str, latency: Duration) -> Self {
        let text = without_nul(text);
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

fn without_nul(text: &str) -> String {
    text.replace('\0', "\u{FFFD}")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(out: &str, kept: &str) {
        let outcome = Outcome::of_script(Status::Ok, out, "on stderr", false, Duration::ZERO);
        assert_eq!(outcome.kept_line(), kept, "of {out:?}");
    }

    #[test]
    fn a_state_keeps_the_first_line_and_its_numbers() {
        check("OK - fine", "OK - fine");
        check("OK | a=1;2 b=3\nmore | c=4", "OK | a=1;2 b=3");
        check("OK\nmore | c=4", "OK");
        check("a | b", "a | b");
        check("", "on stderr");
        check("| a=1", "on stderr");
        let many = format!("OK | {}", "abc=1234 ".repeat(200));
        let whole = format!("OK | {}", "abc=1234 ".repeat(113));
        check(&many, whole.trim_end());
        let wide = "ü".repeat(600);
        check(&format!("{wide} | a=1"), &"ü".repeat(512));
    }
}
