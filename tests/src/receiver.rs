//! A receiver of notifications that remembers every request and answers as it is told.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use axum::Router;
use axum::body::Bytes;
use axum::extract::State;
use axum::http::{HeaderMap, StatusCode};
use serde_json::Value;
use tokio::net::TcpListener;
use tokio::task::JoinHandle;

use crate::until::{stays, until_seen};

/// One request, and how it was answered.
#[derive(Debug, Clone)]
pub struct Received {
    /// When it arrived.
    pub at: Instant,
    /// Its headers.
    pub headers: HeaderMap,
    /// Its body; null if it was no JSON.
    pub body: Value,
    /// The status of our answer.
    pub answer: u16,
}

impl Received {
    /// A text of the body, such as `event_type` or `incident_key`; empty if it is not there.
    #[must_use]
    pub fn text(&self, field: &str) -> &str {
        self.body[field].as_str().unwrap_or_default()
    }
}

/// Listens on loopback at a port of the system's choice, any path. Dropped, it is gone.
#[derive(Debug)]
pub struct Receiver {
    url: String,
    state: Arc<Mutex<Book>>,
    server: JoinHandle<()>,
}

#[derive(Debug, Default)]
struct Book {
    answers: VecDeque<u16>,
    received: Vec<Received>,
}

impl Receiver {
    /// Starts one that accepts everything.
    ///
    /// # Panics
    /// If loopback cannot be listened on.
    pub async fn start() -> Self {
        let state = Arc::default();
        let app = Router::new()
            .fallback(receive)
            .with_state(Arc::clone(&state));
        let listener = TcpListener::bind("127.0.0.1:0")
            .await
            .expect("loopback can be listened on");
        let url = format!(
            "http://{}/",
            listener
                .local_addr()
                .expect("a bound listener has an address")
        );
        let server = tokio::spawn(async move {
            axum::serve(listener, app)
                .await
                .expect("a server on loopback runs")
        });
        Self { url, state, server }
    }

    /// Where it listens.
    #[must_use]
    pub fn url(&self) -> &str {
        &self.url
    }

    /// Answers the next requests with these statuses, and then 200 again.
    pub fn answer_next(&self, statuses: impl IntoIterator<Item = u16>) {
        lock(&self.state).answers.extend(statuses);
    }

    /// Everything that arrived, in order.
    #[must_use]
    pub fn received(&self) -> Vec<Received> {
        lock(&self.state).received.clone()
    }

    /// What was answered with 2xx, in order: what its receiver would act upon.
    #[must_use]
    pub fn accepted(&self) -> Vec<Received> {
        let mut accepted = self.received();
        accepted.retain(|request| (200..300).contains(&request.answer));
        accepted
    }

    /// Waits until `n` requests are accepted, and then for `quiet`, in which a further one would have come. This is
    /// how "exactly n" is shown.
    ///
    /// # Panics
    /// If they are not n after 60 s, or more at the end.
    pub async fn settled(&self, n: usize, quiet: Duration) -> Vec<Received> {
        let what = format!("exactly {n} notifications are accepted");
        let kinds = async || {
            self.accepted()
                .iter()
                .map(|request| request.text("event_type").to_owned())
                .collect::<Vec<_>>()
        };
        until_seen(&what, Duration::from_secs(60), kinds, |kinds| {
            kinds.len() >= n
        })
        .await;
        stays(&what, quiet, kinds, |kinds| kinds.len() == n).await;
        self.accepted()
    }
}

impl Drop for Receiver {
    fn drop(&mut self) {
        self.server.abort();
    }
}

async fn receive(
    State(state): State<Arc<Mutex<Book>>>,
    headers: HeaderMap,
    body: Bytes,
) -> StatusCode {
    let mut book = lock(&state);
    let answer = book.answers.pop_front().unwrap_or(200);
    let body = serde_json::from_slice(&body).unwrap_or(Value::Null);
    book.received.push(Received {
        at: Instant::now(),
        headers,
        body,
        answer,
    });
    StatusCode::from_u16(answer).expect("a test answers with statuses of HTTP")
}

fn lock(state: &Mutex<Book>) -> MutexGuard<'_, Book> {
    state.lock().unwrap_or_else(PoisonError::into_inner)
}
