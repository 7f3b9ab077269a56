//! `stalker hosts` and `stalker notes`.

use super::Scene;

#[tokio::test]
async fn hosts_are_looked_at() {
    let scene = Scene::with_alert().await;
    let desk = &scene.desk;
    desk.runs("stalker hosts list").await;
    desk.runs("stalker hosts ls --role simulated --limit 1 -o wide")
        .await;
    desk.runs("stalker hosts list --role nobody").await;
    desk.runs("stalker hosts show web1").await;
    desk.runs("stalker hosts show db1 --check").await;
    desk.runs("stalker hosts show web1 --check -o json | head -3")
        .await;
    desk.runs("stalker hosts pin show web1").await;
    desk.shows("hosts_are_looked_at");
}

#[tokio::test]
async fn notes_are_written() {
    let scene = Scene::with_alert().await;
    let desk = &scene.desk;
    desk.runs("stalker notes list web1").await;
    desk.runs("stalker notes add web1 'new disk is on its way'")
        .await;
    desk.runs("printf 'two\\nlines' | stalker hosts note web1 -")
        .await;
    desk.runs("STALKER_EDITOR='printf written >' stalker hosts note web1 </dev/null")
        .await;
    desk.runs("stalker notes list web1").await;
    desk.runs("stalker hosts notes web1 --limit 1").await;
    desk.runs("stalker hosts show web1").await;
    desk.runs("stalker notes add nope text").await;
    desk.shows("notes_are_written");
}

#[tokio::test]
async fn hosts_are_released_and_deleted() {
    let scene = Scene::new().await;
    let desk = &scene.desk;
    desk.runs("stalker hosts pin reset web1").await;
    desk.runs("stalker hosts pin reset web1 -y").await;
    desk.runs("stalker hosts pin show web1").await;
    desk.runs("stalker hosts release web1 --yes").await;
    desk.runs("stalker hosts delete web1").await;
    desk.runs("stalker hosts delete web1 --yes").await;
    desk.runs("stalker hosts list").await;
    desk.runs("stalker hosts show web1").await;
    desk.shows("hosts_are_released_and_deleted");
}
