//! One request and its answer, as far as all providers that speak HTTP agree on what it means.

use std::time::Duration;

use reqwest::header::{DATE, HeaderMap, RETRY_AFTER};
use reqwest::{RequestBuilder, Response, StatusCode};
use stalker_domain::plugin_output::clip;

use super::{Answer, Failure};

/// Bytes of a receiver's answer that are read.
const ANSWER_MAX: usize = 64 * 1024;
/// Bytes of a receiver's answer that are kept with the attempt.
const EXCERPT: usize = 500;
/// Bytes of it that are said in the reason.
const SAID: usize = 200;
/// What is asked for less than the least is not believed, nor for more than the most.
const RETRY_AFTER_S: std::ops::RangeInclusive<u64> = 5..=3600;

/// What a receiver answered.
#[derive(Debug)]
pub(super) struct Reply {
    pub(super) status: StatusCode,
    /// When it wants to be asked again: from its header, or from where the provider says it stands.
    pub(super) retry_after: Option<Duration>,
    pub(super) text: String,
}

/// Sends a request and reads the answer.
///
/// # Errors
/// What to make of it that there was none.
pub(super) async fn exchange(request: RequestBuilder, timeout: Duration) -> Result<Reply, Answer> {
    match request.timeout(timeout).send().await {
        Ok(response) => Ok(read(response).await),
        Err(error) => Err(unanswered(error, timeout)),
    }
}

/// Without a connection nothing can have arrived; behind one, nobody knows.
fn unanswered(error: reqwest::Error, timeout: Duration) -> Answer {
    // a channel's URL may hold a secret
    let error = error.without_url();
    let is_unsendable = error.is_builder();
    let may_have_arrived = !error.is_connect() && !is_unsendable;
    let why = if error.is_timeout() {
        format!("no answer within {} s", timeout.as_secs())
    } else {
        chain(&error)
    };
    Answer {
        failure: Some(if is_unsendable {
            Failure::Final(why)
        } else {
            Failure::Passing {
                why,
                retry_after: None,
            }
        }),
        may_have_arrived,
        http_status: None,
        excerpt: None,
    }
}

async fn read(response: Response) -> Reply {
    Reply {
        status: response.status(),
        retry_after: retry_after(response.headers()),
        text: beginning(response).await,
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
    // PostgreSQL keeps no NUL
    String::from_utf8_lossy(&body).replace('\0', "\u{FFFD}")
}

/// `Retry-After`, in seconds or as a date; a date is compared with the receiver's own.
fn retry_after(headers: &HeaderMap) -> Option<Duration> {
    let text = headers.get(RETRY_AFTER)?.to_str().ok()?.trim();
    if let Ok(seconds) = text.parse() {
        return Some(believed(Duration::from_secs(seconds)));
    }
    let then = httpdate::parse_http_date(text).ok()?;
    let now = httpdate::parse_http_date(headers.get(DATE)?.to_str().ok()?).ok()?;
    Some(believed(then.duration_since(now).unwrap_or_default()))
}

/// Between 5 s and an hour.
pub(super) fn believed(wait: Duration) -> Duration {
    wait.clamp(
        Duration::from_secs(*RETRY_AFTER_S.start()),
        Duration::from_secs(*RETRY_AFTER_S.end()),
    )
}

impl Reply {
    /// As most say it: 2xx is accepted, 408, 425, 429 and 5xx are worth another try, every other answer is final.
    pub(super) fn judged_by_status(self) -> Answer {
        if self.status.is_success() {
            self.accepted()
        } else if self.is_worth_another_try() {
            self.failed_for_now()
        } else {
            self.refused()
        }
    }

    /// A status that says "later", not "no".
    pub(super) fn is_worth_another_try(&self) -> bool {
        self.status.is_server_error()
            || matches!(
                self.status,
                StatusCode::REQUEST_TIMEOUT | StatusCode::TOO_EARLY | StatusCode::TOO_MANY_REQUESTS
            )
    }

    /// The answer as JSON; null if it is none.
    pub(super) fn json(&self) -> serde_json::Value {
        serde_json::from_str(&self.text).unwrap_or_default()
    }

    pub(super) fn accepted(self) -> Answer {
        self.answer(None)
    }

    /// Worth another try.
    pub(super) fn failed_for_now(self) -> Answer {
        let failure = Failure::Passing {
            why: self.said(),
            retry_after: self.retry_after,
        };
        self.answer(Some(failure))
    }

    /// Trying again would change nothing.
    pub(super) fn refused(self) -> Answer {
        let failure = Failure::Final(self.said());
        self.answer(Some(failure))
    }

    /// The receiver is gone for good: the channel is disabled.
    pub(super) fn gone(self) -> Answer {
        let failure = Failure::Gone(self.said());
        self.answer(Some(failure))
    }

    fn said(&self) -> String {
        let said = clip(self.text.trim(), SAID);
        let colon = if said.is_empty() { "" } else { ": " };
        format!(
            "the receiver answered {}{colon}{said}",
            self.status.as_u16()
        )
    }

    fn answer(self, failure: Option<Failure>) -> Answer {
        Answer {
            failure,
            may_have_arrived: self.status.is_success() || self.status.is_server_error(),
            http_status: Some(self.status.as_u16()),
            excerpt: Some(clip(&self.text, EXCERPT).to_owned()),
        }
    }
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
    fn a_receiver_may_say_when_in_two_ways() {
        let date = "Tue, 15 Nov 1994 08:12:31 GMT";
        for (retry_after, date, seconds) in [
            ("120", None, Some(120)),
            ("0", None, Some(5)),
            ("86400", None, Some(3600)),
            ("Tue, 15 Nov 1994 08:14:31 GMT", Some(date), Some(120)),
            ("Tue, 15 Nov 1994 08:14:31 GMT", None, None),
            ("soon", Some(date), None),
        ] {
            let mut headers = HeaderMap::new();
            headers.insert(RETRY_AFTER, retry_after.parse().expect("a header"));
            if let Some(date) = date {
                headers.insert(DATE, date.parse().expect("a header"));
            }
            let wait = super::retry_after(&headers).map(|wait| wait.as_secs());
            assert_eq!(wait, seconds, "{retry_after}");
        }
    }
}
