//! What is done at another cluster from here: if the key allows it, and with the same name in the audits of both.

use reqwest::Method;
use sha2::{Digest, Sha256};

use super::*;

/// The latest rows of a cluster's audit of these actions: who did it for whom, to what, and what is so since.
async fn audited(cluster: &Cluster, actions: &[&str]) -> Vec<(String, Value, String, Value)> {
    let audit = cluster.api.read("/audit").await;
    let rows = audit["audit"].as_array().expect("a list").iter();
    let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    rows.filter(|row| actions.contains(&row["action"].as_str().unwrap_or_default()))
        .map(|row| {
            (
                text(&row["actor"]),
                row["on_behalf_of"].clone(),
                text(&row["subject"]),
                row["after"].clone(),
            )
        })
        .collect()
}

/// A key of this access, called `east`.
async fn key(cluster: &Cluster, access: &str) -> String {
    let key = format!("the key of east, {access}");
    sqlx::query("insert into api_keys (name, hash, access) values ('east', $1, $2)")
        .bind(Sha256::digest(&key).to_vec())
        .bind(access)
        .execute(cluster.database.pool())
        .await
        .expect("a key can be added");
    key
}

/// One that sees `west`, with a key of this access.
async fn east(west: &Cluster, access: &str) -> Cluster {
    let database = TestDatabase::new().await;
    let installation = Installation::new(&database)
        .set("api.cluster_id", "east")
        // long: what was done is seen all the same
        .set("api.cache_ttl", 3600);
    let installation = west.known_to(installation, &key(west, access).await);
    Cluster::run(installation, database, "api").await
}

#[tokio::test]
async fn what_is_done_there_is_in_both_audits_with_one_name() {
    let west = Cluster::seen("west").await;
    let east = east(&west, "admin").await;
    let ann = json!({"username": "ann", "password": "password of ann", "role": "admin"});
    assert_eq!(east.api.post("/user", &ann).await.0, StatusCode::OK);
    let browser = reqwest::Client::builder()
        .redirect(reqwest::redirect::Policy::none())
        .build()
        .expect("a client can be made");
    let signed_in = browser
        .post(format!("{}/signin", east.api.url))
        .header("sec-fetch-site", "same-origin")
        .form(&[("username", "ann"), ("password", "password of ann")])
        .send()
        .await
        .expect("the API answers");
    let cookie = signed_in.headers()["set-cookie"]
        .to_str()
        .expect("it is text");
    let cookie = cookie.split(';').next().unwrap_or_default().to_owned();
    let as_ann = async |method: Method, path: &str, body: Option<Value>| {
        let request = browser
            .request(method, format!("{}{path}", east.api.url))
            .header("sec-fetch-site", "same-origin")
            .header("cookie", &cookie);
        let request = match body {
            Some(body) => request.json(&body),
            None => request,
        };
        let answer = request.send().await.expect("the API answers");
        (
            answer.status(),
            answer.json::<Value>().await.expect("it is JSON"),
        )
    };
    let alerting = async |name: &str| {
        let (_, answer) = east.alerting("west").await;
        answer["west"]["alerting"][0][name].clone()
    };
    assert_eq!(alerting("owner").await, "ann");

    let done = (StatusCode::OK, json!({"success": true}));
    let check = "/global/west/checks/id/17";
    let writes = [
        (Method::DELETE, "/owner", None, "owner", json!("")),
        (
            Method::POST,
            "/owner",
            Some(json!({"owner": "zoe"})),
            "owner",
            json!("zoe"),
        ),
        (
            Method::POST,
            "/suspended",
            Some(json!({"suspended": true})),
            "suspended",
            json!(true),
        ),
        (
            Method::POST,
            "/suspended",
            Some(json!({"suspended": false})),
            "suspended",
            json!(false),
        ),
        (
            Method::POST,
            "/next",
            Some(json!({"next": 4_000_000_000_u64})),
            "next",
            json!(4_000_000_000_u64),
        ),
    ];
    for (method, below, body, field, expected) in writes {
        let answer = as_ann(method, &format!("{check}{below}"), body).await;
        assert_eq!(answer, done, "{below}");
        // there, and as the other shows it, at once
        assert_eq!(
            west.api.read("/checks/id/17").await["check"][field],
            expected
        );
        let (status, seen) = as_ann(Method::GET, &format!("{check}{below}"), None).await;
        assert_eq!(
            (status, &seen["check"][field]),
            (StatusCode::OK, &expected),
            "{seen}"
        );
        assert_eq!(
            alerting(field).await,
            expected,
            "what was kept is asked for anew"
        );
    }
    let (_, seen) = as_ann(Method::GET, check, None).await;
    assert_eq!(seen, west.api.read("/checks/id/17").await);
    let path = "/checks/host/web1";
    let (_, seen) = as_ann(Method::GET, &format!("/global/west{path}"), None).await;
    assert_eq!(seen, west.api.read(path).await);
    let (status, _) = as_ann(Method::GET, "/global/west/checks/host/nobody", None).await;
    assert_eq!(status, StatusCode::NOT_FOUND);
    assert_eq!(as_ann(Method::DELETE, check, None).await, done);
    assert_eq!(west.api.get("/checks/id/17").await.0, StatusCode::NOT_FOUND);
    assert_eq!(
        as_ann(Method::DELETE, "/global/west/hosts/web1", None).await,
        done
    );
    assert_eq!(west.api.get("/hosts/web1").await.0, StatusCode::NOT_FOUND);

    let ours = audited(
        &east,
        &[
            "set_cluster_owner",
            "delete_cluster_owner",
            "set_cluster_suspension",
            "set_cluster_next_run",
            "delete_cluster_check",
            "delete_cluster_host",
        ],
    )
    .await;
    let of_check = |after: Value| {
        (
            "ann".to_owned(),
            Value::Null,
            "check 17 of cluster west".to_owned(),
            after,
        )
    };
    let expected = [
        of_check(Value::Null),
        of_check(json!({"owner": "zoe"})),
        of_check(json!({"suspended": true})),
        of_check(json!({"suspended": false})),
        of_check(json!({"next": 4_000_000_000_u64})),
        of_check(Value::Null),
        (
            "ann".to_owned(),
            Value::Null,
            "host web1 of cluster west".to_owned(),
            Value::Null,
        ),
    ];
    assert_eq!(ours, expected);
    let theirs = audited(
        &west,
        &[
            "set_owner",
            "delete_owner",
            "set_suspension",
            "set_next_run",
            "delete_check",
            "delete_host",
        ],
    )
    .await;
    // one of them was there before
    let theirs: Vec<_> = theirs
        .into_iter()
        .filter(|(actor, ..)| actor == "east")
        .collect();
    assert_eq!(theirs.len(), 7, "{theirs:?}");
    for (_, on_behalf_of, ..) in theirs {
        assert_eq!(on_behalf_of, "ann@east");
    }
}

#[tokio::test]
async fn only_what_the_key_allows_is_done() {
    let west = Cluster::seen("west").await;
    let check = "/global/west/checks/id/17";
    let next = json!({"next": "now"});

    let viewer = east(&west, "viewer").await;
    let (status, problem) = viewer.api.post(&format!("{check}/next"), &next).await;
    assert_eq!(
        (status, &problem["detail"]),
        (
            StatusCode::FORBIDDEN,
            &json!(
                "cluster west does not let our key do this: your access does not allow this (HTTP 403)"
            )
        )
    );
    assert_eq!(viewer.api.get(check).await.0, StatusCode::OK);

    let operator = east(&west, "operator").await;
    assert_eq!(
        operator.api.post(&format!("{check}/next"), &next).await.0,
        StatusCode::OK
    );
    for path in [check, "/global/west/hosts/web1"] {
        let (status, problem) = operator.api.delete(path).await;
        assert_eq!(status, StatusCode::FORBIDDEN, "{problem}");
    }
    // nor is it enough to have a key there, if our own people may not
    let our_key = key(&operator, "viewer").await;
    let ours = Api::new(&operator.api.url, &our_key, "");
    assert_eq!(
        ours.post(&format!("{check}/next"), &next).await.0,
        StatusCode::FORBIDDEN
    );

    // what is not there, what nobody means, and what leads elsewhere
    for (path, body, expected) in [
        (
            "/global/west/checks/id/999999/next",
            &next,
            StatusCode::NOT_FOUND,
        ),
        (
            "/global/west/checks/id/x%20y/next",
            &next,
            StatusCode::NOT_FOUND,
        ),
        (
            "/global/west/checks/id/%2e%2e/next",
            &next,
            StatusCode::NOT_FOUND,
        ),
        (
            "/global/west/checks/id/17/next",
            &json!({"next": "soon"}),
            StatusCode::BAD_REQUEST,
        ),
        (
            "/global/west/checks/id/17/suspended",
            &json!({}),
            StatusCode::BAD_REQUEST,
        ),
        (
            "/global/west/checks/id/17/owner",
            &json!({"owner": ""}),
            StatusCode::BAD_REQUEST,
        ),
        (
            "/global/nowhere/checks/id/17/next",
            &next,
            StatusCode::BAD_REQUEST,
        ),
    ] {
        let (status, problem) = operator.api.post(path, body).await;
        assert_eq!(status, expected, "{path}: {problem}");
    }
    let admin = east(&west, "admin").await;
    for path in [
        "/global/west/hosts/%2e%2e",
        "/global/west/hosts/..%2fchecks%2fid%2f17",
    ] {
        assert_eq!(
            admin.api.delete(path).await.0,
            StatusCode::NOT_FOUND,
            "{path}"
        );
    }
    assert_eq!(west.api.get("/checks/id/17").await.0, StatusCode::OK);
    // what was refused was not done, and is not written down as if it had been
    let rows = audited(
        &operator,
        &[
            "set_cluster_next_run",
            "delete_cluster_check",
            "delete_cluster_host",
        ],
    )
    .await;
    assert_eq!(rows.len(), 1, "{rows:?}");

    // its own name leads to itself
    operator.database_has_check().await;
    let here = operator
        .api
        .post("/global/east/checks/id/17/next", &next)
        .await;
    assert_eq!(here.0, StatusCode::OK, "{}", here.1);
    assert_eq!(audited(&operator, &["set_next_run"]).await.len(), 1);
}

/// What hangs may have done what it was asked to, and is written down; what is gone has not, and is not.
#[tokio::test]
async fn nobody_is_told_that_it_was_done_when_nobody_knows() {
    let mut west = Cluster::seen("west").await;
    let east = Cluster::seeing("east", &[&west], "api").await;
    let next = json!({"next": "now"});
    let path = "/global/west/checks/id/17/next";
    west.component.process.suspend();
    let (status, problem) = east.api.post(path, &next).await;
    assert_eq!(
        (status, &problem["detail"]),
        (
            StatusCode::GATEWAY_TIMEOUT,
            &json!("cluster west was asked, and may have done it: no answer within 3s")
        )
    );
    let rows = audited(&east, &["set_cluster_next_run"]).await;
    assert_eq!(rows.len(), 1, "{rows:?}");
    west.kill();
    let (status, problem) = east.api.post(path, &next).await;
    assert_eq!(status, StatusCode::BAD_GATEWAY, "{problem}");
    let detail = problem["detail"].as_str().unwrap_or_default();
    assert!(
        detail.starts_with("cluster west cannot be reached, nothing was done: "),
        "{problem}"
    );
    assert_eq!(audited(&east, &["set_cluster_next_run"]).await.len(), 1);
}

impl Cluster {
    /// It has a check 17 of its own.
    async fn database_has_check(&self) {
        sqlx::raw_sql(
            "insert into hosts (hostname, ip, roles) values ('own1', '127.0.0.1', '{}');
             insert into checks (check_id, host_id, name, cmd, args, declared_interval_s, declared_follow_up_s)
             overriding system value select 17, host_id, 'check_own', '', '', 15, 15 from hosts;
             insert into check_state (check_id, interval_s, phase_ms, due_at) values (17, 60, 0, '2100-01-01');",
        )
        .execute(self.database.pool())
        .await
        .expect("a check can be made up");
    }
}
