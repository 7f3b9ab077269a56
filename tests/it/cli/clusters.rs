//! `--cluster`: what is seen of, and done to, the checks of another cluster, by way of ours. All of them are real.

use stalker_tests::server::API_KEY;

use super::Desk;
use crate::clusters::Cluster;

#[tokio::test]
async fn checks_of_another_cluster_are_steered() {
    let far = Cluster::seen("far").await;
    let mut old = Cluster::seen("old").await;
    let mut gone = Cluster::seen("gone").await;
    gone.kill();
    let here = Cluster::seeing("here", &[&far, &old, &gone], "api").await;
    // what it said is kept
    here.alerting("old").await;
    here.api.read("/stats/old").await;
    old.kill();
    let desk = Desk::with_key(&here.api.url, API_KEY);
    for line in [
        "stalker clusters list",
        "stalker clusters list --check >all; echo $?",
        "stalker stats all",
        "stalker stats nowhere",
        "stalker checks list --state alerting --cluster far",
        "stalker checks list --state alerting --cluster old --check",
        "stalker checks list --state alerting --cluster gone",
        "stalker checks list --state alerting --cluster nowhere",
        "stalker checks run --cluster far web1:check_load",
        "stalker checks suspend --cluster far 17",
        "stalker checks resume --cluster far web1/check_load",
        "stalker checks own --cluster far web1:check_load --as zoe",
        "stalker checks disown --cluster far web1:check_load",
        "stalker checks run --cluster gone 17",
        "stalker checks delete --cluster far web1:check_load --yes",
        "stalker checks run --cluster far 17",
        "stalker hosts delete --cluster far web1 --yes",
        "stalker checks run --cluster far web1:nope",
        "stalker checks run --cluster far",
        "stalker audit list --newest --limit 2",
    ] {
        desk.runs(line).await;
    }
    desk.shows("checks_of_another_cluster_are_steered");
}
