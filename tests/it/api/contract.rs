//! What else clients of the routes rely on: ids that are not there, names that are odd, and values that other tests pass by.

use super::*;

fn done() -> (StatusCode, Value) {
    (StatusCode::OK, json!({"success": true}))
}

#[tokio::test]
async fn what_is_not_there_cannot_be_changed() {
    let served = serve(TestDatabase::new().await).await;
    let body = |path: &str| match path.rsplit('/').next() {
        Some("next") => json!({"next": "now"}),
        Some("suspended") => json!({"suspended": true}),
        Some("owner") => json!({"owner": "ann"}),
        Some("overrides") => json!({"interval": 30}),
        _ => json!({"note": "n", "ends": 4_000_000_000_u64, "email": ""}),
    };
    for id in ["1", "999999999999", "none", "-1", "%20"] {
        for (method, path) in [
            (Method::POST, format!("/checks/id/{id}/next")),
            (Method::POST, format!("/checks/id/{id}/suspended")),
            (Method::POST, format!("/checks/id/{id}/owner")),
            (Method::DELETE, format!("/checks/id/{id}/owner")),
            (Method::PUT, format!("/checks/id/{id}/overrides")),
            (Method::DELETE, format!("/checks/id/{id}/overrides")),
            (Method::DELETE, format!("/checks/id/{id}")),
            (Method::POST, format!("/maintenances/{id}")),
            (Method::DELETE, format!("/maintenances/{id}")),
            (Method::POST, format!("/notifications/{id}/retry")),
            (Method::POST, format!("/notes/{id}")),
            (Method::POST, format!("/channels/{id}/test")),
            (Method::DELETE, format!("/hosts/{id}")),
            (Method::DELETE, format!("/hosts/{id}/pin")),
            (Method::DELETE, format!("/hosts/{id}/token")),
            (Method::POST, format!("/user/{id}")),
            (Method::DELETE, format!("/user/{id}")),
        ] {
            for slash in ["", "/"] {
                let request = served
                    .api
                    .request(method.clone(), &format!("{path}{slash}"));
                let answer = request.json(&body(&path)).send().await;
                let answer = answer.expect("the API answers");
                assert_eq!(
                    answer.status(),
                    StatusCode::NOT_FOUND,
                    "{method} {path}{slash}"
                );
                let problem: Value = answer.json().await.expect("a problem document");
                assert_eq!(problem["status"], 404, "{method} {path}{slash}: {problem}");
            }
        }
    }
}

#[tokio::test]
async fn a_registration_may_be_put_as_well() {
    let served = serve(TestDatabase::new().await).await;
    for slash in ["", "/"] {
        let request = served
            .api
            .request(Method::PUT, &format!("/register{slash}"))
            .header("x-register-key", REGISTER_KEY)
            .json(&original());
        let answer = request.send().await.expect("the API answers");
        assert_eq!(answer.status(), StatusCode::OK);
        let body: Value = answer.json().await.expect("JSON");
        assert_eq!(body["status"], "ok", "{body}");
    }
    assert_eq!(served.api.read("/hosts/web1").await["hostname"], "web1");
}

#[tokio::test]
async fn checks_are_counted_and_listed_by_how_they_are() {
    let served = serve(TestDatabase::new().await).await;
    let [disk, load] = served.register_original().await;
    served
        .run("update check_state set status = 2, hard = check_id = (select check_id from checks where name = 'check_load'), rush_at = now(), due_at = now()")
        .await;
    let ids = |list: &Value| -> Vec<String> {
        let checks = list.as_array().expect("a list").iter();
        checks
            .map(|check| check["id"].as_str().expect("an id").to_owned())
            .collect()
    };
    let alerting = served.api.read("/checks/state/alerting").await;
    assert_eq!(
        ids(&alerting["alerting"]).len(),
        2,
        "soft ones too: {alerting}"
    );
    let hard = served.api.read("/checks/state/alerting?hard=true").await;
    assert_eq!(ids(&hard["alerting"]), [load.to_string()]);
    // our own cluster as others see it
    let global = served.api.read("/global/here/checks/state/alerting").await;
    assert_eq!(
        ids(&global["here"]["alerting"]),
        [disk.to_string(), load.to_string()]
    );
    let stats = served.api.read("/stats").await;
    assert_eq!(
        (&stats["here"]["qsize"], &stats["here"]["failing"]),
        (&json!(2), &json!(2)),
        "{stats}"
    );
    let mut stats = stats;
    // of any cluster: how old, and why no newer
    stats["here"]["age"] = json!(0);
    stats["here"]["error"] = Value::Null;
    assert_eq!(served.api.read("/stats/here/").await, stats);
    assert_eq!(served.api.read("/stats/all").await, json!({ "all": stats }));
    // known, and empty
    served
        .execute("delete from check_state; delete from checks")
        .await;
    assert_eq!(
        served.api.read("/checks/host/web1").await,
        json!({"checks": []})
    );
    assert_eq!(
        served.api.read("/checks/host/127.0.0.1/").await,
        json!({"checks": []})
    );
}

#[tokio::test]
async fn pins_are_shown_and_reset_whatever_a_host_is_called() {
    let served = serve(TestDatabase::new().await).await;
    let fingerprint = "a".repeat(64);
    for (n, name) in ["a.b", "mail server", "100%", "größe", "a?b#c"]
        .into_iter()
        .enumerate()
    {
        let host = json!({"hostname": name, "ip": format!("10.0.0.{n}"), "cert_sha256": fingerprint, "checks": {}});
        assert_eq!(served.api.register(&host).await.0, StatusCode::OK);
        let path = url_path(name);
        let pin = json!({"cert_sha256": fingerprint, "cert_origin": "registered"});
        let forgotten = json!({"cert_sha256": null, "cert_origin": null});
        for slash in ["", "/"] {
            let url = format!("/hosts/{path}/pin{slash}");
            assert_eq!(served.api.register(&host).await.0, StatusCode::OK);
            assert_eq!(served.api.read(&url).await, pin, "{name}");
            assert_eq!(served.api.delete(&url).await, done(), "{name}");
            assert_eq!(served.api.read(&url).await, forgotten, "{name}");
            let url = format!("/hosts/{path}/token{slash}");
            assert_eq!(served.api.delete(&url).await, done(), "{name}");
        }
        let begin: String = name.chars().take(3).collect();
        let found = served.api.request(Method::GET, "/findhost");
        let found = found.query(&[("q", &begin)]).send().await;
        let found = found.expect("the API answers").text().await.expect("text");
        assert_eq!(found, name);
        for list in ["alerts", "notifications", "maintenances"] {
            let answer = served.api.request(Method::GET, &format!("/{list}"));
            let answer = answer.query(&[("host", name)]).send().await;
            let answer: Value = answer.expect("the API answers").json().await.expect("JSON");
            assert_eq!(answer, json!({ list: [] }), "{name}");
        }
    }
    // of two behind one address nobody knows which is meant
    served.run("update hosts set ip = '10.0.0.9'").await;
    for path in [
        "/hosts/10.0.0.9",
        "/hosts/10.0.0.9/pin",
        "/hosts/10.0.0.9/token",
    ] {
        let (status, problem) = served.api.delete(path).await;
        assert_eq!(status, StatusCode::CONFLICT, "{path}: {problem}");
    }
    assert_eq!(served.api.get("/hosts/10.0.0.9").await.0, StatusCode::OK);
}
