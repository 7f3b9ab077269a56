//! Samples: what recorded runs measured goes into the database beside the path of an alert, never on it.
//!
//! The recorder hands over what it has recorded, and waits for nothing. A writer gathers that for a moment and writes it
//! in bulk. If the database cannot keep up, samples are lost, and counted; states and alerts never are.

mod cache;
mod losses;
mod writer;

use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use chrono::{DateTime, Utc};
use sqlx::PgPool;
use stalker_db::outcomes::Run;
use stalker_db::samples::{Sample, is_measurement};
use stalker_domain::perfdata;
use tokio::sync::{OwnedSemaphorePermit, Semaphore, mpsc};
use tokio::task::JoinHandle;

use cache::{Cache, Found};
use losses::Losses;
use writer::Writer;

/// Samples of one run that are kept; what is printed beyond them is no measurement but a list.
const OF_A_RUN: usize = 256;
/// What may wait, as [`Offer::weight`] counts: some seconds of a worker that does as much as a machine can.
const ROOM: usize = 400_000;
/// Offers that may wait.
const OFFERS: usize = 1000;
/// How long the end of a worker waits for what was gathered.
const FLUSH: Duration = Duration::from_secs(2);

/// Where recorded runs are handed over.
#[derive(Debug)]
pub struct Samples {
    offers: mpsc::Sender<Offer>,
    /// What bounds them, too: an offer is as large as its runs make it.
    room: Arc<Semaphore>,
    cache: Arc<Mutex<Cache>>,
    losses: Arc<Losses>,
}

/// The writer behind [`Samples`].
#[derive(Debug)]
pub struct Writing(JoinHandle<()>);

/// Samples of one batch of runs, or of some.
#[derive(Debug)]
struct Offer {
    since: Instant,
    /// Ready to be written.
    known: Vec<Sample>,
    /// Whose series is not known, or has changed.
    unknown: Vec<Unknown>,
    room: Option<OwnedSemaphorePermit>,
}

#[derive(Debug)]
struct Unknown {
    check_id: i64,
    at: DateTime<Utc>,
    sample: perfdata::Sample,
}

impl Samples {
    /// Starts writing, until the handle is dropped. `pool` is the one whose commits do not wait for the disk.
    #[must_use]
    pub fn start(pool: PgPool) -> (Self, Writing) {
        let (offers, received) = mpsc::channel(OFFERS);
        let cache = Arc::new(Mutex::new(Cache::default()));
        let losses = Arc::new(Losses::default());
        let writer = Writer::new(pool, cache.clone(), losses.clone());
        let samples = Self {
            offers,
            room: Arc::new(Semaphore::new(ROOM)),
            cache,
            losses,
        };
        (samples, Writing(tokio::spawn(writer.run(received))))
    }

    /// Hands over what these runs have measured. `recorded` are the checks that the fence let through, in order. The
    /// samples' time is that of the record, as of everything else that follows from a run.
    pub(crate) fn offer(&self, runs: &[Run], recorded: &[i64]) {
        let mut offer = Offer {
            since: Instant::now(),
            known: Vec::new(),
            unknown: Vec::new(),
            room: None,
        };
        {
            let cache = self.cache.lock().unwrap_or_else(PoisonError::into_inner);
            for run in runs {
                let printed = &run.outcome.output.perfdata;
                if !printed.is_empty() && recorded.binary_search(&run.check.check_id).is_ok() {
                    let (at, since) = run.check.claimed_at;
                    let at = at + offer.since.saturating_duration_since(since);
                    let dropped = offer.add(&cache, run.check.check_id, at, printed);
                    if dropped > 0 {
                        let (host, check) = (&run.check.hostname, &run.check.check_name);
                        self.losses
                            .add(dropped, || format!("{host}/{check} prints too many"));
                    }
                }
            }
        }
        let weight = offer.weight();
        if weight == 0 {
            return;
        }
        let n = offer.len();
        // one alone is let in, however large: it may be all that a worker has to learn at its start
        let weight = u32::try_from(weight.min(ROOM / 4)).unwrap_or(u32::MAX);
        offer.room = self.room.clone().try_acquire_many_owned(weight).ok();
        if offer.room.is_none() || self.offers.try_send(offer).is_err() {
            self.losses
                .add(n, || "they come faster than they can be written".to_owned());
        }
    }
}

impl Writing {
    /// Waits until what was gathered is written, once the handle was dropped; not for long.
    pub(crate) async fn end(self) {
        if tokio::time::timeout(FLUSH, self.0).await.is_err() {
            tracing::warn!("the last samples were not written: the database does not keep up");
        }
    }
}

impl Offer {
    /// Adds one run's samples, and says how many were too many.
    fn add(
        &mut self,
        cache: &Cache,
        check_id: i64,
        at: DateTime<Utc>,
        printed: &[perfdata::Sample],
    ) -> usize {
        let kept = &printed[..printed.len().min(OF_A_RUN)];
        let mut dropped = printed.len() - kept.len();
        let (known_before, unknown_before) = (self.known.len(), self.unknown.len());
        // from the end: of a label that occurs twice, the last one counts
        for sample in kept.iter().rev() {
            let Some(value) = sample.value.filter(|value| is_measurement(*value)) else {
                continue;
            };
            match cache.find(check_id, sample) {
                Found::Known(series_id) => {
                    let of_this_run = &self.known[known_before..];
                    if of_this_run.iter().all(|other| other.series_id != series_id) {
                        self.known.push(Sample {
                            series_id,
                            at,
                            value,
                        });
                    }
                }
                Found::Unknown => {
                    let of_this_run = &self.unknown[unknown_before..];
                    if of_this_run
                        .iter()
                        .all(|other| other.sample.label != sample.label)
                    {
                        let sample = sample.clone();
                        self.unknown.push(Unknown {
                            check_id,
                            at,
                            sample,
                        });
                    }
                }
                Found::TooMany => dropped += 1,
            }
        }
        dropped
    }

    fn len(&self) -> usize {
        self.known.len() + self.unknown.len()
    }

    /// What it takes of memory, in samples that are known: others come with their texts.
    fn weight(&self) -> usize {
        self.known.len() + 16 * self.unknown.len()
    }

    fn merge(&mut self, other: Self) {
        self.known.extend(other.known);
        self.unknown.extend(other.unknown);
        match (&mut self.room, other.room) {
            (Some(room), Some(further)) => room.merge(further),
            (_, further) => self.room = further,
        }
    }
}

#[cfg(test)]
mod tests;
