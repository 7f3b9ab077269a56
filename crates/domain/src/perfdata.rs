//! Performance data: the numbers that a Nagios plugin prints behind a `|`.
//!
//! Items are separated by white space: `'label'=value[UOM];[warn];[crit];[min];[max]`. A label with a space stands
//! in quotes, a quote within quotes is doubled, `U` is a value that the plugin could not find out. What hosts print
//! is often a little wrong, so an item that cannot be read loses only itself, and is counted.

pub mod range;
pub mod unit;

use unit::Unit;

/// Bytes of a label, and of what stands behind its `=`. Labels become keys of an index, which has a limit of its
/// own; an item that is longer than this is no measurement.
const PART_MAX: usize = 255;

/// One measurement.
#[derive(Debug, Clone, PartialEq)]
pub struct Sample {
    /// Its name, without quotes, with the prefix of `check_multi`; 1 to 255 bytes.
    pub label: String,
    /// The value in [`Unit::symbol`], finite; nothing if the plugin said `U`.
    pub value: Option<f64>,
    /// The base unit, and how to reach it from the unit that was printed.
    pub unit: Unit,
    /// The unit of measurement as printed, such as `ms`, `KiB` or one that we do not know; may be empty.
    pub raw_unit: String,
    /// When the plugin would warn: a [`range::Range`] in the printed unit, as it was printed, perhaps malformed.
    pub warn: Option<String>,
    /// When the plugin would be critical, like `warn`.
    pub crit: Option<String>,
    /// The smallest value possible, in the base unit.
    pub min: Option<f64>,
    /// The greatest value possible, in the base unit.
    pub max: Option<f64>,
}

/// What was read from performance data.
#[derive(Debug, Clone, PartialEq)]
pub struct Perfdata {
    /// The items that could be read, in their order. A label may occur twice.
    pub samples: Vec<Sample>,
    /// How many could not.
    pub errors: u32,
}

/// Reads performance data, one line or several. `cut` says that its end is missing: the last item, which may be
/// half of itself, then counts as one that could not be read.
pub fn parse(text: &str, cut: bool) -> Perfdata {
    let mut prefix = String::new();
    let mut items: Vec<Option<Sample>> = Vec::new();
    for line in text.lines() {
        let last_equals = line.rfind('=');
        let mut rest = line.trim_ascii_start();
        while !rest.is_empty() {
            let at = line.len() - rest.len();
            let left = if let Some((label, behind)) = split_label(rest) {
                let (fields, left) = behind.split_at(word_len(behind));
                items.push(sample(with_prefix(&mut prefix, label), fields));
                left
            } else {
                items.push(None);
                // Without a `=` ahead there is no further item: what is left is one error, however many its words.
                let bad = if last_equals.is_some_and(|last| at < last) {
                    word_len(rest)
                } else {
                    rest.len()
                };
                &rest[bad..]
            };
            rest = left.trim_ascii_start();
        }
    }
    if cut && let Some(last) = items.last_mut() {
        *last = None;
    }
    let errors = items.iter().filter(|item| item.is_none()).count();
    Perfdata {
        errors: u32::try_from(errors).unwrap_or(u32::MAX),
        samples: items.into_iter().flatten().collect(),
    }
}

/// Divides a line of output into words and performance data, at the last `|` before the first `label=` that has one
/// before it. Nothing if there is none: then each `|` of the line is text.
pub(crate) fn divide(line: &str) -> Option<(&str, &str)> {
    let mut bar = line.find('|')?;
    let mut rest = line[bar + 1..].trim_ascii_start();
    while !rest.is_empty() {
        // Within quotes a `|` is part of the label, elsewhere it is the better place to divide. One search for both
        // ends of a word: two would take the square of a line of bars.
        let end = rest.find(|c: char| c == '|' || c.is_ascii_whitespace());
        let word = &rest[..end.unwrap_or(rest.len())];
        if split_label(if rest.starts_with('\'') { rest } else { word }).is_some() {
            return Some((&line[..bar], &line[bar + 1..]));
        }
        rest = &rest[word.len()..];
        if let Some(behind) = rest.strip_prefix('|') {
            bar = line.len() - rest.len();
            rest = behind;
        }
        rest = rest.trim_ascii_start();
    }
    None
}

/// The label at the beginning of `text`, and what follows its `=`.
fn split_label(text: &str) -> Option<(String, &str)> {
    let (label, behind) = if let Some(quoted) = text.strip_prefix('\'') {
        let (label, behind) = quoted.split_at(closing_quote(quoted)?);
        (label.replace("''", "'"), &behind[1..])
    } else {
        let end = text.find(|c: char| c == '=' || c == '\'' || c.is_ascii_whitespace())?;
        (text[..end].to_owned(), &text[end..])
    };
    let behind = behind.strip_prefix('=')?;
    (!label.is_empty()).then_some((label, behind))
}

/// Where the first quote is that is not one of a pair.
fn closing_quote(text: &str) -> Option<usize> {
    let mut from = 0;
    loop {
        let at = from + text[from..].find('\'')?;
        if !text[at + 1..].starts_with('\'') {
            return Some(at);
        }
        from = at + 2;
    }
}

fn word_len(text: &str) -> usize {
    text.find(|c: char| c.is_ascii_whitespace())
        .unwrap_or(text.len())
}

/// `check_multi` names its plugin once: `'disk::check_disk::/'=1 /var=2` is about `disk::check_disk::/var`, too,
/// until another label has a prefix of its own. An item that cannot be read still names those behind it.
fn with_prefix(prefix: &mut String, label: String) -> String {
    if let Some((own, _)) = label.rsplit_once("::") {
        own.clone_into(prefix);
        label
    } else if prefix.is_empty() {
        label
    } else {
        format!("{prefix}::{label}")
    }
}

/// Reads what follows `label=`.
fn sample(label: String, fields: &str) -> Option<Sample> {
    // A comma is another locale's decimal point: 1,5 must become neither 1 nor 15.
    if label.len() > PART_MAX || fields.len() > PART_MAX || fields.contains(',') {
        return None;
    }
    let mut fields = fields.split(';');
    let (value, raw_unit) = match fields.next()? {
        "U" => (None, ""),
        measured => number(measured).map(|(value, unit)| (Some(value), unit))?,
    };
    if !raw_unit
        .chars()
        .all(|c| c.is_alphabetic() || "%°/_".contains(c))
    {
        return None;
    }
    let unit = Unit::of(raw_unit);
    let mut threshold = || {
        fields
            .next()
            .filter(|range| !range.is_empty())
            .map(str::to_owned)
    };
    let (warn, crit) = (threshold(), threshold());
    let (min, max) = (
        bound(fields.next(), raw_unit)?,
        bound(fields.next(), raw_unit)?,
    );
    let sample = Sample {
        label,
        value: value.map(|value| unit.to_base(value)),
        unit,
        raw_unit: raw_unit.to_owned(),
        warn,
        crit,
        min: min.map(|min| unit.to_base(min)),
        max: max.map(|max| unit.to_base(max)),
    };
    let is_finite = [sample.value, sample.min, sample.max]
        .into_iter()
        .flatten()
        .all(f64::is_finite);
    let is_whole = fields.all(str::is_empty);
    (is_finite && is_whole).then_some(sample)
}

/// A minimum or maximum: may be left out or unknown, may repeat the unit of the value (many plugins do).
fn bound(field: Option<&str>, unit: &str) -> Option<Option<f64>> {
    match field {
        None | Some("" | "U") => Some(None),
        Some(field) => {
            let (value, own) = number(field)?;
            (own.is_empty() || own == unit).then_some(Some(value))
        }
    }
}

/// The finite number at the beginning of `text`, and what follows it: `1.5e3ms` is 1500 and `ms`, `5EB` is 5 and
/// `EB`.
fn number(text: &str) -> Option<(f64, &str)> {
    let behind_mantissa = text
        .trim_start_matches(['+', '-'])
        .trim_start_matches(|c: char| c.is_ascii_digit() || c == '.');
    let behind = behind_exponent(behind_mantissa).unwrap_or(behind_mantissa);
    let value: f64 = text[..text.len() - behind.len()].parse().ok()?;
    value.is_finite().then_some((value, behind))
}

fn behind_exponent(text: &str) -> Option<&str> {
    let signed = text.strip_prefix(['e', 'E'])?;
    let digits = signed.strip_prefix(['+', '-']).unwrap_or(signed);
    let behind = digits.trim_start_matches(|c: char| c.is_ascii_digit());
    (behind.len() < digits.len()).then_some(behind)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Expects the samples as `label=value unit`, then what else there is, joined by ` | `.
    fn check(text: &str, samples: &str, errors: u32) {
        let perfdata = parse(text, false);
        let shown: Vec<String> = perfdata.samples.iter().map(show).collect();
        assert_eq!(
            (shown.join(" | ").as_str(), perfdata.errors),
            (samples, errors),
            "of {text:?}"
        );
    }

    fn show(sample: &Sample) -> String {
        let number = |number: f64| number.to_string();
        let mut shown = format!(
            "{}={}",
            sample.label,
            sample.value.map_or("U".to_owned(), number)
        );
        let rest = [
            (
                "",
                (!sample.unit.symbol().is_empty()).then(|| sample.unit.symbol().to_owned()),
            ),
            ("warn ", sample.warn.clone()),
            ("crit ", sample.crit.clone()),
            ("min ", sample.min.map(number)),
            ("max ", sample.max.map(number)),
        ];
        for (name, value) in rest {
            shown.extend(value.map(|value| format!(" {name}{value}")));
        }
        shown
    }

    #[test]
    fn items() {
        check("", "", 0);
        check("a=1", "a=1", 0);
        check("  a=1\tb=2\nc=3 ", "a=1 | b=2 | c=3", 0);
        check(
            "load1=0.5;1;2;0;8",
            "load1=0.5 warn 1 crit 2 min 0 max 8",
            0,
        );
        check("a=1;;;; b=2;", "a=1 | b=2", 0);
        check("a=1;2;3;0;9;", "a=1 warn 2 crit 3 min 0 max 9", 0);
        check(
            "/=2643MB;5948;5958;0;5968",
            "/=2643000000 B warn 5948 crit 5958 min 0 max 5968000000",
            0,
        );
        check(
            "a=5ms;@10:20;~:30;0ms;100ms",
            "a=0.005 s warn @10:20 crit ~:30 min 0 max 0.1",
            0,
        );
        check("a=1;words;%", "a=1 warn words crit %", 0);
        check("a=U b=U;1;2;U;U", "a=U | b=U warn 1 crit 2", 0);
    }

    #[test]
    fn labels() {
        check("'a b'=1 'it''s'=2 ''''=3", "a b=1 | it's=2 | '=3", 0);
        check(
            "'a=b'=1 'c|d'=2 C:\\=3 größe=4",
            "a=b=1 | c|d=2 | C:\\=3 | größe=4",
            0,
        );
        check("=1 ''=1 a=1", "a=1", 2);
        check("it's=1 a=1", "a=1", 1);
        check(
            &format!("{}=1 {}=2", "x".repeat(256), "y".repeat(255)),
            &format!("{}=2", "y".repeat(255)),
            1,
        );
    }

    #[test]
    fn numbers() {
        check(
            "a=-1.5 b=+2 c=.5 d=5. e=1e3 f=1.5E-3s",
            "a=-1.5 | b=2 | c=0.5 | d=5 | e=1000 | f=0.0015 s",
            0,
        );
        check("a=5EB b=2e", "a=5000000000000000000 B | b=2", 0);
        check("a=1,5 b=1;2,5 c=1", "c=1", 2);
        check(
            "a=nan b=inf c=-Infinity d=1e999 e=1e308KB f=1;;;;1e999",
            "",
            6,
        );
        check("a= b=. c=- d=--1 e=1.2.3 f=0x10 g=12:30 h=1-2 i=u", "", 9);
        check("a=1;2;3;x b=1MB;;;0;5KB c=1;2;3;4;5;6 d=1", "d=1", 3);
        check(&format!("a=1{} b=2", "x".repeat(255)), "b=2", 1);
    }

    #[test]
    fn a_bad_item_loses_only_itself() {
        check("a=1 bad b=2", "a=1 | b=2", 1);
        check("a=1 'open b=2 'c d'=3", "a=1 | b=2 | c d=3", 1);
        check("a=1 'no value' b=2", "a=1 | b=2", 2);
        check("a=1 these words are one error", "a=1", 1);
        check("'a 'b c'=1", "b c=1", 1);
        check("free space=1", "space=1", 1);
    }

    #[test]
    fn prefix_of_check_multi() {
        check(
            "'s::p::a'=1 b=2 'c d'=3",
            "s::p::a=1 | s::p::b=2 | s::p::c d=3",
            0,
        );
        check(
            "x=0 s::a=1 b=2 t::a=3\nb=4",
            "x=0 | s::a=1 | s::b=2 | t::a=3 | t::b=4",
            0,
        );
        check("s::a=bad b=2", "s::b=2", 1);
        check("::a=1 b=2", "::a=1 | b=2", 0);
    }

    #[test]
    fn the_cut_takes_the_last_item() {
        for (text, samples, errors) in [
            ("", 0, 0),
            ("a=1", 0, 1),
            ("a=1 b=2", 1, 1),
            ("a=1 'b c", 1, 1),
            ("a=1 'b c'", 1, 1),
            ("a=1 b=", 1, 1),
        ] {
            let perfdata = parse(text, true);
            assert_eq!(
                (perfdata.samples.len(), perfdata.errors),
                (samples, errors),
                "of {text:?}"
            );
        }
    }
}
