//! Receivers for what the ordinary one cannot do: answers that depend on what was said, and none at all.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use axum::Json;
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use axum::routing::post;
use serde_json::Value;
use tokio::net::{TcpListener, TcpSocket, TcpStream};
use tokio::task::JoinHandle;

/// How a message is answered.
pub(super) enum Answer {
    Status(u16),
    /// 200 with this body.
    Json(Value),
    /// The connection stays open, and nothing comes.
    Never,
}

/// Answers each message as `judge` decides from its body and from how many came before it.
pub(super) struct Judge {
    url: String,
    heard: Arc<Mutex<Vec<Value>>>,
    server: JoinHandle<()>,
}

impl Judge {
    pub(super) async fn start(
        judge: impl Fn(usize, &Value) -> Answer + Clone + Send + Sync + 'static,
    ) -> Self {
        let heard = Arc::<Mutex<Vec<Value>>>::default();
        let book = Arc::clone(&heard);
        let receive = async move |Json(body): Json<Value>| {
            let before = lock(&book).len();
            let answer = judge(before, &body);
            lock(&book).push(body);
            respond(answer).await
        };
        let app = axum::Router::new().route("/", post(receive));
        let listener = TcpListener::bind("127.0.0.1:0")
            .await
            .expect("loopback can be listened on");
        let address = listener
            .local_addr()
            .expect("a bound listener has an address");
        let server = tokio::spawn(async move {
            axum::serve(listener, app)
                .await
                .expect("a server on loopback runs")
        });
        Self {
            url: format!("http://{address}/"),
            heard,
            server,
        }
    }

    pub(super) fn url(&self) -> &str {
        &self.url
    }

    /// Every body, in the order of arrival.
    pub(super) fn heard(&self) -> Vec<Value> {
        lock(&self.heard).clone()
    }

    /// `event_type` of every body, in the order of arrival.
    pub(super) fn events(&self) -> Vec<String> {
        let heard = self.heard();
        let events = heard.iter().filter_map(|body| body["event_type"].as_str());
        events.map(str::to_owned).collect()
    }
}

impl Drop for Judge {
    fn drop(&mut self) {
        self.server.abort();
    }
}

/// A port that refuses connections and that nobody else can take meanwhile: bound, and not listened on.
pub(super) struct ClosedPort(TcpSocket);

impl ClosedPort {
    pub(super) fn new() -> Self {
        let socket = TcpSocket::new_v4().expect("there is IPv4");
        socket
            .bind(([127, 0, 0, 1], 0).into())
            .expect("loopback has a free port");
        Self(socket)
    }

    pub(super) fn url(&self) -> String {
        let address = self.0.local_addr().expect("a bound socket has an address");
        format!("http://{address}/")
    }

    /// From now on connections are taken.
    pub(super) fn open(self) -> TcpListener {
        self.0
            .listen(16)
            .expect("a bound socket can be listened on")
    }
}

/// A port where connections hang: it is listened on, nobody takes what comes, and there is room for no more.
pub(super) struct FullPort {
    listener: TcpListener,
    _waiting: Vec<TcpStream>,
}

impl FullPort {
    pub(super) async fn new() -> Self {
        let socket = TcpSocket::new_v4().expect("there is IPv4");
        socket
            .bind(([127, 0, 0, 1], 0).into())
            .expect("loopback has a free port");
        let listener = socket.listen(0).expect("a bound socket can be listened on");
        let address = listener
            .local_addr()
            .expect("a bound listener has an address");
        let mut waiting = Vec::new();
        // until one hangs: how many fit is the system's
        loop {
            let connecting = TcpStream::connect(address);
            match tokio::time::timeout(Duration::from_millis(300), connecting).await {
                Ok(connected) => waiting.push(connected.expect("loopback can be reached")),
                Err(_) => break,
            }
            assert!(waiting.len() < 10, "the port is never full");
        }
        Self {
            listener,
            _waiting: waiting,
        }
    }

    pub(super) fn url(&self) -> String {
        let address = self
            .listener
            .local_addr()
            .expect("a bound listener has an address");
        format!("http://{address}/")
    }
}

async fn respond(answer: Answer) -> Response {
    match answer {
        Answer::Status(status) => StatusCode::from_u16(status)
            .expect("a test answers with statuses of HTTP")
            .into_response(),
        Answer::Json(body) => Json(body).into_response(),
        Answer::Never => std::future::pending().await,
    }
}

fn lock(heard: &Mutex<Vec<Value>>) -> MutexGuard<'_, Vec<Value>> {
    heard.lock().unwrap_or_else(PoisonError::into_inner)
}
