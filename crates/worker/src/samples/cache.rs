//! Which series a sample belongs to, as far as this worker knows.
//!
//! It holds hashes and no texts: 24 bytes for a series. Their keys are random and never leave the process, so that nobody
//! can print labels that collide.

use std::collections::HashMap;
use std::hash::{BuildHasher, RandomState};
use std::time::{Duration, Instant};

use stalker_db::series::Series;
use stalker_domain::perfdata;

/// Series of one check. What comes from hosts is data: a label with a counter in it would make a series at every run.
pub(super) const OF_A_CHECK: usize = 1000;
/// Series of all checks: 50 MB.
const SERIES_MAX: usize = 2_000_000;
/// Thresholds and bounds of a series are written at most this often: some plugins print other ones at every run.
const CHANGED_EVERY: Duration = Duration::from_secs(60);

/// What is known of the series of checks.
#[derive(Debug, Default)]
pub(super) struct Cache {
    checks: HashMap<i64, OfCheck>,
    n_series: usize,
    hashes: RandomState,
}

#[derive(Debug)]
struct OfCheck {
    asked: Instant,
    /// In the order of their labels' hashes.
    series: Box<[Known]>,
}

#[derive(Debug, Clone, Copy)]
struct Known {
    label: u64,
    /// Units, thresholds and bounds.
    details: u64,
    series_id: i64,
}

/// What is known of a sample's series.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Found {
    Known(i64),
    /// Not known, or to be written because its details have changed.
    Unknown,
    /// Its check has as many as it may have, and this is none of them.
    TooMany,
}

impl Cache {
    pub(super) fn find(&self, check_id: i64, sample: &perfdata::Sample) -> Found {
        let Some(of_check) = self.checks.get(&check_id) else {
            return Found::Unknown;
        };
        match of_check.get(self.hashes.hash_one(&sample.label)) {
            Some(known) if known.details == self.details(sample) => Found::Known(known.series_id),
            Some(known) if of_check.asked.elapsed() < CHANGED_EVERY => {
                Found::Known(known.series_id)
            }
            None if of_check.series.len() >= OF_A_CHECK => Found::TooMany,
            Some(_) | None => Found::Unknown,
        }
    }

    /// The series of a sample, whatever its details.
    pub(super) fn series_id(&self, check_id: i64, label: &str) -> Option<i64> {
        let known = self.checks.get(&check_id)?.get(self.hashes.hash_one(label));
        known.map(|known| known.series_id)
    }

    /// Whether the series is known with just these details.
    pub(super) fn is_up_to_date(&self, check_id: i64, sample: &perfdata::Sample) -> bool {
        let of_check = self.checks.get(&check_id);
        let known = of_check.and_then(|check| check.get(self.hashes.hash_one(&sample.label)));
        known.is_some_and(|known| known.details == self.details(sample))
    }

    /// How many series of a check are known.
    pub(super) fn count(&self, check_id: i64) -> usize {
        self.checks
            .get(&check_id)
            .map_or(0, |check| check.series.len())
    }

    /// Learns all series of these checks; who has none yet is known to have none.
    pub(super) fn learn(&mut self, check_ids: &[i64], series: &[Series]) {
        for check_id in check_ids {
            self.set(*check_id, Vec::new());
        }
        for series in series.chunk_by(|a, b| a.check_id == b.check_id) {
            let known = series.iter().take(OF_A_CHECK).map(|series| Known {
                label: self.hashes.hash_one(&series.label),
                details: self.details_of(series),
                series_id: series.series_id,
            });
            self.set(series[0].check_id, known.collect());
        }
    }

    /// Learns the ids of series that were made or changed.
    pub(super) fn add<'a>(
        &mut self,
        check_id: i64,
        put: impl Iterator<Item = (&'a perfdata::Sample, i64)>,
    ) {
        let mut known = self
            .checks
            .get(&check_id)
            .map_or(Vec::new(), |check| check.series.to_vec());
        for (sample, series_id) in put {
            known.retain(|known| known.series_id != series_id);
            known.push(Known {
                label: self.hashes.hash_one(&sample.label),
                details: self.details(sample),
                series_id,
            });
        }
        self.set(check_id, known);
    }

    /// Forgets one check in so many, at random: what is used is soon asked for again, a little at a time, and what is not
    /// used any more goes.
    pub(super) fn forget(&mut self, one_in: u32) {
        self.checks
            .retain(|_, _| rand::random_range(0..one_in) != 0);
        self.n_series = self.checks.values().map(|check| check.series.len()).sum();
    }

    fn set(&mut self, check_id: i64, mut series: Vec<Known>) {
        series.sort_unstable_by_key(|known| known.label);
        self.n_series += series.len();
        let of_check = OfCheck {
            asked: Instant::now(),
            series: series.into(),
        };
        if let Some(before) = self.checks.insert(check_id, of_check) {
            self.n_series -= before.series.len();
        }
        if self.n_series > SERIES_MAX {
            self.forget(8);
        }
    }

    fn details(&self, sample: &perfdata::Sample) -> u64 {
        let (warn, crit) = (sample.warn.as_deref(), sample.crit.as_deref());
        let unit = (sample.unit.symbol(), sample.raw_unit.as_str());
        self.hash_details(unit, [warn, crit], [sample.min, sample.max])
    }

    fn details_of(&self, series: &Series) -> u64 {
        let (warn, crit) = (series.warn.as_deref(), series.crit.as_deref());
        let unit = (series.unit.as_str(), series.raw_unit.as_str());
        self.hash_details(unit, [warn, crit], [series.min, series.max])
    }

    fn hash_details(
        &self,
        unit: (&str, &str),
        thresholds: [Option<&str>; 2],
        bounds: [Option<f64>; 2],
    ) -> u64 {
        let bounds = bounds.map(|bound| bound.map(f64::to_bits));
        self.hashes.hash_one((unit, thresholds, bounds))
    }
}

impl OfCheck {
    fn get(&self, label: u64) -> Option<&Known> {
        let at = self
            .series
            .binary_search_by_key(&label, |known| known.label);
        at.ok().map(|at| &self.series[at])
    }
}
