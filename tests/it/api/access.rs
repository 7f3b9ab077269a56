//! Who may do what, and what needs nobody's leave.

use reqwest::StatusCode;
use serde_json::json;
use stalker_tests::api::Api;
use stalker_tests::database::TestDatabase;
use stalker_tests::server::{API_KEY, Installation, REGISTER_KEY};

use super::serve;

#[tokio::test]
async fn a_key_opens_what_its_access_allows() {
    let served = serve(TestDatabase::new().await).await;
    let [disk, _] = served.register_original().await;
    for access in ["viewer", "operator", "admin"] {
        served.client_with(access).await;
    }
    served
        .run("insert into api_keys (name, hash, access, revoked_at) values ('old', sha256('revoked'), 'admin', now())")
        .await;
    served
        .run("insert into api_keys (name, hash, access, expires_at) values ('old', sha256('expired'), 'admin', now())")
        .await;

    let with = |key: &str| Api::new(&served.api.url, key, REGISTER_KEY);
    let suspended = format!("/checks/id/{disk}/suspended");
    let may = |status: StatusCode| status == StatusCode::OK;
    for (key, looks, steers, destroys) in [
        ("nobody's", false, false, false),
        ("revoked", false, false, false),
        ("expired", false, false, false),
        ("key of a viewer", true, false, false),
        ("key of a operator", true, true, false),
        ("key of a admin", true, true, true),
    ] {
        let api = with(key);
        assert_eq!(may(api.get("/checks").await.0), looks, "{key}");
        assert_eq!(
            may(api.post(&suspended, &json!({"suspended": true})).await.0),
            steers,
            "{key}"
        );
        assert_eq!(may(api.delete("/hosts/web1").await.0), destroys, "{key}");
    }
    assert_eq!(
        with("nobody's").get("/stats").await.0,
        StatusCode::FORBIDDEN
    );
    let without_key = served.anonymous("/stats").await;
    assert_eq!(without_key.status(), StatusCode::UNAUTHORIZED);
    assert_eq!(with(API_KEY).get("/stats").await.0, StatusCode::OK);
}

#[tokio::test]
async fn health_needs_no_database_and_readiness_its_migrations() {
    let served = serve(TestDatabase::new().await).await;
    assert_eq!(served.api.get("/readyz").await.0, StatusCode::OK);
    served.run("delete from _sqlx_migrations where version = (select max(version) from _sqlx_migrations)").await;
    let (status, problem) = served.api.get("/readyz").await;
    assert_eq!(status, StatusCode::SERVICE_UNAVAILABLE, "{problem}");
    served.run("drop table check_state cascade").await;
    assert_eq!(served.api.get("/healthz/").await.0, StatusCode::OK);
    assert_eq!(
        served.api.get("/checks").await.0,
        StatusCode::SERVICE_UNAVAILABLE,
        "a schema that is not there may come"
    );
}

#[tokio::test]
async fn health_is_told_while_the_database_is_away() {
    // nobody listens on port 1
    let nowhere = Installation::at("postgres://nobody@127.0.0.1:1/nothing");
    let component = nowhere.start("api").await;
    let api = component.api();
    assert_eq!(api.get("/healthz").await.0, StatusCode::OK);
    assert_eq!(api.get("/readyz").await.0, StatusCode::SERVICE_UNAVAILABLE);
}
