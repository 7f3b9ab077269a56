//! What people, programs and agents show to be let in is shown to nobody else: passwords, sessions, keys and tokens, right ones
//! and wrong ones.

use reqwest::Method;
use reqwest::redirect::Policy;
use stalker_domain::wire::{AGENT_TOKEN_HEADER, API_KEY_HEADER, REGISTER_KEY_HEADER};

use super::*;

#[tokio::test]
async fn no_password_key_or_token_is_shown() {
    let database = TestDatabase::new().await;
    let installation = Installation::new(&database)
        .set("log.level", "trace")
        .set("api.cluster_id", "here")
        .set("alerts.alert_threshold", 1);
    let mut all = installation.start("all").await;
    let api = all.api();
    let client = reqwest::Client::builder()
        .redirect(Policy::none())
        .build()
        .expect("a client can be made");
    let [password, wrong, short, check_key] =
        ["password", "wrong", "short", "check_key"].map(settings::canary);
    let mut canaries = vec![
        API_KEY.to_owned(),
        REGISTER_KEY.to_owned(),
        password.clone(),
        wrong.clone(),
    ];

    // right ones, of which each answer but the one that gives it is silent
    let mut texts: Vec<Text> = Vec::new();
    let mut told = |of: &str, answer: &serde_json::Value, but: &str| {
        let mut answer = answer.clone();
        answer.as_object_mut().expect("an object").remove(but);
        texts.push((of.to_owned(), answer.to_string()));
    };
    let ann = json!({"username": "ann", "password": password, "role": "admin"});
    let (status, made) = api.post("/user", &ann).await;
    assert_eq!(status, StatusCode::OK);
    told("POST /user", &made, "");
    // before she signs in: it would end her session
    let (status, changed) = api.post("/user/ann", &json!({"password": password})).await;
    assert_eq!(status, StatusCode::OK);
    told("POST /user/ann", &changed, "");
    let sign_in = |password: &str| {
        let request = client
            .post(format!("{}/signin", api.url))
            .header("sec-fetch-site", "same-origin");
        request
            .form(&[("username", "ann"), ("password", password)])
            .send()
    };
    let answer = sign_in(&password).await.expect("the API answers");
    let cookie = answer.headers()["set-cookie"].to_str().expect("text");
    let session = cookie
        .trim_start_matches("stalker=")
        .split(';')
        .next()
        .unwrap_or_default();
    assert_eq!(session.len(), 64);
    canaries.push(session.to_owned());
    for access in ["viewer", "register"] {
        let (_, made) = api
            .post("/keys", &json!({"name": access, "access": access}))
            .await;
        let key = made["key"].as_str().expect("a key").to_owned();
        told("POST /keys", &made, "key");
        api.request(Method::GET, "/checks")
            .header(API_KEY_HEADER, &key)
            .send()
            .await
            .expect("the API answers");
        canaries.push(key);
    }
    // nobody listens there
    let host = json!({"hostname": "web1", "ip": "127.0.0.1", "port": 1, "agent_version": "1", "check_key": check_key,
        "checks": {"check_a": {"args": "", "interval": 60, "follow_up": 60}}});
    let (_, registered) = api.register(&host).await;
    canaries.push(registered["token"].as_str().expect("a token").to_owned());
    told("POST /register", &registered, "token");
    let (status, again) = api.register(&host).await;
    assert_eq!(status, StatusCode::OK);
    told("POST /register", &again, "");
    let pool = database.pool();
    let check_id: i64 = sqlx::query_scalar("select check_id from checks")
        .fetch_one(pool)
        .await
        .expect("there is one check");
    for (path, body) in [
        ("/notes/web1".to_owned(), json!({"note": "disk ordered"})),
        (
            "/maintenances".to_owned(),
            json!({"hosts": ["db"], "lasts": 60, "reason": "new disks"}),
        ),
        (
            format!("/checks/id/{check_id}/owner"),
            json!({"owner": "ann"}),
        ),
        (
            format!("/checks/id/{check_id}/next"),
            json!({"next": "now"}),
        ),
    ] {
        let (status, answer) = api.post(&path, &body).await;
        assert_eq!(status, StatusCode::OK, "{path}: {answer}");
        told(&path, &answer, "");
    }

    // wrong ones, wherever somebody may put them
    let refused = [
        client
            .get(format!("{}/checks", api.url))
            .header(API_KEY_HEADER, &wrong),
        client
            .get(format!("{}/checks", api.url))
            .header("cookie", format!("stalker={wrong}")),
        client
            .post(format!("{}/register", api.url))
            .header(REGISTER_KEY_HEADER, &wrong)
            .json(&host),
        client
            .post(format!("{}/register", api.url))
            .header(REGISTER_KEY_HEADER, REGISTER_KEY)
            .header(AGENT_TOKEN_HEADER, &wrong)
            .json(&host),
        client
            .post(format!("{}/signin", api.url))
            .header("sec-fetch-site", "same-origin")
            .form(&[("username", "nobody"), ("password", &wrong)]),
        client
            .post(format!("{}/signin", api.url))
            .header("sec-fetch-site", "same-origin")
            .form(&[("username", &wrong), ("password", &wrong)]),
        api.request(Method::POST, "/user")
            .json(&json!({"username": "bob", "password": [wrong]})),
        api.request(Method::POST, "/user")
            .json(&json!({"username": "bob", "password": wrong, "role": "king"})),
        api.request(Method::POST, "/user/ann")
            .json(&json!({"password": wrong.repeat(20)})),
        api.request(Method::POST, "/user")
            .body(format!("{{\"password\": \"{wrong}\"")),
    ];
    for (n, request) in refused.into_iter().enumerate() {
        let answer = request.send().await.expect("the API answers");
        assert!(
            answer.status().is_client_error(),
            "{n}: {}",
            answer.status()
        );
        texts.push((format!("refusal {n}"), answer.text().await.expect("text")));
    }
    sign_in(&short).await.expect("the API answers");
    canaries.push(short);

    until_seen(
        "an alert",
        PATIENCE,
        async || alerts(pool).await,
        |count| *count > 0,
    )
    .await;
    texts.extend(answers(&api, pool).await);
    let sessions = client
        .get(format!("{}/sessions", api.url))
        .header("cookie", format!("stalker={session}"));
    let sessions = sessions.send().await.expect("the API answers");
    let sessions = sessions.text().await.expect("text");
    assert!(sessions.contains("\"current\":true"), "{sessions}");
    texts.push(("GET /sessions in a session".to_owned(), sessions));
    for arguments in [
        &["user", "list"][..],
        &["key", "list"],
        &["hosts", "list"],
        &["doctor"],
        &["config"],
    ] {
        let (_, said) = installation.configured_tool(arguments, &[]).await;
        texts.push((arguments.join(" "), said));
    }
    let hashes = hashes(pool).await;
    assert!(hashes.len() >= 6, "{hashes:?}");
    let in_tables = tables(pool).await;
    all.process.terminate(PATIENCE).await;
    texts.push(("the log".to_owned(), all.process.output()));
    assert!(
        texts
            .iter()
            .any(|(of, text)| of.starts_with("GET /audit") && text.contains("sign_in")),
        "nobody has looked into the audit"
    );
    // of each a hash is kept, and nobody is told it
    are_silent(&texts, &hashes);
    // the key with which an agent is called is kept as it is: nothing else could be sent
    are_silent(&texts, &[check_key]);
    texts.extend(in_tables);
    are_silent(&texts, &canaries);
}

/// What is kept of passwords, keys, sessions and tokens, as PostgreSQL writes it.
async fn hashes(pool: &PgPool) -> Vec<String> {
    sqlx::query_scalar(
        "select password_hash from users union all select encode(hash, 'hex') from api_keys
         union all select encode(hash, 'hex') from sessions
         union all select encode(token_hash, 'hex') from hosts where token_hash is not null",
    )
    .fetch_all(pool)
    .await
    .expect("hashes can be read")
}

async fn alerts(pool: &PgPool) -> i64 {
    sqlx::query_scalar("select count(*) from alerts")
        .fetch_one(pool)
        .await
        .expect("alerts can be counted")
}
