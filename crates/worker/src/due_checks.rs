//! The lane of due checks: claim, probe, advance, record.

use std::sync::Arc;
use std::sync::atomic::{AtomicI32, Ordering};
use std::time::{Duration, Instant};

use stalker_db::Pools;
use stalker_db::claims::{self, ClaimedCheck, Cursors};
use stalker_db::failpoint::{self, Failpoint};
use stalker_db::outcomes::Run;
use stalker_domain::outcome::{LEASE_MARGIN_S, TIMEOUT_MAX_S};
use stalker_domain::thresholds::Thresholds;
use tokio::sync::Notify;
use tokio_util::sync::CancellationToken;

use crate::config::Config;
use crate::lane::{self, Held, Source, Taken};
use crate::probe::Probe;
use crate::recorder::Recorder;
use crate::replica::Behind;
use crate::samples::Samples;

/// How long to wait when nothing more was due. It bounds how late a check starts in an idle system.
const REST: Duration = Duration::from_millis(40);
/// How often the intervals in use are read again. A new check comes through the rush lane first, so nothing is
/// late while its interval is not known yet.
const INTERVALS_READ_EVERY: Duration = Duration::from_secs(1);
/// No lease is longer.
const LONGEST_LEASE: Duration = Duration::from_secs((TIMEOUT_MAX_S + LEASE_MARGIN_S) as u64);

pub(crate) async fn run<P: Probe>(
    config: Arc<Config>,
    pools: Pools,
    (probe, behind): (P, Behind),
    told: Arc<Notify>,
    shutdown: CancellationToken,
) -> anyhow::Result<()> {
    let (samples, writing) = Samples::start(pools.relaxed.clone());
    let runner = Arc::new(Runner {
        probe,
        recorder: Recorder::start(
            pools.clone(),
            config.thresholds,
            told,
            Duration::from_secs(config.lease_s.into()),
            samples,
        ),
        thresholds: config.thresholds,
    });
    let source = DueChecks {
        pools,
        config: config.clone(),
        cursors: Cursors::default(),
        intervals_read: None,
        rush_in_hand: Arc::default(),
        behind,
    };
    let run_check = move |held: Held<DueCheck>| {
        let runner = runner.clone();
        async move { runner.run(held).await }
    };
    lane::work(
        "due-checks",
        source,
        config.slots,
        LONGEST_LEASE,
        shutdown,
        run_check,
    )
    .await?;
    writing.end().await;
    Ok(())
}

/// A claimed check, counted while it is a rush run.
#[derive(Debug)]
struct DueCheck {
    check: ClaimedCheck,
    rush: Option<RushRun>,
}

struct DueChecks {
    pools: Pools,
    config: Arc<Config>,
    cursors: Cursors,
    intervals_read: Option<Instant>,
    rush_in_hand: Arc<AtomicI32>,
    behind: Behind,
}

impl Source for DueChecks {
    type Job = DueCheck;

    async fn claim(&mut self, free: usize) -> anyhow::Result<Vec<DueCheck>> {
        if let Some(file) = &self.config.pause_file
            && tokio::fs::try_exists(file).await.unwrap_or(false)
        {
            self.behind.note(None);
            return Ok(Vec::new());
        }
        if self
            .intervals_read
            .is_none_or(|read| read.elapsed() > INTERVALS_READ_EVERY)
        {
            self.cursors
                .keep(&claims::intervals_in_use(&self.pools.relaxed).await?);
            self.intervals_read = Some(Instant::now());
        }
        // At most half of the slots for rush runs, so that black-holed hosts cannot starve healthy ones.
        let rush_slots = i32::try_from(self.config.slots.div_ceil(2))?
            - self.rush_in_hand.load(Ordering::Relaxed);
        let taken = claims::claim_due(
            &self.pools.relaxed,
            &mut self.cursors,
            i32::try_from(free)?,
            rush_slots.max(0),
            rand::random::<i64>(),
            i32::try_from(self.config.lease_s)?,
        )
        .await?;
        self.behind.note(Some(self.cursors.behind_ms()));
        if !taken.is_empty() {
            failpoint::reach(Failpoint::AfterClaim).await;
        }
        Ok(taken
            .into_iter()
            .map(|check| DueCheck {
                rush: check.is_rush.then(|| RushRun::begin(&self.rush_in_hand)),
                check,
            })
            .collect())
    }

    fn taken(job: &DueCheck) -> Taken {
        (job.check.check_id, job.check.lease)
    }

    async fn rest(&self) {
        tokio::time::sleep(REST).await;
    }

    async fn give_back_unstarted(&self, jobs: Vec<Taken>) {
        if let Err(error) = claims::give_back(&self.pools.durable, &jobs).await {
            tracing::warn!(%error, checks = jobs.len(), "cannot give checks back; their leases will run out");
        }
    }

    /// A check may be given back while it runs: its late outcome is refused by the fence.
    async fn give_back_running(&self, jobs: Vec<Taken>) {
        self.give_back_unstarted(jobs).await;
    }
}

/// Counts a rush run from its claim until its slot is free.
#[derive(Debug)]
struct RushRun(Arc<AtomicI32>);

impl RushRun {
    fn begin(in_hand: &Arc<AtomicI32>) -> Self {
        in_hand.fetch_add(1, Ordering::Relaxed);
        Self(in_hand.clone())
    }
}

impl Drop for RushRun {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}

struct Runner<P> {
    probe: P,
    recorder: Recorder,
    thresholds: Thresholds,
}

impl<P: Probe> Runner<P> {
    /// One check, from claimed to recorded. Whatever happens on the way is an outcome.
    async fn run(&self, held: Held<DueCheck>) {
        let Held { job, hold, slot } = held;
        let DueCheck { check, rush } = job;
        let Some(probed) = self.probe.run(&check).await else {
            return; // the lease runs out, and a worker that can makes the call
        };
        let step = check.advance(probed.outcome.verdict, &self.thresholds);
        let run = Run {
            check,
            outcome: probed.outcome,
            step,
            first_seen_cert_sha256: probed.first_seen_cert_sha256,
        };
        // A slot is for calling. The next check is called while this one is recorded, unless recording falls behind.
        let room = self.recorder.room().await;
        drop((slot, rush));
        room.record(run).await;
        drop(hold);
    }
}
