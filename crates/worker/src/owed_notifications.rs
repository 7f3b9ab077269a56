//! The lane of owed notifications: claim (which counts the attempt), send, settle.

use std::sync::Arc;
use std::time::{Duration, Instant};

use reqwest::Client;
use sqlx::PgPool;
use stalker_db::failpoint::{self, Failpoint};
use stalker_db::notifications::{self, Attempt, AttemptEnd, ClaimedNotification, Rate, SecretIds};
use stalker_db::{Pools, checks};
use stalker_domain::wire;
use tokio::sync::Notify;
use tokio_util::sync::CancellationToken;

use crate::lane::{self, Held, Source, Taken};
use crate::notify::{self, Failure, Outlet};

/// How long to wait for a hint from the recorder. Other workers' notifications are found this late.
const REST: Duration = Duration::from_millis(250);
/// How long a message may wait for the details of its check.
const CHECK_TIMEOUT: Duration = Duration::from_secs(2);

pub(crate) async fn run(
    outlets: Vec<Arc<Outlet>>,
    client: Client,
    pools: Pools,
    told: Arc<Notify>,
    shutdown: CancellationToken,
) -> anyhow::Result<()> {
    // A lane of its own for each channel: one that is slow or dead delays no other.
    let lanes = outlets.into_iter().map(|outlet| {
        let channel = outlet.channel();
        let source = OwedNotifications {
            pool: pools.durable.clone(),
            channel: outlet.name().to_owned(),
            secret_ids: channel.secret_ids(),
            rate: channel.rate(),
            lease_s: channel.lease_s(),
            told: told.clone(),
        };
        let (slots, limit) = (channel.protocol().concurrency(), channel.lease_s());
        let delivery = Arc::new(Delivery {
            pool: pools.durable.clone(),
            client: client.clone(),
            outlet,
        });
        let deliver = move |held: Held<ClaimedNotification>| {
            let delivery = delivery.clone();
            async move { delivery.deliver(&held.job).await }
        };
        lane::work(
            "owed-notifications",
            source,
            slots,
            Duration::from_secs(limit.into()),
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
    secret_ids: SecretIds,
    rate: Option<Rate>,
    /// A claim outlives the channel's time-out, and what is needed to write down how it ended.
    lease_s: u32,
    told: Arc<Notify>,
}

impl Source for OwedNotifications {
    type Job = ClaimedNotification;

    async fn claim(&mut self, free: usize) -> anyhow::Result<Vec<ClaimedNotification>> {
        Ok(notifications::claim_due(
            &self.pool,
            &self.channel,
            &self.secret_ids,
            self.rate.as_ref(),
            i64::try_from(free)?,
            rand::random::<i64>(),
            i32::try_from(self.lease_s)?,
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
    client: Client,
    outlet: Arc<Outlet>,
}

impl Delivery {
    async fn deliver(&self, notification: &ClaimedNotification) {
        let began = Instant::now();
        let check = self.check(notification).await;
        let answer = self.outlet.send(&self.client, notification, check).await;
        if answer.failure.is_none() {
            failpoint::reach(Failpoint::AfterAccept).await;
        }
        let key = self.outlet.channel().key(notification);
        let attempt = Attempt {
            end: end(answer.failure, answer.http_status, notification.attempt),
            may_have_arrived: answer.may_have_arrived,
            latency_ms: i32::try_from(began.elapsed().as_millis()).unwrap_or(i32::MAX),
            http_status: answer.http_status.map(i32::from),
            answer: answer.excerpt,
            secret_id: key.map(|key| notify::secret_id(key.expose())),
        };
        self.settle(notification, &attempt).await;
        if matches!(attempt.end, AttemptEnd::Accepted) {
            self.hurry().await;
        }
    }

    /// The check as it is now, for messages that show all of it; none if it was deleted, or the alert is a host's. What the
    /// alert remembers will do, where the database is slow.
    async fn check(&self, notification: &ClaimedNotification) -> Option<wire::Check> {
        if !self.outlet.channel().protocol().shows_check() {
            return None;
        }
        let check = checks::find(&self.pool, notification.check_id?, None);
        let check = tokio::time::timeout(CHECK_TIMEOUT, check).await.ok()?;
        check.ok().flatten().map(wire::Check::from)
    }

    /// A channel that takes messages again need not wait for what was put off while it took none.
    async fn hurry(&self) {
        let name = self.outlet.name();
        match notifications::hurry(&self.pool, name).await {
            Ok(0) => {}
            Ok(n) => tracing::info!(
                channel = name,
                notifications = n,
                "it takes messages again; what was put off is tried now"
            ),
            // they are tried when they were put off to
            Err(error) => tracing::warn!(%error, channel = name, "cannot hurry what was put off"),
        }
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
                tracing::error!(%channel, %kind, %key, %why, "notification refused for good");
            }
            AttemptEnd::Gone(why) => {
                tracing::error!(%channel, %kind, %key, %why, "the receiver is gone for good: the channel is disabled");
            }
            AttemptEnd::Retry { why, after_ms, .. } => {
                tracing::warn!(%channel, %kind, %key, %why, after_ms, "notification not accepted; trying again");
            }
        }
    }
}

fn end(failure: Option<Failure>, http_status: Option<u16>, attempt: i32) -> AttemptEnd {
    match failure {
        None => AttemptEnd::Accepted,
        Some(Failure::Final(why)) => AttemptEnd::Refused(why),
        Some(Failure::Gone(why)) => AttemptEnd::Gone(why),
        Some(Failure::Passing { why, retry_after }) => {
            let after = retry_after.unwrap_or_else(|| notify::backoff(attempt));
            AttemptEnd::Retry {
                why,
                after_ms: i64::try_from(after.as_millis()).unwrap_or(i64::MAX),
                // whoever says "too many" means later, also without a time
                is_asked: retry_after.is_some() || http_status == Some(429),
            }
        }
    }
}
