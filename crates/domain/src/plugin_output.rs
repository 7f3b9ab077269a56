//! What a Nagios plugin printed, divided into words for people and numbers for graphs.
//!
//! The rules are the monitoring plugins' guidelines as their consumers read them: the first line is the summary, a
//! `|` begins performance data, and below the first line everything after the first such `|` is performance data.
//! Plugins also print `|` as an ordinary character, so one counts only if `label=` follows it on its line.

use std::borrow::Cow;

use crate::perfdata::{self, Sample};

/// What is shown for a run that printed nothing at all.
pub const NO_OUTPUT: &str = "(No output returned from plugin)";

/// Bytes of the first line that are kept with a check's state, which is rewritten at every run.
pub(crate) const FIRST_LINE_MAX: usize = 1024;

/// Bytes of the text that are kept in a row of history.
const HISTORY_MAX: usize = 8 * 1024;

/// A plugin's output, read.
#[derive(Debug, Clone, PartialEq)]
pub struct PluginOutput {
    /// The words of all lines without their performance data, trimmed; never empty, never with a NUL (which
    /// Postgres refuses).
    pub text: String,
    /// The performance data, in the order of printing. A label may occur twice.
    pub perfdata: Vec<Sample>,
    /// Items of performance data that could not be read, or that the cut went through.
    pub perfdata_errors: u32,
}

impl PluginOutput {
    /// The summary: the first line, at most 1 KiB.
    pub fn first_line(&self) -> &str {
        clip(self.text.lines().next().unwrap_or_default(), FIRST_LINE_MAX)
    }

    /// As much of the text as history keeps: at most 8 KiB.
    pub fn history_text(&self) -> &str {
        clip(&self.text, HISTORY_MAX)
    }
}

/// Reads what a plugin left on its two outputs. `truncated` says that the agent cut standard output.
///
/// Standard error is shown only if standard output has no words, and never holds performance data.
pub fn parse(stdout: &str, stderr: &str, truncated: bool) -> PluginOutput {
    let stdout = without_nul(stdout);
    let mut text = String::new();
    let mut data = String::new();
    let mut only_data = false;
    let mut ends_in_data = false;
    for (index, line) in stdout.trim().lines().enumerate() {
        let divided = if only_data {
            Some(("", line))
        } else {
            perfdata::divide(line)
        };
        ends_in_data = divided.is_some();
        let (words, items) = divided.unwrap_or((line, ""));
        if !only_data {
            text.extend([words.trim_end(), "\n"]);
        }
        data.extend([items, "\n"]);
        only_data |= index > 0 && ends_in_data;
    }

    // Behind white space the cut went through nothing. (Agents trim, so that this is rarely known: then the last
    // item is given up, for half a number looks like a number.)
    let cut_an_item = truncated && ends_in_data && !stdout.ends_with(char::is_whitespace);
    let perfdata = perfdata::parse(&data, cut_an_item);

    let stderr = without_nul(stderr);
    let shown = [text.trim(), stderr.trim()]
        .into_iter()
        .find(|words| !words.is_empty());
    PluginOutput {
        text: shown.unwrap_or(NO_OUTPUT).to_owned(),
        perfdata: perfdata.samples,
        perfdata_errors: perfdata.errors,
    }
}

/// A line of output, divided into its words and its performance data; the latter is empty if there is none.
#[must_use]
pub fn split_line(line: &str) -> (&str, &str) {
    let (words, items) = perfdata::divide(line).unwrap_or((line, ""));
    (words.trim_end(), items.trim())
}

/// As much of the beginning of `text` as fits into `max_bytes`, ending between characters.
pub fn clip(text: &str, max_bytes: usize) -> &str {
    &text[..text.floor_char_boundary(max_bytes)]
}

fn without_nul(text: &str) -> Cow<'_, str> {
    if text.contains('\0') {
        Cow::Owned(text.replace('\0', "\u{FFFD}"))
    } else {
        Cow::Borrowed(text)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Expects the text, and the labels with the number of unreadable items behind a `+`.
    fn check(stdout: &str, text: &str, labels: &str) {
        check_all(stdout, "", false, text, labels);
    }

    fn check_all(stdout: &str, stderr: &str, truncated: bool, text: &str, labels: &str) {
        let output = parse(stdout, stderr, truncated);
        let mut got: Vec<String> = output
            .perfdata
            .iter()
            .map(|sample| sample.label.clone())
            .collect();
        if output.perfdata_errors > 0 {
            got.push(format!("+{}", output.perfdata_errors));
        }
        assert_eq!(
            (output.text.as_str(), got.join(" ").as_str()),
            (text, labels),
            "of {stdout:?}"
        );
    }

    #[test]
    fn words_and_data_of_one_line() {
        check("OK - all well", "OK - all well", "");
        check("OK|a=1", "OK", "a");
        check("  OK - fine  | a=1 'b c'=2;3;4  \r\n", "OK - fine", "a b c");
        check("OK | a=1 bad b=2", "OK", "a b +1");
        check("OK | bad a=1", "OK", "a +1");
        check("OK | 'a|b'=1", "OK", "a|b");
    }

    #[test]
    fn a_bar_without_label_is_text() {
        check("matched a|b in the log", "matched a|b in the log", "");
        check("ps | grep x", "ps | grep x", "");
        check("OK |", "OK |", "");
        check("OK | =5", "OK | =5", "");
        check("OK | ''=5", "OK | ''=5", "");
        check("a=b, but no bar", "a=b, but no bar", "");
        check(
            "pattern 'a|b' matched 3 | matches=3",
            "pattern 'a|b' matched 3",
            "matches",
        );
        check("a|b|c=1", "a|b", "c");
        check("a |\nb=1", "a |\nb=1", "");
        check("it's 'x | y | z=1", "it's 'x | y", "z");
    }

    #[test]
    fn words_and_data_of_many_lines() {
        check(
            "OK\nmore\n  indented\n\nlast",
            "OK\nmore\n  indented\n\nlast",
            "",
        );
        check(
            "OK | a=1\nmore\nlast | b=2\nc=3\nd=4 e=5",
            "OK\nmore\nlast",
            "a b c d e",
        );
        check(
            "OK\nmore | no data\nlast | b=2",
            "OK\nmore | no data\nlast",
            "b",
        );
        check("OK | a=1\n| b=2", "OK", "a b");
        check(
            "OK\nx | a=1\nwords that come too late\nb=2",
            "OK\nx",
            "a b +1",
        );
        check("OK\r\nmore | a=1\r\nb=2\r\n", "OK\nmore", "a b");
    }

    #[test]
    fn nothing_printed() {
        check_all("", "", false, NO_OUTPUT, "");
        check_all(" \n ", "\t", false, NO_OUTPUT, "");
        check_all("", "no such file | a=1\n", false, "no such file | a=1", "");
        check_all("OK", "a warning", false, "OK", "");
        check_all("| a=1", "", false, NO_OUTPUT, "a");
        check_all("| a=1", "words", false, "words", "a");
    }

    #[test]
    fn nul_is_replaced() {
        check("O\0K | a\0=1", "O\u{FFFD}K", "a\u{FFFD}");
        check_all("", "\0", false, "\u{FFFD}", "");
    }

    #[test]
    fn the_item_that_the_cut_went_through() {
        check_all("OK | a=1 b=2", "", true, "OK", "a +1");
        check_all("OK | a=1 'b c", "", true, "OK", "a +1");
        check_all("OK | a=1 'b c'", "", true, "OK", "a +1");
        check_all("OK | a=1 b=2 ", "", true, "OK", "a b");
        check_all(
            "OK | a=1\ncut in the wor",
            "",
            true,
            "OK\ncut in the wor",
            "a",
        );
        check_all("OK\nx | a=1\nb=2\nc=3", "", true, "OK\nx", "a b +1");
    }

    #[test]
    fn sizes() {
        let long = format!("{}é\n{}", "x".repeat(1023), "y".repeat(9000));
        let output = parse(&long, "", false);
        assert_eq!(output.text.len(), long.len());
        assert_eq!(output.first_line(), "x".repeat(1023), "é has no room");
        assert_eq!(output.history_text().len(), 8192);
        for (max, expected) in [(0, ""), (1, ""), (2, "é"), (3, "é"), (6, "é€a"), (7, "é€a")]
        {
            assert_eq!(clip("é€a", max), expected);
        }
    }

    /// Time that grew with the square of a line would be a minute for some of these, and any host may print them.
    #[test]
    fn long_lines_take_no_longer_than_their_length() {
        for word in [
            "|a", "|'", "|'''", "| ' ", "'a ", "'' '", "x ", "a=1 ", "|a=1\n",
        ] {
            for start in ["OK ", "OK |b=1 "] {
                let line = format!("{start}{} | c=1", word.repeat(64 * 1024 / word.len()));
                let output = parse(&line, "", false);
                assert!(
                    output.text.starts_with("OK"),
                    "of {start} and many {word:?}"
                );
                assert!(!output.perfdata.is_empty(), "of {start} and many {word:?}");
            }
        }
    }

    /// Random words over the characters that mean something, from a generator (xorshift) with a fixed seed: the
    /// same words at every run.
    fn random_words(count: usize) -> impl Iterator<Item = String> {
        let alphabet: Vec<char> = "|||'''===;;::  \n%@~-+.,eUsKB0129\0\r\tµ€𝄞"
            .chars()
            .collect();
        let mut state = 0x2545_F491_4F6C_DD1D_u64;
        let mut next = move |below: usize| {
            state ^= state << 13;
            state ^= state >> 7;
            state ^= state << 17;
            usize::try_from(state % below as u64).expect("smaller than a usize")
        };
        (0..count).map(move |_| {
            (0..next(24))
                .map(|_| alphabet[next(alphabet.len())])
                .collect()
        })
    }

    #[test]
    fn nothing_panics_and_nothing_is_empty() {
        for word in random_words(50_000) {
            for truncated in [false, true] {
                let output = parse(&word, &word, truncated);
                assert!(
                    !output.text.is_empty() && !output.text.contains('\0'),
                    "of {word:?}"
                );
                assert!(
                    output
                        .perfdata
                        .iter()
                        .all(|sample| !sample.label.is_empty()),
                    "of {word:?}"
                );
                assert!(
                    output
                        .perfdata
                        .iter()
                        .all(|sample| sample.value.is_none_or(f64::is_finite)),
                    "of {word:?}"
                );
            }
            perfdata::range::Range::parse(&word);
        }
    }

    #[test]
    fn good_items_around_a_bad_one_survive() {
        for word in random_words(50_000) {
            let data = perfdata::parse(
                &format!("one=1.5 {word} two=2.5s;1;2 'th ree'=3.5\nfour=4.5"),
                false,
            );
            for (label, value) in [("one", 1.5), ("two", 2.5), ("th ree", 3.5), ("four", 4.5)] {
                // A random `x::y=` names the labels behind it, as it should.
                let survives =
                    |sample: &&Sample| sample.label.ends_with(label) && sample.value == Some(value);
                assert!(
                    data.samples.iter().any(|sample| survives(&sample)),
                    "{label} beside {word:?}: {data:?}"
                );
            }
        }
    }
}
