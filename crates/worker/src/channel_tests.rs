//! Tests of channels: whoever asks for one learns how its receiver answers (`POST /channels/{name}/test`).

use std::sync::Arc;
use std::time::{Duration, Instant};

use reqwest::Client;
use sqlx::PgPool;
use stalker_db::channel_tests::{self, ClaimedTest};
use stalker_db::notifications::{Attempt, AttemptEnd, ClaimedNotification};
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

use crate::lane;
use crate::notify::{Answer, Failure, Outlet};

/// Between two looks for tests that somebody asks for: people wait for them.
const EVERY: Duration = Duration::from_millis(500);
/// Tests under way at the same time; more wait for another look, or another worker.
const MOST: usize = 8;
/// How often the end of a test is told, and how long after the one before: what it opened must not stay open there.
const RESOLVES: [Duration; 3] = [
    Duration::ZERO,
    Duration::from_secs(1),
    Duration::from_secs(4),
];

/// Looks for tests until `shutdown`, and makes them. Those under way may end as other running jobs may.
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
    let mut under_way = JoinSet::new();
    loop {
        tokio::select! {
            () = tokio::time::sleep(EVERY) => {}
            () = shutdown.cancelled() => break,
        }
        while under_way.try_join_next().is_some() {}
        match channel_tests::claim(pool, &names, MOST - under_way.len()).await {
            Ok(tests) => {
                for test in tests {
                    let named = |outlet: &&Arc<Outlet>| outlet.name() == test.channel;
                    let Some(outlet) = outlets.iter().find(named) else {
                        continue;
                    };
                    let (outlet, client, pool) = (outlet.clone(), client.clone(), pool.clone());
                    under_way.spawn(async move { make(&test, &outlet, &client, &pool).await });
                }
            }
            Err(error) => tracing::debug!(%error, "cannot look for tests of channels"),
        }
    }
    let ended = async { while under_way.join_next().await.is_some() {} };
    if tokio::time::timeout(lane::DRAIN, ended).await.is_err() {
        tracing::warn!("tests of channels were still under way");
    }
}

async fn make(test: &ClaimedTest, outlet: &Outlet, client: &Client, pool: &PgPool) {
    let began = Instant::now();
    let mut answers = Vec::new();
    for priority in outlet.channel().priorities_of_keys() {
        answers.push(try_key(test, outlet, client, priority).await);
    }
    let failed = answers.iter().position(|answer| answer.failure.is_some());
    // there is a key, or none, which is told too
    let Some(answer) = failed
        .map(|index| answers.swap_remove(index))
        .or_else(|| answers.pop())
    else {
        return;
    };
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
        latency_ms: i32::try_from(began.elapsed().as_millis()).unwrap_or(i32::MAX),
        http_status: answer.http_status.map(i32::from),
        answer: answer.excerpt,
        secret_id: None,
    };
    if let Err(error) = channel_tests::settle(pool, test, &attempt, error.as_deref()).await {
        tracing::warn!(%error, channel = test.channel, "cannot write down how a test ended");
    }
}

/// Tells it with the key of a priority, and what may stand open there since, to be over. Returns the first failure.
async fn try_key(test: &ClaimedTest, outlet: &Outlet, client: &Client, priority: i16) -> Answer {
    let trigger = message(test, outlet, priority, "trigger");
    let told = outlet.send(client, &trigger, None).await;
    if !told.may_have_arrived || !outlet.channel().protocol().keeps_incidents() {
        return told;
    }
    let resolve = message(test, outlet, priority, "resolve");
    let mut over = None;
    for pause in RESOLVES {
        tokio::time::sleep(pause).await;
        let answer = outlet.send(client, &resolve, None).await;
        let is_final = !matches!(answer.failure, Some(Failure::Passing { .. }));
        over = Some(answer);
        if is_final {
            break;
        }
    }
    match over {
        Some(over) if told.failure.is_none() => over,
        _ => told,
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
fn message(test: &ClaimedTest, outlet: &Outlet, priority: i16, kind: &str) -> ClaimedNotification {
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
        priority,
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
