//! `stalker alerts`, `stalker notifications` and `stalker channels`.

use stalker_tests::until::until;

use super::{PATIENCE, Scene};

#[tokio::test]
async fn alerts_are_looked_at_with_what_became_of_them() {
    let scene = Scene::with_alert().await;
    let desk = &scene.desk;
    desk.runs("stalker alerts list --check").await;
    desk.runs("stalker alerts list -o wide").await;
    desk.runs("stalker alerts list --host web1 --kind check --status critical --name check_disk --role simulated")
        .await;
    desk.runs("stalker alerts list --suppression maintenance --check")
        .await;
    desk.runs("stalker alerts list --past").await;
    desk.runs("stalker alerts show 1").await;
    desk.runs("stalker notifications list").await;
    desk.runs("stalker notifications list --channel pager --alert 1 --state refused")
        .await;
    desk.runs("stalker notifications retry 1").await;

    scene.becomes("web1", "check_disk", 0, "DISK OK").await;
    let over = async || {
        let told = scene.api.read("/notifications?state=accepted").await;
        told["notifications"].get(1).map(|_| ())
    };
    until("the resolve is told", PATIENCE, over).await;
    desk.runs("stalker alerts list --check").await;
    desk.runs("stalker alerts list --all --check").await;
    desk.runs("stalker alerts show 1 --check").await;
    desk.runs("stalker alerts show 99").await;
    desk.runs("stalker alerts list --from '2020-01-01 00:00' --to 2020-01-02T00:00:00Z --all")
        .await;
    desk.shows("alerts_are_looked_at_with_what_became_of_them");
}

#[tokio::test]
async fn channels_are_tested() {
    let scene = Scene::new().await;
    let desk = &scene.desk;
    desk.runs("stalker channels list --check").await;
    desk.runs("stalker channels routes").await;
    desk.runs("stalker channels test pager").await;
    scene.receiver.answer_next([400]);
    desk.runs("stalker channels test pager").await;
    desk.runs("stalker channels test nope").await;
    desk.shows("channels_are_tested");
}
