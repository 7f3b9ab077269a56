//! The part of the receiver of notifications: plain HTTP, accepts every notification (wire.md, section 4), and says
//! when the first of each kind arrived.

use std::collections::BTreeMap;
use std::net::Ipv4Addr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{SystemTime, UNIX_EPOCH};

use axum::extract::State;
use axum::routing::post;
use axum::{Json, Router};
use serde::{Deserialize, Serialize};
use tokio::net::TcpListener;

use crate::child::{self, Part, Questions};

/// What it says.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct Heard {
    /// Where it listens.
    pub(crate) url: String,
    /// What has arrived since the last question.
    pub(crate) events: Vec<Event>,
}

/// The notifications of one incident and kind since the last question.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Event {
    /// The incident key.
    pub(crate) key: String,
    /// `trigger` or `resolve`.
    pub(crate) kind: String,
    /// Unix time of the first of them, in ms.
    pub(crate) first_at_ms: u64,
    /// How many arrived.
    pub(crate) count: u64,
}

/// Starts it; says where it listens.
pub(crate) async fn start() -> anyhow::Result<(Part, String)> {
    let mut part = Part::start("receiver", &()).await?;
    let heard: Heard = part.ask().await?;
    Ok((part, heard.url))
}

pub(crate) async fn run((): (), mut asked: Questions) -> anyhow::Result<()> {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await?;
    let url = format!("http://{}/", listener.local_addr()?);
    let book = Arc::<Mutex<Book>>::default();
    let app = Router::new()
        .route("/", post(receive))
        .with_state(book.clone());
    let serving = tokio::spawn(async move { axum::serve(listener, app).await });
    child::answer(&mut asked, || lock(&book).tell(&url)).await?;
    serving.abort();
    Ok(())
}

/// Of a notification's body, what is remembered.
#[derive(Debug, Deserialize)]
struct Notification {
    incident_key: String,
    event_type: String,
}

#[expect(
    clippy::disallowed_methods,
    reason = "it plays another machine, which has a clock of its own"
)]
async fn receive(
    State(book): State<Arc<Mutex<Book>>>,
    Json(notification): Json<Notification>,
) -> Json<serde_json::Value> {
    let now = SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .unwrap_or_default();
    let now_ms = u64::try_from(now.as_millis()).unwrap_or(u64::MAX);
    lock(&book).note(notification, now_ms);
    Json(serde_json::json!({"status": "success"}))
}

#[derive(Debug, Default)]
struct Book {
    /// By incident key and kind.
    events: BTreeMap<(String, String), Event>,
}

impl Book {
    fn note(&mut self, notification: Notification, now_ms: u64) {
        let Notification {
            incident_key: key,
            event_type: kind,
        } = notification;
        self.events
            .entry((key.clone(), kind.clone()))
            .or_insert(Event {
                key,
                kind,
                first_at_ms: now_ms,
                count: 0,
            })
            .count += 1;
    }

    fn tell(&mut self, url: &str) -> Heard {
        Heard {
            url: url.to_owned(),
            events: std::mem::take(&mut self.events).into_values().collect(),
        }
    }
}

fn lock(book: &Mutex<Book>) -> MutexGuard<'_, Book> {
    book.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_of_each_kind_is_told_once() {
        let mut book = Book::default();
        for (kind, at_ms) in [("trigger", 10), ("trigger", 20), ("resolve", 30)] {
            let notification = Notification {
                incident_key: "h:c".to_owned(),
                event_type: kind.to_owned(),
            };
            book.note(notification, at_ms);
        }
        let event = |kind: &str, first_at_ms, count| Event {
            key: "h:c".to_owned(),
            kind: kind.to_owned(),
            first_at_ms,
            count,
        };
        let heard = book.tell("http://x/");
        assert_eq!(
            heard.events,
            [event("resolve", 30, 1), event("trigger", 10, 2)]
        );
        let heard = book.tell("http://x/");
        assert_eq!(heard.events, []);
    }
}
