//! `openapi.yaml` is what the code says, and the code does what it says.

use std::cmp::Reverse;
use std::fs;
use std::process::Command;

use reqwest::{Method, StatusCode};
use serde_json::{Value, json};
use stalker_domain::wire::REGISTER_KEY_HEADER;
use stalker_tests::database::TestDatabase;
use stalker_tests::executables::{checkout, stalkerd};
use stalker_tests::server::REGISTER_KEY;

use super::serve;

#[test]
fn openapi_yaml_is_up_to_date() {
    let printed = Command::new(stalkerd())
        .arg("openapi")
        .output()
        .expect("stalkerd starts");
    let committed =
        fs::read_to_string(checkout().join("openapi.yaml")).expect("openapi.yaml is committed");
    assert!(printed.status.success());
    assert!(
        committed.as_bytes() == printed.stdout,
        "openapi.yaml differs from the code: run `make openapi`"
    );
}

#[tokio::test]
async fn every_operation_is_there_with_and_without_a_slash() {
    let served = serve(TestDatabase::new().await).await;
    let [disk, load] = served.register_original().await;
    served
        .execute(
            "insert into channels (name, provider, repeat_s) values ('pager', 'http', 3600);
             insert into alerts (kind, host_id, hostname, priority) values ('host', 77, 'web7', 1);
             insert into notifications (alert_id, channel, kind, dedup_key) values (1, 'pager', 'trigger', 'a');",
        )
        .await;
    let document = served.api.read("/openapi.json").await;
    let mut operations = Vec::new();
    for (path, methods) in document["paths"].as_object().expect("a document has paths") {
        for (method, operation) in methods.as_object().expect("a path has operations") {
            assert!(
                operation["operationId"].is_string() && operation["summary"].is_string(),
                "{method} {path} is described"
            );
            let method: Method = method.to_uppercase().parse().expect("a method");
            operations.push((method, path.clone()));
        }
    }
    assert!(operations.len() >= 28, "{operations:?}");
    // what deletes comes last: what belongs to a check, the check, and then its host
    operations.sort_by_key(|(method, path)| {
        let is_of_host = path.starts_with("/hosts");
        (method == Method::DELETE, is_of_host, Reverse(path.len()))
    });
    for (method, path) in operations {
        // two checks, so that an operation that deletes can be called twice
        for (slash, id) in [("", disk), ("/", load)] {
            let id = match path.starts_with("/notifications") {
                true => 1,
                false => id,
            };
            let path = path
                .replace("{name}", "pager")
                .replace("{host}", "web1")
                .replace("{check}", "check_load")
                .replace("{state}", "alerting");
            let path = format!("{}{slash}", path.replace("{id}", &id.to_string()));
            let request = served
                .api
                .request(method.clone(), &path)
                .header(REGISTER_KEY_HEADER, REGISTER_KEY)
                .json(&json!({}));
            let status = request.send().await.expect("it answers").status();
            let is_deleted = slash == "/" && method == Method::DELETE && path.starts_with("/hosts");
            assert!(
                status != StatusCode::METHOD_NOT_ALLOWED
                    && (status != StatusCode::NOT_FOUND || is_deleted),
                "{method} {path}: {status}"
            );
        }
    }
}

#[tokio::test]
async fn the_description_is_served_without_a_key() {
    let served = serve(TestDatabase::new().await).await;
    let listed = served.api.read("/routes/list/").await;
    let document = served.api.read("/openapi.json").await;
    let paths = |value: &Value| {
        value
            .as_object()
            .expect("routes by path")
            .keys()
            .cloned()
            .collect::<Vec<_>>()
    };
    assert_eq!(paths(&listed), paths(&document["paths"]));
    for path in [
        "/",
        "/docs",
        "/docs/",
        "/docs/swagger-ui-bundle.js",
        "/openapi.yaml",
    ] {
        let answer = served.anonymous(path).await;
        assert_eq!(answer.status(), StatusCode::OK, "{path}");
    }
    let page = served
        .anonymous("/docs/")
        .await
        .text()
        .await
        .expect("it is text");
    assert!(
        !page.contains("src=\"http") && !page.contains("href=\"http"),
        "nothing is loaded from outside"
    );
}
