//! `stalker checks`.

use serde_json::Value;
use stalker_tests::until::until;

use super::{PATIENCE, Scene};

#[tokio::test]
async fn checks_are_looked_at() {
    let scene = Scene::with_alert().await;
    let desk = &scene.desk;
    desk.runs("stalker checks list").await;
    desk.runs("stalker checks ls --host web1 --status critical --check")
        .await;
    desk.runs("stalker checks list --host db1 --check").await;
    desk.runs("stalker checks list --role simulated --name check_load")
        .await;
    desk.runs("stalker checks list --owner nobody").await;
    desk.runs("stalker checks list --state alerting --hard")
        .await;
    desk.runs("stalker checks list --state suspended").await;
    desk.runs("stalker checks list --limit 1").await;
    desk.runs("stalker checks list --after 2").await;
    desk.runs("stalker checks show web1:check_disk").await;
    desk.runs("stalker checks show web1/check_load --check")
        .await;
    desk.runs("stalker checks show 1 --check").await;
    desk.runs("stalker checks history web1:check_disk").await;
    desk.runs("stalker checks history web1:check_disk --limit 1 -o json")
        .await;
    desk.shows("checks_are_looked_at");
}

#[tokio::test]
async fn checks_are_run_suspended_and_owned() {
    let scene = Scene::with_alert().await;
    let desk = &scene.desk;
    let runs = scene.agent.runs_of("check_load");
    desk.runs("stalker checks run web1:check_load").await;
    let ran = async || (scene.agent.runs_of("check_load") > runs).then_some(());
    until("it runs", PATIENCE, ran).await;
    desk.runs("stalker checks reschedule web1/check_load --at '2050-01-31 22:00'")
        .await;
    assert_eq!(
        scene.check("web1", "check_load").await["next"],
        2_527_279_200_i64
    );
    desk.runs("stalker checks reschedule web1/check_load --in 2h")
        .await;
    desk.runs("stalker checks suspend web1:check_load 3").await;
    desk.runs("stalker checks list").await;
    desk.runs("stalker checks resume --host web1 db1:check_sql")
        .await;
    desk.runs("stalker checks own web1:check_disk").await;
    assert_eq!(scene.check("web1", "check_disk").await["owner"], "ann");
    desk.runs("stalker checks own web1:check_disk --as ben")
        .await;
    desk.runs("stalker checks list --owner ben").await;
    desk.runs("stalker checks disown web1:check_disk").await;
    assert_eq!(scene.check("web1", "check_disk").await["owner"], "");
    desk.runs("stalker checks delete web1:check_load").await;
    desk.runs("stalker checks delete web1:check_load --yes")
        .await;
    desk.runs("stalker checks show web1:check_load").await;
    desk.shows("checks_are_run_suspended_and_owned");
}

/// Names may hold what divides them: then nobody guesses which is meant.
#[tokio::test]
async fn a_name_that_can_be_meant_in_two_ways_is_not_guessed() {
    let scene = Scene::new().await;
    for (host, check) in [("a", "b:c"), ("a:b", "c")] {
        scene
            .api
            .register_simulated(&scene.agent, host, &[check], 86_400)
            .await;
    }
    let said = scene.desk.runs_quietly("stalker checks run a:b:c").await;
    assert_eq!(said.code, 2, "{said:?}");
    assert!(
        said.err.contains("a:b:c is more than one check") && said.err.contains("(a:b)"),
        "{said:?}"
    );
    let said = scene.desk.runs_quietly("stalker checks run a/b:c").await;
    assert_eq!(said.code, 0, "{said:?}");
}

#[tokio::test]
async fn one_that_fails_does_not_keep_the_others() {
    let scene = Scene::new().await;
    let desk = &scene.desk;
    desk.runs("stalker checks suspend web1:check_load nope:check_load")
        .await;
    assert_eq!(
        scene.check("web1", "check_load").await["suspended"],
        false,
        "a name that is wrong was seen before anything was done"
    );
    desk.runs("stalker checks suspend 999 web1:check_load")
        .await;
    assert_eq!(scene.check("web1", "check_load").await["suspended"], true);
    let said = desk
        .runs("stalker checks resume 999 web1:check_load --output json")
        .await;
    let document: Value = serde_json::from_str(&said.out).expect("it is JSON");
    assert_eq!(document["done"][0], "web1:check_load");
    assert_eq!(document["failed"][0]["name"], "999");
    desk.shows("one_that_fails_does_not_keep_the_others");
}

#[tokio::test]
async fn what_an_agent_says_is_overridden() {
    let scene = Scene::new().await;
    let desk = &scene.desk;
    desk.runs("stalker checks override show web1:check_load")
        .await;
    desk.runs("stalker checks override set web1:check_load --interval 600 --alert-threshold 5")
        .await;
    desk.runs("stalker checks override set web1:check_load --priority 2")
        .await;
    desk.runs("stalker checks override show web1:check_load")
        .await;
    desk.runs("stalker checks override reset web1:check_load interval")
        .await;
    desk.runs("stalker checks override show web1:check_load")
        .await;
    desk.runs("stalker checks override reset web1:check_load")
        .await;
    desk.runs("stalker checks override show web1:check_load")
        .await;
    desk.runs("stalker checks override set web1:check_load --interval 0")
        .await;
    desk.runs("stalker checks override set web1:check_load")
        .await;
    desk.shows("what_an_agent_says_is_overridden");
}

#[tokio::test]
async fn what_was_measured_is_shown() {
    let scene = Scene::new().await;
    let desk = &scene.desk;
    // samples are written beside the path of alerts, a moment later
    let written = async || {
        let said = desk
            .runs_quietly("stalker checks samples web1:check_load --for 1h -o json")
            .await;
        let document: Value = serde_json::from_str(&said.out).ok()?;
        document["series"][0]["points"].get(0).map(|_| ())
    };
    until("samples are written", PATIENCE, written).await;
    desk.runs("stalker checks samples web1:check_load --for 1h --step 3600")
        .await;
    desk.runs("stalker checks samples web1:check_disk").await;
    desk.runs("stalker checks samples web1:check_load --from 'last week'")
        .await;
    desk.shows("what_was_measured_is_shown");
}
