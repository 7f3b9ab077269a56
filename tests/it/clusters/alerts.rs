//! The alert of a cluster that cannot be reached.

use stalker_tests::receiver::{Received, Receiver};

use super::*;

/// The events of a cluster's incident, in order.
fn events(received: &[Received], of: &str) -> Vec<(String, String)> {
    let key = format!("cluster:{of}");
    let of_cluster = received
        .iter()
        .filter(|event| event.text("incident_key") == key);
    of_cluster
        .map(|event| {
            (
                event.text("event_type").to_owned(),
                event.text("description").to_owned(),
            )
        })
        .collect()
}

/// Two who watch the same clusters tell the same incident of each, however their channels are called and prefixed.
#[tokio::test]
async fn whoever_watches_a_cluster_tells_the_same_incident() {
    let pager = Receiver::start().await;
    let mut south = Cluster::seen("south").await;
    let north = Cluster::seen("north").await;
    let mut watchers = Vec::new();
    for (id, prefix) in [("east", "E:"), ("west", "W:")] {
        let database = TestDatabase::new().await;
        let installation = Installation::new(&database)
            .set("api.cluster_id", id)
            .set("api.remote_timeout", 1)
            .set("alerts.cluster_down_after", 2)
            .set("channels.pager.prefix", prefix)
            .channel("pager", pager.url());
        let installation = north.known_to(south.known_to(installation, API_KEY), API_KEY);
        watchers.push(Cluster::run(installation, database, "all").await);
    }
    for watcher in &watchers {
        let look = async || watcher.api.read("/global/clusters").await["clusters"].take();
        until_seen("both are found", PATIENCE, look, |found| {
            ["north", "south"]
                .iter()
                .all(|id| found[id]["answered"].is_i64())
        })
        .await;
    }
    south.kill();
    north.component.process.suspend();
    let quiet = Duration::from_secs(6);
    let told = pager.settled(4, quiet).await;
    for (of, why) in [("south", "refused"), ("north", "no answer within 1 s")] {
        let down = ("trigger".to_owned(), format!("cluster {of} is DOWN"));
        assert_eq!(events(&told, of), [down.clone(), down], "{of}");
        for watcher in &watchers {
            let path = format!("/alerts?kind=cluster&open=true&host={of}&status=unreachable");
            let alerts = watcher.api.read(&path).await;
            let [alert] = alerts["alerts"].as_array().expect("a list").as_slice() else {
                panic!("one alert: {alerts}");
            };
            assert_eq!(
                (
                    &alert["state"],
                    &alert["priority"],
                    &alert["channels"],
                    &alert["suppression"]
                ),
                (
                    &json!("unreachable"),
                    &json!(1),
                    &json!(["pager"]),
                    &Value::Null
                )
            );
            assert!(
                alert["out"].as_str().unwrap_or_default().contains(why),
                "{alert}"
            );
            let path = format!("/alerts/{}", alert["id"].as_str().unwrap_or_default());
            let story = watcher.api.read(&path).await.to_string();
            assert!(
                story.contains(&format!("cluster {of} cannot be reached, priority 1")),
                "{story}"
            );
        }
    }
    // nothing is wrong with us
    for watcher in &watchers {
        let (is_well, said) = watcher.installation.tool(&["doctor"]).await;
        assert!(is_well, "{said}");
    }
    south.restart().await;
    north.component.process.resume();
    let told = pager.settled(8, quiet).await;
    for of in ["south", "north"] {
        let up = ("resolve".to_owned(), format!("cluster {of} is UP"));
        assert_eq!(events(&told, of)[2..], [up.clone(), up], "{of}");
    }
}

/// Its alert is not of the checks that flood: however many fail, it is told; and by its kind it has its own route.
#[tokio::test]
async fn a_cluster_is_told_by_its_own_route_while_a_flood_goes_on() {
    let (pager, office) = (Receiver::start().await, Receiver::start().await);
    let mut south = Cluster::seen("south").await;
    let database = TestDatabase::new().await;
    let route = |kind: &str, channel: &str| {
        let mut route = toml::Table::new();
        let matches = toml::Table::from_iter([("kind".to_owned(), kind.into())]);
        route.insert("match".to_owned(), matches.into());
        route.insert("channels".to_owned(), vec![channel].into());
        toml::Value::from(route)
    };
    let installation = Installation::new(&database)
        .set("api.cluster_id", "east")
        .set("alerts.cluster_down_after", 1)
        .channel("pager", pager.url())
        .channel("office", office.url())
        .set(
            "routes",
            vec![route("cluster", "pager"), route("agent", "office")],
        );
    south.kill();
    let installation = south.known_to(installation, API_KEY);
    // a flood that takes in whatever opens
    sqlx::query("insert into alerts (kind, priority, threshold, window_s, takes_in) values ('flood', 1, 1, 3600, true)")
        .execute(database.pool())
        .await
        .expect("a flood can be made up");
    let east = Cluster::run(installation, database, "all").await;
    let told = pager.settled(1, Duration::from_secs(3)).await;
    assert_eq!(told[0].text("description"), "cluster south is DOWN");
    assert!(office.accepted().is_empty(), "{:?}", office.accepted());

    // who is not watched any more is nobody's problem: its alert closes, and that is told
    let Cluster {
        installation,
        database,
        mut component,
        ..
    } = east;
    component.process.terminate(PATIENCE).await;
    sqlx::query("update clusters set asked_at = now() - interval '11 minutes'")
        .execute(database.pool())
        .await
        .expect("time can be made to pass");
    let _again = Cluster::run(installation.unset("clusters.south"), database, "all").await;
    let told = pager.settled(2, Duration::from_secs(1)).await;
    assert_eq!(
        (
            told[1].text("event_type"),
            told[1].text("description"),
            told[1].text("incident_key")
        ),
        (
            "resolve",
            "cluster south is not watched from here any more",
            "cluster:south"
        )
    );
}
