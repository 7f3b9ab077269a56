//! What other clusters say that no healthy one of ours would: the original's shapes, too much, half of it, nonsense; and how
//! often they are asked.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use axum::Router;
use axum::body::Body;
use axum::extract::{Request, State};
use axum::http::StatusCode as Status;
use axum::response::Response;
use futures::stream;
use tokio::net::TcpListener;

use super::*;

const KEY: &str = "the-key-of-far-0123456789";

/// A cluster that is made up: it answers every path as it is told, and counts who asks.
#[derive(Clone, Default)]
struct Fake {
    url: String,
    answer: Arc<Mutex<Answer>>,
    asked: Arc<AtomicUsize>,
    requests: Arc<Mutex<Vec<String>>>,
}

#[derive(Clone, Default)]
enum Answer {
    #[default]
    Nothing,
    Json(u16, Value),
    Text(u16, String),
    /// So many MiB of a list that is one.
    Long(usize),
    /// A list that breaks off.
    Half,
    /// Elsewhere, with the key if somebody follows.
    Redirect(String),
}

impl Fake {
    async fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await;
        let listener = listener.expect("loopback can be listened on");
        let address = listener.local_addr().expect("it has an address");
        let fake = Self {
            url: format!("http://{address}"),
            ..Self::default()
        };
        let app = Router::new().fallback(respond).with_state(fake.clone());
        tokio::spawn(async move { axum::serve(listener, app).await });
        fake
    }

    fn say(&self, answer: Answer) {
        *self.answer.lock().unwrap_or_else(PoisonError::into_inner) = answer;
    }

    fn requests(&self) -> Vec<String> {
        let mut requests = self.requests.lock().unwrap_or_else(PoisonError::into_inner);
        std::mem::take(&mut *requests)
    }

    /// A server that sees it as `far`, for this long without asking again.
    async fn seen(&self, cache_ttl: i64) -> Cluster {
        let database = TestDatabase::new().await;
        let installation = Installation::new(&database)
            .set("api.cluster_id", "east")
            .set("api.cache_ttl", cache_ttl)
            .set("clusters.far.host", format!("{}/", self.url))
            .set("clusters.far.key", KEY);
        Cluster::run(installation, database, "api").await
    }
}

async fn respond(State(fake): State<Fake>, request: Request) -> Response {
    fake.asked.fetch_add(1, Ordering::SeqCst);
    let key = request.headers().get("x-api-key").cloned();
    let (head, body) = request.into_parts();
    let body = axum::body::to_bytes(body, 100_000)
        .await
        .expect("it is short");
    let text = format!(
        "{} {} {}",
        head.method,
        head.uri,
        String::from_utf8_lossy(&body)
    );
    let mut requests = fake.requests.lock().unwrap_or_else(PoisonError::into_inner);
    requests.push(text.trim_end().to_owned());
    drop(requests);
    let answer = fake
        .answer
        .lock()
        .unwrap_or_else(PoisonError::into_inner)
        .clone();
    let builder =
        |status: u16| Response::builder().status(Status::from_u16(status).expect("it is one"));
    let response = match answer {
        _ if key.is_none_or(|key| key != KEY) => builder(401).body(Body::empty()),
        Answer::Nothing => builder(503).body(Body::empty()),
        Answer::Json(status, value) => builder(status).body(Body::from(value.to_string())),
        Answer::Text(status, text) => builder(status).body(Body::from(text)),
        Answer::Long(mebibytes) => {
            let check =
                json!({"id": "1", "hostname": "h", "out": "x".repeat(1024 * 1024)}).to_string();
            let pieces = (0..mebibytes).map(move |n| {
                if n == 0 {
                    check.clone()
                } else {
                    format!(",{check}")
                }
            });
            let pieces = std::iter::once("{\"alerting\":[".to_owned())
                .chain(pieces)
                .chain(["]}".to_owned()]);
            builder(200).body(Body::from_stream(stream::iter(
                pieces.map(Ok::<_, std::io::Error>),
            )))
        }
        Answer::Half => {
            let pieces = [
                Ok("{\"alerting\":[".to_owned()),
                Err(std::io::Error::other("gone")),
            ];
            builder(200).body(Body::from_stream(stream::iter(pieces)))
        }
        Answer::Redirect(to) => builder(302).header("location", to).body(Body::empty()),
    };
    response.expect("it is a response")
}

/// As the original writes a check: more than we know, and less.
fn original_check() -> Value {
    json!({
        "_id": "51f0a2", "hostname": "old1", "ip": "10.9.0.1", "check": "check_disk", "status": false, "out": "DISK \"full\"\n",
        "last": 1_364_186_204.25, "next": 1_364_186_219.5, "interval": 15, "follow_up": 10, "priority": 7, "pending": false,
        "suspended": false, "in_maintenance": false, "flapping": false, "fail_count": 4, "owner": "", "notified": true,
    })
}

#[tokio::test]
async fn the_originals_shapes_are_understood() {
    let fake = Fake::start().await;
    let east = fake.seen(0).await;
    let newer = json!({"id": 17, "hostname": "old2", "ip": "", "check": "check_load", "status": null, "pending": true});
    fake.say(Answer::Json(
        200,
        json!({"alerting": [original_check(), newer]}),
    ));
    let (status, answer) = east.alerting("far").await;
    assert_eq!(status, StatusCode::OK, "{answer}");
    assert_eq!(ids(&answer, "far"), ["51f0a2", "17"]);
    assert_eq!(
        answer["far"]["alerting"][0],
        json!({
            "id": "51f0a2", "hostname": "old1", "ip": "10.9.0.1", "check": "check_disk", "status": false, "state": null, "out": "DISK \"full\"\n",
            "last": 1_364_186_204, "next": 1_364_186_219, "interval": 15, "follow_up": 10, "priority": 2, "pending": false,
            "suspended": false, "in_maintenance": false, "flapping": false, "owner": "", "fail_count": 4, "since": 0, "perfdata": "",
            "latency_ms": 0.0, "stale": false,
        })
    );
    // every check is one of the description's
    let document = east.api.read("/openapi.json").await;
    let schema =
        json!({"$ref": "#/components/schemas/Check", "components": document["components"]});
    let validator = jsonschema::draft202012::new(&schema).expect("it is a schema");
    for check in answer["far"]["alerting"].as_array().expect("a list") {
        assert!(validator.is_valid(check), "{check}");
    }
    // six numbers of eight, one of which it could not count
    fake.say(Answer::Json(200, json!({"far": {"qsize": 1, "failing": 2, "flapping": 0, "suspended": null, "checks": 9, "pending": 3}})));
    let numbers = east.api.read("/stats/far").await["far"].take();
    let number = |name: &str| numbers[name].clone();
    assert_eq!(
        (
            number("qsize"),
            number("checks"),
            number("suspended"),
            number("dead_letters")
        ),
        (json!(1), json!(9), Value::Null, Value::Null)
    );
    // one of another name is understood all the same
    fake.say(Answer::Json(200, json!({"elsewhere": {"checks": 5}})));
    assert_eq!(east.api.read("/stats/far").await["far"]["checks"], 5);
    // its refusals, by status alone or with words
    fake.say(Answer::Json(200, json!({"check": original_check()})));
    let (status, seen) = east.api.get("/global/far/checks/id/51f0a2/owner").await;
    assert_eq!(
        (status, &seen["check"]["id"]),
        (StatusCode::OK, &json!("51f0a2")),
        "{seen}"
    );
    fake.requests();
    let html = || "<html>".to_owned();
    for (answer, expected, words) in [
        (
            Answer::Json(200, json!({"success": true})),
            StatusCode::OK,
            "",
        ),
        // of what is not there
        (
            Answer::Json(200, json!({"success": false})),
            StatusCode::NOT_FOUND,
            "has nothing of this id or name",
        ),
        (
            Answer::Text(404, html()),
            StatusCode::NOT_FOUND,
            "cluster far: HTTP 404",
        ),
        // of what is not there, of what is so already, and of resuming
        (
            Answer::Text(400, html()),
            StatusCode::BAD_REQUEST,
            "HTTP 400; one of the original's says so of what is not there, of what is so already, and of resuming",
        ),
        (
            Answer::Text(401, String::new()),
            StatusCode::FORBIDDEN,
            "does not let our key do this: HTTP 401",
        ),
        // somebody else's page
        (
            Answer::Text(200, html()),
            StatusCode::BAD_GATEWAY,
            "does not say that it was done",
        ),
        // perhaps of what stands before it, and did not wait
        (
            Answer::Text(502, html()),
            StatusCode::GATEWAY_TIMEOUT,
            "was asked, and may have done it: HTTP 502",
        ),
    ] {
        fake.say(answer);
        let path = "/global/far/checks/id/51f0a2/suspended";
        let (status, body) = east
            .api
            .post(path, &json!({"suspended": false, "more": 1}))
            .await;
        assert_eq!(status, expected, "{body}");
        let said = body["detail"].as_str().unwrap_or_default();
        assert!(said.contains(words), "{said} is not {words}");
        assert_eq!(
            fake.requests(),
            ["POST /checks/id/51f0a2/suspended {\"suspended\":false}"]
        );
    }
}

#[tokio::test]
async fn what_cannot_be_read_leaves_what_was_said_before() {
    let fake = Fake::start().await;
    let thief = Fake::start().await;
    let east = fake.seen(0).await;
    fake.say(Answer::Json(200, json!({"alerting": [original_check()]})));
    assert_eq!(east.alerting("far").await.0, StatusCode::OK);
    for (answer, why) in [
        (Answer::Long(20), "its answer is longer than 16384 KiB"),
        (Answer::Half, "closed before"),
        (
            Answer::Text(200, "<html>".to_owned()),
            "its list cannot be read: expected value",
        ),
        (
            Answer::Json(200, json!({"pending": []})),
            "it has no \"alerting\"",
        ),
        (
            Answer::Json(200, json!({"alerting": {}})),
            "\"alerting\" is no list",
        ),
        (
            Answer::Json(200, json!({"alerting": [7]})),
            "it holds something that is no check",
        ),
        (
            Answer::Json(403, json!({"detail": "no \u{1b}[2J key"})),
            "it does not let our key do this: no [2J key (HTTP 403)",
        ),
        (
            Answer::Json(403, json!({"detail": format!("{KEY} is wrong")})),
            "its answer holds our key, and is not shown",
        ),
        (
            Answer::Json(200, json!({"alerting": [], "debug": KEY})),
            "its answer holds our key, and is not shown",
        ),
        (
            Answer::Json(200, json!({"alerting": "x".repeat(5000)})),
            "\"alerting\" is no list: invalid type: string \"xxx",
        ),
        (Answer::Nothing, "HTTP 503"),
        (
            Answer::Redirect(format!("{}/checks/state/alerting", thief.url)),
            "HTTP 302",
        ),
    ] {
        fake.say(answer);
        let (status, answer) = east.alerting("far").await;
        assert_eq!(status, StatusCode::OK, "{why}");
        assert_eq!(ids(&answer, "far"), ["51f0a2"], "{why}");
        let error = answer["far"]["error"].as_str().unwrap_or("none");
        assert!(error.contains(why), "{error:?} is not {why:?}");
        assert!(error.len() <= 300, "{error:?}");
    }
    assert_eq!(
        thief.asked.load(Ordering::SeqCst),
        0,
        "no key goes elsewhere"
    );
    // a long one that is not too long
    fake.say(Answer::Long(15));
    let (_, answer) = east.alerting("far").await;
    assert_eq!(answer["far"]["alerting"].as_array().map(Vec::len), Some(15));
}

/// However many look, and at how many clusters, each is asked once; and again when what it said is old.
#[tokio::test]
async fn one_question_for_all_who_ask() {
    let fake = Fake::start().await;
    let east = fake.seen(3600).await;
    fake.say(Answer::Json(200, json!({"alerting": [original_check()]})));
    let asking = (0..50).map(|_| east.alerting("far"));
    for (status, answer) in futures::future::join_all(asking).await {
        assert_eq!(status, StatusCode::OK, "{answer}");
        assert_eq!(ids(&answer, "far"), ["51f0a2"]);
    }
    assert_eq!(fake.asked.load(Ordering::SeqCst), 1);
    // another question is another one
    fake.say(Answer::Json(200, json!({"far": {"checks": 1}})));
    let asking = (0..50).map(|_| east.api.read("/stats/all"));
    for numbers in futures::future::join_all(asking).await {
        assert_eq!(numbers["all"]["far"]["checks"], 1);
    }
    assert_eq!(fake.asked.load(Ordering::SeqCst), 2);
}

/// Of a cluster that swallows whatever comes nobody believes that it may have done something.
#[tokio::test]
async fn who_lets_nobody_in_was_not_asked() {
    // its queue is full: the system drops who comes then
    let socket = tokio::net::TcpSocket::new_v4().expect("there are sockets");
    let loopback = "127.0.0.1:0".parse().expect("an address");
    socket.bind(loopback).expect("loopback can be used");
    let listener = socket.listen(1).expect("it can be listened on");
    let address = listener.local_addr().expect("it has an address");
    let mut waiting = Vec::new();
    let patience = Duration::from_millis(300);
    while let Ok(stream) =
        tokio::time::timeout(patience, tokio::net::TcpStream::connect(address)).await
    {
        waiting.push(stream);
        assert!(waiting.len() < 100, "it takes everybody");
    }
    let database = TestDatabase::new().await;
    let installation = Installation::new(&database)
        .set("api.cluster_id", "east")
        .set("clusters.far.host", format!("http://{address}"))
        .set("clusters.far.key", KEY);
    let east = Cluster::run(installation, database, "api").await;
    let path = "/global/far/checks/id/7/next";
    let (status, problem) = east.api.post(path, &json!({"next": "now"})).await;
    assert_eq!(
        (status, &problem["detail"]),
        (
            StatusCode::BAD_GATEWAY,
            &json!("cluster far cannot be reached, nothing was done: no connection within 1.5s")
        )
    );
    let audit = east.api.read("/audit?action=set_cluster_next_run").await;
    assert_eq!(audit, json!({"audit": []}));
}

/// All are asked at the same time: each of these answers once the other was asked as well.
#[tokio::test]
async fn all_are_asked_at_once() {
    let both = Arc::new(tokio::sync::Barrier::new(2));
    let database = TestDatabase::new().await;
    let mut installation = Installation::new(&database)
        .set("api.cluster_id", "east")
        .set("api.remote_timeout", 5);
    for id in ["north", "south"] {
        let both = Arc::clone(&both);
        let stats = axum::routing::get(async move || {
            both.wait().await;
            axum::Json(json!({id: {"checks": 1}}))
        });
        let listener = TcpListener::bind("127.0.0.1:0").await;
        let listener = listener.expect("loopback can be listened on");
        let address = listener.local_addr().expect("it has an address");
        let app = Router::new().route("/stats", stats);
        tokio::spawn(async move { axum::serve(listener, app).await });
        installation = installation
            .set(&format!("clusters.{id}.host"), format!("http://{address}"))
            .set(&format!("clusters.{id}.key"), KEY);
    }
    let east = Cluster::run(installation, database, "api").await;
    let numbers = east.api.read("/stats/all").await["all"].take();
    for id in ["north", "south"] {
        assert_eq!(
            (&numbers[id]["checks"], &numbers[id]["error"]),
            (&json!(1), &Value::Null),
            "{numbers}"
        );
    }
}

/// Each thing that can be done, as the original takes and answers it.
#[tokio::test]
async fn the_original_is_steered() {
    let fake = Fake::start().await;
    let east = fake.seen(0).await;
    fake.say(Answer::Json(200, json!({"checks": [original_check()]})));
    let listed = east.api.read("/global/far/checks/host/old1").await;
    assert_eq!(listed["checks"][0]["id"], "51f0a2");
    fake.requests();
    fake.say(Answer::Json(200, json!({"success": true})));
    let done = (StatusCode::OK, json!({"success": true}));
    for (method, path, body, expected) in [
        (
            "POST",
            "/checks/id/51f0a2/next",
            Some(json!({"next": "now"})),
            "POST /checks/id/51f0a2/next {\"next\":\"now\"}",
        ),
        // whole seconds, as it reads them
        (
            "POST",
            "/checks/id/51f0a2/next",
            Some(json!({"next": 4_000_000_000.5})),
            "POST /checks/id/51f0a2/next {\"next\":4000000000}",
        ),
        (
            "POST",
            "/checks/id/51f0a2/suspended",
            Some(json!({"suspended": true})),
            "POST /checks/id/51f0a2/suspended {\"suspended\":true}",
        ),
        (
            "POST",
            "/checks/id/51f0a2/owner",
            Some(json!({"owner": " zoe "})),
            "POST /checks/id/51f0a2/owner {\"owner\":\"zoe\"}",
        ),
        (
            "DELETE",
            "/checks/id/51f0a2/owner",
            None,
            "DELETE /checks/id/51f0a2/owner",
        ),
        (
            "DELETE",
            "/checks/id/51f0a2",
            None,
            "DELETE /checks/id/51f0a2",
        ),
        ("DELETE", "/hosts/old1", None, "DELETE /hosts/old1"),
    ] {
        let path = format!("/global/far{path}");
        let answer = match (method, body) {
            ("POST", Some(body)) => east.api.post(&path, &body).await,
            _ => east.api.delete(&path).await,
        };
        assert_eq!(answer, done, "{method} {path}");
        assert_eq!(fake.requests(), [expected]);
    }
}
