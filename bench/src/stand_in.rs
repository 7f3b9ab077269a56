//! What answers in the worker's own process, and what counts the runs of any worker.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use stalker_db::claims::ClaimedCheck;
use stalker_domain::outcome::Outcome;
use stalker_domain::status::Status;
use stalker_worker::probe::{Probe, Probed};

use crate::lateness::Lateness;
use crate::load::Answers;

/// Answers at once, without a network.
pub(crate) struct StandIn(pub(crate) Answers);

impl Probe for StandIn {
    async fn run(&self, check: &ClaimedCheck) -> Option<Probed> {
        let turn = check.claimed_at.0.timestamp() / i64::from(check.interval_s);
        let (number, interval_s) = (
            check.check_id.unsigned_abs(),
            check.interval_s.unsigned_abs(),
        );
        let (status, out) = self.0.of(number, turn.unsigned_abs(), interval_s.into());
        let status = Status::from_exit_code(status);
        Some(Probed {
            outcome: Outcome::of_script(
                status,
                &out,
                "",
                false,
                Duration::from_micros(turn.unsigned_abs() % 999),
            ),
            first_seen_cert_sha256: None,
        })
    }
}

/// Counts the runs of another probe, and how late they begin.
pub(crate) struct Counted<P> {
    pub(crate) probe: P,
    pub(crate) lateness: Arc<Mutex<Lateness>>,
}

impl<P: Probe> Probe for Counted<P> {
    async fn run(&self, check: &ClaimedCheck) -> Option<Probed> {
        let (at, since) = check.claimed_at;
        let now = at + since.elapsed();
        self.lateness
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .note((now - check.due_at).num_milliseconds());
        self.probe.run(check).await
    }
}
