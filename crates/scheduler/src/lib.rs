//! What happens only because time passed: duties, each claimed from its row, so that any number of schedulers
//! share them and any of them may die. A duty is idempotent and takes no input; one that was killed in the middle
//! is simply done again.

mod clusters;
mod duty;
mod owed;
mod samples;
mod state_changes;
mod sweep;

use std::sync::Arc;
use std::time::{Duration, Instant};

use duty::Duty;
use sqlx::PgPool;
use stalker_clusters::Clusters;
use stalker_db::duties;
use stalker_domain::thresholds::Thresholds;
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

/// The scheduler's settings.
#[derive(Debug, Clone)]
pub struct Config {
    /// Days of history that are kept.
    pub keep_history_days: u32,
    /// Days of samples that are kept.
    pub keep_samples_days: u32,
    /// Days of their roll-up into hours that are kept.
    pub keep_sample_hours_days: u32,
    /// When something is an alert, and many are a flood.
    pub thresholds: Thresholds,
    /// The other clusters.
    pub clusters: Clusters,
    /// Seconds that one of them must have been out of reach before its alert opens.
    pub cluster_down_after_s: u32,
}

/// Duties under way at the same time in one scheduler, so that a slow one delays no other.
const AT_ONCE: usize = 3;
/// A duty that takes longer is begun again by another scheduler, which harms nothing; one whose scheduler was killed
/// is missed for as long.
const LEASE: Duration = Duration::from_secs(10);
/// How long duties that are under way may take once the scheduler stops.
const DRAIN: Duration = Duration::from_secs(15);

/// What duties may know.
#[derive(Debug)]
struct Known {
    config: Config,
    steady_rate: sweep::SteadyRate,
}

/// Does duties until `shutdown`, and ends those that it has begun. A database that is away is waited for.
///
/// # Errors
/// None so far: what fails is logged, shown in the table, and done again.
pub async fn run(config: Config, pool: PgPool, shutdown: CancellationToken) -> anyhow::Result<()> {
    tracing::info!("scheduler runs");
    let known = Arc::new(Known {
        config,
        steady_rate: sweep::SteadyRate::default(),
    });
    let mut under_way = JoinSet::new();
    let mut patience = Duration::from_millis(100);
    while !shutdown.is_cancelled() {
        while under_way.len() >= AT_ONCE {
            under_way.join_next().await;
        }
        let pause = match take_one(&pool).await {
            Ok(Taken::Duty(name, lease)) => {
                patience = Duration::from_millis(100);
                under_way.spawn(perform(name, lease, known.clone(), pool.clone()));
                continue;
            }
            Ok(Taken::NoneUntil(pause)) => pause,
            Err(error) => {
                tracing::warn!(%error, "cannot claim a duty; trying again in {patience:?}");
                let pause = patience;
                patience = (patience * 2).min(Duration::from_secs(2));
                pause
            }
        };
        shutdown
            .run_until_cancelled(tokio::time::sleep(pause))
            .await;
        while under_way.try_join_next().is_some() {}
    }
    if tokio::time::timeout(DRAIN, under_way.join_all())
        .await
        .is_err()
    {
        tracing::warn!("duties were still under way; another scheduler does them again");
    }
    Ok(())
}

enum Taken {
    Duty(String, i64),
    NoneUntil(Duration),
}

async fn take_one(pool: &PgPool) -> sqlx::Result<Taken> {
    let lease = rand::random::<i64>();
    if let Some(duty) = duties::claim_due(
        pool,
        lease,
        i32::try_from(LEASE.as_secs()).unwrap_or(i32::MAX),
    )
    .await?
    {
        return Ok(Taken::Duty(duty.name, lease));
    }
    // another scheduler may die meanwhile, so this never sleeps for long
    let due = duties::next_due(pool).await?;
    Ok(Taken::NoneUntil(
        due.clamp(Duration::from_millis(20), Duration::from_secs(1)),
    ))
}

async fn perform(name: String, lease: i64, known: Arc<Known>, pool: PgPool) {
    let began = Instant::now();
    let result = match Duty::named(&name) {
        Some(duty) => duty.perform(&known, &pool).await,
        None => Err(anyhow::anyhow!(
            "this scheduler does not know this duty; is it older than the database?"
        )),
    };
    let error = result.err().map(|error| format!("{error:#}"));
    if let Some(error) = &error {
        tracing::error!(duty = name, error, "duty failed");
    }
    let took_ms = i32::try_from(began.elapsed().as_millis()).unwrap_or(i32::MAX);
    if let Err(error) = duties::finish(&pool, &name, lease, took_ms, error.as_deref()).await {
        tracing::warn!(%error, duty = name, "cannot write down that a duty was done; its lease will run out");
    }
}
