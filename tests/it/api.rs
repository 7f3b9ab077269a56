//! The API as its clients meet it: `stalkerd api` with a database of its own, and nothing that runs checks, so that
//! nothing changes but by the test.

mod access;
mod answers;
mod audit;
mod browsers;
mod channels;
mod contract;
mod description;
mod keys;
mod lists;
mod metrics;
mod notifications;
mod owners;
mod people;
mod permissions;
mod plans;
mod registration;
mod resources;
mod sign_ins;

use reqwest::{Client, Method, RequestBuilder, Response, StatusCode};
use serde_json::{Value, json};
use sha2::{Digest, Sha256};
use sqlx::PgPool;
use stalker_tests::api::Api;
use stalker_tests::database::TestDatabase;
use stalker_tests::server::{Component, Installation, REGISTER_KEY};

struct Served {
    api: Api,
    database: TestDatabase,
    _component: Component,
    installation: Installation,
}

async fn serve(database: TestDatabase) -> Served {
    serve_by(Installation::new(&database), database).await
}

/// As [`serve`], with settings of one's own.
async fn serve_by(installation: Installation, database: TestDatabase) -> Served {
    let installation = installation.set("api.cluster_id", "here");
    let component = installation.start("api").await;
    Served {
        api: component.api(),
        database,
        _component: component,
        installation,
    }
}

impl Served {
    fn pool(&self) -> &PgPool {
        self.database.pool()
    }

    /// Registers what an agent of the original sends; gives the ids of its `check_disk` and `check_load`.
    async fn register_original(&self) -> [i64; 2] {
        let (status, body) = self.api.register(&original()).await;
        assert_eq!(
            (status, &body["status"]),
            (StatusCode::OK, &json!("ok")),
            "{body}"
        );
        [self.id("check_disk").await, self.id("check_load").await]
    }

    /// A client whose key, `key of a ACCESS`, has this access.
    async fn client_with(&self, access: &str) -> Api {
        let key = format!("key of a {access}");
        sqlx::query("insert into api_keys (name, hash, access) values ($1, $2, $3)")
            .bind(&key)
            .bind(Sha256::digest(&key).to_vec())
            .bind(access)
            .execute(self.pool())
            .await
            .expect("a key can be added");
        Api::new(&self.api.url, &key, REGISTER_KEY)
    }

    /// Registers an agent of ours, which then shows the token that it was given.
    async fn register_with_token(&self, registration: &Value) -> String {
        let (status, given) = self.api.register(registration).await;
        assert_eq!(status, StatusCode::OK, "{given}");
        let token = given["token"]
            .as_str()
            .expect("it is given a token")
            .to_owned();
        assert_eq!(self.api.register(registration).await.0, StatusCode::OK);
        token
    }

    /// A client that follows no redirect.
    fn browser(&self) -> Client {
        let client = Client::builder().redirect(reqwest::redirect::Policy::none());
        client.build().expect("a client can be made")
    }

    /// A new user who has signed in; gives the session's secret.
    async fn person(&self, name: &str, access: &str) -> String {
        let password = format!("password of {name}");
        let user = json!({"username": name, "password": password, "role": access});
        assert_eq!(self.api.post("/user", &user).await.0, StatusCode::OK);
        let secret = self.sign_in(name, &password).await;
        secret.expect("it is the password")
    }

    /// The secret of a new session, if the password is right.
    async fn sign_in(&self, name: &str, password: &str) -> Option<String> {
        let request = self.browser().post(format!("{}/signin", self.api.url));
        let request = request.header("sec-fetch-site", "same-origin");
        let answer = request
            .form(&[("username", name), ("password", password)])
            .send()
            .await;
        let answer = answer.expect("the API answers");
        let cookie = answer.headers().get("set-cookie")?.to_str().expect("text");
        let secret = cookie.strip_prefix("stalker=").expect("it is called so");
        Some(secret.split(';').next().unwrap_or_default().to_owned())
    }

    /// A request of a page of ours, in somebody's session.
    fn as_person(&self, secret: &str, method: Method, path: &str) -> RequestBuilder {
        let request = self
            .browser()
            .request(method, format!("{}{path}", self.api.url));
        let request = request.header("cookie", format!("stalker={secret}"));
        request.header("sec-fetch-site", "same-origin")
    }

    /// GET without a key.
    async fn anonymous(&self, path: &str) -> Response {
        let request = Client::new().get(format!("{}{path}", self.api.url));
        request.send().await.expect("the API answers")
    }

    async fn id(&self, name: &str) -> i64 {
        sqlx::query_scalar("select check_id from checks where name = $1")
            .bind(name)
            .fetch_one(self.pool())
            .await
            .expect("there is one check of this name")
    }

    /// Several statements.
    async fn execute(&self, sql: &'static str) {
        sqlx::raw_sql(sql)
            .execute(self.pool())
            .await
            .unwrap_or_else(|error| panic!("{sql}: {error}"));
    }

    async fn run(&self, sql: &'static str) {
        sqlx::query(sql)
            .execute(self.pool())
            .await
            .expect("the tables are as expected");
    }
}

/// Every operation of the description: its method, path and id.
async fn operations(served: &Served) -> Vec<(Method, String, String)> {
    let document = served.api.read("/openapi.json").await;
    let mut operations = Vec::new();
    for (path, methods) in document["paths"].as_object().expect("a document has paths") {
        for (method, operation) in methods.as_object().expect("a path has operations") {
            let id = operation["operationId"].as_str().expect("an id").to_owned();
            let method = method.to_uppercase().parse().expect("a method");
            operations.push((method, path.clone(), id));
        }
    }
    operations
}

fn original() -> Value {
    serde_json::from_str(include_str!("fixtures/original_registration.json"))
        .expect("the fixture is JSON")
}

/// As one part of a path.
fn url_path(name: &str) -> String {
    name.bytes()
        .map(|byte| match byte.is_ascii_alphanumeric() {
            true => char::from(byte).to_string(),
            false => format!("%{byte:02X}"),
        })
        .collect()
}

/// The places that a problem document names.
fn places(problem: &Value) -> Vec<&str> {
    let errors = problem["errors"]
        .as_array()
        .expect("a problem lists errors");
    errors
        .iter()
        .filter_map(|error| error["at"].as_str())
        .collect()
}

#[tokio::test]
async fn checks_and_hosts_have_the_shape_of_the_wire() {
    let served = serve(TestDatabase::new().await).await;
    let [disk, load] = served.register_original().await;
    served
        .run(
            "update check_state set status = 2, fails = 3, hard = true, since = to_timestamp(1364186000), last_at = to_timestamp(1364186204),
                 rush_at = to_timestamp(1364186219), latency_us = 1500, out = 'CRITICAL - 9 | load1=0.1;1;5', owner = 'ann', suspended = true,
                 leased_until = now() + interval '1 minute', flap_until = now() + interval '1 minute'
             where check_id = (select check_id from checks where name = 'check_load')",
        )
        .await;

    let expected = json!({
        "id": load.to_string(), "hostname": "web1", "ip": "127.0.0.1", "check": "check_load", "status": false, "state": "critical",
        "out": "CRITICAL - 9", "last": 1_364_186_204, "next": 1_364_186_219, "interval": 15, "follow_up": 15, "priority": 1,
        "pending": true, "suspended": true, "in_maintenance": false, "flapping": true, "owner": "ann", "fail_count": 3,
        "since": 1_364_186_000, "perfdata": "load1=0.1;1;5", "latency_ms": 1.5, "stale": false,
    });
    assert_eq!(
        served.api.read(&format!("/checks/id/{load}")).await,
        json!({ "check": expected })
    );
    assert_eq!(
        served.api.read(&format!("/checks/id/{load}/next")).await,
        json!({ "check": expected })
    );
    assert_eq!(
        served
            .api
            .read(&format!("/checks/id/{load}/suspended"))
            .await,
        json!({ "check": expected })
    );
    for state in ["alerting", "pending", "suspended"] {
        assert_eq!(
            served.api.read(&format!("/checks/state/{state}")).await,
            json!({ state: [expected] })
        );
    }
    assert_eq!(
        served.api.read("/checks/state/in_maintenance").await,
        json!({"in_maintenance": []})
    );

    let never_run = served
        .api
        .check("web1", "check_disk")
        .await
        .expect("it is registered");
    assert_eq!(never_run["id"], disk.to_string());
    assert_eq!(
        (
            &never_run["status"],
            &never_run["state"],
            &never_run["last"],
            &never_run["pending"]
        ),
        (&Value::Null, &Value::Null, &json!(0), &json!(false))
    );
    assert_eq!(
        served.api.read("/checks/host/127.0.0.1").await,
        served.api.read("/checks/").await
    );

    let host = served.api.read("/hosts/web1").await;
    assert_eq!(served.api.read("/hosts/").await, json!({ "hosts": [host] }));
    assert_eq!(host["roles"], json!(["server"]));
    let definition = json!({"cmd": "/usr/lib/nagios/plugins/check_load", "args": "-w 1,5,10 -c 2,10,15", "interval": 15, "follow_up": 15, "priority": 1});
    assert_eq!(host["checks"]["check_load"], definition);
    served
        .run("update check_state set rush_at = null, due_at = now() + interval '1 hour'")
        .await;
    assert_eq!(
        served.api.read("/stats").await,
        json!({"here": {"qsize": 0, "failing": 1, "flapping": 1, "suspended": 1, "checks": 2, "pending": 1, "dead_letters": 0, "disabled_channels": 0}})
    );
}

#[tokio::test]
async fn a_check_that_cannot_be_reached_is_alerting_and_unknown() {
    let served = serve(TestDatabase::new().await).await;
    served.register_original().await;
    served
        .run("update check_state set status = 0, unreachable = true, out = '<urlopen error [Errno 111] Connection refused>'")
        .await;
    let alerting = served.api.read("/checks/state/alerting").await;
    for check in alerting["alerting"].as_array().expect("a list") {
        assert_eq!(
            (&check["status"], &check["state"]),
            (&json!(false), &json!("unknown"))
        );
    }
    assert_eq!(alerting["alerting"].as_array().map(Vec::len), Some(2));
    assert_eq!(
        served.api.read("/checks/state/alerting?hard=true").await,
        json!({"alerting": []})
    );
}

#[tokio::test]
async fn the_state_log_is_the_newest_entries_oldest_first() {
    let served = serve(TestDatabase::new().await).await;
    let [_, load] = served.register_original().await;
    served
        .run(
            "insert into state_changes (check_id, hostname, check_name, at, status, unreachable, hard, out, owner)
             select check_id, 'web1', name, to_timestamp(i), i % 2 * 2, false, false, 'run ' || i, 'ann'
             from checks, generate_series(1, 12) as i where name = 'check_load'",
        )
        .await;
    let log = served.api.read("/state_log/web1/check_load").await;
    let runs: Vec<_> = log["state_log"]
        .as_array()
        .expect("a list")
        .iter()
        .map(|entry| entry["last"].clone())
        .collect();
    assert_eq!(json!(runs), json!([3, 4, 5, 6, 7, 8, 9, 10, 11, 12]));
    let newest = json!({"cid": load.to_string(), "hostname": "web1", "check": "check_load", "status": true, "state": "ok", "hard": false,
        "out": "run 12", "last": 12, "owner": "ann"});
    assert_eq!(
        served.api.read("/state_log/web1/check_load?limit=1").await,
        json!({ "state_log": [newest] })
    );
    assert_eq!(
        served.api.read("/state_log/web1/check_disk").await,
        json!({"state_log": []})
    );
}

#[tokio::test]
async fn a_check_is_rescheduled_suspended_and_resumed() {
    let served = serve(TestDatabase::new().await).await;
    let [disk, _] = served.register_original().await;
    let path = format!("/checks/id/{disk}");
    let done = (StatusCode::OK, json!({"success": true}));
    let seconds_until_rush = || async {
        sqlx::query_scalar::<_, Option<f64>>("select extract(epoch from rush_at - now())::float8 from check_state where check_id = $1")
            .bind(disk)
            .fetch_one(served.pool())
            .await
            .expect("the check has a state")
    };

    assert_eq!(
        served
            .api
            .post(&format!("{path}/next"), &json!({"next": 4_000_000_000_u64}))
            .await,
        done
    );
    assert_eq!(
        served.api.read(&path).await["check"]["next"],
        4_000_000_000_u64
    );
    for now in [json!("now"), json!(1), json!(-1), json!(1_364_186_219.5)] {
        assert_eq!(
            served
                .api
                .post(&format!("{path}/next"), &json!({ "next": now }))
                .await,
            done
        );
        let rush = seconds_until_rush().await.expect("it is off its grid");
        assert!(
            (-5.0..=0.0).contains(&rush),
            "what is past is now, not {rush}"
        );
    }

    assert_eq!(
        served
            .api
            .post(&format!("{path}/suspended"), &json!({"suspended": true}))
            .await,
        done
    );
    assert_eq!(served.api.read(&path).await["check"]["suspended"], true);
    served.run("update check_state set rush_at = null").await;
    assert_eq!(
        served
            .api
            .post(&format!("{path}/suspended"), &json!({"suspended": false}))
            .await,
        done
    );
    assert!(
        seconds_until_rush().await.is_some(),
        "what is resumed runs at once"
    );
}

#[tokio::test]
async fn bad_input_is_answered_with_what_is_wrong_and_where() {
    let served = serve(TestDatabase::new().await).await;
    let [disk, _] = served.register_original().await;
    let suspended = format!("/checks/id/{disk}/suspended");
    let (status, problem) = served
        .api
        .post(&suspended, &json!({"suspended": "yes"}))
        .await;
    assert_eq!(
        (status, places(&problem)),
        (StatusCode::BAD_REQUEST, vec!["suspended"])
    );
    let (status, problem) = served
        .api
        .post(&format!("/checks/id/{disk}/next"), &json!({"next": "soon"}))
        .await;
    assert_eq!(
        (status, places(&problem)),
        (StatusCode::BAD_REQUEST, vec!["next"])
    );
    let (status, problem) = served.api.get("/checks/state/broken").await;
    assert_eq!(
        (status, places(&problem)),
        (StatusCode::BAD_REQUEST, vec!["state"])
    );
    assert_eq!(
        served.api.get("/checks?limit=few").await.0,
        StatusCode::BAD_REQUEST
    );
    for path in [
        "/checks/id/9999",
        "/checks/id/none",
        "/hosts/none",
        "/checks/host/none",
        "/state_log/none/check_load",
        "/state_log/web1/none",
        "/none",
    ] {
        assert_eq!(
            served.api.get(path).await.0,
            StatusCode::NOT_FOUND,
            "{path}"
        );
    }
    assert_eq!(
        served.api.delete("/checks/id/9999").await.0,
        StatusCode::NOT_FOUND
    );
    assert_eq!(
        served.api.delete("/checks").await.0,
        StatusCode::METHOD_NOT_ALLOWED
    );

    let answer = served
        .api
        .request(Method::POST, &suspended)
        .body("{")
        .send()
        .await
        .expect("it answers");
    assert_eq!(answer.status(), StatusCode::BAD_REQUEST);
    assert_eq!(answer.headers()["content-type"], "application/problem+json");
}

#[tokio::test]
async fn deleting_takes_checks_and_hosts_away_and_leaves_history() {
    let served = serve(TestDatabase::new().await).await;
    let [disk, load] = served.register_original().await;
    served
        .run(
            "insert into alerts (kind, host_id, check_id, priority) select 'check', host_id, check_id, 1 from checks",
        )
        .await;
    served
        .run("insert into state_changes (check_id, hostname, check_name, at, unreachable, hard, out, owner) select check_id, 'web1', name, now(), false, false, '', '' from checks")
        .await;
    let left = || async {
        sqlx::query_as::<_, (i64, i64, i64, i64)>(
            "select (select count(*) from checks), (select count(*) from check_state),
                    (select count(*) from alerts where closed_at is null or close_reason <> 'removed'), (select count(*) from state_changes)",
        )
        .fetch_one(served.pool())
        .await
        .expect("the tables are there")
    };
    assert_eq!(
        served.api.delete(&format!("/checks/id/{disk}")).await,
        (StatusCode::OK, json!({"success": true}))
    );
    assert_eq!(
        served.api.get(&format!("/checks/id/{disk}")).await.0,
        StatusCode::NOT_FOUND
    );
    assert_eq!(left().await, (1, 1, 1, 2));
    assert_eq!(
        served.api.delete("/hosts/web1/").await,
        (StatusCode::OK, json!({"success": true}))
    );
    assert_eq!(
        served.api.get(&format!("/checks/id/{load}")).await.0,
        StatusCode::NOT_FOUND
    );
    assert_eq!(served.api.get("/hosts/web1").await.0, StatusCode::NOT_FOUND);
    assert_eq!(left().await, (0, 0, 0, 2));
}
