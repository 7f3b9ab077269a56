//! The help sheet, and the hints at the bottom.

use ratatui::text::{Line, Span};

use super::Look;
use super::text::{fit, pad, wrap};

/// At the bottom of the list; what is left out first comes last, but for the very last.
pub(super) const IN_LIST: [&str; 10] = [
    "Enter details",
    "/ filter",
    "o own",
    "c recheck",
    "p suspend",
    "m maintain",
    "n note",
    "s sort",
    "q quit",
    "? help",
];
pub(super) const IN_DETAILS: [&str; 8] = [
    "q back",
    "o own",
    "c recheck",
    "p suspend",
    "m maintain",
    "n note",
    "x remove",
    "? help",
];

/// Keys, and what they do; a line without a key is a heading.
const SHEET: &[(&str, &str)] = &[
    ("", "moving"),
    ("j k ↓ ↑", "one line down, up"),
    ("ctrl-d ctrl-u", "a screen down, up"),
    ("g G", "to the first, the last"),
    ("Enter", "details; of a flood: its alerts"),
    ("Space", "fold and unfold a flood"),
    ("/", "filter as you type; words that must all be there"),
    ("Esc", "show everything again"),
    ("s", "sort by time, host, state, cluster"),
    ("r", "refresh now"),
    ("q", "back; quit"),
    (
        "",
        "acting; a capital: on all of its host (O, D: on what fails)",
    ),
    ("o O", "own: you take care of it, nobody is told again"),
    ("d D", "disown"),
    ("c C", "check again now"),
    ("p P", "suspend: it does not run"),
    ("u U", "resume what is suspended"),
    ("m M", "maintenance: it runs, nobody is told"),
    ("n", "write a note about the host"),
    ("x X", "remove; asks first"),
    ("", "signs"),
    ("● CRIT", "failed often enough to alert (hard)"),
    ("○ crit", "failed, not often enough yet (soft)"),
    (
        "⊘ DOWN",
        "the host cannot be reached; one line for all its checks",
    ),
    ("▸ FLOD", "a flood: one line for many alerts"),
    (
        "@ p m f ~",
        "owned, suspended, maintenance, flapping, overdue",
    ),
];

pub(super) fn lines(width: u16, look: Look) -> Vec<Line<'static>> {
    let width = usize::from(width);
    let keys = 15.min(width / 2);
    let mut lines = Vec::new();
    for (key, text) in SHEET {
        if key.is_empty() {
            let rule = format!("── {text} {}", "─".repeat(width));
            let rule: String = rule.chars().take(width).collect();
            lines.push(Line::styled(rule, look.quiet()));
            continue;
        }
        for (n, text) in wrap(text, width.saturating_sub(keys))
            .into_iter()
            .enumerate()
        {
            let key = if n == 0 { key } else { "" };
            lines.push(Line::from(vec![
                Span::styled(pad(key, keys), look.title()),
                Span::raw(fit(&text, width)),
            ]));
        }
    }
    lines
}
