//! The command line as people and scripts meet it: the real executable, in a shell, against a real server. What it says
//! is kept in `cli/snapshots`; times, addresses and what else differs from run to run is replaced ([`Desk::shows`]).

mod alerts;
mod checks;
mod clusters;
mod completions;
mod contexts;
mod desk;
mod every;
mod failures;
mod forms;
mod hosts;
mod keys;
mod maintenances;
mod original;
mod overview;
mod terminals;
mod tutorial;
mod users;

use std::time::Duration;

use desk::Desk;
use serde_json::{Value, json};
use stalker_tests::agent::Agent;
use stalker_tests::api::Api;
use stalker_tests::database::TestDatabase;
use stalker_tests::receiver::Receiver;
use stalker_tests::server::{API_KEY, CHECK_KEY, Component, Installation};
use stalker_tests::until::until;

/// For whatever a server does by itself.
const PATIENCE: Duration = Duration::from_secs(20);

/// A server with two hosts, `web1` and `db1`, whose checks run when the test says so, and somebody with a key at a desk.
struct Scene {
    api: Api,
    agent: Agent,
    desk: Desk,
    receiver: Receiver,
    _component: Component,
    _installation: Installation,
    database: TestDatabase,
}

impl Scene {
    /// All is well.
    async fn new() -> Self {
        let agent = Agent::start(CHECK_KEY).await;
        let receiver = Receiver::start().await;
        let database = TestDatabase::new().await;
        let installation = Installation::new(&database)
            .set("api.cluster_id", "here")
            .set("alerts.alert_threshold", 1)
            .channel("pager", receiver.url());
        let component = installation.start("all").await;
        let api = component.api();
        let well = [
            ("web1", "check_disk", "DISK OK"),
            ("web1", "check_load", "LOAD OK | load1=0.5;5;10"),
            ("db1", "check_sql", "SQL OK"),
        ];
        // before they are registered, since that runs them
        for (_, name, out) in well {
            agent.answer(name, 0, out);
        }
        // a day, so that nothing runs again but by the test
        api.register_simulated(&agent, "web1", &["check_disk", "check_load"], 86_400)
            .await;
        api.register_simulated(&agent, "db1", &["check_sql"], 86_400)
            .await;
        let scene = Self {
            desk: Desk::with_key(&api.url, API_KEY),
            api,
            agent,
            receiver,
            _component: component,
            _installation: installation,
            database,
        };
        for (host, name, out) in well {
            scene.becomes(host, name, 0, out).await;
        }
        scene
    }

    /// The disk of `web1` is full, and the channel was told.
    async fn with_alert() -> Self {
        let scene = Self::new().await;
        scene
            .becomes("web1", "check_disk", 2, "DISK CRITICAL - 97% used")
            .await;
        let accepted = async || {
            let told = scene.api.read("/notifications?state=accepted").await;
            told["notifications"].get(0).map(|_| ())
        };
        until("the channel is told", PATIENCE, accepted).await;
        scene
    }

    /// The check runs now, and this is its result.
    async fn becomes(&self, host: &str, name: &str, status: i32, out: &str) {
        self.agent.answer(name, status, out);
        let before = self.check(host, name).await;
        let id = before["id"].as_str().expect("an id");
        let runs = self.agent.runs_of(name);
        let (code, answer) = self
            .api
            .post(&format!("/checks/id/{id}/next"), &json!({"next": "now"}))
            .await;
        assert!(code.is_success(), "{answer}");
        let first_line = out.split(" | ").next().expect("there is a first part");
        let recorded = async || {
            let check = self.check(host, name).await;
            let is_so = check["out"] == first_line && check["pending"] == false;
            (is_so && self.agent.runs_of(name) > runs).then_some(())
        };
        until("the result is recorded", PATIENCE, recorded).await;
    }

    async fn check(&self, host: &str, name: &str) -> Value {
        self.api
            .check(host, name)
            .await
            .expect("the check is registered")
    }
}
