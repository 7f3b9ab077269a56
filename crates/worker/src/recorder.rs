//! Gathers outcomes for a few milliseconds and records them as one batch, so that a thousand runs cost a handful
//! of commits. A run's handler waits here until its outcome is on disk, or refused.

use std::sync::Arc;
use std::time::{Duration, Instant};

use stalker_db::Pools;
use stalker_db::failpoint::{self, Failpoint};
use stalker_db::outcomes::{self, Run};
use stalker_domain::outcome::{LEASE_MARGIN_S, Outcome};
use stalker_domain::state::Consequence;
use stalker_domain::thresholds::Thresholds;
use tokio::sync::{Notify, Semaphore, mpsc, oneshot};

use crate::samples::Samples;

/// How long an outcome waits for company.
const GATHER: Duration = Duration::from_millis(20);
/// Outcomes in a batch.
const BATCH: usize = 500;
/// Outcomes that wait, when recording falls behind; beyond that nothing new is called.
const ROOM: usize = 2 * BATCH;
/// Batches that are being recorded at the same time: one computes while the other waits for the disk, and more where the claimer,
/// the samples and the heartbeat leave it a connection. More than four belong to a further worker.
fn at_once(pools: &Pools) -> usize {
    let connections = pools.relaxed.options().get_max_connections();
    connections.saturating_sub(3).clamp(2, 4) as usize
}

/// A handle to the recorder.
#[derive(Debug)]
pub struct Recorder {
    outcomes: mpsc::Sender<Waiting>,
}

#[derive(Debug)]
struct Waiting {
    run: Run,
    recorded: oneshot::Sender<()>,
}

impl Recorder {
    /// Starts recording, until the handle is dropped. `told` is notified when something may be owed; `lease` is how long
    /// trying again makes sense; `samples` is offered what was measured.
    pub fn start(
        pools: Pools,
        thresholds: Thresholds,
        told: Arc<Notify>,
        lease: Duration,
        samples: Samples,
    ) -> Self {
        let (outcomes, received) = mpsc::channel(ROOM);
        let batches = Arc::new(Batches {
            pools,
            thresholds,
            told,
            lease,
            samples,
        });
        tokio::spawn(gather(received, batches));
        Self { outcomes }
    }

    /// Waits until fewer than [`ROOM`] outcomes wait to be recorded.
    pub async fn room(&self) -> Room<'_> {
        Room(self.outcomes.reserve().await.ok())
    }
}

/// Room for one outcome. None if nothing is recorded any more.
#[derive(Debug)]
pub struct Room<'a>(Option<mpsc::Permit<'a, Waiting>>);

impl Room<'_> {
    /// Returns when the outcome was recorded, or refused by the fence, or given up.
    pub async fn record(self, run: Run) {
        let Some(room) = self.0 else { return };
        let (recorded, done) = oneshot::channel();
        room.send(Waiting { run, recorded });
        // an error says that it was given up, which was logged where it happened
        let _ = done.await;
    }
}

async fn gather(mut outcomes: mpsc::Receiver<Waiting>, batches: Arc<Batches>) {
    let turns = Arc::new(Semaphore::new(at_once(&batches.pools)));
    while let Some(first) = outcomes.recv().await {
        let mut batch = vec![first];
        let until = tokio::time::Instant::now() + GATHER;
        while batch.len() < BATCH {
            let room = BATCH - batch.len();
            match tokio::time::timeout_at(until, outcomes.recv_many(&mut batch, room)).await {
                Ok(0) | Err(_) => break,
                Ok(_) => {}
            }
        }
        let turn = turns
            .clone()
            .acquire_owned()
            .await
            .expect("this semaphore is never closed");
        let batches = batches.clone();
        tokio::spawn(async move {
            batches.record(batch).await;
            drop(turn);
        });
    }
}

struct Batches {
    pools: Pools,
    thresholds: Thresholds,
    told: Arc<Notify>,
    lease: Duration,
    samples: Samples,
}

impl Batches {
    async fn record(&self, batch: Vec<Waiting>) {
        let (runs, waiting): (Vec<Run>, Vec<oneshot::Sender<()>>) =
            batch.into_iter().map(|w| (w.run, w.recorded)).unzip();
        if let Err(error) = self.record_patiently(&runs).await {
            tracing::error!(%error, runs = runs.len(), "a batch cannot be recorded; recording its runs one by one");
            for run in runs {
                self.record_alone(run).await;
            }
        }
        for done in waiting {
            // its handler may be gone, at the end of a drain
            let _ = done.send(());
        }
    }

    /// Tries until the leases have run out while the database is away. An error is about the values.
    async fn record_patiently(&self, runs: &[Run]) -> sqlx::Result<()> {
        let own = runs
            .iter()
            .filter_map(|run| u32::try_from(run.check.timeout_s?).ok());
        let own = own.map(|timeout_s| Duration::from_secs((timeout_s + LEASE_MARGIN_S).into()));
        let given_up = Instant::now() + own.fold(self.lease, Duration::max);
        let mut pause = Duration::from_millis(50);
        loop {
            failpoint::reach(Failpoint::BeforeRecord).await;
            match outcomes::record(&self.pools, runs, &self.thresholds).await {
                Ok(recorded) => {
                    failpoint::reach(Failpoint::AfterRecord).await;
                    self.samples.offer(runs, &recorded.check_ids);
                    let refused = runs.len() - recorded.check_ids.len();
                    if refused > 0 {
                        tracing::info!(
                            refused,
                            "outcomes came after their lease, and were refused by the fence"
                        );
                    }
                    if recorded.is_telling {
                        tell(runs, &recorded.check_ids);
                        self.told.notify_waiters();
                    }
                    return Ok(());
                }
                Err(error) if stalker_db::is_passing(&error) && Instant::now() < given_up => {
                    tracing::warn!(%error, runs = runs.len(), "cannot record; trying again");
                    tokio::time::sleep(pause).await;
                    pause = (pause * 2).min(Duration::from_secs(1));
                }
                Err(error) if stalker_db::is_passing(&error) => {
                    tracing::error!(%error, runs = runs.len(), "cannot record; the leases have run out, and the checks run again");
                    return Ok(());
                }
                Err(error) => return Err(error),
            }
        }
    }

    /// A run whose text poisons its batch is recorded with another text that says so. What it means stays: its status
    /// is a number, and did no harm.
    async fn record_alone(&self, mut run: Run) {
        let Err(error) = self.record_patiently(std::slice::from_ref(&run)).await else {
            return;
        };
        let (host, check) = (&run.check.hostname, &run.check.check_name);
        tracing::error!(%error, %host, %check, "output quarantined");
        let text = format!("(its output could not be recorded: {error})");
        run.outcome = Outcome::without_output(run.outcome.verdict, &text, run.outcome.latency);
        if let Err(error) = self.record_patiently(&[run]).await {
            tracing::error!(%error, "nor could that be recorded; the check runs again when its lease has run out");
        }
    }
}

/// Says in the log what somebody who has no channel yet would want to know.
/// `recorded` is in order.
fn tell(runs: &[Run], recorded: &[i64]) {
    for run in runs {
        let (host, check) = (&run.check.hostname, &run.check.check_name);
        if recorded.binary_search(&run.check.check_id).is_err() {
            continue;
        }
        match run.step.alert {
            Consequence::Opens => {
                tracing::info!(%host, %check, out = run.outcome.output.first_line(), "alert opened");
            }
            Consequence::Closes => tracing::info!(%host, %check, "alert closed: recovered"),
            Consequence::Changes | Consequence::Nothing => {}
        }
    }
}
