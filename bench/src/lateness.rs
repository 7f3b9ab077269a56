//! How late runs began: a count per millisecond, which can be added up over time and over processes.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

/// What is later than this is counted as this late, in ms.
const LATEST: u32 = 600_000;

/// How many runs began how many milliseconds late.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
#[serde(transparent)]
pub(crate) struct Lateness {
    runs_by_ms: BTreeMap<u32, u64>,
}

/// The figures that people read, in ms.
#[derive(Debug, Clone, Copy, Default, Serialize)]
pub(crate) struct Quantiles {
    pub(crate) p50: u32,
    pub(crate) p99: u32,
    pub(crate) max: u32,
}

impl Lateness {
    /// Counts one run. One that began early, since something asked for it, is not late.
    pub(crate) fn note(&mut self, ms: i64) {
        let ms = u32::try_from(ms.max(0)).unwrap_or(LATEST).min(LATEST);
        *self.runs_by_ms.entry(ms).or_default() += 1;
    }

    pub(crate) fn add(&mut self, other: &Self) {
        for (ms, runs) in &other.runs_by_ms {
            *self.runs_by_ms.entry(*ms).or_default() += runs;
        }
    }

    pub(crate) fn runs(&self) -> u64 {
        self.runs_by_ms.values().sum()
    }

    /// None if nothing ran: that is not the same as being on time.
    pub(crate) fn quantiles(&self) -> Option<Quantiles> {
        let max = *self.runs_by_ms.keys().next_back()?;
        Some(Quantiles {
            p50: self.quantile(0.50),
            p99: self.quantile(0.99),
            max,
        })
    }

    /// What 99 of 100 runs did not exceed, in ms: without end if nothing ran.
    pub(crate) fn p99(&self) -> f64 {
        self.quantiles().map_or(f64::INFINITY, |ms| ms.p99.into())
    }

    /// The latest run, in ms: without end if nothing ran.
    pub(crate) fn max(&self) -> f64 {
        self.quantiles().map_or(f64::INFINITY, |ms| ms.max.into())
    }

    /// The smallest lateness that this share of the runs did not exceed.
    fn quantile(&self, share: f64) -> u32 {
        let wanted = (self.runs() as f64 * share).ceil() as u64;
        let mut seen = 0;
        for (ms, runs) in &self.runs_by_ms {
            seen += runs;
            if seen >= wanted {
                return *ms;
            }
        }
        0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quantiles_are_of_runs() {
        let mut lateness = Lateness::default();
        (1..=100).for_each(|ms| lateness.note(ms));
        let mut late = Lateness::default();
        late.note(5000);
        late.note(-3);
        lateness.add(&late);
        let Quantiles { p50, p99, max } = lateness.quantiles().expect("something ran");
        assert_eq!((p50, p99, max, lateness.runs()), (50, 100, 5000, 102));
    }

    #[test]
    fn nothing_is_not_on_time() {
        let nothing = Lateness::default();
        assert!(nothing.quantiles().is_none() && nothing.p99() > 1e9 && nothing.max() > 1e9);
    }
}
