//! `stalker maintenances`.

use super::Scene;

#[tokio::test]
async fn maintenances_are_declared_changed_and_ended() {
    let scene = Scene::new().await;
    let desk = &scene.desk;
    desk.runs("stalker maintenances list").await;
    desk.runs("stalker maintenances add --host 'web*' --for 2h --reason 'new disks'")
        .await;
    desk.runs(
        "stalker maintenances add --role simulated --name check_sql --start '2050-01-01 00:00' --until 2050-01-01T02:00:00Z --reason moving",
    )
    .await;
    desk.runs("stalker maintenances add --host nope --for 1h30m --reason typo")
        .await;
    desk.runs("stalker maintenances list").await;
    desk.runs("stalker checks list").await;
    desk.runs("stalker maintenances show 2").await;
    desk.runs("stalker maintenances change 2 --until '2051-01-01 00:00'")
        .await;
    desk.runs("stalker maintenances change 1 --for 4h").await;
    desk.runs("stalker maintenances end 1").await;
    desk.runs("stalker maintenances end 1 --yes").await;
    desk.runs("stalker maintenances end 2 --yes").await;
    desk.runs("stalker maintenances end 1 --yes").await;
    desk.runs("stalker maintenances list --past").await;
    desk.runs("stalker maintenances add --for 2h --reason nothing")
        .await;
    desk.runs("stalker maintenances add --host web1 --for 2w --reason long")
        .await;
    desk.runs("stalker maintenances change 99 --for 1h").await;
    desk.shows("maintenances_are_declared_changed_and_ended");
}
