//! Problems while people work on a host: seen, recorded, and told only if they last longer.

use super::*;

#[tokio::test]
async fn broken_and_healed_within_maintenance() {
    let mut stage = Stage::new().await;
    stage.host("web1", &["check_a"]).await;
    stage.maintain(&["web*"], HOUR).await;
    stage.fail(&["web1/check_a"]);
    stage.minutes(5).await;
    stage.recover(&["web1/check_a"]);
    stage.minutes(5).await;
    stage.no_pages().await;
    stage.advance(2 * HOUR).await;
    stage.run_all().await;
    stage.no_pages().await;
}

#[tokio::test]
async fn still_broken_when_maintenance_ends() {
    let mut stage = Stage::new().await;
    stage.host("web1", &["check_a"]).await;
    stage.host("web2", &["check_a"]).await;
    stage.maintain(&["web1"], HOUR).await;
    stage.fail(&["web1/check_a", "web2/check_a"]);
    stage.minutes(3).await;
    stage.pages(&["trigger web2/check_a"]).await;
    stage.minutes(10).await;
    stage.no_pages().await;

    stage.advance(HOUR).await; // without a run
    stage.pages(&["trigger web1/check_a"]).await;
    stage.recover(&["web1/check_a", "web2/check_a"]);
    stage.minutes(1).await;
    stage
        .pages(&["resolve web1/check_a", "resolve web2/check_a"])
        .await;
}

#[tokio::test]
async fn a_problem_begins_before_and_ends_within_maintenance() {
    let mut stage = Stage::new().await;
    stage.host("web1", &["check_a"]).await;
    stage.fail(&["web1/check_a"]);
    stage.minutes(3).await;
    stage.pages(&["trigger web1/check_a"]).await;
    stage.maintain(&["web1"], HOUR).await;
    stage.minutes(5).await;
    stage.recover(&["web1/check_a"]);
    stage.minutes(1).await;
    stage.pages(&["resolve web1/check_a"]).await;
    stage.advance(2 * HOUR).await;
    stage.no_pages().await;
}

/// A host that is down in its maintenance, and comes back after it.
#[tokio::test]
async fn a_host_is_down_for_longer_than_its_maintenance() {
    let mut stage = Stage::new().await;
    stage.host_with("web1", 4).await;
    stage.maintain(&["web1"], 20 * MINUTE).await;
    stage.go_down("web1").await;
    stage.minutes(10).await;
    stage.no_pages().await;
    stage.rounds(2, 10 * MINUTE).await;
    stage.pages(&["trigger web1"]).await;
    stage.come_back("web1").await;
    stage.minutes(1).await;
    stage.pages(&["resolve web1"]).await;
}
