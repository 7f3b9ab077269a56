//! `stalker stats`, `clusters`, `replicas` and `audit`.

use super::Scene;

#[tokio::test]
async fn the_whole_is_looked_at() {
    let scene = Scene::with_alert().await;
    let desk = &scene.desk;
    desk.runs("stalker stats --check").await;
    desk.runs("stalker stats all").await;
    desk.runs("stalker stats nope").await;
    desk.runs("stalker clusters list --check").await;
    desk.runs("stalker replicas list").await;
    desk.runs("stalker maintenances add --host db1 --for 1h --reason moving")
        .await;
    desk.runs("stalker audit list --actor configuration --action create_maintenance")
        .await;
    desk.runs("stalker audit list --subject nothing").await;
    desk.shows("the_whole_is_looked_at");
}
