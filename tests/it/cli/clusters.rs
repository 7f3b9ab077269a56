//! `--cluster`: what is done to the checks of another cluster, by way of ours. The server is a fake: what a real one does
//! with these paths is for the tests of remote clusters to show.

use axum::Router;
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::routing::{delete, get, post};
use serde_json::{Value, json};
use tokio::net::TcpListener;

use super::Desk;

fn answer(value: Value) -> Response {
    axum::Json(value).into_response()
}

async fn success() -> Response {
    answer(json!({"success": true}))
}

/// The lists of a cluster that answered so many seconds ago.
fn lists(cluster: &'static str, age: u32) -> Router {
    let check = json!({
        "id": "7", "hostname": "mail1", "ip": "10.0.0.7", "check": "check_queue", "status": false, "out": "QUEUE CRITICAL",
        "last": 1_364_186_204, "next": 1_364_186_219, "interval": 15, "follow_up": 15, "priority": 1, "pending": false,
        "suspended": false, "in_maintenance": false, "flapping": false, "owner": "", "fail_count": 3,
    });
    let list = move |state: &'static str, checks: Value| {
        let document = json!({cluster: {state: checks, "age": age}});
        get(async move || answer(document))
    };
    Router::new()
        .route("/alerting", list("alerting", json!([check])))
        .route("/suspended", list("suspended", json!([])))
}

#[tokio::test]
async fn checks_of_another_cluster_are_steered() {
    let gone = async || {
        let kind = [(header::CONTENT_TYPE, "application/problem+json")];
        let problem = r#"{"type": "about:blank", "title": "Bad Gateway", "status": 502, "detail": "cluster gone cannot be reached", "errors": []}"#;
        (StatusCode::BAD_GATEWAY, kind, problem)
    };
    let app = Router::new()
        .nest("/global/far/checks/state", lists("far", 3))
        .nest("/global/old/checks/state", lists("old", 120))
        .route("/global/gone/checks/state/alerting", get(gone))
        .route("/global/far/checks/id/7/next", post(success))
        .route("/global/far/checks/id/7/suspended", post(success))
        .route(
            "/global/far/checks/id/7/owner",
            post(success).delete(success),
        )
        .route("/global/far/checks/id/7", delete(success))
        .route("/global/far/hosts/mail1", delete(success));
    let listener = TcpListener::bind("127.0.0.1:0").await;
    let listener = listener.expect("loopback can be listened on");
    let address = listener.local_addr().expect("it has an address");
    let server = tokio::spawn(async move { axum::serve(listener, app).await });
    let desk = Desk::with_key(&format!("http://{address}"), "key");
    for line in [
        "stalker checks list --state alerting --cluster far",
        "stalker checks list --state alerting --cluster old --check",
        "stalker checks list --state alerting --cluster gone",
        "stalker checks run --cluster far mail1:check_queue",
        "stalker checks suspend --cluster far 7",
        "stalker checks resume --cluster far mail1/check_queue",
        "stalker checks own --cluster far mail1:check_queue --as ann",
        "stalker checks disown --cluster far mail1:check_queue",
        "stalker checks delete --cluster far mail1:check_queue --yes",
        "stalker hosts delete --cluster far mail1 --yes",
        "stalker checks run --cluster far mail1:nope",
        "stalker checks run --cluster far",
    ] {
        desk.runs(line).await;
    }
    server.abort();
    desk.shows("checks_of_another_cluster_are_steered");
}
