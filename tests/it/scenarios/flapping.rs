//! Checks that go to and fro.

use super::*;

/// Fails once and recovers once, every four minutes: never hard. It flaps from the fifth flip on.
async fn flap(stage: &mut Stage, check: &str, minutes: usize) {
    for _ in 0..minutes / 4 {
        stage.fail(&[check]);
        stage.rounds(1, 2 * MINUTE).await;
        stage.recover(&[check]);
        stage.rounds(1, 2 * MINUTE).await;
    }
}

#[tokio::test]
async fn an_hour_of_flapping_that_ends_broken() {
    let mut stage = Stage::new().await;
    stage.host("web1", &["check_a"]).await;
    flap(&mut stage, "web1/check_a", 60).await;
    stage.fail(&["web1/check_a"]);
    stage.minutes(3).await;
    stage.no_pages().await; // hard, and still flapping
    stage.rounds(6, 5 * MINUTE).await;
    stage.pages(&["trigger web1/check_a"]).await;
    stage.recover(&["web1/check_a"]);
    stage.minutes(1).await;
    stage.pages(&["resolve web1/check_a"]).await;
}

#[tokio::test]
async fn an_hour_of_flapping_that_ends_healthy() {
    let mut stage = Stage::new().await;
    stage.host("web1", &["check_a"]).await;
    flap(&mut stage, "web1/check_a", 60).await;
    stage.rounds(6, 5 * MINUTE).await;
    stage.no_pages().await;
}

/// It is hard now and then, while it flaps.
#[tokio::test]
async fn an_hour_of_heavy_flapping_that_ends_healthy() {
    let mut stage = Stage::new().await;
    stage.host("web1", &["check_a"]).await;
    flap(&mut stage, "web1/check_a", 12).await;
    for _ in 0..8 {
        stage.fail(&["web1/check_a"]);
        stage.minutes(4).await;
        stage.recover(&["web1/check_a"]);
        stage.minutes(2).await;
    }
    stage.no_pages().await;
    let open = "select count(*) from alerts where closed_at is null";
    assert_eq!(stage.count(open).await, 1);
    stage.advance(HOUR).await; // it calms down between two runs
    stage.no_pages().await;
    assert_eq!(stage.count(open).await, 0);
}

/// The alert was told before it began to flap: it lasts until it is calm, and then ends.
#[tokio::test]
async fn a_problem_that_begins_to_flap() {
    let mut stage = Stage::new().await;
    stage.host("web1", &["check_a"]).await;
    stage
        .register("web1", |r| {
            let check = r.checks.get_mut("check_a").expect("it was registered");
            check.flap_threshold = Some(4);
        })
        .await;
    flap(&mut stage, "web1/check_a", 4).await;
    stage.fail(&["web1/check_a"]);
    stage.minutes(3).await;
    stage.pages(&["trigger web1/check_a"]).await;
    stage.recover(&["web1/check_a"]);
    stage.minutes(1).await; // the fourth flip
    stage.no_pages().await;
    stage.minutes(5).await;
    stage.no_pages().await;
    stage.minutes(20).await;
    stage.pages(&["resolve web1/check_a"]).await;
}

/// `flap_notify_after` is an hour, in which it was never hard.
#[tokio::test]
async fn flapping_for_longer_than_an_hour_is_told() {
    let mut stage = Stage::new().await;
    stage.host("web1", &["check_a"]).await;
    flap(&mut stage, "web1/check_a", 64).await;
    stage.no_pages().await;
    flap(&mut stage, "web1/check_a", 16).await;
    let told = stage.new_pages().await;
    let told: Vec<_> = told
        .iter()
        .map(|page| (page.kind.as_str(), page.text.as_str()))
        .collect();
    assert_eq!(told, [("trigger", "check_a on web1 is FLAPPING")]);

    flap(&mut stage, "web1/check_a", 40).await;
    stage.no_pages().await;
    stage.rounds(6, 5 * MINUTE).await;
    stage.pages(&["resolve web1/check_a"]).await;
}

/// Each check with the thresholds that its agent registered for it.
#[tokio::test]
async fn thresholds_of_a_check_s_own() {
    let mut stage = Stage::new().await;
    let names = [
        "check_strict",
        "check_steady",
        "check_window",
        "check_usual",
    ];
    stage.host("web1", &names).await;
    stage
        .register("web1", |r| {
            let mut edit = |name: &str, edit: fn(&mut RegisteredCheck)| {
                edit(r.checks.get_mut(name).expect("it was registered"));
            };
            edit("check_strict", |check| check.alert_threshold = Some(1));
            edit("check_steady", |check| check.flap_threshold = Some(50));
            edit("check_window", |check| check.flap_window = Some(60));
        })
        .await;
    let checks = stage.checks_of("web1");

    stage.fail(&checks);
    stage.minutes(1).await;
    stage.pages(&["trigger web1/check_strict"]).await;
    stage.recover(&checks);
    stage.minutes(1).await;
    stage.pages(&["resolve web1/check_strict"]).await;

    for _ in 0..4 {
        flap_together(&mut stage, &checks).await;
    }
    stage.new_pages().await; // of the strict one, which is hard at once until it flaps
    stage.fail(&checks);
    stage.minutes(3).await;
    // the strict and the usual one flap; fifty flips would be needed, or five within a minute
    stage
        .pages(&["trigger web1/check_steady", "trigger web1/check_window"])
        .await;
}

async fn flap_together(stage: &mut Stage, checks: &[String]) {
    stage.fail(checks);
    stage.minutes(1).await;
    stage.recover(checks);
    stage.minutes(1).await;
}
