//! How a message is sent, one file per provider. What an answer means is decided here, once for all of them.

pub(crate) mod http;

use std::time::Duration;

use reqwest::{Client, RequestBuilder, Response, StatusCode};
use sha2::{Digest, Sha256};
use stalker_db::notifications::ClaimedNotification;
use stalker_domain::plugin_output::clip;
use stalker_domain::wire;

use crate::config::{Channel, Provider};

/// What one attempt may take.
pub(crate) const TIMEOUT: Duration = Duration::from_secs(15);
/// Bytes of a receiver's answer that are read.
const ANSWER_MAX: usize = 64 * 1024;
/// Bytes of a receiver's answer that are kept with the attempt.
const EXCERPT: usize = 500;

/// What is to be said.
#[derive(Debug)]
pub(crate) struct Message<'a> {
    /// The notification with its alert.
    pub(crate) notification: &'a ClaimedNotification,
    /// The check as it is now.
    pub(crate) check: Option<wire::Check>,
    /// The secret to send it with.
    pub(crate) secret: Option<&'a str>,
}

/// How the receiver took it.
#[derive(Debug)]
pub(crate) struct Answer {
    /// None: it was accepted.
    pub(crate) failure: Option<Failure>,
    /// The receiver may have it (decision 7).
    pub(crate) may_have_arrived: bool,
    /// HTTP status, if there was an answer.
    pub(crate) http_status: Option<u16>,
    /// The beginning of the answer.
    pub(crate) excerpt: Option<String>,
}

/// Why it was not accepted.
#[derive(Debug)]
pub(crate) struct Failure {
    /// For people.
    pub(crate) why: String,
    /// Trying again would change nothing.
    pub(crate) is_permanent: bool,
    /// When the receiver wants to be asked again.
    pub(crate) retry_after: Option<Duration>,
}

/// All providers, with the one client that they share.
#[derive(Debug)]
pub(crate) struct Sender {
    client: Client,
}

impl Sender {
    pub(crate) fn new() -> anyhow::Result<Self> {
        // A redirect could carry a secret to somebody else.
        let client = Client::builder()
            .timeout(TIMEOUT)
            .redirect(reqwest::redirect::Policy::none())
            .build()?;
        Ok(Self { client })
    }

    pub(crate) async fn send(&self, channel: &Channel, message: &Message<'_>) -> Answer {
        match &channel.provider {
            Provider::Http(http) => http::send(&self.client, http, message).await,
        }
    }
}

/// Sends a request and judges the answer: 2xx is accepted (unless JSON in it has a `status` other than
/// `success`), 408, 425, 429 and 5xx are worth another try, every other answer is final.
async fn judge(request: RequestBuilder) -> Answer {
    let response = match request.send().await {
        Ok(response) => response,
        Err(error) => {
            // A channel's URL may hold a secret.
            let error = error.without_url();
            // Without a connection nothing can have arrived; behind one, nobody knows.
            let why = if error.is_timeout() {
                format!("no answer within {} s", TIMEOUT.as_secs())
            } else {
                chain(&error)
            };
            return Answer {
                failure: Some(Failure {
                    why,
                    is_permanent: error.is_builder(),
                    retry_after: None,
                }),
                may_have_arrived: !error.is_connect() && !error.is_builder(),
                http_status: None,
                excerpt: None,
            };
        }
    };
    let status = response.status();
    let retry_after = response
        .headers()
        .get(reqwest::header::RETRY_AFTER)
        .and_then(|value| value.to_str().ok()?.parse().ok())
        .map(|seconds: u64| Duration::from_secs(seconds.clamp(5, 3600)));
    let text = beginning(response).await;
    let is_success = status.is_success() && says_success(&text);
    let is_worth_another_try = status.is_success()
        || status.is_server_error()
        || matches!(
            status,
            StatusCode::REQUEST_TIMEOUT | StatusCode::TOO_EARLY | StatusCode::TOO_MANY_REQUESTS
        );
    let why = || {
        let said = clip(text.trim(), 200);
        format!(
            "the receiver answered {}{}{said}",
            status.as_u16(),
            if said.is_empty() { "" } else { ": " }
        )
    };
    Answer {
        failure: (!is_success).then(|| Failure {
            why: why(),
            is_permanent: !is_worth_another_try,
            retry_after,
        }),
        may_have_arrived: status.is_success() || status.is_server_error(),
        http_status: Some(status.as_u16()),
        excerpt: Some(clip(&text, EXCERPT).replace('\0', "\u{FFFD}")),
    }
}

/// As much of the answer as anybody reads. What breaks off in the middle has said what it said.
async fn beginning(mut response: Response) -> String {
    let mut body = Vec::new();
    while let Ok(Some(chunk)) = response.chunk().await {
        body.extend_from_slice(&chunk);
        if body.len() > ANSWER_MAX {
            break;
        }
    }
    String::from_utf8_lossy(&body).into_owned()
}

fn says_success(text: &str) -> bool {
    match serde_json::from_str::<serde_json::Value>(text) {
        Ok(answer) => answer
            .get("status")
            .is_none_or(|status| status == "success"),
        Err(_) => true,
    }
}

/// How long to wait after the `attempt`th failure (decision 8): 5 s, 15 s, 45 s, 2 m, then every 5 m, each up to a
/// tenth longer, so that receivers that come back are not met by everything at once.
pub(crate) fn backoff(attempt: i32) -> Duration {
    let seconds = match attempt {
        ..=1 => 5,
        2 => 15,
        3 => 45,
        4 => 120,
        _ => 300,
    };
    Duration::from_secs(seconds).mul_f64(1.0 + rand::random::<f64>() / 10.0)
}

/// First 8 hex digits of the SHA-256 of a secret: says which one was used, and nothing of it.
pub(crate) fn secret_id(secret: &str) -> String {
    Sha256::digest(secret)
        .iter()
        .take(4)
        .map(|byte| format!("{byte:02x}"))
        .collect()
}

fn chain(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut next = error.source();
    while let Some(error) = next {
        text = format!("{text}: {error}");
        next = error.source();
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_receiver_may_say_no_in_a_200() {
        for (text, accepted) in [
            ("", true),
            ("ok", true),
            ("{}", true),
            (r#"{"status":"success"}"#, true),
            (r#"{"status":"invalid"}"#, false),
            ("[1]", true),
        ] {
            assert_eq!(says_success(text), accepted, "{text}");
        }
    }

    #[test]
    fn waits_grow_to_five_minutes() {
        let waits: Vec<u64> = (1..8).map(|attempt| backoff(attempt).as_secs()).collect();
        for (wait, least) in waits.into_iter().zip([5, 15, 45, 120, 300, 300, 300]) {
            assert!(
                (least..=least + least / 10).contains(&wait),
                "{wait} for {least}"
            );
        }
    }
}
