//! From an outcome to a message: `stalkerd all` with a database of its own, simulated agents, and receivers that
//! answer as a test wants. What a receiver was told is counted there; what became of it is read in the tables.

mod changed_channels;
mod channels;
mod delivery;
mod hosts;
mod outage;
mod property;
mod rates;
mod reception;
mod routes;
mod suppression;

use std::time::Duration;

use reqwest::StatusCode;
use serde_json::json;
use sqlx::PgPool;
use stalker_tests::agent::Agent;
use stalker_tests::api::Api;
use stalker_tests::database::TestDatabase;
use stalker_tests::server::{CHECK_KEY, Component, Installation};
use stalker_tests::until::{stays, until_seen};

/// Generous, since several tests share two cores; a retry is waited for within it.
pub(crate) const PATIENCE: Duration = Duration::from_secs(30);
/// In which what must not happen would have happened: checks run every second, and so does the owed rule.
const QUIET: Duration = Duration::from_millis(2500);
/// Failing runs until an alert opens, here: one is soft, the second is hard.
const THRESHOLD: i64 = 2;
pub(crate) const HOST: &str = "web1";

/// A server with one simulated host.
pub(crate) struct Stage {
    pub(crate) api: Api,
    pub(crate) agent: Agent,
    component: Component,
    installation: Installation,
    database: TestDatabase,
}

impl Stage {
    /// Starts all components with the channels, and other settings, that `configure` adds.
    pub(crate) async fn start(configure: impl FnOnce(Installation) -> Installation) -> Self {
        let database = TestDatabase::new().await;
        let installation =
            configure(Installation::new(&database).set("alerts.alert_threshold", THRESHOLD));
        let component = installation.start("all").await;
        Self {
            api: component.api(),
            agent: Agent::start(CHECK_KEY).await,
            component,
            installation,
            database,
        }
    }

    pub(crate) fn pool(&self) -> &PgPool {
        self.database.pool()
    }

    /// Ends the server in order, and starts it with other settings.
    pub(crate) async fn restart(&mut self, configure: impl FnOnce(Installation) -> Installation) {
        let ended = self.component.process.terminate(PATIENCE).await;
        assert!(ended.success(), "{}", self.log());
        let installation =
            std::mem::replace(&mut self.installation, Installation::new(&self.database));
        self.installation = configure(installation);
        self.component = self.installation.start("all").await;
        self.api = self.component.api();
    }

    /// What the server has said.
    pub(crate) fn log(&self) -> String {
        self.component.process.output()
    }

    /// Runs a tool of `stalkerd`; what it said.
    async fn stalkerd(&self, arguments: &[&str]) -> String {
        self.installation.tool(arguments).await.1
    }

    /// Waits until the check was run and seen in this state.
    async fn seen(&self, check: &str, state: &str) {
        let look = async || {
            self.api
                .check(HOST, check)
                .await
                .map(|check| check["state"].clone())
        };
        let what = format!("{check} is {state}");
        until_seen(&what, PATIENCE, look, |seen| *seen == Some(json!(state))).await;
    }

    /// Registers the host with these checks, run every second, and no others.
    pub(crate) async fn register(&self, checks: &[&str]) {
        self.api
            .register_simulated(&self.agent, HOST, checks, 1)
            .await;
    }

    pub(crate) fn fail(&self, check: &str) {
        self.agent.answer(check, 2, "CRITICAL - broken");
    }

    pub(crate) fn recover(&self, check: &str) {
        self.agent.answer(check, 0, "OK - mended");
    }

    async fn suspend(&self, check: &str, suspended: bool) {
        let found = self.api.check(HOST, check).await;
        let id = found.expect("it is registered")["id"].clone();
        let path = format!("/checks/id/{}/suspended", id.as_str().unwrap_or_default());
        let (status, body) = self
            .api
            .post(&path, &json!({ "suspended": suspended }))
            .await;
        assert_eq!(status, StatusCode::OK, "{body}");
    }

    /// Waits until the alert, the only one, is closed for this reason.
    async fn closed(&self, reason: &str) {
        closed(self.pool(), reason).await;
    }

    /// Waits until exactly these notifications exist, as `kind state attempts` in the order in which they were owed.
    pub(crate) async fn told(&self, expected: &[&str]) {
        told(self.pool(), expected).await;
    }

    /// Expects these notifications and no others, now and for a while, and that nobody is owed anything.
    async fn stays_told(&self, expected: &[&str]) {
        let look = async || notifications(self.pool()).await;
        stays("the notifications", QUIET, look, |seen| seen == expected).await;
        assert_eq!(owed(self.pool()).await, 0, "something is owed");
    }
}

async fn closed(pool: &PgPool, reason: &str) {
    let look = async || {
        sqlx::query_scalar::<_, Option<String>>("select close_reason from alerts")
            .fetch_all(pool)
            .await
            .expect("alerts can be read")
    };
    let what = format!("the alert is closed, {reason}");
    let good = |reasons: &Vec<Option<String>>| *reasons == [Some(reason.to_owned())];
    until_seen(&what, PATIENCE, look, good).await;
}

pub(crate) async fn told(pool: &PgPool, expected: &[&str]) {
    let look = async || notifications(pool).await;
    let what = format!("the notifications are {expected:?}");
    until_seen(&what, PATIENCE, look, |seen| seen == expected).await;
}

async fn notifications(pool: &PgPool) -> Vec<String> {
    rows(
        pool,
        "select concat_ws(' ', kind, state, attempts) from notifications order by notification_id",
    )
    .await
}

/// Every attempt as `kind n HTTP-status may-have-arrived`, in their order.
async fn attempts(pool: &PgPool) -> Vec<String> {
    rows(
        pool,
        "select concat_ws(' ', kind, a.n, coalesce(http_status::text, '-'),
                          case when a.may_have_arrived then 'may have arrived' else 'lost' end)
         from attempts a join notifications using (notification_id) order by attempt_id",
    )
    .await
}

pub(crate) async fn rows(pool: &PgPool, sql: &'static str) -> Vec<String> {
    sqlx::query_scalar(sql)
        .fetch_all(pool)
        .await
        .expect("the tables are as expected")
}

async fn owed(pool: &PgPool) -> i64 {
    sqlx::query_scalar("select count(*) from owed")
        .fetch_one(pool)
        .await
        .expect("the view can be read")
}

/// What a waiting retry waits for is over.
pub(crate) async fn hurry(pool: &PgPool) {
    sqlx::query("update notifications set next_attempt_at = now() where settled_at is null")
        .execute(pool)
        .await
        .expect("notifications can be hurried");
}
