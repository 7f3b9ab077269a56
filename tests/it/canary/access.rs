//! What people, programs and agents show to be let in is shown to nobody else: passwords, sessions, keys and tokens, right ones
//! and wrong ones.

use reqwest::Method;
use reqwest::redirect::Policy;
use stalker_domain::wire::{AGENT_TOKEN_HEADER, API_KEY_HEADER, REGISTER_KEY_HEADER};

use super::*;

#[tokio::test]
async fn no_password_key_or_token_is_shown() {
    let database = TestDatabase::new().await;
    let installation = Installation::new(&database).set("log.level", "trace");
    let mut all = installation.start("all").await;
    let api = all.api();
    let client = reqwest::Client::builder()
        .redirect(Policy::none())
        .build()
        .expect("a client can be made");
    let [password, wrong, short] = ["password", "wrong", "short"].map(settings::canary);
    let mut canaries = vec![
        API_KEY.to_owned(),
        REGISTER_KEY.to_owned(),
        password.clone(),
        wrong.clone(),
    ];

    // right ones
    let ann = json!({"username": "ann", "password": password, "role": "admin"});
    assert_eq!(api.post("/user", &ann).await.0, StatusCode::OK);
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
        api.request(Method::GET, "/checks")
            .header(API_KEY_HEADER, &key)
            .send()
            .await
            .expect("the API answers");
        canaries.push(key);
    }
    let host = json!({"hostname": "web1", "ip": "127.0.0.1", "agent_version": "1", "checks": {"check_a": {"args": "", "interval": 60, "follow_up": 60}}});
    let (_, registered) = api.register(&host).await;
    canaries.push(registered["token"].as_str().expect("a token").to_owned());
    assert_eq!(api.register(&host).await.0, StatusCode::OK);

    // wrong ones, wherever somebody may put them
    let mut texts: Vec<Text> = Vec::new();
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

    texts.extend(answers(&api).await);
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
    let hash: String = sqlx::query_scalar("select password_hash from users")
        .fetch_one(database.pool())
        .await
        .expect("there is one user");
    let in_tables = tables(database.pool()).await;
    all.process.terminate(PATIENCE).await;
    texts.push(("the log".to_owned(), all.process.output()));
    assert!(
        texts
            .iter()
            .any(|(of, text)| of.starts_with("GET /audit") && text.contains("sign_in")),
        "nobody has looked into the audit"
    );
    // of a password a hash is kept, and nobody is told it
    are_silent(&texts, &[hash]);
    texts.extend(in_tables);
    are_silent(&texts, &canaries);
}
