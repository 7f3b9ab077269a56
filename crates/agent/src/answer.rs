//! One request, one answer: `GET /NAME` runs the check's script.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use hyper::body::Incoming;
use hyper::header::{ALLOW, CONNECTION, CONTENT_TYPE, HeaderValue};
use hyper::{Method, Request, Response, StatusCode};
use sha2::{Digest, Sha256};
use stalker_domain::wire::{AgentAnswer, CHECK_KEY_HEADER, ScriptResult};
use subtle::ConstantTimeEq;
use tokio::sync::{Semaphore, watch};
use tokio::time::{Instant, timeout};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use crate::check::Check;
use crate::offer::Offer;
use crate::script::{self, ScriptError, UNKNOWN};

/// How long a script may wait for one of the slots (semantics, decision 3).
const SLOT_WAIT: Duration = Duration::from_secs(5);
/// Waiting beyond this comes off the script's time: the caller gives up 5 s after the script's timeout, and ending
/// a stubborn script takes some of them.
const FREE_WAIT: Duration = Duration::from_secs(1);

/// What runs scripts on request.
pub(crate) struct Runner {
    offers: watch::Receiver<Arc<Offer>>,
    slots: Arc<Semaphore>,
    max_parallel: usize,
    /// The scripts that run. They outlive a caller that goes away: a script is always ended properly.
    pub(crate) scripts: TaskTracker,
    /// Ends them all.
    pub(crate) stop: CancellationToken,
}

impl Runner {
    pub(crate) fn new(offers: watch::Receiver<Arc<Offer>>, max_parallel: usize) -> Self {
        Self {
            offers,
            slots: Arc::new(Semaphore::new(max_parallel)),
            max_parallel,
            scripts: TaskTracker::new(),
            stop: CancellationToken::new(),
        }
    }

    /// # Errors
    /// When the agent stops before the script has ended. The caller gets no answer then: the agent could not be
    /// reached, and nothing is known of what is checked.
    pub(crate) async fn answer(
        self: Arc<Self>,
        request: Request<Incoming>,
    ) -> Result<Response<String>, ScriptError> {
        let offer = Arc::clone(&self.offers.borrow());
        if !is_key(request.headers().get(CHECK_KEY_HEADER), &offer.check_key) {
            let mut refused = text(StatusCode::UNAUTHORIZED, "Unauthorized");
            // Who has no key may not keep a connection.
            refused
                .headers_mut()
                .insert(CONNECTION, HeaderValue::from_static("close"));
            return Ok(refused);
        }
        let name = request
            .uri()
            .path()
            .trim_start_matches('/')
            .trim_end_matches('/');
        if request.method() != Method::GET {
            let mut refused = text(StatusCode::METHOD_NOT_ALLOWED, "Method Not Allowed");
            refused
                .headers_mut()
                .insert(ALLOW, HeaderValue::from_static("GET"));
            return Ok(refused);
        }
        let Some(check) = offer.checks.get(name).map(Arc::clone) else {
            return Ok(text(StatusCode::NOT_FOUND, "No such check"));
        };
        drop(offer);
        match self.run(check).await {
            Ok(result) => Ok(json(name, result)),
            Err(error @ ScriptError::NotStarted { .. }) => {
                tracing::error!(check = name, "cannot run the script: {error}");
                Ok(text(
                    StatusCode::INTERNAL_SERVER_ERROR,
                    format!("Error running check: {error}"),
                ))
            }
            Err(error @ ScriptError::AgentStops) => Err(error),
        }
    }

    async fn run(self: Arc<Self>, check: Arc<Check>) -> Result<ScriptResult, ScriptError> {
        let asked = Instant::now();
        let Ok(slot) = timeout(SLOT_WAIT, Arc::clone(&self.slots).acquire_owned()).await else {
            let out = format!("not started: {} running", self.max_parallel);
            return Ok(ScriptResult {
                status: UNKNOWN,
                out,
                err: String::new(),
                truncated: false,
            });
        };
        let limit = limit(check.timeout, asked.elapsed());
        let stop = self.stop.clone();
        let run = self.scripts.spawn(async move {
            let result = script::run(&check, limit, &stop).await;
            drop(slot);
            result
        });
        // A task that panicked has found out nothing either.
        run.await.unwrap_or(Err(ScriptError::AgentStops))
    }
}

/// The script's time, after `waited` for its slot.
fn limit(timeout: Duration, waited: Duration) -> Duration {
    timeout
        .saturating_sub(waited.saturating_sub(FREE_WAIT))
        .max(timeout.min(Duration::from_secs(1)))
}

/// Compares digests, in constant time: neither length nor content of the key shows.
fn is_key(given: Option<&HeaderValue>, key: &str) -> bool {
    let wanted = Sha256::digest(key);
    given.is_some_and(|given| Sha256::digest(given)[..].ct_eq(&wanted[..]).into())
}

fn text(status: StatusCode, body: impl Into<String>) -> Response<String> {
    respond(status, "text/plain; charset=utf-8", body.into())
}

fn json(name: &str, result: ScriptResult) -> Response<String> {
    let answer: AgentAnswer = BTreeMap::from([(name.to_owned(), result)]);
    let mut body =
        serde_json::to_string(&answer).expect("a map from strings to plain fields is JSON");
    // As the original's.
    body.push_str("\r\n");
    respond(StatusCode::OK, "application/json", body)
}

fn respond(status: StatusCode, content_type: &'static str, body: String) -> Response<String> {
    let mut response = Response::new(body);
    *response.status_mut() = status;
    response
        .headers_mut()
        .insert(CONTENT_TYPE, HeaderValue::from_static(content_type));
    response
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn waiting_comes_off_the_scripts_time() {
        for (timeout, waited, expected) in [
            (10.0, 0.0, 10.0),
            (10.0, 1.0, 10.0),
            (10.0, 4.0, 7.0),
            (2.0, 4.9, 1.0),
            (1.0, 4.0, 1.0),
        ] {
            let found = limit(
                Duration::from_secs_f64(timeout),
                Duration::from_secs_f64(waited),
            );
            assert_eq!(found.as_secs_f64(), expected, "{timeout} {waited}");
        }
    }

    #[test]
    fn keys() {
        for (given, expected) in [
            (Some("secret"), true),
            (Some("Secret"), false),
            (Some(""), false),
            (Some("secrets"), false),
            (None, false),
        ] {
            let given = given.map(HeaderValue::from_static);
            assert_eq!(is_key(given.as_ref(), "secret"), expected);
        }
    }
}
