//! What can go wrong, what is said then, and the exit codes that scripts rely on.

use std::net::SocketAddr;

use axum::Router;
use axum::http::{StatusCode, header};
use axum::routing::get;
use stalker_tests::server::API_KEY;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpListener;

use super::{Desk, Scene};

#[tokio::test]
async fn a_server_refuses() {
    let scene = Scene::new().await;
    let url = &scene.api.url;
    let desk = Desk::with_key(url, "no key of theirs");
    desk.runs("stalker checks list").await;
    desk.runs("stalker checks suspend 1").await;
    desk.runs("stalker hosts show nope --output json").await;
    desk.shows("a_server_refuses_a_wrong_key");

    let desk = Desk::new().variable("STALKER_URL", url);
    desk.runs("stalker checks list").await;
    desk.shows("a_server_refuses_who_has_no_key");

    let desk = Desk::with_key(url, API_KEY);
    for line in [
        "stalker checks show 99",
        "stalker checks run 99",
        "stalker checks show web1:nope",
        "stalker hosts show nope",
        "stalker hosts delete nope --yes",
        "stalker alerts show 99",
        "stalker notes list nope",
        "stalker notifications retry 99",
        "stalker channels test nope",
        "stalker keys revoke 99 --yes",
        "stalker users show nope",
        "stalker sessions end 99",
        "stalker checks list --after nonsense",
    ] {
        desk.runs(line).await;
    }
    desk.shows("a_server_refuses_what_is_not_there");
}

#[tokio::test]
async fn a_command_line_is_wrong() {
    let desk = Desk::with_key("http://127.0.0.1:9", "key");
    for line in [
        "stalker",
        "stalker nonsense",
        "stalker checks",
        "stalker checks run",
        "stalker checks run no-check",
        "stalker checks list --status bad",
        "stalker checks list --state alerting --host web1",
        "stalker checks list --watch --check",
        "stalker checks list --output xml",
        "stalker checks reschedule 1",
        "stalker checks reschedule 1 --in soon",
        "stalker alerts list --all --past",
        "stalker hosts list --url nonsense",
        "stalker hosts list --context nope",
        "stalker hosts list --ca-file nowhere",
        "stalker top --watch",
        "stalker top --output json",
        "stalkly --check",
    ] {
        let said = desk.runs(line).await;
        assert_eq!(said.code, 2, "{line}: {said:?}");
    }
    desk.shows("a_command_line_is_wrong");
    for line in [
        "stalker --help",
        "stalker checks --help",
        "stalker --version",
    ] {
        let said = desk.runs_quietly(line).await;
        assert_eq!(said.code, 0, "{line}: {said:?}");
    }
}

#[tokio::test]
async fn no_server_answers() {
    let desk = Desk::with_key("http://127.0.0.1:9", "key");
    desk.runs("stalker checks list").await;
    desk.runs("stalker checks suspend 1 2 3").await;
    desk.runs("stalker login http://127.0.0.1:9 --key-stdin <<<key")
        .await;
    desk.shows("no_server_answers");
}

#[tokio::test]
async fn a_server_hangs() {
    let listener = loopback().await;
    let desk = desk_of(&listener);
    let hang = tokio::spawn(async move {
        let mut open = Vec::new();
        while let Ok((stream, _)) = listener.accept().await {
            open.push(stream);
        }
    });
    desk.runs("stalker checks list --timeout 1").await;
    hang.abort();
    desk.shows("a_server_hangs");
}

#[tokio::test]
async fn an_answer_breaks_off() {
    let listener = loopback().await;
    let desk = desk_of(&listener);
    let cut = tokio::spawn(async move {
        while let Ok((mut stream, _)) = listener.accept().await {
            let mut request = [0; 4096];
            let n = stream.read(&mut request).await.expect("it asks");
            // one list says how long it is, the other is streamed
            let head = match request[..n].starts_with(b"GET /hosts") {
                true => "content-length: 1000\r\n\r\n{\"hosts\": [",
                false => "transfer-encoding: chunked\r\n\r\nb\r\n{\"checks\": \r\n1\r\n[\r\n",
            };
            let answer = format!("HTTP/1.1 200 OK\r\ncontent-type: application/json\r\n{head}");
            stream.write_all(answer.as_bytes()).await.expect("it reads");
        }
    });
    for line in ["stalker hosts list", "stalker checks list -o json"] {
        let said = desk.runs(line).await;
        assert_eq!((said.code, said.out.as_str()), (4, ""), "no short list");
    }
    cut.abort();
    desk.shows("an_answer_breaks_off");
}

#[tokio::test]
async fn a_server_is_of_another_kind() {
    let html = || async move {
        (
            [(header::CONTENT_TYPE, "text/html")],
            "<html>Welcome to nginx!</html>",
        )
    };
    let json = |text: &'static str| {
        get(move || async move { ([(header::CONTENT_TYPE, "application/json")], text) })
    };
    let app = Router::new()
        .route("/checks", get(html))
        .route("/hosts", json(r#"{"machines": []}"#))
        .route("/alerts", json(r#"{"alerts": {"1": {}}}"#))
        .route("/checks/id/1", json(r#""all is well""#))
        .route("/stats", json("[]"))
        .route(
            "/channels",
            get(|| async { (StatusCode::BAD_GATEWAY, "<html>502</html>") }),
        )
        .route("/users", get(html));
    let listener = loopback().await;
    let desk = desk_of(&listener);
    let server = tokio::spawn(async move { axum::serve(listener, app).await });
    for line in [
        "stalker checks list",
        "stalker hosts list",
        "stalker alerts list",
        "stalker checks show 1",
        "stalker stats",
        "stalker channels list",
        "stalker replicas list",
    ] {
        let said = desk.runs(line).await;
        assert_eq!(said.code, 4, "{line}: {said:?}");
    }
    server.abort();
    desk.shows("a_server_is_of_another_kind");
}

#[tokio::test]
async fn somebody_else_was_faster() {
    let problem = r#"{"type": "about:blank", "title": "Precondition Failed", "status": 412, "detail": "it was changed since", "errors": []}"#;
    let refuse = move || async move {
        let kind = [(header::CONTENT_TYPE, "application/problem+json")];
        (StatusCode::PRECONDITION_FAILED, kind, problem)
    };
    let seen = |body: &'static str| {
        let kind = [
            (header::ETAG, "\"7\""),
            (header::CONTENT_TYPE, "application/json"),
        ];
        get(move || async move { (kind, body) })
    };
    let app = Router::new()
        .route(
            "/checks/id/1/overrides",
            seen(r#"{"overrides": {}, "declared": {}, "effective": {}}"#).put(refuse),
        )
        .route(
            "/maintenances/1",
            seen(r#"{"reason": "disks"}"#).post(refuse).delete(refuse),
        )
        .route("/user/ben", seen(r#"{"username": "ben"}"#).post(refuse));
    let listener = loopback().await;
    let desk = desk_of(&listener);
    let server = tokio::spawn(async move { axum::serve(listener, app).await });
    for line in [
        "stalker checks override set 1 --priority 2",
        "stalker maintenances change 1 --for 1h",
        "stalker maintenances end 1 --yes",
        "stalker users change ben --role admin",
    ] {
        let said = desk.runs(line).await;
        assert_eq!(said.code, 3, "{line}: {said:?}");
    }
    server.abort();
    desk.shows("somebody_else_was_faster");
}

async fn loopback() -> TcpListener {
    TcpListener::bind(SocketAddr::from(([127, 0, 0, 1], 0)))
        .await
        .expect("loopback can be listened on")
}

fn desk_of(listener: &TcpListener) -> Desk {
    let address = listener.local_addr().expect("it has an address");
    Desk::with_key(&format!("http://{address}"), "key")
}
