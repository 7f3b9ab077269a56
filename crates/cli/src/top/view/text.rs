//! Text that fits: cut, padded, wrapped, and with nothing in it that moves a cursor.

use ratatui::style::Style;
use ratatui::text::Span;

use crate::output::printable;
use crate::times;

/// Columns that a text takes.
pub(super) fn width(text: &str) -> usize {
    Span::raw(text).width()
}

/// What can be shown of it in so many columns.
pub(super) fn fit(text: &str, columns: usize) -> String {
    // no character is wider than it has bytes, so this much is enough of a long output
    let enough = text.char_indices().nth(columns * 2 + 2);
    let text = printable(&text[..enough.map_or(text.len(), |(end, _)| end)]);
    if text.len() <= columns || width(&text) <= columns {
        return text;
    }
    let mut fitting = String::new();
    let mut used = 0;
    for grapheme in Span::raw(text).styled_graphemes(Style::new()) {
        let wide = width(grapheme.symbol);
        if used + wide + 1 > columns {
            break;
        }
        fitting += grapheme.symbol;
        used += wide;
    }
    if columns > 0 {
        fitting.push('…');
    }
    fitting
}

/// The same, with blanks up to that width.
pub(super) fn pad(text: &str, columns: usize) -> String {
    let mut text = fit(text, columns);
    let missing = columns.saturating_sub(width(&text));
    text.extend(std::iter::repeat_n(' ', missing));
    text
}

/// The end of a line that is being typed.
pub(super) fn tail(text: &str, columns: usize) -> String {
    let text = printable(text);
    let mut start = 0;
    while width(&text[start..]) > columns {
        start += text[start..].chars().next().map_or(1, char::len_utf8);
    }
    text[start..].to_owned()
}

/// All of it, in lines of so many columns; its own line ends stay.
pub(super) fn wrap(text: &str, columns: usize) -> Vec<String> {
    let columns = columns.max(1);
    let mut lines = Vec::new();
    for line in text.trim_end().lines() {
        let line = printable(line.trim_end());
        let mut current = String::new();
        for word in line.split_inclusive(' ') {
            if !current.is_empty() && width(&current) + width(word.trim_end()) > columns {
                lines.push(std::mem::take(&mut current).trim_end().to_owned());
            }
            current += word;
            // a word that is longer than a line; one character is not cut, however wide it is
            while width(current.trim_end()) > columns && current.trim_end().chars().count() > 1 {
                let mut end = 0;
                for (at, c) in current.char_indices() {
                    let next = at + c.len_utf8();
                    if end > 0 && width(&current[..next]) > columns {
                        break;
                    }
                    end = next;
                }
                let rest = current.split_off(end);
                lines.push(std::mem::replace(&mut current, rest));
            }
        }
        lines.push(current.trim_end().to_owned());
    }
    lines
}

/// How long something lasts, in at most four columns: `45s`, `12m`, `27h`, `3d`.
pub(super) fn age(seconds: i64) -> String {
    match seconds.max(0) {
        s @ ..60 => format!("{s}s"),
        s @ ..3_600 => format!("{}m", s / 60),
        s @ ..172_800 => format!("{}h", s / 3_600),
        s => format!("{}d", s / 86_400),
    }
}

/// `07:40:11Z` of unix seconds.
pub(super) fn clock(unix: i64) -> String {
    let full = times::utc(Some(unix));
    full.get(11..).unwrap_or_default().to_owned()
}

/// `11-30 07:40:11` of unix seconds; empty for never.
pub(super) fn day_and_clock(unix: Option<i64>) -> String {
    let full = times::utc(unix);
    full.get(5..19).unwrap_or_default().to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn text_fits() {
        for (text, columns, expected) in [
            ("check_load", 10, "check_load"),
            ("check_load", 9, "check_lo…"),
            ("check_load", 1, "…"),
            ("check_load", 0, ""),
            ("", 0, ""),
            ("負荷チェック", 12, "負荷チェック"),
            ("負荷チェック", 11, "負荷チェッ…"),
            ("負荷チェック", 10, "負荷チェ…"),
            ("a\u{1b}[2Jb\n", 20, "a\u{fffd}[2Jb "),
        ] {
            assert_eq!(fit(text, columns), expected, "{text:?} in {columns}");
            assert_eq!(width(&pad(text, columns)), columns, "{text:?} in {columns}");
        }
        assert_eq!(tail("disk ordered", 7), "ordered");
    }

    #[test]
    fn text_is_wrapped() {
        for (text, columns, expected) in [
            ("", 5, vec![]),
            ("one two", 7, vec!["one two"]),
            ("one two", 6, vec!["one", "two"]),
            ("one\ntwo\n\nthree\n", 9, vec!["one", "two", "", "three"]),
            ("abcdefgh ij", 3, vec!["abc", "def", "gh", "ij"]),
            ("x abcdefgh", 4, vec!["x", "abcd", "efgh"]),
            ("負荷", 1, vec!["負", "荷"]),
        ] {
            assert_eq!(wrap(text, columns), expected, "{text:?} in {columns}");
        }
    }

    #[test]
    fn ages_are_short() {
        let ages = [-5, 0, 59, 60, 3_599, 3_600, 172_799, 172_800, 86_400 * 400].map(age);
        assert_eq!(ages.join(" "), "0s 0s 59s 1m 59m 1h 47h 2d 400d");
    }
}
