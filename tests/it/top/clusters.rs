//! Other clusters: seen and acted on through ours, each for itself.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};

use axum::Router;
use axum::body::{Body, to_bytes};
use axum::extract::{Request, State};
use axum::response::Response;
use reqwest::{Client, Method, StatusCode};
use serde_json::{Value, json};
use stalker_tests::terminal::Terminal;
use stalker_tests::until::until_seen;

use super::{PATIENCE, Site, is_listed, select};

/// Our real server, with other clusters that are made up: what it answers of them is set, and what is done to them is kept.
#[derive(Clone)]
struct Front {
    leads_to: String,
    client: Client,
    clusters: Arc<Mutex<BTreeMap<String, (StatusCode, Value)>>>,
    done: Arc<Mutex<Vec<String>>>,
}

impl Front {
    /// Starts it; gives its address.
    async fn start(site: &Site) -> (Self, String) {
        let front = Self {
            leads_to: site.api.url.clone(),
            client: Client::new(),
            clusters: Arc::default(),
            done: Arc::default(),
        };
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0")
            .await
            .expect("loopback can be listened on");
        let address = listener.local_addr().expect("a bound listener has one");
        let app = Router::new().fallback(answer).with_state(front.clone());
        tokio::spawn(async move { axum::serve(listener, app).await });
        (front, format!("http://{address}"))
    }

    fn set(&self, cluster: &str, status: StatusCode, answer: Value) {
        let mut clusters = self.clusters.lock().unwrap_or_else(PoisonError::into_inner);
        clusters.insert(cluster.to_owned(), (status, answer));
    }

    fn done(&self) -> Vec<String> {
        self.done
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .clone()
    }
}

async fn answer(State(front): State<Front>, request: Request) -> Response {
    let (head, body) = request.into_parts();
    let body = to_bytes(body, 100_000).await.expect("requests are short");
    let path = head.uri.path().to_owned();
    let response = |status: StatusCode, body: String| {
        let response = Response::builder().status(status.as_u16());
        let response = response.header("content-type", "application/json");
        response.body(Body::from(body)).expect("it is a response")
    };
    if path == "/global/clusters" {
        let clusters = front
            .clusters
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        let clusters: serde_json::Map<_, _> = clusters
            .keys()
            .map(|name| {
                (
                    name.clone(),
                    json!({"host": "https://elsewhere.example.net"}),
                )
            })
            .collect();
        return response(StatusCode::OK, json!({ "clusters": clusters }).to_string());
    }
    if let Some((cluster, rest)) = path
        .strip_prefix("/global/")
        .and_then(|path| path.split_once('/'))
    {
        if head.method == Method::GET {
            let clusters = front
                .clusters
                .lock()
                .unwrap_or_else(PoisonError::into_inner);
            let (status, answer) = clusters
                .get(cluster)
                .expect("only known ones are asked for");
            return response(*status, answer.to_string());
        }
        let mut done = front.done.lock().unwrap_or_else(PoisonError::into_inner);
        let body = String::from_utf8_lossy(&body);
        done.push(
            format!("{} {cluster} {rest} {body}", head.method)
                .trim_end()
                .to_owned(),
        );
        return response(StatusCode::OK, json!({"success": true}).to_string());
    }
    let url = format!("{}{}", front.leads_to, head.uri);
    let request = front
        .client
        .request(head.method, url)
        .headers(head.headers)
        .body(body);
    let answer = request.send().await.expect("the real server answers");
    let status = answer.status();
    response(status, answer.text().await.expect("it is text"))
}

fn unreachable_cluster() -> (StatusCode, Value) {
    let problem = json!({"title": "Bad Gateway", "status": 502, "detail": "cluster south cannot be reached: timed out", "errors": []});
    (StatusCode::BAD_GATEWAY, problem)
}

#[tokio::test]
async fn every_cluster_is_shown_for_itself_and_acted_on_through_ours() {
    let site = Site::in_trouble().await;
    let (front, url) = Front::start(&site).await;
    let west = json!({
        "id": 41, "hostname": "shop1", "ip": "10.0.0.1", "check": "check_cart", "status": false, "state": "critical",
        "out": "CRITICAL - carts are lost", "last": 1, "next": 2, "interval": 15, "follow_up": 15, "priority": 1,
        "suspended": false, "owner": "", "fail_count": 7,
    });
    front.set(
        "west",
        StatusCode::OK,
        json!({"west": {"alerting": [west], "age": 3}}),
    );
    // the original's shape: no state, no owner, its own id
    let old = json!({"_id": "51f", "hostname": "old1", "check": "check_old", "status": false, "out": "DISK\u{1b}[2J FULL"});
    front.set(
        "museum",
        StatusCode::OK,
        json!({"museum": {"alerting": [old]}}),
    );
    let (status, problem) = unreachable_cluster();
    front.set("south", status, problem);

    let mut terminal = Terminal::start(&site.command(&url), 24, 80);
    let is_whole = |screen: &str| {
        is_listed(screen)
            && ["shop1", "old1", "cluster south"]
                .iter()
                .all(|word| screen.contains(word))
    };
    let screen = terminal.wait_for("all clusters", is_whole).await;
    assert!(
        screen.contains("✗ cluster south cannot be reached, no data yet"),
        "{screen}"
    );
    assert!(screen.contains("FAIL museum"), "{screen}");
    // nor does a host clear our screen; the terminal leaves out what stands for its control character
    assert!(screen.contains("DISK[2J"), "{screen}");

    select(&mut terminal, "shop1").await;
    for (key, expected) in [
        ("o", "POST west checks/id/41/owner {\"owner\":\"ann\"}"),
        ("d", "DELETE west checks/id/41/owner"),
        ("c", "POST west checks/id/41/next {\"next\":\"now\"}"),
        ("p", "POST west checks/id/41/suspended {\"suspended\":true}"),
        ("xy", "DELETE west checks/id/41"),
        ("Xy", "DELETE west hosts/shop1"),
    ] {
        terminal.type_text(key);
        let look = async || front.done();
        until_seen(expected, PATIENCE, look, |done| {
            done.last().is_some_and(|last| last == expected)
        })
        .await;
    }
    assert_eq!(front.done().len(), 6, "each key does one thing");
    let is_said = |screen: &str| screen.contains("✔ west:shop1: removed");
    terminal.wait_for("that it is done", is_said).await;

    // what the other cluster keeps for itself
    for key in ["n", "m"] {
        terminal.type_text(key);
        let is_said = |screen: &str| screen.contains("are local: those of west");
        terminal.wait_for("that it is kept there", is_said).await;
        terminal.type_text("\u{1b}");
        terminal
            .wait_for("it is read", |screen| !is_said(screen))
            .await;
    }
    terminal.type_text("\r");
    let is_there =
        |screen: &str| screen.contains("shop1/check_cart on west") && screen.contains("look there");
    terminal.wait_for("its details", is_there).await;
    terminal.type_text("q");

    // a cluster goes: what it said stays, with its age, and so do the others
    let west = json!({"west": {"alerting": [{"id": "41", "hostname": "shop1", "check": "check_cart", "status": false, "state": "critical", "out": ""}], "age": 130}});
    front.set("west", StatusCode::OK, west);
    let is_old = |screen: &str| screen.contains("cluster west cannot be reached, data from 2m ago");
    let screen = terminal.wait_for("how old it is", is_old).await;
    assert!(
        is_listed(&screen) && screen.contains("shop1") && screen.contains("old1"),
        "{screen}"
    );
    let (status, problem) = unreachable_cluster();
    front.set("west", status, problem);
    let is_told =
        |screen: &str| screen.contains("cluster west cannot be reached, data from 2m ago: ");
    let screen = terminal.wait_for("why", is_told).await;
    assert!(screen.contains("shop1"), "{screen}");
}
