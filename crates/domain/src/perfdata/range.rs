//! Threshold ranges, as plugins take them with `-w` and `-c` and print them in their performance data.

use super::number;

/// For which values a plugin alerts: `[@]start:end`, bounds in the unit of the value.
///
/// `10` is `0:10`, `10:` has no end, `~:10` no start. Alerts outside of the bounds, or within them after `@`.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Range {
    start: f64,
    end: f64,
    alerts_inside: bool,
}

impl Range {
    /// Reads a range; nothing if it is malformed or ends before it starts.
    pub fn parse(text: &str) -> Option<Self> {
        let bounds = text.strip_prefix('@');
        let alerts_inside = bounds.is_some();
        let (start, end) = match bounds.unwrap_or(text).split_once(':') {
            Some((start, end)) => (
                start,
                if end.is_empty() {
                    f64::INFINITY
                } else {
                    exact_number(end)?
                },
            ),
            None => ("", exact_number(bounds.unwrap_or(text))?),
        };
        let start = match start {
            "" => 0.0,
            "~" => f64::NEG_INFINITY,
            start => exact_number(start)?,
        };
        (start <= end).then_some(Self {
            start,
            end,
            alerts_inside,
        })
    }

    /// Whether the plugin alerts at this value. The bounds belong to the inside.
    pub fn alerts(&self, value: f64) -> bool {
        (self.start..=self.end).contains(&value) == self.alerts_inside
    }
}

fn exact_number(text: &str) -> Option<f64> {
    number(text).and_then(|(value, behind)| behind.is_empty().then_some(value))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Expects the values among -1, 0, 5, 10, 15, 20, 25 at which the range alerts.
    fn check(range: &str, alerting: &[i32]) {
        let parsed = Range::parse(range).unwrap_or_else(|| panic!("{range} is a range"));
        let mut values = vec![-1, 0, 5, 10, 15, 20, 25];
        values.retain(|value| parsed.alerts(f64::from(*value)));
        assert_eq!(values, alerting, "of {range}");
    }

    #[test]
    fn ranges() {
        check("10", &[-1, 15, 20, 25]);
        check("10:", &[-1, 0, 5]);
        check("~:10", &[15, 20, 25]);
        check("10:20", &[-1, 0, 5, 25]);
        check("@10:20", &[10, 15, 20]);
        check("@10", &[0, 5, 10]);
        check("@~:5", &[-1, 0, 5]);
        check("@20:", &[20, 25]);
        check(":10", &[-1, 15, 20, 25]);
        check("-1:1e1", &[15, 20, 25]);
        check("5:5", &[-1, 0, 10, 15, 20, 25]);
        check("~:", &[]);
    }

    #[test]
    fn no_ranges() {
        for text in [
            "", "@", "~", "20:10", "-5", "1:2:3", "a", "10%", "1,5", "10:~", "@@1:2", "nan:",
            "1e999",
        ] {
            assert_eq!(Range::parse(text), None, "of {text}");
        }
    }
}
