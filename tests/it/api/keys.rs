//! Keys of programs, and of agents that register.

use std::time::Duration;

use stalker_tests::until::until_seen;

use super::*;

const PATIENCE: Duration = Duration::from_secs(30);

#[tokio::test]
async fn keys_are_made_shown_once_and_revoked() {
    let served = serve(TestDatabase::new().await).await;
    let (status, made) = served
        .api
        .post("/keys/", &json!({"name": "grafana", "access": "viewer", "scope": ["web"], "expires": 4_000_000_000_u32}))
        .await;
    assert_eq!(status, StatusCode::OK, "{made}");
    let key = made["key"].as_str().expect("a key");
    assert!(key.starts_with("stk_") && key.len() == 68, "{key}");
    let api = Api::new(&served.api.url, key, REGISTER_KEY);
    assert_eq!(api.get("/checks").await.0, StatusCode::OK);
    let listed = served.api.read("/keys").await;
    let entry = &listed["keys"][1];
    assert_eq!(
        (
            &entry["name"],
            &entry["access"],
            &entry["scope"],
            &entry["made_by"],
            &entry["expires"]
        ),
        (
            &json!("grafana"),
            &json!("viewer"),
            &json!(["web"]),
            &json!("configuration"),
            &json!(4_000_000_000_u32)
        )
    );
    assert!(entry["last_used"].is_i64() && !listed.to_string().contains(key));
    let path = format!("/keys/{}", made["id"].as_str().expect("an id"));
    assert_eq!(served.api.delete(&path).await.0, StatusCode::OK);
    assert_eq!(api.get("/checks").await.0, StatusCode::FORBIDDEN);
    let configured = format!("/keys/{}", listed["keys"][0]["id"].as_str().expect("an id"));
    assert_eq!(served.api.delete(&configured).await.0, StatusCode::CONFLICT);
    assert_eq!(
        served.api.delete("/keys/none").await.0,
        StatusCode::NOT_FOUND
    );
    for (body, at) in [
        (json!({}), vec!["name", "access"]),
        (
            json!({"name": "configuration", "access": "root"}),
            vec!["name", "access"],
        ),
        (
            json!({"name": "a", "access": "admin", "scope": ["web"]}),
            vec!["scope"],
        ),
        (
            json!({"name": "a", "access": "viewer", "scope": []}),
            vec!["scope"],
        ),
        (
            json!({"name": "a", "access": "viewer", "expires": "soon"}),
            vec!["expires"],
        ),
    ] {
        let (status, problem) = served.api.post("/keys", &body).await;
        assert_eq!(
            (status, places(&problem)),
            (StatusCode::BAD_REQUEST, at),
            "{problem}"
        );
    }

    let past = json!({"name": "a", "access": "viewer", "expires": 1000});
    assert_eq!(
        served.api.post("/keys", &past).await.0,
        StatusCode::BAD_REQUEST
    );

    // several register keys, and each revocable
    let (_, made) = served
        .api
        .post("/keys", &json!({"name": "agents", "access": "register"}))
        .await;
    let register_key = made["key"].as_str().expect("a key");
    let agent = Api::new(&served.api.url, register_key, register_key);
    assert_eq!(agent.register(&original()).await.0, StatusCode::OK);
    assert_eq!(
        agent.get("/checks").await.0,
        StatusCode::FORBIDDEN,
        "it opens nothing else"
    );
    let path = format!("/keys/{}", made["id"].as_str().expect("an id"));
    assert_eq!(served.api.delete(&path).await.0, StatusCode::OK);
    assert_eq!(
        agent.register(&original()).await.0,
        StatusCode::PRECONDITION_FAILED
    );
}

#[tokio::test]
async fn a_scoped_key_knows_only_its_hosts() {
    let served = serve(TestDatabase::new().await).await;
    let host = |name: &str, role: &str| json!({"hostname": name, "ip": "127.0.0.1", "roles": [role], "checks": {"check_load": {"args": "", "interval": 60, "follow_up": 60}}});
    for (name, role) in [("web1", "web"), ("db1", "db")] {
        assert_eq!(
            served.api.register(&host(name, role)).await.0,
            StatusCode::OK
        );
    }
    served
        .execute(
            "insert into api_keys (name, hash, access, scope) values ('scoped', sha256('scoped'), 'operator', '{web}');
             insert into channels (name, provider, repeat_s) values ('pager', 'http', 3600);
             insert into alerts (kind, host_id, check_id, hostname, check_name, priority, status)
                select 'check', host_id, check_id, hostname, name, 1, 2 from checks join hosts using (host_id);
             insert into notifications (alert_id, channel, kind, dedup_key) select alert_id, 'pager', 'trigger', alert_id from alerts;
             update check_state set status = 2, suspended = true, owner = 'ann', leased_until = now() + interval '1 hour';",
        )
        .await;
    let scoped = Api::new(&served.api.url, "scoped", REGISTER_KEY);
    for path in [
        "/hosts",
        "/checks",
        "/checks?owner=ann",
        "/checks/state/alerting",
        "/checks/state/suspended",
        "/checks/state/pending",
        "/alerts",
        "/alerts?open=true",
        "/notifications",
    ] {
        let (all, some) = (
            served.api.read(path).await.to_string(),
            scoped.read(path).await.to_string(),
        );
        assert!(all.contains("web1") && all.contains("db1"), "{path}: {all}");
        assert!(
            some.contains("web1") && !some.contains("db1"),
            "{path}: {some}"
        );
    }
    assert_eq!(scoped.read("/findhost?q=db").await, "");
    assert_eq!(scoped.read("/checks?host=db1").await, json!({"checks": []}));
    let id = |host: &'static str| {
        let pool = served.pool();
        async move {
            let id: i64 = sqlx::query_scalar(
                "select check_id from checks join hosts using (host_id) where hostname = $1",
            )
            .bind(host)
            .fetch_one(pool)
            .await
            .expect("it has one check");
            id
        }
    };
    let (web, db) = (id("web1").await, id("db1").await);
    for path in ["", "/next", "/suspended", "/owner", "/overrides"] {
        assert_eq!(
            scoped.get(&format!("/checks/id/{web}{path}")).await.0,
            StatusCode::OK,
            "{path}"
        );
        assert_eq!(
            scoped.get(&format!("/checks/id/{db}{path}")).await.0,
            StatusCode::NOT_FOUND,
            "{path}"
        );
    }
    for (path, body) in [
        ("next", json!({"next": "now"})),
        ("suspended", json!({"suspended": true})),
        ("owner", json!({"owner": "bob"})),
    ] {
        assert_eq!(
            scoped
                .post(&format!("/checks/id/{web}/{path}"), &body)
                .await
                .0,
            StatusCode::OK,
            "{path}"
        );
        assert_eq!(
            scoped
                .post(&format!("/checks/id/{db}/{path}"), &body)
                .await
                .0,
            StatusCode::NOT_FOUND,
            "{path}"
        );
    }
    for path in [
        "/hosts/db1",
        "/hosts/db1/pin",
        "/notes/db1",
        "/state_log/db1/check_load",
        "/checks/host/db1",
        &format!("/samples/{db}"),
    ] {
        assert_eq!(scoped.get(path).await.0, StatusCode::NOT_FOUND, "{path}");
    }
    assert_eq!(
        scoped.post("/notes/db1", &json!({"note": "a"})).await.0,
        StatusCode::NOT_FOUND
    );
    // the address is that of both
    assert_eq!(scoped.read("/hosts/127.0.0.1").await["hostname"], "web1");
    let alerts = served.api.read("/alerts?host=db1").await;
    let path = format!(
        "/alerts/{}",
        alerts["alerts"][0]["id"].as_str().expect("an id")
    );
    assert_eq!(
        (served.api.get(&path).await.0, scoped.get(&path).await.0),
        (StatusCode::OK, StatusCode::NOT_FOUND)
    );
}

#[tokio::test]
async fn the_key_of_the_configuration_is_revoked_by_another_or_by_hand() {
    let database = TestDatabase::new().await;
    let with_key = Installation::new(&database);
    let first = with_key.start("api").await;
    let api = first.api();
    assert_eq!(api.get("/keys").await.0, StatusCode::OK);
    // whoever starts without one locks nobody out, and says what is left
    let without = Installation::new(&database).unset("api.api_key");
    let second = without.start("api").await;
    let log = async || second.process.output();
    until_seen("it warns", PATIENCE, log, |log| {
        log.contains("stalkerd key revoke 1")
    })
    .await;
    assert_eq!(api.get("/keys").await.0, StatusCode::OK);
    let (done, said) = with_key.tool(&["key", "revoke", "1"]).await;
    assert!(done && said.contains("the next start"), "{said}");
    assert_eq!(api.get("/keys").await.0, StatusCode::FORBIDDEN);
    // a start brings it back and writes that down; one that changes nothing does not
    let restarted = with_key.start("api").await;
    let third = restarted.api();
    assert_eq!(third.get("/keys").await.0, StatusCode::OK);
    let _fourth = with_key.start("api").await;
    // a key that was made by hand and becomes the configuration's goes as that one goes
    let (_, made) = third
        .post("/keys", &json!({"name": "mine", "access": "admin"}))
        .await;
    let mine = made["key"].as_str().expect("a key");
    let subject_of_mine = format!("key {}", made["id"].as_str().expect("an id"));
    let with_mine = Installation::new(&database).set("api.api_key", mine);
    let fifth = with_mine.start("api").await;
    assert_eq!(third.get("/keys").await.0, StatusCode::FORBIDDEN);
    let back = with_key.start("api").await;
    let sixth = back.api();
    let of_mine = Api::new(&sixth.url, mine, REGISTER_KEY);
    assert_eq!(of_mine.get("/keys").await.0, StatusCode::FORBIDDEN);
    drop(fifth);
    let audit = sixth.read("/audit?action=api.api_key").await;
    let entries = audit["audit"].as_array().expect("a list");
    let what: Vec<_> = entries
        .iter()
        .map(|entry| (&entry["subject"], entry["after"].is_null()))
        .map(|(subject, is_end)| (subject.as_str().unwrap_or_default(), is_end))
        .collect();
    let expected = [
        ("key 1", false),
        ("key 1", false),
        ("key 1", true),
        (subject_of_mine.as_str(), false),
        (subject_of_mine.as_str(), true),
        ("key 1", false),
    ];
    assert_eq!(what, expected, "{audit}");
}
