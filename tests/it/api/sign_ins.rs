//! Signing in and out, sessions, and the pages that ask for it.

use reqwest::header;
use stalker_domain::wire::API_KEY_HEADER;

use super::*;

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
    // who was signed out by the clock meanwhile is where they wanted to be
    let again = served.as_person(&secret, Method::POST, "/signout").send();
    let again = again.await.expect("the API answers");
    assert_eq!(again.headers()[header::LOCATION], "/signin");
    // without "remember me" a browser forgets it when it closes
    let form = [("username", "ann"), ("password", "password of ann")];
    let request = served.browser().post(format!("{}/signin", served.api.url));
    let answer = request
        .header("sec-fetch-site", "same-origin")
        .form(&form)
        .send();
    let answer = answer.await.expect("the API answers");
    let cookie = answer.headers()[header::SET_COOKIE].to_str().expect("text");
    assert!(cookie.ends_with("; HttpOnly; SameSite=Lax"), "{cookie}");
}

#[tokio::test]
async fn pages_ask_people_to_sign_in_and_tell_programs() {
    let served = serve(TestDatabase::new().await).await;
    let secret = served.person("ann", "viewer").await;
    for (path, next) in [
        ("/", "/"),
        ("/view/states/alerting", "/view/states/alerting"),
        ("/view/checks/", "/view/checks"),
        ("/view/host/a%22%26b", "/view/host/a%2522%2526b"),
        ("/view/user/ann", "/view/user/ann"),
        (
            "/global/view/states/alerting",
            "/global/view/states/alerting",
        ),
    ] {
        let url = format!("{}{path}", served.api.url);
        let get = |accept: &'static str| served.browser().get(&url).header("accept", accept);
        let asked = get("text/html,*/*").send().await.expect("the API answers");
        assert_eq!(
            (
                asked.status(),
                asked.headers()[header::LOCATION].to_str().expect("text")
            ),
            (
                StatusCode::SEE_OTHER,
                format!("/signin?next={next}").as_str()
            )
        );
        let program = get("*/*").send().await.expect("the API answers");
        assert_eq!(program.status(), StatusCode::UNAUTHORIZED, "{path}");
        let wrong = get("*/*").header(API_KEY_HEADER, "wrong").send().await;
        assert_eq!(
            wrong.expect("the API answers").status(),
            StatusCode::FORBIDDEN,
            "{path}"
        );
        let signed_in = served.as_person(&secret, Method::GET, path).send().await;
        assert_eq!(
            signed_in.expect("the API answers").status(),
            StatusCode::SEE_OTHER,
            "{path}"
        );
    }
}

#[tokio::test]
async fn behind_tls_a_cookie_is_for_tls_only() {
    let database = TestDatabase::new().await;
    let served = serve_by(
        Installation::new(&database).set("api.public_url", "https://stalker.example"),
        database,
    )
    .await;
    let api = &served.api;
    let ann = json!({"username": "ann", "password": "password of ann"});
    assert_eq!(api.post("/user", &ann).await.0, StatusCode::OK);
    let request = served.browser().post(format!("{}/signin", api.url));
    let form = [("username", "ann"), ("password", "password of ann")];
    let answer = request
        .header("origin", "https://stalker.example")
        .form(&form)
        .send();
    let answer = answer.await.expect("the API answers");
    let cookie = answer.headers()[header::SET_COOKIE].to_str().expect("text");
    let secret = cookie.strip_prefix("__Host-stalker=").expect(cookie);
    let (secret, rest) = secret.split_once(';').expect(cookie);
    assert_eq!(rest, " Path=/; HttpOnly; SameSite=Lax; Secure");
    let stats = async |cookie: String| {
        let request = served.browser().get(format!("{}/stats", api.url));
        let answer = request.header("cookie", cookie).send().await;
        answer.expect("the API answers").status()
    };
    assert_eq!(
        stats(format!("__Host-stalker={secret}")).await,
        StatusCode::OK
    );
    assert_eq!(
        stats(format!("stalker={secret}")).await,
        StatusCode::UNAUTHORIZED,
        "a neighbouring site may have put it there"
    );
    assert_eq!(
        stats(format!("stalker=other; __Host-stalker={secret}")).await,
        StatusCode::OK
    );
}

/// A try from an address, which a trusted proxy tells.
async fn try_from(
    served: &Served,
    url: &str,
    address: &str,
    username: &str,
    password: &str,
) -> u16 {
    let request = served.browser().post(format!("{url}/signin"));
    let request = request
        .header("sec-fetch-site", "same-origin")
        .header("x-forwarded-for", address);
    let answer = request
        .form(&[("username", username), ("password", password)])
        .send()
        .await;
    answer.expect("the API answers").status().as_u16()
}

/// Tries until one is refused for their number; how many were not.
async fn tries(served: &Served, addresses: &[&str], usernames: &[&str]) -> usize {
    for n in 0..30 {
        let (address, username) = (
            addresses[n % addresses.len()],
            usernames[n % usernames.len()],
        );
        if try_from(served, &served.api.url, address, username, "wrong horse").await == 429 {
            return n;
        }
    }
    panic!("thirty tries of {usernames:?} from {addresses:?} were not too many")
}

#[tokio::test]
async fn tries_to_sign_in_are_limited_by_account_and_by_address() {
    let database = TestDatabase::new().await;
    let served = serve_by(
        Installation::new(&database).set("api.trusted_proxies", vec!["127.0.0.1"]),
        database,
    )
    .await;
    let right = "password of ann";
    let ann = json!({"username": "ann", "password": right});
    assert_eq!(served.api.post("/user", &ann).await.0, StatusCode::OK);
    let url = served.api.url.clone();
    let is_limited = |n: usize| (10..=12).contains(&n);
    let addresses: Vec<String> = (1..=30).map(|n| format!("192.0.2.{n}")).collect();
    let addresses: Vec<&str> = addresses.iter().map(String::as_str).collect();
    let names: Vec<String> = (1..=30).map(|n| format!("nobody{n}")).collect();
    let names: Vec<&str> = names.iter().map(String::as_str).collect();

    // one account from everywhere; half a minute gives one more
    assert!(is_limited(tries(&served, &addresses, &["ann"]).await));
    // all accounts from one address
    assert!(is_limited(tries(&served, &["198.51.100.1"], &names).await));
    // all accounts from one network of IPv6
    let network = ["2001:db8::1", "2001:db8::2", "2001:db8:0:0:ffff::3"];
    assert!(is_limited(tries(&served, &network, &names).await));
    // an address that has used up its tries takes none of anybody's account
    served.run("delete from send_rates").await;
    tries(&served, &["198.51.100.1"], &names).await;
    for _ in 0..12 {
        assert_eq!(
            try_from(&served, &url, "198.51.100.1", "ann", "wrong horse").await,
            429
        );
    }
    assert_eq!(
        try_from(&served, &url, "198.51.100.2", "ann", right).await,
        303
    );
    // from where she is signed in strangers cannot keep her out
    tries(&served, &addresses, &["ann"]).await;
    assert_eq!(
        try_from(&served, &url, "198.51.100.3", "ann", right).await,
        429
    );
    assert_eq!(
        try_from(&served, &url, "198.51.100.2", "ann", right).await,
        303
    );
    // right passwords are not limited
    served.run("delete from send_rates").await;
    for _ in 0..15 {
        assert_eq!(
            try_from(&served, &url, "198.51.100.4", "ann", right).await,
            303
        );
    }
    // and what is whole again is forgotten
    served
        .run("update send_rates set refilled_at = refilled_at - interval '6 minutes'")
        .await;
    stalker_db::sign_ins::forget(served.pool())
        .await
        .expect("the database answers");
    let left: i64 =
        sqlx::query_scalar("select count(*) from send_rates where rate_key like 'sign-in %'")
            .fetch_one(served.pool())
            .await
            .expect("it can be counted");
    assert_eq!(left, 0);
}

#[tokio::test]
async fn tries_are_counted_across_replicas() {
    let served = serve(TestDatabase::new().await).await;
    let other = served.installation.start("api").await;
    let urls = [served.api.url.clone(), other.api().url.clone()];
    let mut statuses = Vec::new();
    for n in 0..12 {
        statuses.push(try_from(&served, &urls[n % 2], "", "ann", "wrong horse").await);
    }
    assert!(
        statuses[..10].iter().all(|status| *status == 401),
        "{statuses:?}"
    );
    assert!(statuses[10..].contains(&429), "{statuses:?}");
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
