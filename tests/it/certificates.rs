//! Whom a worker believes: an agent must show its pinned certificate and have its key, and know the check key
//! (semantics.md, decision 10).

use std::time::Duration;

use serde_json::{Value, json};
use stalker_tests::agent::Agent;
use stalker_tests::api::Api;
use stalker_tests::database::TestDatabase;
use stalker_tests::server::{CHECK_KEY, Component, Installation};
use stalker_tests::until::until_seen;

/// For the next result, with intervals of a second.
const SOON: Duration = Duration::from_secs(20);
const CHECK: &str = "check_a";

/// Each way of not being the pinned agent is refused before anything is said, and has words of its own.
#[tokio::test]
async fn three_impostors_are_told_apart() {
    let stage = Stage::new().await;
    let mut web1 = Agent::start(CHECK_KEY).await;
    let db1 = Agent::start(CHECK_KEY).await;
    for (agent, hostname) in [(&web1, "web1"), (&db1, "db1")] {
        stage
            .api
            .register_simulated(agent, hostname, &[CHECK], 1)
            .await;
        stage.is_ok(hostname).await;
    }
    let certificate = web1.cert_sha256();

    web1.start_again_with_foreign_key().await;
    assert_eq!(web1.cert_sha256(), certificate);
    let heard = web1.runs_of(CHECK);
    let mut told = vec![stage.is_unreachable("web1", "does not have its key").await];

    web1.start_again_as(&db1).await;
    let another = "shows the certificate of another agent, db1";
    told.push(stage.is_unreachable("web1", another).await);

    web1.start_again_with_new_certificate().await;
    let changed = format!("its certificate changed to {}", web1.cert_sha256());
    told.push(stage.is_unreachable("web1", &changed).await);
    assert!(told[2].contains("stalkerd hosts unpin web1"), "{}", told[2]);

    told.sort();
    told.dedup();
    assert_eq!(told.len(), 3, "{told:#?}");
    assert_eq!(
        web1.runs_of(CHECK),
        heard,
        "an impostor was told the check key"
    );
    let fails = stage.check("web1").await["fail_count"].clone();
    assert_eq!(fails, 0, "this says nothing about the check");

    // Its own agent says that it is right.
    stage
        .api
        .register_simulated(&web1, "web1", &[CHECK], 1)
        .await;
    stage.is_ok("web1").await;
    let pin = stage.pin_of("web1").await;
    assert_eq!(pin, ("registered".to_owned(), web1.cert_sha256()));
}

/// An agent that registered no fingerprint, as the original's: trusted once, and until somebody resets it.
#[tokio::test]
async fn first_seen_certificate_is_kept() {
    let stage = Stage::new().await;
    let mut agent = Agent::start(CHECK_KEY).await;
    stage.register(&agent, json!({})).await;
    stage.is_ok("old1").await;
    let pin = stage.pin_of("old1").await;
    assert_eq!(pin, ("first_seen".to_owned(), agent.cert_sha256()));

    agent.start_again_with_new_certificate().await;
    stage
        .is_unreachable("old1", "its certificate changed")
        .await;
    // It registers again and still says nothing of a certificate: that is no reason to believe another one.
    stage.register(&agent, json!({"roles": ["moved"]})).await;
    assert_eq!(stage.pin_of("old1").await, pin);

    let said = stage.stalkerd(&["hosts", "unpin", "old1"], true).await;
    assert!(said.contains("old1"), "{said}");
    stage.is_ok("old1").await;
    let pin = stage.pin_of("old1").await;
    assert_eq!(pin, ("first_seen".to_owned(), agent.cert_sha256()));

    let said = stage.stalkerd(&["hosts", "unpin", "old2"], false).await;
    assert!(said.contains("no host is called old2"), "{said}");

    agent.start_again_with_new_certificate().await;
    stage
        .register(&agent, json!({"cert_sha256": agent.cert_sha256()}))
        .await;
    stage.is_ok("old1").await;
    let pin = stage.pin_of("old1").await;
    assert_eq!(pin, ("registered".to_owned(), agent.cert_sha256()));
}

/// The other direction: an agent that does not take our key is unreachable, and one that sent a key is called with it.
#[tokio::test]
async fn check_keys_are_the_hosts_own() {
    let stage = Stage::new().await;
    let agent = Agent::start("a-key-of-its-own").await;
    stage.register(&agent, json!({})).await;
    let told = stage.is_unreachable("old1", "(401)").await;
    assert!(told.contains("check key"), "{told}");
    assert_eq!(agent.runs_of(CHECK), 0);

    stage
        .register(&agent, json!({"check_key": "a-key-of-its-own"}))
        .await;
    stage.is_ok("old1").await;
}

struct Stage {
    _database: TestDatabase,
    installation: Installation,
    api: Api,
    _all: Component,
}

impl Stage {
    async fn new() -> Self {
        let database = TestDatabase::new().await;
        let installation = Installation::new(&database);
        let all = installation.start("all").await;
        let api = all.api();
        Self {
            _database: database,
            installation,
            api,
            _all: all,
        }
    }

    /// Registers `old1`, as the original's agent would, with `more` fields.
    async fn register(&self, agent: &Agent, more: Value) {
        let mut registration = json!({
            "hostname": "old1", "ip": "127.0.0.1", "port": agent.port(),
            "checks": {CHECK: {"args": "", "interval": 1, "follow_up": 1}},
        });
        let more = more.as_object().expect("fields").clone();
        registration.as_object_mut().expect("fields").extend(more);
        let (status, body) = self.api.register(&registration).await;
        assert_eq!(status, 200, "{body}");
    }

    async fn check(&self, hostname: &str) -> Value {
        self.api
            .check(hostname, CHECK)
            .await
            .expect("it is registered")
    }

    async fn is_ok(&self, hostname: &str) {
        let look = async || self.check(hostname).await;
        until_seen("it is ok", SOON, look, |check| check["state"] == "ok").await;
    }

    /// Waits until the check is shown as unreachable because of `why`; gives the whole text.
    async fn is_unreachable(&self, hostname: &str, why: &str) -> String {
        let look = async || self.check(hostname).await;
        let out = |check: &Value| check["out"].as_str().unwrap_or_default().to_owned();
        let seen = until_seen(why, SOON, look, |check| out(check).contains(why)).await;
        assert!(out(&seen).starts_with("<urlopen error [Errno "), "{seen}");
        assert_eq!(
            (&seen["state"], &seen["status"]),
            (&json!("unknown"), &json!(false))
        );
        out(&seen)
    }

    /// Origin and fingerprint, as `stalkerd hosts list` shows them.
    async fn pin_of(&self, hostname: &str) -> (String, String) {
        let list = self.stalkerd(&["hosts", "list"], true).await;
        let mut lines = list
            .lines()
            .map(|line| line.split('\t').collect::<Vec<_>>());
        let line = lines
            .find(|line| line[0] == hostname)
            .expect("it is listed");
        assert!(line[1].starts_with("127.0.0.1:"), "{line:?}");
        (line[3].to_owned(), line[4].to_owned())
    }

    /// Runs `stalkerd` to its end; gives what it said.
    async fn stalkerd(&self, arguments: &[&str], succeeds: bool) -> String {
        let (succeeded, said) = self.installation.tool(arguments).await;
        assert_eq!(succeeded, succeeds, "{said}");
        said
    }
}
