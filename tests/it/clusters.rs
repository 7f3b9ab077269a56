//! Remote clusters: real installations that see each other, through a real network, with real processes that are killed and
//! suspended; and, where a real one does not behave so, made-up ones.

mod acts;
mod alerts;
mod answers;

use std::time::Duration;

use reqwest::StatusCode;
use serde_json::{Value, json};
use stalker_tests::api::Api;
use stalker_tests::database::TestDatabase;
use stalker_tests::server::{API_KEY, Component, Installation};
use stalker_tests::until::until_seen;

const PATIENCE: Duration = Duration::from_secs(60);

/// One installation: what runs of it, and what it needs to run again.
pub(crate) struct Cluster {
    pub(crate) api: Api,
    pub(crate) database: TestDatabase,
    installation: Installation,
    component: Component,
}

impl Cluster {
    /// One called `id` that others see, with host `web1`, whose `check_load`, number 17, fails.
    pub(crate) async fn seen(id: &str) -> Self {
        let database = TestDatabase::new().await;
        sqlx::raw_sql(include_str!("fixtures/described.sql"))
            .execute(database.pool())
            .await
            .expect("the fixture fits");
        let installation = Installation::new(&database).set("api.cluster_id", id);
        Self::run(installation, database, "api").await
    }

    /// One called `id` that sees others, and asks anew each time.
    pub(crate) async fn seeing(id: &str, others: &[&Self], component: &str) -> Self {
        let database = TestDatabase::new().await;
        let installation = Installation::new(&database)
            .set("api.cluster_id", id)
            .set("api.remote_timeout", 3)
            .set("api.cache_ttl", 0)
            .set("alerts.cluster_down_after", 1);
        let installation = others.iter().fold(installation, |installation, other| {
            other.known_to(installation, API_KEY)
        });
        Self::run(installation, database, component).await
    }

    async fn run(installation: Installation, database: TestDatabase, component: &str) -> Self {
        let component = installation.start(component).await;
        Self {
            api: component.api(),
            database,
            installation,
            component,
        }
    }

    fn id(&self) -> String {
        self.installation.get("api.cluster_id")
    }

    /// Tells an installation where this one is.
    pub(crate) fn known_to(&self, installation: Installation, key: &str) -> Installation {
        let id = self.id();
        installation
            .set(&format!("clusters.{id}.host"), self.api.url.clone())
            .set(&format!("clusters.{id}.key"), key)
    }

    /// Kills it, and says where it was: the port is still its own.
    pub(crate) fn kill(&mut self) {
        self.component.process.kill();
    }

    /// Starts it again at the same address.
    pub(crate) async fn restart(&mut self) {
        let address = self.api.url.trim_start_matches("http://").to_owned();
        let installation =
            std::mem::replace(&mut self.installation, Installation::new(&self.database));
        self.installation = installation.set("api.listen", address);
        self.component = self.installation.start("api").await;
    }

    /// What it answers of another one's failing checks.
    pub(crate) async fn alerting(&self, of: &str) -> (StatusCode, Value) {
        self.api
            .get(&format!("/global/{of}/checks/state/alerting"))
            .await
    }
}

/// The ids of the checks of an answer.
fn ids(answer: &Value, cluster: &str) -> Vec<String> {
    let checks = answer[cluster]["alerting"].as_array();
    let ids = checks
        .into_iter()
        .flatten()
        .map(|check| check["id"].as_str());
    ids.map(|id| id.unwrap_or("none").to_owned()).collect()
}

/// The way of this part of the system: one cluster is healthy, one is killed and comes back, one accepts and hangs.
#[tokio::test]
async fn three_real_clusters_are_shown_each_as_it_is() {
    let west = Cluster::seen("west").await;
    let mut south = Cluster::seen("south").await;
    let north = Cluster::seen("north").await;
    // accepts, since the system does that for it, and says nothing
    north.component.process.suspend();
    let east = Cluster::seeing("east", &[&west, &south, &north], "all").await;

    let (status, clusters) = east.api.get("/global/clusters").await;
    assert_eq!(status, StatusCode::OK);
    let hosts = |id: &str| clusters["clusters"][id]["host"].clone();
    assert_eq!(
        (hosts("west"), hosts("south"), hosts("north")),
        (
            json!(west.api.url),
            json!(south.api.url),
            json!(north.api.url)
        )
    );
    assert!(!clusters.to_string().contains(API_KEY), "{clusters}");

    for of in ["west", "south"] {
        let (status, answer) = east.alerting(of).await;
        assert_eq!(status, StatusCode::OK, "{answer}");
        // to the last field as it is there
        let there = if of == "west" { &west } else { &south };
        let own = there.api.read("/checks/state/alerting").await;
        assert_eq!(answer[of]["alerting"], own["alerting"]);
        assert!(answer[of]["age"].is_u64(), "{answer}");
        assert!(answer[of]["error"].is_null(), "{answer}");
    }
    let (status, problem) = east.alerting("north").await;
    assert_eq!(
        (status, &problem["detail"]),
        (
            StatusCode::BAD_GATEWAY,
            &json!("nothing is known of cluster north yet: no answer within 3s")
        )
    );
    let (status, problem) = east.alerting("nowhere").await;
    assert_eq!(status, StatusCode::BAD_REQUEST, "{problem}");
    let numbers = east.api.read("/stats/all").await["all"].take();
    assert_eq!(
        (&numbers["west"]["failing"], &numbers["west"]["checks"]),
        (&json!(1), &json!(1))
    );
    assert!(numbers["west"]["age"].is_u64(), "{numbers}");
    assert_eq!(
        (&numbers["north"]["checks"], &numbers["north"]["age"]),
        (&Value::Null, &Value::Null)
    );
    assert_eq!(numbers["east"]["age"], 0);
    assert_eq!(east.api.read("/stats/west").await["west"]["failing"], 1);
    assert_eq!(
        east.api.get("/stats/nowhere").await.0,
        StatusCode::NOT_FOUND
    );

    // gone: what it said last is shown, and how old it is
    south.kill();
    let look = async || east.alerting("south").await;
    let (_, old) = until_seen(
        "what it said last has an age",
        PATIENCE,
        look,
        |(_, answer)| answer["south"]["age"].as_u64() > Some(0),
    )
    .await;
    assert_eq!(ids(&old, "south"), ["17"]);
    let error = old["south"]["error"].as_str().unwrap_or_default();
    assert!(error.contains("refused"), "{old}");
    let numbers = east.api.read("/stats/all").await["all"].take();
    assert_eq!(numbers["south"]["failing"], 1, "{numbers}");
    assert!(numbers["south"]["error"].is_string(), "{numbers}");
    // of what it never said there is nothing
    let (status, _) = east.api.get("/global/south/checks/state/pending").await;
    assert_eq!(status, StatusCode::BAD_GATEWAY);
    let look = async || east.api.read("/global/clusters").await["clusters"].take();
    let found = until_seen("it is known that they fail", PATIENCE, look, |found| {
        found["south"]["failing"].is_i64()
            && found["north"]["failing"].is_i64()
            && found["west"]["answered"].is_i64()
    })
    .await;
    assert!(found["south"]["answered"].is_i64(), "{found}");
    assert!(found["north"]["answered"].is_null(), "{found}");
    assert!(found["west"]["error"].is_null(), "{found}");

    // back: as before
    south.restart().await;
    north.component.process.resume();
    for of in ["south", "north"] {
        let look = async || east.alerting(of).await;
        let is_new = |(_, answer): &(StatusCode, Value)| answer[of]["error"].is_null();
        let (_, answer) = until_seen("it answers again", PATIENCE, look, is_new).await;
        assert_eq!(ids(&answer, of), ["17"]);
        assert!(answer[of]["age"].is_u64(), "{answer}");
    }
    // a part of a list, as of our own
    for (query, expected) in [
        ("limit=0", 0),
        ("limit=5", 1),
        ("after=17", 0),
        ("after=16", 1),
    ] {
        let path = format!("/global/west/checks/state/alerting?{query}");
        let answer = east.api.read(&path).await;
        assert_eq!(ids(&answer, "west").len(), expected, "{query}");
    }
}
