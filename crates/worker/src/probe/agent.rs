//! Kind `agent`: calls a host's agent, which runs the script (wire.md, section 1; semantics.md, decision 3).

use std::error::Error as _;
use std::io;
use std::sync::Arc;
use std::time::{Duration, Instant};

use reqwest::header::HeaderValue;
use reqwest::{Client, Response, StatusCode, Url};
use sqlx::PgPool;
use stalker_db::claims::ClaimedCheck;
use stalker_db::pins;
use stalker_domain::outcome::{Outcome, REQUEST_MARGIN_S, Verdict};
use stalker_domain::plugin_output;
use stalker_domain::status::Status;
use stalker_domain::wire::{AgentAnswer, CHECK_KEY_HEADER, ScriptResult};

use super::Probed;
use super::certificates;
use super::directory::{self, Directory, Resolver, name_of};
use crate::config::Config;

/// What a request may take beyond its script's timeout; and how soon a kept connection shows that it was dead.
const REQUEST_MARGIN: Duration = Duration::from_secs(REQUEST_MARGIN_S as u64);
const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);
/// Kept connections end before the agent would end them.
const IDLE: Duration = Duration::from_secs(90);
/// ENOMEM, ENFILE, EMFILE, EADDRNOTAVAIL, ENOBUFS: the caller's own trouble.
const OURS: [i32; 5] = [12, 23, 24, 99, 105];
/// Bytes of an agent's answer (decision 11).
const ANSWER_MAX: usize = 1024 * 1024;

pub(super) struct AgentProbe {
    /// Keeps connections between runs.
    kept: Client,
    /// Opens a connection for every request: for trying again when a kept one turned out to be dead.
    fresh: Client,
    directory: Arc<Directory>,
    pool: PgPool,
    check_key: Option<String>,
    check_timeout_s: u32,
}

/// Why there is no script result.
enum Failure {
    /// Decision 3 calls it unreachable: the system's error number (as the original printed it), and why.
    Unreachable(i32, String),
    /// The agent answered, or is one that may be silent: this is the check's own failure.
    Answered(String),
    /// This worker lacks what a call needs (files, memory, ports), which says nothing about the agent.
    Ours(String),
    /// A kept connection was reset, which says nothing but that it was old.
    StaleConnection(String),
}

impl AgentProbe {
    pub(super) fn new(config: &Config, pool: PgPool) -> anyhow::Result<Self> {
        let directory = Arc::new(Directory::default());
        let client = || -> anyhow::Result<reqwest::ClientBuilder> {
            Ok(Client::builder()
                .tls_backend_preconfigured(certificates::tls(directory.clone())?)
                .tls_info(true)
                .dns_resolver(Arc::new(Resolver(directory.clone())))
                .redirect(reqwest::redirect::Policy::none())
                .no_proxy()
                .http1_only()
                .https_only(true)
                .connect_timeout(CONNECT_TIMEOUT)
                .pool_idle_timeout(IDLE))
        };
        Ok(Self {
            kept: client()?
                .pool_max_idle_per_host(config.idle_connections_per_agent)
                .build()?,
            fresh: client()?.pool_max_idle_per_host(0).build()?,
            directory,
            pool,
            check_key: config.check_key.clone(),
            check_timeout_s: config.check_timeout_s,
        })
    }

    pub(super) async fn run(&self, check: &ClaimedCheck) -> Option<Probed> {
        let began = Instant::now();
        self.directory.note(check);
        let mut result = self.call(&self.kept, check).await;
        // Later than that a script may have run, and a second one would outlive the lease.
        if matches!(result, Err(Failure::StaleConnection(_))) && began.elapsed() < REQUEST_MARGIN {
            result = self.call(&self.fresh, check).await;
        }
        let latency = began.elapsed();
        let (outcome, first_seen_cert_sha256) = match result {
            Ok((script, shown)) => (
                outcome(&script, latency),
                shown.filter(|_| check.cert_sha256.is_none()),
            ),
            Err(failure) => (failed(check, failure, latency)?, None),
        };
        Some(Probed {
            outcome,
            first_seen_cert_sha256,
        })
    }

    /// One request. The fingerprint that was shown comes along.
    async fn call(
        &self,
        client: &Client,
        check: &ClaimedCheck,
    ) -> Result<(ScriptResult, Option<String>), Failure> {
        let Some(key) = check.check_key.as_ref().or(self.check_key.as_ref()) else {
            let why = "its agent registered no check key, and the server's check_key is not set";
            return Err(Failure::Unreachable(13, why.to_owned()));
        };
        let key = HeaderValue::from_str(key).map_err(|_| {
            Failure::Unreachable(13, "its check key cannot be sent in a header".to_owned())
        })?;
        let script_timeout = Duration::from_secs(
            check
                .timeout_s
                .and_then(|s| u64::try_from(s).ok())
                .unwrap_or(self.check_timeout_s.into()),
        );
        let limit = script_timeout + REQUEST_MARGIN;
        let url = url_of(check);
        let request = async {
            let response = client.get(url).header(CHECK_KEY_HEADER, key).send().await?;
            let (status, shown) = (response.status(), shown(&response));
            Ok((status, shown, body(response).await?))
        };
        let (answer, connects) =
            directory::noting_connects(tokio::time::timeout(limit, request)).await;
        let (status, shown, body) = match answer {
            Err(_) => return Err(silent(check, limit)),
            Ok(Err(error)) => return Err(self.broken(check, &error, connects, limit).await),
            Ok(Ok(answer)) => answer,
        };
        // Also for a connection that was kept since before the pin changed.
        if let (Some(pin), Some(shown)) = (&check.cert_sha256, &shown)
            && pin != shown
        {
            return Err(Failure::StaleConnection(format!(
                "this connection belongs to an earlier certificate, {shown}"
            )));
        }
        let Some(body) = body else {
            return Err(Failure::Answered(format!(
                "the agent's answer is larger than {ANSWER_MAX} bytes"
            )));
        };
        read(check, status, &body).map(|script| (script, shown))
    }

    /// Tells the ways of not getting an answer apart.
    async fn broken(
        &self,
        check: &ClaimedCheck,
        error: &reqwest::Error,
        connects: bool,
        limit: Duration,
    ) -> Failure {
        if let Some(tls) = source::<rustls::Error>(error) {
            return Failure::Unreachable(1, self.refused(check, tls).await);
        }
        let system = source::<io::Error>(error);
        let number = system.and_then(io::Error::raw_os_error);
        if let (Some(number), Some(system)) = (number, system)
            && OURS.contains(&number)
        {
            return Failure::Ours(system.to_string());
        }
        if error.is_connect() {
            return match (error.is_timeout(), number, system) {
                (true, _, _) => Failure::Unreachable(
                    110,
                    format!("no connection within {} s", CONNECT_TIMEOUT.as_secs()),
                ),
                (_, Some(number), Some(system)) => Failure::Unreachable(number, os_text(system)),
                _ => Failure::Unreachable(-2, innermost(error)),
            };
        }
        if error.is_timeout() {
            return silent(check, limit);
        }
        if !connects {
            return Failure::StaleConnection(innermost(error));
        }
        if check.limits_its_scripts {
            Failure::Unreachable(
                number.unwrap_or(104),
                format!(
                    "the connection broke before the answer: {}",
                    innermost(error)
                ),
            )
        } else {
            Failure::Answered(format!(
                "the connection broke before the answer: {}",
                innermost(error)
            ))
        }
    }

    async fn refused(&self, check: &ClaimedCheck, error: &rustls::Error) -> String {
        if certificates::is_bad_signature(error) {
            return "it shows the right certificate, but does not have its key".to_owned();
        }
        if !certificates::is_pin_mismatch(error) {
            return format!("no TLS: {error}");
        }
        let shown = self.directory.refused(check.host_id).unwrap_or_default();
        let owner = pins::host_pinned_to(&self.pool, &shown)
            .await
            .ok()
            .flatten();
        match owner {
            Some(owner) => {
                format!("it shows the certificate of another agent, {owner}; is its address right?")
            }
            None => format!(
                "its certificate changed to {shown} without a registration; if that is right: stalkerd hosts unpin {}",
                check.hostname
            ),
        }
    }
}

/// An agent that limits its scripts answers in time, so its silence means that it cannot; another's may be its
/// script's.
fn silent(check: &ClaimedCheck, limit: Duration) -> Failure {
    let text = format!("no answer after {} s", limit.as_secs());
    if check.limits_its_scripts {
        Failure::Unreachable(110, text)
    } else {
        Failure::Answered(text)
    }
}

fn read(check: &ClaimedCheck, status: StatusCode, body: &[u8]) -> Result<ScriptResult, Failure> {
    let text = || {
        plugin_output::clip(&String::from_utf8_lossy(body), 200)
            .trim()
            .to_owned()
    };
    match status {
        StatusCode::OK => {
            // An agent that does not look at its script's bytes must not lose the whole answer for one of them.
            let body = String::from_utf8_lossy(body);
            let mut answer: AgentAnswer = serde_json::from_str(&body).map_err(|error| {
                Failure::Answered(format!("the agent's answer cannot be read: {error}"))
            })?;
            answer.remove(&check.check_name).ok_or_else(|| {
                Failure::Answered(format!(
                    "the agent's answer does not speak of {}",
                    check.check_name
                ))
            })
        }
        StatusCode::UNAUTHORIZED => Err(Failure::Unreachable(
            13,
            "the agent refuses the check key (401)".to_owned(),
        )),
        StatusCode::NOT_FOUND => Err(Failure::Answered(
            "the agent has no such check (404)".to_owned(),
        )),
        other => Err(Failure::Answered(format!(
            "the agent answered {}: {}",
            other.as_u16(),
            text()
        ))),
    }
}

fn outcome(script: &ScriptResult, latency: Duration) -> Outcome {
    let status = Status::from_exit_code(script.status);
    Outcome::of_script(status, &script.out, &script.err, script.truncated, latency)
}

/// None if the failure is this worker's own: then nothing is known of the host.
fn failed(check: &ClaimedCheck, failure: Failure, latency: Duration) -> Option<Outcome> {
    let (verdict, text) = match failure {
        // The original's client finds unreachable hosts by these first words.
        Failure::Unreachable(number, why) => (
            Verdict::Unreachable,
            format!("<urlopen error [Errno {number}] {why}>"),
        ),
        Failure::StaleConnection(why) => (
            Verdict::Unreachable,
            format!("<urlopen error [Errno 104] {why}>"),
        ),
        Failure::Answered(why) => (
            Verdict::Answered(Status::Unknown),
            format!("UNKNOWN: {why}"),
        ),
        Failure::Ours(why) => {
            let (host, name) = (&check.hostname, &check.check_name);
            tracing::error!(%host, check = %name, "this worker cannot make the call: {why}");
            return None;
        }
    };
    Some(Outcome::without_output(verdict, &text, latency))
}

fn shown(response: &Response) -> Option<String> {
    let tls = response.extensions().get::<reqwest::tls::TlsInfo>()?;
    tls.peer_certificate().map(certificates::fingerprint)
}

/// The body, unless it is larger than [`ANSWER_MAX`].
async fn body(mut response: Response) -> reqwest::Result<Option<Vec<u8>>> {
    let mut body = Vec::new();
    while let Some(chunk) = response.chunk().await? {
        if body.len() + chunk.len() > ANSWER_MAX {
            return Ok(None);
        }
        body.extend_from_slice(&chunk);
    }
    Ok(Some(body))
}

/// A check's name comes from a host: pushed as a segment, it cannot leave its place in the path.
fn url_of(check: &ClaimedCheck) -> Url {
    let base = format!("https://{}:{}", name_of(check.host_id), check.port);
    let mut url = Url::parse(&base).expect("made of two numbers");
    if let Ok(mut path) = url.path_segments_mut() {
        path.push(&check.check_name);
    }
    url
}

/// The first error of type `E` among the sources. An `io::Error` passes over what it wraps when it is asked for its
/// source, and TLS comes wrapped in two of them.
fn source<E: std::error::Error + 'static>(error: &reqwest::Error) -> Option<&E> {
    let mut next = error.source();
    while let Some(error) = next {
        if let Some(found) = error.downcast_ref::<E>() {
            return Some(found);
        }
        let wrapped = error
            .downcast_ref::<io::Error>()
            .and_then(io::Error::get_ref);
        next = match wrapped {
            Some(wrapped) => Some(wrapped),
            None => error.source(),
        };
    }
    None
}

fn innermost(error: &reqwest::Error) -> String {
    let mut text = error.to_string();
    let mut next = error.source();
    while let Some(error) = next {
        text = error.to_string();
        next = error.source();
    }
    text
}

/// The system's words without Rust's `(os error 111)`, for the number stands before them already.
fn os_text(error: &io::Error) -> String {
    let text = error.to_string();
    text.split(" (os error")
        .next()
        .unwrap_or_default()
        .to_owned()
}
