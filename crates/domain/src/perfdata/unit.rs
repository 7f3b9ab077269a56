//! Units of measurement: what a plugin may print behind a number, brought to one base unit per quantity.

/// The base unit of a quantity, and the way to it from the unit that was printed.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Unit {
    symbol: &'static str,
    // Two factors, because 9 ms / 1000 is 0.009 s, and 9 ms × 0.001 is not.
    times: f64,
    over: f64,
}

/// Units that stand for themselves. `c` is a counter that only grows; C, F and K are temperatures.
const UNSCALED: [&str; 13] = [
    "%", "c", "A", "V", "W", "C", "F", "K", "dBm", "lm", "g", "l", "packets",
];

impl Unit {
    /// Reads a unit as plugins print it; an unknown one is no unit.
    pub(super) fn of(uom: &str) -> Self {
        let seconds = |times, over| Self {
            symbol: "s",
            times,
            over,
        };
        match uom {
            "ns" => seconds(1.0, 1e9),
            "us" | "µs" | "μs" => seconds(1.0, 1e6),
            "ms" => seconds(1.0, 1e3),
            "s" => seconds(1.0, 1.0),
            "m" => seconds(60.0, 1.0),
            "h" => seconds(3600.0, 1.0),
            "d" => seconds(86_400.0, 1.0),
            _ => Self::of_data(uom).unwrap_or_else(|| Self {
                symbol: UNSCALED
                    .into_iter()
                    .find(|symbol| *symbol == uom)
                    .unwrap_or(""),
                times: 1.0,
                over: 1.0,
            }),
        }
    }

    /// Bytes (`B`) and bits (`b`) with a prefix in either case: `KB` is 1000 bytes, `KiB` 1024.
    fn of_data(uom: &str) -> Option<Self> {
        let symbol = ["B", "b"]
            .into_iter()
            .find(|symbol| uom.ends_with(symbol))?;
        let prefix = uom.strip_suffix(symbol)?;
        let power = match prefix.strip_suffix('i').unwrap_or(prefix) {
            "" if prefix.is_empty() => 0,
            "K" | "k" => 1,
            "M" | "m" => 2,
            "G" | "g" => 3,
            "T" | "t" => 4,
            "P" | "p" => 5,
            "E" | "e" => 6,
            _ => return None,
        };
        let step: f64 = if prefix.ends_with('i') {
            1024.0
        } else {
            1000.0
        };
        Some(Self {
            symbol,
            times: step.powi(power),
            over: 1.0,
        })
    }

    /// `s`, `B`, `b`, `%`, `c`, … or empty: the unit of [`super::Sample::value`].
    pub fn symbol(&self) -> &'static str {
        self.symbol
    }

    /// Brings a number in the printed unit (such as a bound of a threshold) to the base unit.
    pub fn to_base(&self, value: f64) -> f64 {
        value * self.times / self.over
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(uom: &str, nine_in_base: f64, symbol: &str) {
        let unit = Unit::of(uom);
        assert_eq!(
            (unit.to_base(9.0), unit.symbol()),
            (nine_in_base, symbol),
            "of {uom:?}"
        );
    }

    #[test]
    fn units() {
        check("", 9.0, "");
        check("ns", 9e-9, "s");
        check("us", 9e-6, "s");
        check("µs", 9e-6, "s");
        check("ms", 0.009, "s");
        check("s", 9.0, "s");
        check("m", 540.0, "s");
        check("h", 32_400.0, "s");
        check("d", 777_600.0, "s");
        check("%", 9.0, "%");
        check("c", 9.0, "c");
        check("B", 9.0, "B");
        check("KB", 9000.0, "B");
        check("kB", 9000.0, "B");
        check("KiB", 9216.0, "B");
        check("MB", 9e6, "B");
        check("MiB", 9.0 * 1_048_576.0, "B");
        check("GB", 9e9, "B");
        check("TB", 9e12, "B");
        check("PB", 9e15, "B");
        check("b", 9.0, "b");
        check("Mb", 9e6, "b");
        check("C", 9.0, "C");
        check("dBm", 9.0, "dBm");
        check("packets", 9.0, "packets");
        check("parsecs", 9.0, "");
        check("iB", 9.0, "");
        check("S", 9.0, "");
    }
}
