//! Tests of channels: whoever asks for one learns how its receiver answers (`POST /channels/{name}/test`).

use std::sync::Arc;
use std::time::{Duration, Instant};

use reqwest::Client;
use sqlx::PgPool;
use stalker_db::channel_tests::{self, ClaimedTest};
use stalker_db::notifications::{Attempt, AttemptEnd, ClaimedNotification};
use tokio_util::sync::CancellationToken;

use crate::notify::{Answer, Failure, Outlet};

/// Between two looks for tests that somebody asks for: people wait for them.
const EVERY: Duration = Duration::from_millis(500);

/// Looks for tests until `shutdown`, and makes them one after the other.
pub(crate) async fn run(
    outlets: &[Arc<Outlet>],
    client: &Client,
    pool: &PgPool,
    shutdown: CancellationToken,
) {
    let names: Vec<String> = outlets
        .iter()
        .map(|outlet| outlet.name().to_owned())
        .collect();
    if names.is_empty() {
        return;
    }
    loop {
        tokio::select! {
            () = tokio::time::sleep(EVERY) => {}
            () = shutdown.cancelled() => return,
        }
        match channel_tests::claim(pool, &names).await {
            Ok(tests) => {
                let tests = tests.iter().filter_map(|test| {
                    let outlet = outlets
                        .iter()
                        .find(|outlet| outlet.name() == test.channel)?;
                    Some(make(test, outlet, client, pool))
                });
                futures::future::join_all(tests).await;
            }
            Err(error) => tracing::debug!(%error, "cannot look for tests of channels"),
        }
    }
}

async fn make(test: &ClaimedTest, outlet: &Outlet, client: &Client, pool: &PgPool) {
    let began = Instant::now();
    let mut answer = outlet
        .send(client, &message(test, outlet, "trigger"), None)
        .await;
    if answer.failure.is_none() && outlet.channel().protocol().keeps_incidents() {
        // or it would stay open there
        answer = outlet
            .send(client, &message(test, outlet, "resolve"), None)
            .await;
    }
    let latency_ms = i32::try_from(began.elapsed().as_millis()).unwrap_or(i32::MAX);
    let error = why(&answer);
    match &error {
        None => tracing::info!(channel = test.channel, by = test.asked_by, "test accepted"),
        Some(why) => tracing::warn!(
            channel = test.channel,
            by = test.asked_by,
            why,
            "test not accepted"
        ),
    }
    let attempt = Attempt {
        end: AttemptEnd::Accepted,
        may_have_arrived: answer.may_have_arrived,
        latency_ms,
        http_status: answer.http_status.map(i32::from),
        answer: answer.excerpt,
        secret_id: None,
    };
    if let Err(error) = channel_tests::settle(pool, test, &attempt, error.as_deref()).await {
        tracing::warn!(%error, channel = test.channel, "cannot write down how a test ended");
    }
}

fn why(answer: &Answer) -> Option<String> {
    match answer.failure.as_ref()? {
        Failure::Passing { why, .. } | Failure::Final(why) | Failure::Gone(why) => {
            Some(why.clone())
        }
    }
}

/// A message of no alert.
fn message(test: &ClaimedTest, outlet: &Outlet, kind: &str) -> ClaimedNotification {
    ClaimedNotification {
        notification_id: test.test_id,
        lease: 0,
        channel: test.channel.clone(),
        kind: kind.to_owned(),
        dedup_key: format!("{}stalker-test:{}", outlet.channel().prefix, test.test_id),
        attempt: 1,
        check_id: None,
        hostname: String::new(),
        ip: String::new(),
        check_name: String::new(),
        priority: 2,
        status: None,
        fails: 0,
        out: String::new(),
        opened_at: test.asked_at,
        closed_at: (kind == "resolve").then_some(test.asked_at),
        close_reason: (kind == "resolve").then(|| "recovered".to_owned()),
        is_known: true,
        is_of_flapping: false,
        secret_id: None,
        alert_kind: "test".to_owned(),
        members: 0,
        member_names: Vec::new(),
        owner: test.asked_by.clone(),
        is_possible_repeat: false,
        created_at: test.asked_at,
        claimed_at: test.asked_at,
        expires_at: None,
        last_failure: None,
        held_for: None,
    }
}
