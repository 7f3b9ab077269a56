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

use super::{operations, serve};

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

/// As `make check` asks: of the description of today, and of one that promised more.
#[test]
fn promises_that_are_not_kept_are_refused_by_name() {
    let committed =
        fs::read_to_string(checkout().join("openapi.yaml")).expect("openapi.yaml is committed");
    let folder = tempfile::tempdir().expect("a temporary folder can be made");
    let keeps = |name: &str, older: &str| {
        let file = folder.path().join(name);
        fs::write(&file, older).expect("a file can be written");
        let said = Command::new(stalkerd())
            .args(["openapi", "--keeps"])
            .arg(file)
            .output()
            .expect("stalkerd starts");
        let text = String::from_utf8_lossy(&said.stderr).into_owned();
        (said.status.success(), text)
    };
    assert_eq!(keeps("same", &committed), (true, String::new()));
    let promised = committed.replace("operationId: list_hosts", "operationId: all_hosts");
    assert_ne!(promised, committed);
    let (is_kept, said) = keeps("more", &promised);
    assert!(!is_kept, "{said}");
    assert!(
        said.contains("GET /hosts is called \"list_hosts\", and was \"all_hosts\""),
        "{said}"
    );
    let (is_kept, said) = keeps("no document", ": :");
    assert!(
        !is_kept && said.contains("is no OpenAPI document"),
        "{said}"
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
    served
        .execute(
            "insert into maintenances (ends_at, hosts, author, reason) select '2100-01-01', '{a}', '', '' from generate_series(1, 2);
             insert into users (username, access, password_hash) values ('ann', 'viewer', '');
             insert into api_keys (name, hash, access) values ('a', 'a', 'viewer');",
        )
        .await;
    let mut operations: Vec<_> = operations(&served).await;
    // one after the other, in the session that it ends
    operations.retain(|(_, path, _)| path != "/sessions/{id}" && path != "/signout");
    assert!(operations.len() >= 60, "{operations:?}");
    // what deletes comes last: what belongs to a check, the check, and then its host; and what is one of these once more
    operations.sort_by_key(|(method, path, _)| {
        let is_of_host = path.starts_with("/hosts");
        let is_again = path.starts_with("/global");
        let is_last = (is_again, is_of_host, Reverse(path.len()));
        (method == Method::DELETE, is_last)
    });
    for (method, path, id) in operations {
        let operation = id;
        // two checks, so that an operation that deletes can be called twice
        for (slash, id) in [("", disk), ("/", load)] {
            let is_of_check = ["/checks", "/samples", "/global"]
                .iter()
                .any(|with| path.starts_with(with));
            let id = match (is_of_check, slash, operation.as_str()) {
                (true, _, _) => id,
                (false, "/", "end_maintenance") => 2,
                (false, _, "revoke_key") => 2,
                _ => 1,
            };
            let path = path
                .replace("{name}", "pager")
                .replace("{host}", "web1")
                .replace("{check}", "check_load")
                .replace("{state}", "alerting")
                .replace("{cluster}", "here")
                .replace("{username}", "ann")
                .replace("/findhost", "/findhost?q=web");
            let path = path.replace("{id}", &id.to_string());
            let path = match path.split_once('?') {
                Some((path, query)) => format!("{path}{slash}?{query}"),
                None => format!("{path}{slash}"),
            };
            let request = served
                .api
                .request(method.clone(), &path)
                .header(REGISTER_KEY_HEADER, REGISTER_KEY)
                .json(&json!({}));
            let answer = request.send().await.expect("it answers");
            let status = answer.status();
            let said = answer.text().await.expect("it is text");
            let is_again = operation.contains("cluster") && method == Method::DELETE;
            let is_deleted = is_again
                || (slash == "/" && ["delete_host", "delete_user"].contains(&operation.as_str()));
            assert!(
                status != StatusCode::METHOD_NOT_ALLOWED
                    && (status != StatusCode::NOT_FOUND || is_deleted)
                    && !said.contains("no such route"),
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
