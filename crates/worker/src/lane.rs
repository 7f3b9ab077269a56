//! The one mechanism of this crate: claim from a table, run, settle, with as many at a time as there are slots.
//!
//! A [`Lane`] is an apalis backend whose tasks are claimed rows. A claimer asks its source for as many jobs as
//! slots are free; a job holds its slot until its handler drops it, and is in hand until it was settled. Failures of the
//! source are waited out here and never reach apalis, which would end the worker: a lane survives any outage of
//! the database.

use std::collections::HashSet;
use std::convert::Infallible;
use std::future::Future;
use std::pin::Pin;
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll};
use std::time::Duration;

use apalis::prelude::*;
use apalis_core::backend::finalize::Ephemeral;
use apalis_core::backend::{Backend, BackendConfig};
use apalis_core::task::task_id::{RandomId, TaskId};
use apalis_core::worker::context::WorkerContext;
use futures::FutureExt;
use futures::future::BoxFuture;
use tokio::sync::{OwnedSemaphorePermit, Semaphore, mpsc};
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;
use tokio_util::task::AbortOnDropHandle;
use tower::layer::util::Identity;
use tracing::Instrument;

/// How long running jobs may go on after the signal to stop.
pub(crate) const DRAIN: Duration = Duration::from_secs(20);
/// How long giving back may take, when the database may be away.
const GIVE_BACK: Duration = Duration::from_secs(3);
/// Fewer free slots than this are not worth a statement, if there are that many slots at all.
const LEAST: usize = 8;
/// While more is due than slots are free, a claim of less than a quarter of the slots waits until this many times what the
/// last one took (with its wait for a connection) has passed: half of the cost of a claim is the same for one job and for
/// fifty. With less than 36 slots a quarter of them is hardly more than a few, and nothing waits.
const PAUSE_PER_CLAIM: u32 = 4;
/// However slow the database is: meanwhile slots are idle.
const LONGEST_PAUSE: Duration = Duration::from_millis(15);

/// A row's id and the lease under which it was taken.
pub(crate) type Taken = (i64, i64);

/// A table from which jobs are claimed.
pub(crate) trait Source: Send + Sync + 'static {
    /// A claimed row.
    type Job: Send + Sync + 'static;

    /// Takes at most `free` jobs.
    fn claim(&mut self, free: usize)
    -> impl Future<Output = anyhow::Result<Vec<Self::Job>>> + Send;

    /// Identifies a job.
    fn taken(job: &Self::Job) -> Taken;

    /// Waits until it is worth while to ask again, after fewer jobs came than were asked for.
    fn rest(&self) -> impl Future<Output = ()> + Send;

    /// Gives back jobs whose handler was never called.
    fn give_back_unstarted(&self, jobs: Vec<Taken>) -> impl Future<Output = ()> + Send;

    /// Gives back jobs that were still running when their time was up.
    fn give_back_running(&self, jobs: Vec<Taken>) -> impl Future<Output = ()> + Send;
}

/// A job in its slot.
#[derive(Debug)]
pub(crate) struct Held<J> {
    /// What was claimed.
    pub(crate) job: J,
    /// Dropping it says that the job was settled.
    pub(crate) hold: Hold,
    /// Dropping it makes room for another job.
    pub(crate) slot: OwnedSemaphorePermit,
}

/// A row that is in hand: at the end of a drain it is given back, unless this was dropped.
#[derive(Debug)]
pub(crate) struct Hold {
    taken: Taken,
    in_hand: InHand,
}

impl Drop for Hold {
    fn drop(&mut self) {
        self.in_hand
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .remove(&self.taken);
    }
}

type InHand = Arc<Mutex<HashSet<Taken>>>;

/// Claims from `source` and runs `handler` on every job until `shutdown`; then gives back what has not started,
/// lets the rest run for [`DRAIN`], and gives back what is not done by then.
///
/// `name` is for logs; `limit` ends a handler that goes on for longer than its lease.
///
/// # Errors
/// If apalis ends the worker, which nothing here makes it do.
pub(crate) async fn work<S, H, F>(
    name: &str,
    source: S,
    slots: usize,
    limit: Duration,
    shutdown: CancellationToken,
    handler: H,
) -> anyhow::Result<()>
where
    S: Source,
    H: FnMut(Held<S::Job>) -> F + Clone + Send + Sync + 'static,
    F: Future<Output = ()> + Send + 'static,
{
    let in_hand = InHand::default();
    let source = Arc::new(tokio::sync::Mutex::new(source));
    let lane = Lane::start(source.clone(), slots, in_hand.clone(), shutdown.clone());
    // A task for each job: apalis polls all of them from one, on one core, and when thousands share that one's turn of the
    // runtime they are polled again and again for nothing.
    let mut handler = handler;
    let handler = move |held: Held<S::Job>| {
        let job = AbortOnDropHandle::new(tokio::spawn(handler(held).in_current_span()));
        async move {
            if let Err(ended) = job.await
                && let Ok(panic) = ended.try_into_panic()
            {
                std::panic::resume_unwind(panic);
            }
        }
    };
    // apalis wants a name that no other start has used
    let worker = WorkerBuilder::new(format!("{name}-{:x}", rand::random::<u64>()))
        .backend(lane)
        .catch_panic()
        .timeout(limit)
        .enable_tracing()
        .on_event(|_, event| {
            if let Event::Error(error) = event {
                tracing::error!(%error, "a job ended without being settled; its lease will run out");
            }
        })
        .build(handler);
    let stop = shutdown.clone();
    // boxed: its type is too deep for the compiler to see that it may move between threads
    let worker: BoxFuture<'static, Result<(), WorkerError>> = worker
        .run_until(async move {
            stop.cancelled().await;
            Ok::<(), WorkerError>(())
        })
        .boxed();
    tokio::select! {
        ended = worker => ended?,
        // looked up inside: when this branch runs, the worker was dropped, and with it what it held
        late = async {
            shutdown.cancelled().await;
            tokio::time::sleep(DRAIN).await;
            in_hand.lock().unwrap_or_else(PoisonError::into_inner).iter().copied().collect::<Vec<Taken>>()
        } => {
            tracing::warn!(jobs = late.len(), "still running {DRAIN:?} after the signal to stop; given back");
            let give_back = async { source.lock().await.give_back_running(late).await };
            if tokio::time::timeout(GIVE_BACK, give_back).await.is_err() {
                tracing::warn!("the database did not answer; their leases will run out");
            }
        }
    }
    Ok(())
}

/// The apalis backend: what the claimer took and apalis has not asked for yet.
struct Lane<S: Source> {
    taken: mpsc::Receiver<Held<S::Job>>,
    source: Arc<tokio::sync::Mutex<S>>,
    claimer: Option<tokio::task::JoinHandle<()>>,
    closing: Option<BoxFuture<'static, ()>>,
}

impl<S: Source> Lane<S> {
    fn start(
        source: Arc<tokio::sync::Mutex<S>>,
        slots: usize,
        in_hand: InHand,
        shutdown: CancellationToken,
    ) -> Self {
        let (sender, taken) = mpsc::channel(slots);
        let claimer = tokio::spawn(claim_until(
            source.clone(),
            slots,
            in_hand,
            sender,
            shutdown,
        ));
        Self {
            taken,
            source,
            claimer: Some(claimer),
            closing: None,
        }
    }
}

/// Claims whenever slots are free.
async fn claim_until<S: Source>(
    source: Arc<tokio::sync::Mutex<S>>,
    slots: usize,
    in_hand: InHand,
    sender: mpsc::Sender<Held<S::Job>>,
    shutdown: CancellationToken,
) {
    let free = Arc::new(Semaphore::new(slots));
    let mut patience = Duration::from_millis(100);
    let mut few_from = Instant::now();
    while let Some(mut permits) = shutdown
        .run_until_cancelled(free_slots(&free, slots, few_from))
        .await
    {
        let asked = permits.len();
        let mut source = source.lock().await;
        let began = Instant::now();
        let pause = match source.claim(asked).await {
            Ok(jobs) => {
                patience = Duration::from_millis(100);
                if shutdown.is_cancelled() {
                    let unstarted = jobs.iter().map(S::taken).collect();
                    return source.give_back_unstarted(unstarted).await;
                }
                let is_more = jobs.len() == asked;
                if is_more {
                    few_from =
                        Instant::now() + (began.elapsed() * PAUSE_PER_CLAIM).min(LONGEST_PAUSE);
                }
                for job in jobs {
                    let Some(slot) = permits.pop() else { break };
                    let taken = S::taken(&job);
                    in_hand
                        .lock()
                        .unwrap_or_else(PoisonError::into_inner)
                        .insert(taken);
                    // Never full, for every job in it holds a slot; never closed, for the receiver waits
                    // for the end of this task.
                    let in_hand = in_hand.clone();
                    let hold = Hold { taken, in_hand };
                    let _ = sender.try_send(Held { job, hold, slot });
                }
                (!is_more).then_some(None)
            }
            Err(error) => {
                tracing::warn!(
                    error = format!("{error:#}"),
                    "cannot claim; trying again in {patience:?}"
                );
                let pause = patience;
                patience = (patience * 2).min(Duration::from_secs(5));
                Some(Some(pause))
            }
        };
        drop(permits);
        match pause {
            None => continue,
            Some(None) => shutdown.run_until_cancelled(source.rest()).await,
            Some(Some(pause)) => {
                shutdown
                    .run_until_cancelled(tokio::time::sleep(pause))
                    .await
            }
        };
    }
}

/// Waits until some slots are free, and takes all that are: a quarter of them, or a few once it is `few_from`.
async fn free_slots(
    free: &Arc<Semaphore>,
    slots: usize,
    few_from: Instant,
) -> Vec<OwnedSemaphorePermit> {
    let quarter = (slots / 4).max(1);
    // with few slots, a slow run must not hold up the others
    let few = LEAST.min(quarter);
    let mut permits = acquire(free, few).await;
    if let Ok(more) = tokio::time::timeout_at(few_from, acquire(free, quarter - few)).await {
        permits.merge(more);
    }
    while let Ok(one) = free.clone().try_acquire_owned() {
        permits.merge(one);
    }
    let mut single = Vec::with_capacity(slots);
    while let Some(one) = permits.split(1) {
        single.push(one);
    }
    single
}

async fn acquire(free: &Arc<Semaphore>, slots: usize) -> OwnedSemaphorePermit {
    let slots = u32::try_from(slots).unwrap_or(u32::MAX);
    let acquired = free.clone().acquire_many_owned(slots).await;
    acquired.expect("this semaphore is never closed")
}

impl<S: Source> Backend for Lane<S> {
    type Task = Task<Held<S::Job>>;
    type Error = Infallible;

    fn poll_ready(
        &mut self,
        _: &mut Context<'_>,
        _: &WorkerContext,
    ) -> Poll<Result<(), Infallible>> {
        Poll::Ready(Ok(()))
    }

    fn poll_next(
        &mut self,
        cx: &mut Context<'_>,
        _: &WorkerContext,
    ) -> Poll<Option<Result<Self::Task, Infallible>>> {
        self.taken.poll_recv(cx).map(|next| {
            next.map(|held| {
                let (row, lease) = held.hold.taken;
                let id = TaskId::from_string(format!("{row}-{lease:x}"));
                Ok(TaskBuilder::new(held).task_id(id).build())
            })
        })
    }

    /// Gives back what has not started, once the claimer has ended and no claim of its can be under way.
    fn poll_close(
        &mut self,
        cx: &mut Context<'_>,
        _: &WorkerContext,
    ) -> Poll<Result<(), Infallible>> {
        let Self {
            taken,
            source,
            claimer,
            closing,
        } = self;
        let closing = closing.get_or_insert_with(|| {
            let claimer = claimer.take();
            let source = source.clone();
            let (_, never) = mpsc::channel(1);
            let mut taken = std::mem::replace(taken, never);
            async move {
                if let Some(claimer) = claimer {
                    // it cannot be cancelled, and a panic of its was logged
                    let _ = claimer.await;
                }
                let mut unstarted = Vec::new();
                while let Ok(held) = taken.try_recv() {
                    unstarted.push(held.hold.taken);
                }
                if !unstarted.is_empty() {
                    source.lock().await.give_back_unstarted(unstarted).await;
                }
            }
            .boxed()
        });
        Pin::new(closing).poll(cx).map(Ok)
    }
}

impl<S: Source> BackendConfig for Lane<S> {
    type Args = Held<S::Job>;
    type Id = RandomId;
    type Kind = Ephemeral;
    type Config = ();
    type Layer = Identity;

    fn config(&self) -> &() {
        &()
    }

    fn middleware(&mut self, _: &mut WorkerContext) -> Identity {
        Identity::new()
    }
}

#[cfg(test)]
mod tests;
