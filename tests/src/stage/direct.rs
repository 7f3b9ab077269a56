//! Running checks without agents: claimed and recorded as workers do it, in transactions whose size the story chooses.

use std::path::PathBuf;
use std::time::Duration;

use futures::future::join_all;
use stalker_db::Pools;
use stalker_db::claims::{Cursors, claim_due};
use stalker_db::outcomes::{Run, record};
use stalker_domain::outcome::{Outcome, Verdict};
use stalker_domain::status::Status;
use stalker_domain::thresholds::Thresholds;
use tempfile::NamedTempFile;

use super::Stage;

const LEASE_S: i32 = 60;

/// The stage's own workers.
#[derive(Debug)]
pub(super) struct Direct {
    pools: Pools,
    thresholds: Thresholds,
    /// While it is there the real workers claim nothing, and send.
    pause_file: NamedTempFile,
    recorders: usize,
    batch: i32,
}

impl Direct {
    pub(super) fn new(database_url: &str, thresholds: Thresholds) -> Self {
        Self {
            pools: Pools::new(database_url, 12).expect("the database's URL is one"),
            thresholds,
            pause_file: NamedTempFile::new().expect("a temporary file can be made"),
            recorders: 1,
            batch: 2000,
        }
    }

    pub(super) fn pause_file(&self) -> PathBuf {
        self.pause_file.path().to_owned()
    }
}

impl Stage {
    /// From now on so many recorders at once record what is due, each transaction with at most `batch` outcomes.
    ///
    /// # Panics
    /// If this is no stage that runs its checks itself.
    pub fn record_concurrently(&mut self, recorders: usize, batch: i32) {
        let direct = self.direct.as_mut().expect("a direct stage");
        (direct.recorders, direct.batch) = (recorders, batch);
    }

    /// Runs what is due, if this is the stage's to do.
    pub(super) async fn run_directly(&self) {
        if let Some(direct) = &self.direct {
            join_all((0..direct.recorders).map(|_| self.run_until_nothing_is_due(direct))).await;
        }
    }

    async fn run_until_nothing_is_due(&self, direct: &Direct) {
        loop {
            let taken = claim_due(
                &direct.pools.relaxed,
                &mut Cursors::default(),
                direct.batch,
                direct.batch,
                rand::random(),
                LEASE_S,
            )
            .await
            .expect("the database answers");
            if taken.is_empty() {
                return;
            }
            let runs: Vec<Run> = taken
                .into_iter()
                .map(|check| {
                    let outcome = self.outcome(&check.hostname, &check.check_name);
                    Run {
                        step: check.advance(outcome.verdict, &direct.thresholds),
                        outcome,
                        check,
                        first_seen_cert_sha256: None,
                    }
                })
                .collect();
            record(&direct.pools, &runs, &direct.thresholds)
                .await
                .expect("the database answers");
        }
    }

    fn outcome(&self, hostname: &str, check: &str) -> Outcome {
        let host = &self.hosts[hostname];
        let latency = Duration::from_millis(3);
        if host.is_down {
            return Outcome::without_output(Verdict::Unreachable, "connection refused", latency);
        }
        let (status, out) = match host.answers.get(check) {
            Some((status, out)) => (*status, out.as_str()),
            None => (0, "OK - simulated"),
        };
        Outcome::of_script(Status::from_exit_code(status), out, "", false, latency)
    }
}
