//! What browsers are told, and how much anybody may ask.

use stalker_domain::wire::API_KEY_HEADER;

use super::*;

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
        assert_eq!(
            (
                header("referrer-policy"),
                header("cross-origin-opener-policy")
            ),
            ("same-origin".to_owned(), "same-origin".to_owned()),
            "{path}"
        );
        let is_form = policy.contains("form-action 'self'");
        assert_eq!(
            is_form,
            ["/signin", "/docs/"].contains(&path),
            "{path}: {policy}"
        );
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
