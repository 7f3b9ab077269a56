//! Registration: tells the server which checks this host offers, and goes on until it is heard.

use std::sync::Arc;
use std::time::{Duration, SystemTime};

use anyhow::{Context, bail};
use rand::Rng;
use reqwest::header::{HeaderMap, RETRY_AFTER};
use reqwest::{Certificate, Client, Response, StatusCode, redirect};
use serde::Deserialize;
use stalker_domain::wire::{AGENT_TOKEN_HEADER, REGISTER_KEY_HEADER, Registration};
use tokio::sync::watch;
use tokio::time::{sleep, timeout};
use tokio_util::sync::CancellationToken;

use crate::offer::{Identity, Offer};
use crate::settings::Settings;
use crate::state::StateDir;

/// How long the server may take to answer.
const REQUEST: Duration = Duration::from_secs(20);
const CONNECT: Duration = Duration::from_secs(5);
/// The pause before the second attempt; it doubles up to [`LONGEST_PAUSE`].
const FIRST_PAUSE: Duration = Duration::from_secs(1);
const LONGEST_PAUSE: Duration = Duration::from_secs(60);
/// A server may ask for a longer pause, within reason.
const LONGEST_RETRY_AFTER: Duration = Duration::from_secs(3600);
/// Registering again although nothing changed repairs what the server has lost.
const AGAIN_AFTER: Duration = Duration::from_secs(6 * 3600);
/// At the start scripts that are still being written are waited for, as the server takes what is not named as
/// removed.
const SETTLING: Duration = Duration::from_secs(5);
/// Bytes of a refusal that are shown.
const SHOWN_BYTES: usize = 2048;

/// Registers every offer that differs from the one before, and the present one every few hours.
pub(crate) async fn keep_registered(
    identity: Identity,
    state: Arc<StateDir>,
    mut offers: watch::Receiver<Arc<Offer>>,
    shutdown: CancellationToken,
) {
    let work = async {
        // Running out of this time is as good: the file's writer has all the time it wants.
        let _ = timeout(SETTLING, offers.wait_for(|offer| !offer.is_unsettled)).await;
        loop {
            let offer = Arc::clone(&offers.borrow_and_update());
            warn_of_unsent_key(&offer);
            let registration = offer.registration(&identity);
            tokio::select! {
                () = insist(&offer.settings, &state, &registration) => {}
                changed = offers.changed() => if changed.is_ok() { continue } else { return },
            }
            let differs = |next: &Arc<Offer>| {
                next.registration(&identity) != registration
                    || next.settings.master_url != offer.settings.master_url
            };
            let again = timeout(
                AGAIN_AFTER.mul_f64(rand::rng().random_range(0.9..1.1)),
                offers.wait_for(differs),
            );
            if let Ok(Err(_)) = again.await {
                return;
            }
        }
    };
    tokio::select! {
        () = shutdown.cancelled() => {}
        () = work => {}
    }
}

fn warn_of_unsent_key(offer: &Offer) {
    if offer.settings.check_key.is_none() && !offer.may_send_key() {
        tracing::warn!(
            "the key with which this agent is called was made by itself and is not sent to {}, where others could \
             read it: the server cannot call this agent. Use an https master_url, or set the server's check_key here",
            offer.settings.master_url
        );
    }
}

/// Tries until the server accepts.
async fn insist(settings: &Settings, state: &StateDir, registration: &Registration) {
    let mut pause = FIRST_PAUSE;
    let mut has_new_token = false;
    loop {
        let refusal = match register(settings, state, registration).await {
            // shown at once: until then somebody else could still have one
            Ok(Answer::NewToken) if !has_new_token => {
                has_new_token = true;
                continue;
            }
            Ok(Answer::Accepted | Answer::NewToken) => {
                tracing::info!(
                    checks = registration.checks.len(),
                    "registered as {} with {}",
                    registration.hostname,
                    settings.master_url
                );
                return;
            }
            Ok(Answer::Refused(refusal)) => refusal,
            Err(error) => Refusal {
                text: format!("{error:#}"),
                retry_after: Duration::ZERO,
            },
        };
        // Full jitter: a server that comes back is not met by all its agents at once.
        let pause_now = pause
            .mul_f64(rand::rng().random_range(0.0..1.0))
            .max(refusal.retry_after);
        tracing::warn!(
            "cannot register with {}: {}; trying again in {:.1} s",
            settings.master_url,
            refusal.text,
            pause_now.as_secs_f64()
        );
        sleep(pause_now).await;
        pause = (pause * 2).min(LONGEST_PAUSE);
    }
}

enum Answer {
    Accepted,
    /// … and the server gave a token, which is kept, and which it wants to see.
    NewToken,
    Refused(Refusal),
}

struct Refusal {
    text: String,
    /// Zero if the server did not say.
    retry_after: Duration,
}

/// The part of an acceptance that matters here; other fields are for people.
#[derive(Deserialize)]
struct Accepted {
    token: Option<String>,
}

async fn register(
    settings: &Settings,
    state: &StateDir,
    registration: &Registration,
) -> anyhow::Result<Answer> {
    let url = format!(
        "{}/register",
        settings.master_url.as_str().trim_end_matches('/')
    );
    let mut request = client(settings)?
        .post(url)
        .header(REGISTER_KEY_HEADER, settings.register_key.clone());
    let (server, hostname) = (settings.master_url.as_str(), &registration.hostname);
    if let Some(token) = state.token(server, hostname)? {
        request = request.header(AGENT_TOKEN_HEADER, token);
    }
    let mut response = request
        .json(registration)
        .send()
        .await
        .map_err(reqwest::Error::without_url)?;
    let status = response.status();
    if status.is_success() {
        // the original's server says less, and gives none
        let given = read(&mut response).await;
        let given = serde_json::from_slice::<Accepted>(&given).ok();
        return Ok(match given.and_then(|accepted| accepted.token) {
            Some(token) => {
                state.keep_token(server, hostname, &token)?;
                Answer::NewToken
            }
            None => Answer::Accepted,
        });
    }
    #[expect(clippy::disallowed_methods, reason = "a Retry-After may be a date")]
    let retry_after = retry_after(response.headers(), SystemTime::now());
    let body = read(&mut response).await;
    let body = String::from_utf8_lossy(&body)
        .trim()
        .replace(char::is_control, " ");
    let text = if status == StatusCode::PRECONDITION_FAILED {
        format!("{status}: the register_key is not the server's {body}")
    } else {
        format!("{status}: {body}")
    };
    Ok(Answer::Refused(Refusal { text, retry_after }))
}

/// The beginning of a body: more of it is not needed.
async fn read(response: &mut Response) -> Vec<u8> {
    let mut body = Vec::new();
    while body.len() < SHOWN_BYTES
        && let Ok(Some(chunk)) = response.chunk().await
    {
        body.extend_from_slice(&chunk[..chunk.len().min(SHOWN_BYTES - body.len())]);
    }
    body
}

/// Made anew for each request: there are hours between them, and roots and pools would be kept all the time.
fn client(settings: &Settings) -> anyhow::Result<Client> {
    let url = &settings.master_url;
    let mut client = Client::builder()
        .connect_timeout(CONNECT)
        .timeout(REQUEST)
        // The keys are for this server and for no other.
        .redirect(redirect::Policy::none());
    if url.scheme() == "http" {
        // What travels in the clear goes straight there; and without TLS no authority is needed.
        client = client.no_proxy().tls_certs_only([]);
    } else if let Some(path) = &settings.master_ca {
        let pem = std::fs::read(path)
            .with_context(|| format!("cannot read master_ca {}", path.display()))?;
        let authorities = Certificate::from_pem_bundle(&pem)
            .with_context(|| format!("master_ca {} is not PEM", path.display()))?;
        if authorities.is_empty() {
            bail!("there is no certificate in master_ca {}", path.display());
        }
        client = client.tls_certs_merge(authorities);
    }
    client.build().context("cannot make an HTTP client")
}

/// Seconds, or a date.
fn retry_after(headers: &HeaderMap, now: SystemTime) -> Duration {
    let wait = headers
        .get(RETRY_AFTER)
        .and_then(|value| value.to_str().ok())
        .and_then(|text| {
            let seconds = text.trim().parse().map(Duration::from_secs);
            seconds.ok().or_else(|| {
                httpdate::parse_http_date(text)
                    .ok()?
                    .duration_since(now)
                    .ok()
            })
        });
    wait.unwrap_or_default().min(LONGEST_RETRY_AFTER)
}

#[cfg(test)]
mod tests {
    use reqwest::header::HeaderValue;

    use super::*;

    #[test]
    fn retry_after_values() {
        let now = httpdate::parse_http_date("Sun, 06 Nov 1994 08:49:37 GMT").expect("a date");
        for (text, seconds) in [
            ("7", 7),
            ("100000", 3600),
            ("Sun, 06 Nov 1994 08:50:07 GMT", 30),
            ("Sun, 06 Nov 1994 08:00:00 GMT", 0),
            ("soon", 0),
        ] {
            let headers = HeaderMap::from_iter([(RETRY_AFTER, HeaderValue::from_static(text))]);
            assert_eq!(retry_after(&headers, now).as_secs(), seconds, "{text}");
        }
    }
}
