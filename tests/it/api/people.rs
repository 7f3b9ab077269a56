//! Users.

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
    // whoever finds her browser open does not know her password
    for body in [
        json!({"password": "another horse"}),
        json!({"password": "another horse", "current_password": "password of bob"}),
    ] {
        assert_eq!(post("/user/me", body).await, StatusCode::BAD_REQUEST);
    }
    // a password ends every session, also this one
    let other = served.sign_in("ann", "password of ann").await;
    let other = other.expect("it is the password");
    assert_eq!(
        post(
            "/user/me",
            json!({"password": "another horse", "current_password": "password of ann"})
        )
        .await,
        StatusCode::OK
    );
    let stats = served.as_person(&other, Method::GET, "/stats").send().await;
    assert_eq!(
        stats.expect("the API answers").status(),
        StatusCode::UNAUTHORIZED
    );
    assert_eq!(
        post("/user/me", json!({"theme": "dark"})).await,
        StatusCode::UNAUTHORIZED
    );
    assert!(served.sign_in("ann", "password of ann").await.is_none());
    assert!(served.sign_in("ann", "another horse").await.is_some());
}

#[tokio::test]
async fn what_is_taken_from_somebody_is_taken_at_once() {
    let served = serve(TestDatabase::new().await).await;
    let adam = served.person("adam", "admin").await;
    let eve = served.person("eve", "admin").await;
    let status = async |secret: &str, method: Method, path: &str| {
        let request = served.as_person(secret, method, path).send().await;
        request.expect("the API answers").status()
    };
    assert_eq!(status(&adam, Method::GET, "/keys").await, StatusCode::OK);
    let api = &served.api;
    let viewer = json!({"role": "viewer"});
    assert_eq!(api.post("/user/adam", &viewer).await.0, StatusCode::OK);
    assert_eq!(
        status(&adam, Method::GET, "/keys").await,
        StatusCode::FORBIDDEN
    );
    assert_eq!(status(&adam, Method::GET, "/stats").await, StatusCode::OK);
    // somebody has to decide who may do what
    assert_eq!(api.post("/user/eve", &viewer).await.0, StatusCode::CONFLICT);
    assert_eq!(api.delete("/user/eve").await.0, StatusCode::CONFLICT);
    assert_eq!(status(&eve, Method::GET, "/keys").await, StatusCode::OK);
    assert_eq!(api.delete("/user/adam").await.0, StatusCode::OK);
    assert_eq!(
        status(&adam, Method::GET, "/stats").await,
        StatusCode::UNAUTHORIZED
    );
    // a command ends sessions as well
    let (done, said) = served.installation.tool(&["user", "passwd", "eve"]).await;
    assert!(done, "{said}");
    assert_eq!(
        status(&eve, Method::GET, "/stats").await,
        StatusCode::UNAUTHORIZED
    );
}

#[tokio::test]
async fn an_edit_of_an_older_user_is_refused() {
    let served = serve(TestDatabase::new().await).await;
    let api = &served.api;
    let ann = json!({"username": "ann", "password": "correct horse"});
    assert_eq!(api.post("/user", &ann).await.0, StatusCode::OK);
    let version = async || {
        let answer = api.request(Method::GET, "/user/ann").send().await;
        let answer = answer.expect("the API answers");
        let tag = answer.headers()["etag"].to_str().expect("text");
        tag.to_owned()
    };
    let edit = async |tag: &str, theme: &str| {
        let request = api.request(Method::POST, "/user/ann");
        let request = request.header("if-match", tag);
        let answer = request.json(&json!({ "theme": theme })).send().await;
        answer.expect("the API answers").status()
    };
    let seen = version().await;
    let again = api.request(Method::GET, "/user/ann");
    let again = again.header("if-none-match", &seen).send().await;
    let again = again.expect("the API answers");
    assert_eq!(again.status(), StatusCode::NOT_MODIFIED);
    // two who saw the same: the second would overwrite what they have not seen
    assert_eq!(edit(&seen, "dark").await, StatusCode::OK);
    assert_eq!(edit(&seen, "light").await, StatusCode::PRECONDITION_FAILED);
    assert_eq!(api.read("/user/ann").await["theme"], "dark");
    assert_eq!(edit(&version().await, "light").await, StatusCode::OK);
    assert_eq!(api.read("/user/ann").await["theme"], "light");
}
