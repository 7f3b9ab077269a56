//! Samples that are not kept: counted, and told now and then.

use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

const TOLD_EVERY: Duration = Duration::from_secs(10);

/// What was lost and not told yet.
#[derive(Debug, Default)]
pub(super) struct Losses {
    untold: Mutex<Untold>,
}

#[derive(Debug, Default)]
struct Untold {
    samples: usize,
    told: Option<Instant>,
}

impl Losses {
    /// Counts samples, and says how many were lost since that was last said; why, for the last of them.
    pub(super) fn add(&self, samples: usize, why: impl FnOnce() -> String) {
        let mut untold = self.untold.lock().unwrap_or_else(PoisonError::into_inner);
        untold.samples += samples;
        if untold.told.is_none_or(|told| told.elapsed() >= TOLD_EVERY) {
            tracing::warn!(
                samples = untold.samples,
                why = why(),
                "perfdata samples lost"
            );
            *untold = Untold {
                samples: 0,
                told: Some(Instant::now()),
            };
        }
    }
}
