//! Hosts that cannot be reached, and agents that do not answer.

use super::*;

#[tokio::test]
async fn a_host_with_30_checks_dies_and_returns() {
    let mut stage = Stage::new().await;
    stage.host_with("web1", 30).await;
    stage.host("web2", &["check_a"]).await;

    stage.go_down("web1").await;
    stage.run_all().await; // 30 outcomes, but not yet half a minute
    stage.no_pages().await;
    stage.minutes(1).await;
    stage.pages(&["trigger web1"]).await;
    stage.minutes(5).await;
    stage.come_back("web1").await;
    stage.minutes(1).await;
    stage.pages(&["resolve web1"]).await;
    stage.minutes(3).await;
    stage.no_pages().await;
}

/// What was told before the host died is not ended by that, and not repeated: that tells of the host. After two days
/// it is back, and the check is as broken as before.
#[tokio::test]
async fn a_host_dies_with_a_problem_on_it() {
    let mut stage = Stage::new().await;
    stage.host("web1", &["check_a", "check_b"]).await;

    stage.fail(&["web1/check_a"]);
    stage.minutes(3).await;
    stage.pages(&["trigger web1/check_a"]).await;
    stage.go_down("web1").await;
    stage.minutes(3).await;
    stage.pages(&["trigger web1"]).await;
    stage.rounds(1, 50 * HOUR).await;
    stage.pages(&["trigger web1"]).await;
    stage.come_back("web1").await;
    stage.minutes(1).await;
    stage.pages(&["resolve web1", "trigger web1/check_a"]).await;
    stage.recover(&["web1/check_a"]);
    stage.minutes(1).await;
    stage.pages(&["resolve web1/check_a"]).await;
}

/// Nothing could ever be seen to answer.
#[tokio::test]
async fn a_dead_host_loses_its_last_check() {
    let mut stage = Stage::new().await;
    stage.host("web1", &["check_a", "check_b"]).await;
    stage.go_down("web1").await;
    stage.minutes(3).await;
    stage.pages(&["trigger web1"]).await;
    stage.remove("web1/check_a").await;
    stage.no_pages().await;
    stage.suspend("web1/check_b", true).await;
    let end = stage.new_pages().await;
    assert_eq!(end.len(), 1, "{end:?}");
    assert_eq!(end[0].to_string(), "resolve web1");
    assert_eq!(end[0].text, "web1 has no check left that could tell");
}

#[tokio::test]
async fn one_dropped_packet_is_nothing() {
    let mut stage = Stage::new().await;
    stage.host_with("web1", 4).await;

    stage.go_down("web1").await;
    stage.run(&["web1/check_1"]).await;
    stage.come_back("web1").await;
    stage.minutes(1).await;
    stage.no_pages().await;

    // nor is a kept connection that is reset
    stage.agent("web1").cut_reused(1);
    stage.minutes(5).await;
    assert_eq!(stage.agent("web1").cuts_left(), 0);
    stage.no_pages().await;
    assert_eq!(stage.count("select count(*) from alerts").await, 0);
}

/// The original's agent has no time limit for its scripts, so its silence is the script's.
#[tokio::test]
async fn a_script_that_hangs_on_an_original_agent() {
    let mut stage = Stage::new().await;
    stage.host("old1", &["check_a", "check_hangs"]).await;
    stage
        .register("old1", |r| {
            r.agent_version = None;
            let hangs = r.checks.get_mut("check_hangs").expect("it was registered");
            (hangs.timeout, hangs.alert_threshold) = (Some(1), Some(1));
        })
        .await;

    stage.agent("old1").never_answer("check_hangs");
    stage.run_all().await;
    stage.pages(&["trigger old1/check_hangs"]).await;
    let alert = sqlx::query_as::<_, (i16, String)>("select status, out from alerts");
    let (status, out) = alert.fetch_one(stage.pool()).await.expect("one alert");
    assert_eq!(status, 3, "unknown");
    assert!(out.contains("no answer after"), "{out}");
    let unreachable = "select count(*) from hosts where unreachable_since is not null";
    assert_eq!(stage.count(unreachable).await, 0);

    stage.recover(&["old1/check_hangs"]);
    stage.minutes(2).await;
    stage.pages(&["resolve old1/check_hangs"]).await;
}

/// Down for 3 minutes, back for one, again and again: five flips within 20 minutes, and it flaps. Its alert stays then.
#[tokio::test]
async fn a_host_that_flaps() {
    let mut stage = Stage::direct(&[PAGER], |_| {}).await;
    stage.host_with("web1", 4).await;

    for _ in 0..2 {
        stage.go_down("web1").await;
        stage.minutes(3).await;
        stage.come_back("web1").await;
        stage.minutes(1).await;
        stage.pages(&["trigger web1", "resolve web1"]).await;
    }
    for _ in 0..3 {
        stage.go_down("web1").await;
        stage.minutes(3).await;
        stage.no_pages().await;
        stage.come_back("web1").await;
        stage.minutes(1).await;
        stage.no_pages().await;
    }
    // it was told of nothing since, and ends well
    stage.minutes(30).await;
    stage.no_pages().await;
    let open = "select count(*) from alerts where closed_at is null";
    assert_eq!(stage.count(open).await, 0);

    stage.go_down("web1").await;
    stage.minutes(3).await;
    stage.pages(&["trigger web1"]).await;
    stage.come_back("web1").await;
    stage.minutes(1).await;
    stage.pages(&["resolve web1"]).await;
}

/// The same, and in the end it stays down: that is told once it no longer flaps.
#[tokio::test]
async fn a_host_that_flaps_and_stays_down() {
    let mut stage = Stage::direct(&[PAGER], |_| {}).await;
    stage.host_with("web1", 4).await;
    for _ in 0..4 {
        stage.go_down("web1").await;
        stage.run_all().await;
        stage.come_back("web1").await;
        stage.minutes(1).await;
    }
    stage.no_pages().await;

    stage.go_down("web1").await;
    stage.minutes(10).await;
    stage.no_pages().await;
    stage.minutes(20).await;
    stage.pages(&["trigger web1"]).await;
    stage.come_back("web1").await;
    stage.minutes(1).await;
    stage.pages(&["resolve web1"]).await;
}

/// It is never away for long enough to count as down, and yet nobody can rely on it.
#[tokio::test]
async fn a_host_that_flaps_for_longer_than_an_hour() {
    let mut stage = Stage::direct(&[PAGER], |_| {}).await;
    stage.host_with("web1", 4).await;
    for minutes in (0..80).step_by(4) {
        stage.go_down("web1").await;
        stage.rounds(1, 2 * MINUTE).await;
        stage.come_back("web1").await;
        stage.rounds(1, 2 * MINUTE).await;
        if minutes == 60 {
            stage.no_pages().await; // it flaps since the fifth flip
        }
    }
    let told = stage.new_pages().await;
    let told: Vec<_> = told
        .iter()
        .map(|page| (page.kind.as_str(), page.text.as_str()))
        .collect();
    assert_eq!(told, [("trigger", "web1 is FLAPPING")]);
    stage.minutes(30).await;
    stage.pages(&["resolve web1"]).await;
}
