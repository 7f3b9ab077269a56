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
    for (of, why) in [("south", "refused"), ("north", "no answer within 1s")] {
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
    // a flood that takes in whatever opens, for its members began to count just now
    sqlx::raw_sql(
        "insert into alerts (kind, priority, threshold, window_s, takes_in) values ('flood', 1, 2, 3600, true);
         insert into hosts (hostname, ip, roles) values ('web1', '127.0.0.1', '{}');
         insert into checks (host_id, name, cmd, args, declared_interval_s, declared_follow_up_s)
             select host_id, 'check_' || n, '', '', 15, 15 from hosts, generate_series(1, 3) n;
         insert into check_state (check_id, interval_s, phase_ms, due_at, status, hard, fails)
             select check_id, 86400, 0, '2100-01-01', 2, true, 3 from checks;
         insert into alerts (kind, parent_id, host_id, check_id, hostname, check_name, priority, status, counted_at)
             select 'check', 1, host_id, check_id, 'web1', name, 1, 2, now() from checks;",
    )
    .execute(database.pool())
    .await
    .expect("a flood can be made up");
    let pool = database.pool().clone();
    let east = Cluster::run(installation, database, "all").await;
    let told = pager.settled(1, Duration::from_secs(3)).await;
    assert_eq!(told[0].text("description"), "cluster south is DOWN");
    assert!(office.accepted().is_empty(), "{:?}", office.accepted());
    let stands_alone: bool = sqlx::query_scalar(
        "select (select takes_in and closed_at is null from alerts where kind = 'flood')
            and (select parent_id is null and counted_at is null from alerts where kind = 'cluster')",
    )
    .fetch_one(&pool)
    .await
    .expect("both are there");
    assert!(stands_alone, "the flood goes on, and has not taken it in");

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

/// People who work there say so here, as for a host; and what was not asked for a while may have been there all the time.
#[tokio::test]
async fn a_maintenance_of_a_cluster_holds_its_alert() {
    let pager = Receiver::start().await;
    let mut south = Cluster::seen("south").await;
    let database = TestDatabase::new().await;
    let pool = database.pool().clone();
    let installation = Installation::new(&database)
        .set("api.cluster_id", "east")
        .set("alerts.cluster_down_after", 3600)
        .channel("pager", pager.url());
    let installation = south.known_to(installation, API_KEY);
    let east = Cluster::run(installation, database, "all").await;
    south.kill();
    let failing_since = async || -> Option<i64> {
        sqlx::query_scalar("select extract(epoch from failing_since)::bigint from clusters")
            .fetch_optional(&pool)
            .await
            .expect("the table is as expected")
            .flatten()
    };
    let first = until_seen("it fails", PATIENCE, failing_since, Option::is_some).await;
    // an hour in which nobody asked
    sqlx::query("update clusters set failing_since = failing_since - interval '2 hours', asked_at = asked_at - interval '2 hours'")
        .execute(&pool)
        .await
        .expect("time can be made to pass");
    until_seen("it is asked again", PATIENCE, failing_since, |since| {
        *since > first
    })
    .await;
    let alerts = async || east.api.read("/alerts?kind=cluster").await["alerts"].take();
    assert_eq!(alerts().await, json!([]));

    let work = json!({"hosts": ["sou*"], "lasts": 600, "reason": "new release"});
    let (status, made) = east.api.post("/maintenances", &work).await;
    assert_eq!(status, StatusCode::OK, "{made}");
    sqlx::query("update clusters set failing_since = failing_since - interval '2 hours'")
        .execute(&pool)
        .await
        .expect("time can be made to pass");
    until_seen("it is known and not told", PATIENCE, alerts, |alerts| {
        alerts[0]["suppression"] == "maintenance"
    })
    .await;
    assert!(pager.received().is_empty());
    let id = made["maintenance"]["id"].as_str().expect("it has an id");
    let path = format!("/maintenances/{id}");
    assert_eq!(east.api.delete(&path).await.0, StatusCode::OK);
    let told = pager.settled(1, Duration::from_secs(2)).await;
    assert_eq!(told[0].text("incident_key"), "cluster:south");
}

/// A scheduler of before, which knows of no such alert, may not count it towards floods, nor let one take it in.
#[tokio::test]
async fn a_scheduler_of_before_leaves_it_alone() {
    let database = TestDatabase::new().await;
    let execute = async |sql: &'static str| sqlx::raw_sql(sql).execute(database.pool()).await;
    execute(
        "insert into alerts (kind, priority, threshold, window_s) values ('flood', 1, 1, 60);
         insert into alerts (kind, hostname, priority) values ('cluster', 'south', 1);",
    )
    .await
    .expect("both are alerts");
    for sql in [
        "update alerts set counted_at = now() where kind = 'cluster'",
        "update alerts set parent_id = 1 where kind = 'cluster'",
        "insert into alerts (kind, hostname, priority) values ('cluster', 'south', 1)",
        "insert into alerts (kind, priority) values ('cluster', 1)",
    ] {
        assert!(execute(sql).await.is_err(), "{sql}");
    }
}
