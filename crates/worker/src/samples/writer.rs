//! Writes samples in bulk, and finds or makes the series of those that are not known.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use sqlx::PgPool;
use stalker_db::samples::{self, Sample, WRITTEN_WITHIN};
use stalker_db::series;
use stalker_domain::perfdata;
use tokio::sync::mpsc;

use super::cache::{Cache, OF_A_CHECK};
use super::losses::Losses;
use super::{Offer, Unknown};

/// How long samples wait for company.
const GATHER: Duration = Duration::from_millis(200);
/// Samples that need not wait for more.
const ENOUGH: usize = 8000;
/// How often some of the cache is forgotten, and how much: all of it within some hours.
const FORGET_EVERY: Duration = Duration::from_secs(60);
const FORGET_ONE_IN: u32 = 360;

/// New or changed series, by check and label, as they were printed last.
type Wanted<'a> = BTreeMap<(i64, &'a str), &'a perfdata::Sample>;

pub(super) struct Writer {
    pool: PgPool,
    cache: Arc<Mutex<Cache>>,
    losses: Arc<Losses>,
    forgot: Instant,
}

impl Writer {
    pub(super) fn new(pool: PgPool, cache: Arc<Mutex<Cache>>, losses: Arc<Losses>) -> Self {
        Self {
            pool,
            cache,
            losses,
            forgot: Instant::now(),
        }
    }

    pub(super) async fn run(mut self, mut offers: mpsc::Receiver<Offer>) {
        while let Some(mut batch) = offers.recv().await {
            let until = tokio::time::Instant::now() + GATHER;
            while batch.len() < ENOUGH
                && let Ok(Some(further)) = tokio::time::timeout_at(until, offers.recv()).await
            {
                batch.merge(further);
            }
            self.write(batch).await;
            if self.forgot.elapsed() > FORGET_EVERY {
                self.cache().forget(FORGET_ONE_IN);
                self.forgot = Instant::now();
            }
        }
    }

    async fn write(&self, mut batch: Offer) {
        // they waited for others that could not be written
        if batch.since.elapsed() >= WRITTEN_WITHIN {
            return self
                .losses
                .add(batch.len(), || "the database does not take them".to_owned());
        }
        let unknown = std::mem::take(&mut batch.unknown);
        if !unknown.is_empty() {
            let resolved = self.resolve(batch.since, &unknown).await;
            let lost = unknown.len() - resolved.len();
            if lost > 0 {
                self.losses
                    .add(lost, || "their series could not be made".to_owned());
            }
            batch.known.extend(resolved);
        }
        if batch.known.is_empty() {
            return;
        }
        if batch.since.elapsed() >= WRITTEN_WITHIN {
            return self.losses.add(batch.known.len(), || {
                "their series could not be found in time".to_owned()
            });
        }
        // those of a series together, for the index's sake
        batch.known.sort_unstable_by_key(|sample| sample.series_id);
        let (pool, known) = (&self.pool, &batch.known);
        // A connection that breaks in the right moment lets this be done twice. Samples may be, states may not.
        let written = patiently(batch.since, || samples::insert(pool, known)).await;
        if let Err(error) = written {
            self.losses.add(known.len(), || error.to_string());
        }
    }

    /// The samples of which there is a series in the end.
    async fn resolve(&self, since: Instant, unknown: &[Unknown]) -> Vec<Sample> {
        let mut check_ids: Vec<i64> = unknown.iter().map(|unknown| unknown.check_id).collect();
        check_ids.sort_unstable();
        check_ids.dedup();
        let (pool, asked) = (&self.pool, &check_ids);
        match patiently(since, || series::of_checks(pool, asked)).await {
            Ok(series) => self.cache().learn(&check_ids, &series),
            Err(error) => {
                tracing::warn!(%error, "cannot read series");
                return Vec::new();
            }
        }
        let wanted: Vec<_> = self.wanted(unknown).into_iter().collect();
        if !wanted.is_empty() && !self.put(since, &wanted).await {
            // one check's texts must not be every check's loss
            for of_a_check in wanted.chunk_by(|a, b| a.0.0 == b.0.0) {
                self.put(since, of_a_check).await;
            }
        }
        let cache = self.cache();
        let resolved = unknown.iter().filter_map(|unknown| {
            let sample = &unknown.sample;
            Some(Sample {
                series_id: cache.series_id(unknown.check_id, &sample.label)?,
                at: unknown.at,
                value: sample.value?,
            })
        });
        resolved.collect()
    }

    /// What must be written before these samples can be, within the bounds.
    fn wanted<'a>(&self, unknown: &'a [Unknown]) -> Wanted<'a> {
        let cache = self.cache();
        let mut wanted = Wanted::new();
        let mut n_new: BTreeMap<i64, usize> = BTreeMap::new();
        for Unknown {
            check_id, sample, ..
        } in unknown
        {
            if cache.is_up_to_date(*check_id, sample) {
                continue;
            }
            let key = (*check_id, sample.label.as_str());
            if !wanted.contains_key(&key) && cache.series_id(*check_id, &sample.label).is_none() {
                let n_new = n_new.entry(*check_id).or_default();
                if cache.count(*check_id) + *n_new >= OF_A_CHECK {
                    continue;
                }
                *n_new += 1;
            }
            wanted.insert(key, sample);
        }
        wanted
    }

    /// Makes or changes these series. False if that may be about the texts of one of them.
    async fn put(&self, since: Instant, wanted: &[((i64, &str), &perfdata::Sample)]) -> bool {
        let rows: Vec<_> = wanted
            .iter()
            .map(|((check_id, _), sample)| (*check_id, *sample))
            .collect();
        let pool = &self.pool;
        match patiently(since, || series::put(pool, &rows)).await {
            Ok(put) => {
                let by_key: BTreeMap<(i64, &str), &perfdata::Sample> =
                    wanted.iter().copied().collect();
                let mut cache = self.cache();
                for put in put.chunk_by(|a, b| a.0 == b.0) {
                    let series = put.iter().filter_map(|(check_id, label, series_id)| {
                        Some((*by_key.get(&(*check_id, label.as_str()))?, *series_id))
                    });
                    cache.add(put[0].0, series);
                }
                true
            }
            Err(error) => {
                tracing::warn!(%error, series = rows.len(), "cannot write series");
                stalker_db::is_passing(&error)
            }
        }
    }

    fn cache(&self) -> MutexGuard<'_, Cache> {
        self.cache.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Tries again while the database is away or busy, until samples of this age may not be written any more.
async fn patiently<T, F>(since: Instant, action: impl Fn() -> F) -> sqlx::Result<T>
where
    F: Future<Output = sqlx::Result<T>>,
{
    let mut pause = Duration::from_millis(50);
    loop {
        match action().await {
            Err(error)
                if stalker_db::is_passing(&error) && since.elapsed() + pause < WRITTEN_WITHIN =>
            {
                tracing::debug!(%error, "cannot write samples; trying again");
                tokio::time::sleep(pause).await;
                pause = (pause * 2).min(Duration::from_secs(5));
            }
            result => return result,
        }
    }
}
