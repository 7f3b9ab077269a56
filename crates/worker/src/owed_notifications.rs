//! The lane of owed notifications: claim (which counts the attempt), send, settle.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

use sqlx::PgPool;
use stalker_db::failpoint::{self, Failpoint};
use stalker_db::notifications::{self, Attempt, AttemptEnd, ClaimedNotification};
use stalker_db::{Pools, checks};
use stalker_domain::wire;
use tokio::sync::Notify;
use tokio_util::sync::CancellationToken;

use crate::config::{Channel, Config};
use crate::lane::{self, Held, Source, Taken};
use crate::notify::{self, Answer, Message, Sender};

/// Messages under way at the same time on one channel.
const SLOTS: usize = 8;
/// How long to wait for a hint from the recorder. Other workers' notifications are found this late.
const REST: Duration = Duration::from_millis(250);
/// A claim outlives every provider's time-out, and what is needed to write down how it ended.
const LEASE: Duration = Duration::from_secs(30);
const _: () = assert!(
    LEASE.as_secs() > notify::TIMEOUT.as_secs() + 10,
    "a lease must outlive the send"
);

pub(crate) async fn run(
    config: Arc<Config>,
    pools: Pools,
    told: Arc<Notify>,
    shutdown: CancellationToken,
) -> anyhow::Result<()> {
    let delivery = Arc::new(Delivery {
        pool: pools.durable.clone(),
        sender: Sender::new()?,
        channels: config.channels.clone(),
    });
    // A lane of its own for each channel: one that is slow or dead delays no other.
    let lanes = config.channels.keys().map(|channel| {
        let source = OwedNotifications {
            pool: pools.durable.clone(),
            channel: channel.clone(),
            secret_ids: config.channels[channel]
                .secrets()
                .into_iter()
                .map(notify::secret_id)
                .collect(),
            told: told.clone(),
        };
        let delivery = delivery.clone();
        let deliver = move |held: Held<ClaimedNotification>| {
            let delivery = delivery.clone();
            async move { delivery.deliver(&held.job).await }
        };
        lane::work(
            "owed-notifications",
            source,
            SLOTS,
            LEASE,
            shutdown.clone(),
            deliver,
        )
    });
    futures::future::try_join_all(lanes).await?;
    Ok(())
}

struct OwedNotifications {
    pool: PgPool,
    channel: String,
    /// Say which secrets the channel has, today's first.
    secret_ids: Vec<String>,
    told: Arc<Notify>,
}

impl Source for OwedNotifications {
    type Job = ClaimedNotification;

    async fn claim(&mut self, free: usize) -> anyhow::Result<Vec<ClaimedNotification>> {
        let lease_s = i32::try_from(LEASE.as_secs())?;
        Ok(notifications::claim_due(
            &self.pool,
            &self.channel,
            &self.secret_ids,
            i64::try_from(free)?,
            rand::random::<i64>(),
            lease_s,
        )
        .await?)
    }

    fn taken(job: &ClaimedNotification) -> Taken {
        (job.notification_id, job.lease)
    }

    async fn rest(&self) {
        // Polling is the truth; the recorder of this process only makes it quicker.
        let _ = tokio::time::timeout(REST, self.told.notified()).await;
    }

    async fn give_back_unstarted(&self, jobs: Vec<Taken>) {
        if let Err(error) = notifications::give_back(&self.pool, &jobs).await {
            tracing::warn!(%error, notifications = jobs.len(), "cannot give notifications back; their leases will run out");
        }
    }

    /// What is being sent may arrive: only the end of its lease may decide that it did not.
    async fn give_back_running(&self, _: Vec<Taken>) {}
}

struct Delivery {
    pool: PgPool,
    sender: Sender,
    channels: BTreeMap<String, Channel>,
}

impl Delivery {
    async fn deliver(&self, notification: &ClaimedNotification) {
        let Some(channel) = self.channels.get(&notification.channel) else {
            return; // claimed are only channels of this configuration
        };
        let began = Instant::now();
        let secret = channel.secret(notification.secret_id.as_deref());
        let message = Message {
            notification,
            check: self.check(notification).await,
            secret,
        };
        let answer = self.sender.send(channel, &message).await;
        if answer.failure.is_none() {
            failpoint::reach(Failpoint::AfterAccept).await;
        }
        let attempt = Attempt {
            end: end(&answer, notification),
            may_have_arrived: answer.may_have_arrived,
            latency_ms: i32::try_from(began.elapsed().as_millis()).unwrap_or(i32::MAX),
            http_status: answer.http_status.map(i32::from),
            answer: answer.excerpt,
            secret_id: secret.map(notify::secret_id),
        };
        self.settle(notification, &attempt).await;
    }

    /// The check as it is now, for messages that show all of it; none if it was deleted, or the alert is a host's.
    async fn check(&self, notification: &ClaimedNotification) -> Option<wire::Check> {
        let check = checks::find(&self.pool, notification.check_id?).await;
        check.ok().flatten().map(wire::Check::from)
    }

    /// Writes down how it ended; tries for as long as the lease lasts, for the message may have arrived.
    async fn settle(&self, notification: &ClaimedNotification, attempt: &Attempt) {
        let mut pause = Duration::from_millis(100);
        loop {
            match notifications::settle(&self.pool, notification, attempt).await {
                Ok(true) => break,
                Ok(false) => {
                    tracing::warn!(
                        notification = notification.notification_id,
                        "settled after its lease; it counts as one that may have arrived"
                    );
                    return;
                }
                // ends with the lane's limit, which is the lease
                Err(error) => {
                    tracing::warn!(%error, notification = notification.notification_id, "cannot settle; trying again");
                    tokio::time::sleep(pause).await;
                    pause = (pause * 2).min(Duration::from_secs(2));
                }
            }
        }
        let (channel, kind, key) = (
            &notification.channel,
            &notification.kind,
            &notification.dedup_key,
        );
        match &attempt.end {
            AttemptEnd::Accepted => tracing::info!(%channel, %kind, %key, "notification accepted"),
            AttemptEnd::Refused(why) => {
                tracing::error!(%channel, %kind, %key, %why, "notification refused for good")
            }
            AttemptEnd::Retry(why, after_ms) => {
                tracing::warn!(%channel, %kind, %key, %why, after_ms, "notification not accepted; trying again")
            }
        }
    }
}

fn end(answer: &Answer, notification: &ClaimedNotification) -> AttemptEnd {
    match &answer.failure {
        None => AttemptEnd::Accepted,
        Some(failure) if failure.is_permanent => AttemptEnd::Refused(failure.why.clone()),
        Some(failure) => {
            let after = failure
                .retry_after
                .unwrap_or_else(|| notify::backoff(notification.attempt));
            AttemptEnd::Retry(
                failure.why.clone(),
                i64::try_from(after.as_millis()).unwrap_or(i64::MAX),
            )
        }
    }
}
