//! Restarts and edited routes, of which nobody may notice anything.

use std::collections::BTreeSet;
use std::time::Duration;

use stalker_tests::stage::{PAGER, Page, Stage};
use stalker_tests::until::until;
use stalker_worker::config::{Match, Route};

const MINUTE: Duration = Duration::from_secs(60);
/// So many are told at a time.
const PART: usize = 200;
/// Of one replica: some in good order, most not.
const RESTARTS: usize = 1000;
/// Every so many restarts it is left alone for as long as it takes to do all that there is to do.
const REST_EVERY: usize = 100;

/// A thousand problems, each told by itself. Then everything starts anew, and after that with another route.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_restart_with_a_thousand_open_alerts_sends_nothing_new() {
    let mut stage = Stage::direct(&[PAGER, "chat"], |config| {
        config.thresholds.flood_threshold = 5000;
        config.routes = vec![all_to(PAGER)];
    })
    .await;
    let checks = stage.hosts_with(200, 5).await;
    stage.record_concurrently(4, 100);
    for part in checks.chunks(PART) {
        stage.fail(part);
        for _ in 0..3 {
            stage.run(part).await;
        }
        // in a burst they wait for a flood, which does not come
        stage.advance(MINUTE).await;
        assert_eq!(stage.new_pages().await.len(), part.len());
    }

    stage.workers.remove(0).stop().await;
    stage.schedulers.remove(0).stop().await;
    stage.start_worker();
    stage.start_scheduler();
    stage.minutes(1).await;
    stage.no_pages().await;

    stage.workers.remove(0).kill();
    stage.config.routes = vec![all_to("chat")];
    stage.start_worker();
    let first = async || {
        let routed: Vec<String> = sqlx::query_scalar("select channels[1] from routes")
            .fetch_all(stage.pool())
            .await
            .ok()?;
        (routed == ["chat"]).then_some(())
    };
    until("the new route is in the tables", MINUTE, first).await;
    stage.minutes(1).await;
    stage.no_pages().await;

    for part in checks.chunks(PART) {
        stage.recover(part);
        stage.run(part).await;
        let resolves = stage.new_pages().await;
        assert_eq!(resolves.len(), part.len());
        let is_of_pager = |page: &Page| page.kind == "resolve" && page.channel == PAGER;
        assert!(resolves.iter().all(is_of_pager), "{resolves:?}");
    }
}

/// The problem begins, lasts and ends while one of two workers starts and dies all the time.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_thousand_restarts_during_one_problem() {
    let mut stage = Stage::with(&[PAGER], |_| {}).await;
    stage.start_worker();
    stage.host("web1", &["check_a"]).await;
    stage.fail(&["web1/check_a"]);
    for n in 1..=RESTARTS {
        let replica = stage.workers.remove(0);
        if n % 10 == 0 {
            replica.stop().await
        } else {
            replica.kill()
        }
        stage.start_worker();
        if n % REST_EVERY == 0 {
            // what a dead worker held is free by then
            stage.database().advance(MINUTE).await;
            stage.run_all().await;
            // a sender that is killed sends again, with the same key: that is the model's to play
            stage.settle().await;
        }
    }
    stage.recover(&["web1/check_a"]);
    stage.minutes(1).await;
    stage.settle().await;
    let keys: BTreeSet<String> = stage.received().into_iter().map(|page| page.key).collect();
    assert_eq!(keys.len(), 1, "one problem has one key");
    stage
        .pages(&["trigger web1/check_a", "resolve web1/check_a"])
        .await;
}

fn all_to(channel: &str) -> Route {
    Route {
        matches: Match::default(),
        channels: vec![channel.to_owned()],
        continues: false,
    }
}
