//! Users, sessions and keys.

use reqwest::header;
use stalker_domain::wire::API_KEY_HEADER;

use super::*;

#[tokio::test]
async fn users_are_added_shown_changed_and_deleted() {
    let served = serve(TestDatabase::new().await).await;
    let api = &served.api;
    let done = (StatusCode::OK, json!({"success": true}));
    assert_eq!(api.read("/user/").await, json!({"users": []}));
    let ann = json!({"username": "ann", "password": "correct horse", "email": "ann@example.net", "role": "operator"});
    assert_eq!(api.post("/user/", &ann).await, done);
    assert_eq!(api.post("/user", &ann).await.0, StatusCode::CONFLICT);
    let shown = json!({"username": "ann", "email": "ann@example.net", "theme": "default", "role": "operator"});
    assert_eq!(api.read("/user/ann").await, shown);
    assert_eq!(api.read("/user").await, json!({"users": [shown]}));
    assert_eq!(
        api.post("/user/ann/", &json!({"theme": "dark", "snack": 1}))
            .await,
        done
    );
    assert_eq!(api.read("/user/ann").await["theme"], "dark");
    assert_eq!(
        api.get("/user/me").await.0,
        StatusCode::NOT_FOUND,
        "a key is no user"
    );
    for path in ["/user/bob", "/user/me"] {
        assert_eq!(
            api.post(path, &json!({"theme": "dark"})).await.0,
            StatusCode::NOT_FOUND
        );
        assert_eq!(api.delete(path).await.0, StatusCode::NOT_FOUND);
    }
    let (status, problem) = api
        .post(
            "/user",
            &json!({"username": "me", "password": "short", "role": "king", "email": 7}),
        )
        .await;
    assert_eq!(status, StatusCode::BAD_REQUEST);
    assert_eq!(
        places(&problem),
        ["username", "email", "role", "password"],
        "{problem}"
    );
    assert_eq!(api.delete("/user/ann").await, done);
    assert_eq!(api.get("/user/ann").await.0, StatusCode::NOT_FOUND);
}

#[tokio::test]
async fn people_change_themselves_and_nobody_else() {
    let served = serve(TestDatabase::new().await).await;
    let ann = served.person("ann", "viewer").await;
    served.person("bob", "viewer").await;
    let post = async |path: &str, body: Value| {
        let request = served.as_person(&ann, Method::POST, path).json(&body);
        request.send().await.expect("the API answers").status()
    };
    assert_eq!(
        post("/user/me", json!({"email": "ann@example.net"})).await,
        StatusCode::OK
    );
    assert_eq!(
        served.api.read("/user/ann").await["email"],
        "ann@example.net"
    );
    assert_eq!(
        post("/user/me", json!({"role": "admin"})).await,
        StatusCode::FORBIDDEN
    );
    assert_eq!(
        post("/user/bob", json!({"email": ""})).await,
        StatusCode::FORBIDDEN
    );
    assert_eq!(
        post("/user/nobody", json!({"email": ""})).await,
        StatusCode::FORBIDDEN
    );
    // a password ends every session, also this one
    assert_eq!(
        post("/user/me", json!({"password": "another horse"})).await,
        StatusCode::OK
    );
    assert_eq!(
        post("/user/me", json!({"theme": "dark"})).await,
        StatusCode::UNAUTHORIZED
    );
    assert!(served.sign_in("ann", "password of ann").await.is_none());
    assert!(served.sign_in("ann", "another horse").await.is_some());
}

#[tokio::test]
async fn sessions_are_listed_ended_and_end_by_themselves() {
    let served = serve(TestDatabase::new().await).await;
    let first = served.person("ann", "viewer").await;
    let second = served
        .sign_in("ann", "password of ann")
        .await
        .expect("it is the password");
    let of_bob = served.person("bob", "viewer").await;
    let get = async |secret: &str| {
        let request = served.as_person(secret, Method::GET, "/sessions");
        let answer = request.send().await.expect("the API answers");
        let status = answer.status();
        let body: Value = answer.json().await.expect("JSON");
        (
            status,
            body["sessions"].as_array().cloned().unwrap_or_default(),
        )
    };
    let (_, listed) = get(&first).await;
    let current: Vec<&Value> = listed.iter().map(|session| &session["current"]).collect();
    assert_eq!(current, [false, true], "the latest first");
    assert_eq!(listed[0]["address"], "127.0.0.1");
    let path = format!("/sessions/{}", listed[0]["id"].as_str().expect("an id"));
    let end = async |secret: &str| {
        let request = served.as_person(secret, Method::DELETE, &path);
        request.send().await.expect("the API answers").status()
    };
    assert_eq!(end(&of_bob).await, StatusCode::NOT_FOUND, "it is not his");
    assert_eq!(end(&first).await, StatusCode::OK);
    assert_eq!(get(&second).await.0, StatusCode::UNAUTHORIZED);

    served
        .run("update sessions set seen_at = now() - interval '12 hours 1 second'")
        .await;
    assert_eq!(
        get(&first).await.0,
        StatusCode::UNAUTHORIZED,
        "nobody used it"
    );
    served.run("update sessions set seen_at = now() - interval '11 hours 59 minutes', created_at = now() - interval '6 days 23 hours'").await;
    assert_eq!(get(&first).await.0, StatusCode::OK);
    served
        .run("update sessions set created_at = now() - interval '7 days 1 second'")
        .await;
    assert_eq!(
        get(&first).await.0,
        StatusCode::UNAUTHORIZED,
        "it is a week old"
    );
}

#[tokio::test]
async fn signing_in_and_out_is_a_form_and_a_cookie() {
    let served = serve(TestDatabase::new().await).await;
    let secret = served.person("ann", "viewer").await;
    let page = served
        .anonymous("/signin?next=/checks%22%3E")
        .await
        .text()
        .await
        .expect("text");
    assert!(
        page.contains("name=\"next\" value=\"&#x2f;checks&quot;&gt;\""),
        "{page}"
    );
    let form = [
        ("username", "ann"),
        ("password", "password of ann"),
        ("next", "/docs/"),
        ("remember_me", "1"),
    ];
    let post = |site: &'static str| {
        let request = served.browser().post(format!("{}/signin", served.api.url));
        request.header("sec-fetch-site", site).form(&form)
    };
    let answer = post("cross-site").send().await.expect("the API answers");
    assert_eq!(
        answer.status(),
        StatusCode::FORBIDDEN,
        "another site signs nobody in"
    );
    let answer = post("same-origin").send().await.expect("the API answers");
    assert_eq!(answer.status(), StatusCode::SEE_OTHER);
    assert_eq!(answer.headers()[header::LOCATION], "/docs/");
    let cookie = answer.headers()[header::SET_COOKIE]
        .to_str()
        .expect("text")
        .to_owned();
    assert!(
        cookie.starts_with("stalker=")
            && cookie.ends_with("; Path=/; HttpOnly; SameSite=Lax; Max-Age=604800"),
        "{cookie}"
    );

    let sign_out = served.as_person(&secret, Method::POST, "/signout").send();
    let answer = sign_out.await.expect("the API answers");
    assert_eq!(
        (answer.status(), &answer.headers()[header::LOCATION]),
        (StatusCode::SEE_OTHER, &"/signin".parse().expect("a value"))
    );
    let after = served.as_person(&secret, Method::GET, "/stats").send();
    assert_eq!(
        after.await.expect("the API answers").status(),
        StatusCode::UNAUTHORIZED
    );
    // the page for people
    let home = served
        .browser()
        .get(&served.api.url)
        .send()
        .await
        .expect("the API answers");
    assert_eq!(
        (home.status(), &home.headers()[header::LOCATION]),
        (
            StatusCode::SEE_OTHER,
            &"/signin?next=/".parse().expect("a value")
        )
    );
}

#[tokio::test]
async fn a_cookie_works_only_from_our_own_pages() {
    let served = serve(TestDatabase::new().await).await;
    let secret = served.person("adam", "admin").await;
    let try_from = async |headers: &[(&str, &str)]| {
        let mut request = served
            .browser()
            .delete(format!("{}/user/nobody", served.api.url));
        request = request.header("cookie", format!("a=b; stalker={secret}"));
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        request.send().await.expect("the API answers").status()
    };
    let own = served.api.url.clone();
    assert_eq!(try_from(&[("origin", &own)]).await, StatusCode::NOT_FOUND);
    assert_eq!(
        try_from(&[("sec-fetch-site", "same-origin")]).await,
        StatusCode::NOT_FOUND
    );
    for other in [
        &[("origin", "http://evil.example")][..],
        &[("sec-fetch-site", "cross-site"), ("origin", &own)],
        &[("sec-fetch-site", "same-site")],
        &[],
    ] {
        assert_eq!(try_from(other).await, StatusCode::FORBIDDEN, "{other:?}");
    }
}

#[tokio::test]
async fn tries_to_sign_in_are_limited_per_account_and_address_across_replicas() {
    let served = serve(TestDatabase::new().await).await;
    served.person("ann", "viewer").await;
    served.run("delete from send_rates").await;
    let other = served.installation.start("api").await;
    let urls = [served.api.url.clone(), other.api().url.clone()];
    let mut statuses = Vec::new();
    for n in 0..12 {
        let form = [("username", "ann"), ("password", "wrong horse")];
        let request = served.browser().post(format!("{}/signin", urls[n % 2]));
        let request = request.header("sec-fetch-site", "same-origin").form(&form);
        statuses.push(
            request
                .send()
                .await
                .expect("the API answers")
                .status()
                .as_u16(),
        );
    }
    // half a minute adds one
    assert!(
        statuses[..10].iter().all(|status| *status == 401),
        "{statuses:?}"
    );
    assert!(statuses[10..].contains(&429), "{statuses:?}");
    served.run("delete from send_rates").await;
    assert!(served.sign_in("ann", "password of ann").await.is_some());
}

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
async fn every_answer_protects_who_reads_it_in_a_browser() {
    let served = serve(TestDatabase::new().await).await;
    for path in ["/", "/signin", "/docs/", "/checks", "/nowhere", "/healthz"] {
        let request = served.browser().get(format!("{}{path}", served.api.url));
        let answer = request.send().await.expect("the API answers");
        let header = |name: &str| {
            answer
                .headers()
                .get(name)
                .and_then(|value| value.to_str().ok())
                .unwrap_or_default()
                .to_owned()
        };
        let policy = header("content-security-policy");
        assert!(
            policy.starts_with("default-src 'none'") && policy.contains("frame-ancestors 'none'"),
            "{path}: {policy}"
        );
        assert!(!policy.contains("script-src 'unsafe"), "{path}: {policy}");
        assert_eq!(
            (header("x-content-type-options"), header("x-frame-options")),
            ("nosniff".to_owned(), "DENY".to_owned()),
            "{path}"
        );
        assert_eq!(header("access-control-allow-origin"), "", "{path}");
    }
    for coding in ["gzip", "zstd"] {
        let request = served
            .browser()
            .get(format!("{}/openapi.yaml", served.api.url));
        let answer = request
            .header("accept-encoding", coding)
            .send()
            .await
            .expect("the API answers");
        assert_eq!(answer.headers()["content-encoding"], coding);
    }
    let key = served
        .api
        .request(Method::GET, "/checks")
        .send()
        .await
        .expect("the API answers");
    assert_eq!(key.headers()["cache-control"], "no-store");
}

#[tokio::test]
async fn other_sites_and_rates_are_as_configured() {
    let database = TestDatabase::new().await;
    let installation = Installation::new(&database)
        .set("api.cors_origins", vec!["https://wall.example"])
        .set("api.public_url", "https://stalker.example")
        .set("api.requests_per_s", 2);
    let component = installation.start("api").await;
    let api = component.api();
    let request = |origin: &'static str| {
        api.request(Method::GET, "/stats")
            .header("origin", origin)
            .send()
    };
    let allowed = request("https://wall.example")
        .await
        .expect("the API answers");
    assert_eq!(
        allowed.headers()["access-control-allow-origin"],
        "https://wall.example"
    );
    assert!(allowed.headers().contains_key("strict-transport-security"));
    let other = request("https://evil.example")
        .await
        .expect("the API answers");
    assert_ne!(
        other
            .headers()
            .get("access-control-allow-origin")
            .map(|value| value.as_bytes()),
        Some(&b"https://evil.example"[..])
    );
    let mut refused = None;
    for _ in 0..40 {
        let answer = api
            .request(Method::GET, "/stats")
            .header(API_KEY_HEADER, "x")
            .send()
            .await
            .expect("the API answers");
        if answer.status() == StatusCode::TOO_MANY_REQUESTS {
            refused = Some(answer);
        }
    }
    let refused = refused.expect("forty at once are more than twenty");
    assert!(refused.headers().contains_key("retry-after"));
    assert_eq!(
        api.get("/healthz").await.0,
        StatusCode::OK,
        "a balancer is not counted"
    );
}
