//! What callers may take of the agent.

use std::sync::Arc;
use std::time::{Duration, Instant};

use reqwest::Method;
use rustls::pki_types::ServerName;
use serde_json::json;
use stalker_tests::until::until;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;

use super::tls::trusting;
use super::{Agent, CHECK_KEY, Host, with_key};

/// The agent's limits for the handshake and for a request's head are 10 s each.
const LIMIT: Duration = Duration::from_secs(10);
const LATE: Duration = Duration::from_secs(15);

/// Whoever begins something and does not go on is cut off; who waits for the next check is not.
#[tokio::test]
async fn agent_cuts_off_who_holds_a_connection() {
    let host = Host::new().await;
    host.configure(&with_key("[check_a]\ncmd = /bin/echo\n"));
    let agent = host.start().await;
    let head = format!("GET /check_a HTTP/1.1\r\nHost: x\r\nX-CHECK-KEY: {CHECK_KEY}\r\n\r\n");

    let no_handshake = async { time_to_end(tcp(&agent).await).await };
    let no_request = async { time_to_end(tls(&agent).await).await };
    let half_a_head = async {
        let mut stream = tls(&agent).await;
        stream
            .write_all(&head.as_bytes()[..20])
            .await
            .expect("sent");
        time_to_end(stream).await
    };
    let kept = async {
        let mut stream = tls(&agent).await;
        stream.write_all(head.as_bytes()).await.expect("sent");
        assert!(stream.read(&mut [0; 4096]).await.expect("answered") > 0);
        let idle = LIMIT + Duration::from_secs(2);
        let ended = tokio::time::timeout(idle, stream.read(&mut [0; 1])).await;
        assert!(ended.is_err(), "a kept connection may idle");
        stream
            .write_all(&head.as_bytes()[..20])
            .await
            .expect("sent");
        time_to_end(stream).await
    };
    let (no_handshake, no_request, half_a_head, kept) =
        tokio::join!(no_handshake, no_request, half_a_head, kept);
    for (what, time) in [
        ("no handshake", no_handshake),
        ("no request", no_request),
        ("half a head", half_a_head),
        ("half a second head", kept),
    ] {
        assert!(
            time > LIMIT - Duration::from_secs(1) && time < LATE,
            "{what}: {time:?}"
        );
    }
}

/// At most `max_parallel` scripts run; who has waited 5 s is told so.
#[tokio::test]
async fn agent_limits_its_scripts() {
    let host = Host::new().await;
    let running = host.path("running");
    host.script(
        "slow",
        &format!("touch {}; sleep 8; echo OK", running.display()),
    );
    host.script("quick", "echo OK");
    host.configure(&with_key("max_parallel = 1\n"));
    let agent = host.start().await;
    host.registered("the scripts are registered", |body| {
        super::names(body).len() == 2
    })
    .await;
    let second = async {
        until("the first runs", LATE, async || {
            running.exists().then_some(())
        })
        .await;
        let began = Instant::now();
        (agent.run("quick").await, began.elapsed())
    };
    let (first, (second, waited)) = tokio::join!(agent.run("slow"), second);
    assert_eq!(first["out"], "OK");
    assert_eq!(
        second,
        json!({"status": 3, "out": "not started: 1 running", "err": ""})
    );
    assert!(
        waited >= Duration::from_secs(5) && waited < Duration::from_secs(7),
        "{waited:?}"
    );
    assert_eq!(
        agent.run("quick").await["out"],
        "OK",
        "the slot is free again"
    );
}

/// Neither a script nor a caller keeps the agent from stopping; an answer that can be given is.
#[tokio::test]
async fn agent_stops_in_order() {
    let host = Host::new().await;
    let running = host.path("running");
    host.script(
        "short",
        &format!("touch {}; sleep 2; echo OK", running.display()),
    );
    host.script("long", "sleep 600");
    host.configure(&with_key("default_timeout = 100\n"));
    let mut agent = host.start().await;
    host.registered("the scripts are registered", |body| {
        super::names(body).len() == 2
    })
    .await;
    let mut idle = tls(&agent).await;
    let (client, short, long) = (
        agent.client.clone(),
        agent.url("/short"),
        agent.url("/long"),
    );
    let call = move |url: String| {
        client
            .request(Method::GET, url)
            .header("X-CHECK-KEY", CHECK_KEY)
            .send()
    };
    let calls = tokio::spawn(async move { tokio::join!(call(short), call(long)) });
    until("the script runs", LATE, async || {
        running.exists().then_some(())
    })
    .await;
    agent.terminate().await;
    let (short, long) = calls.await.expect("no panic");
    assert_eq!(short.expect("it had the time").status().as_u16(), 200);
    assert!(long.is_err(), "nothing is known of what it checks");
    assert!(matches!(idle.read(&mut [0; 1]).await, Ok(0) | Err(_)));
    assert!(!host.path("state/ready.json").exists());
}

async fn tcp(agent: &Agent) -> TcpStream {
    let address = agent.url("").replace("https://", "");
    TcpStream::connect(address)
        .await
        .expect("the agent listens")
}

async fn tls(agent: &Agent) -> TlsStream<TcpStream> {
    let name = ServerName::try_from("agent.invalid").expect("a name");
    TlsConnector::from(Arc::new(trusting()))
        .connect(name, tcp(agent).await)
        .await
        .expect("a handshake")
}

/// Until the other side has closed, in whatever way.
async fn time_to_end(mut stream: impl AsyncRead + Unpin) -> Duration {
    let began = Instant::now();
    let mut rest = Vec::new();
    let _ = tokio::time::timeout(LATE, stream.read_to_end(&mut rest)).await;
    began.elapsed()
}
