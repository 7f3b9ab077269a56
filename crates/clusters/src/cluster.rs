//! One other cluster: where it is, what opens it, and what it said last.

use std::error::Error as _;
use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, ensure};
use reqwest::header::{HeaderName, HeaderValue};
use reqwest::{Certificate, Client, Method, StatusCode, Url};
use serde_json::Value;
use stalker_domain::wire::{API_KEY_HEADER, KEY_REFUSED};

use crate::Config;
use crate::answers::{self, Checks, Numbers, shown};
use crate::kept::{Kept, Look};

/// Says for whom a cluster acts at another one: a name there, and the cluster, as in `ann@east`. Whoever has the key may say
/// anything: it is a note for people who ask later, and opens nothing.
pub const ON_BEHALF_OF_HEADER: &str = "x-on-behalf-of";
/// Bytes of a list that are read: 30,000 failing checks.
const LONGEST_LIST: usize = 16 * 1024 * 1024;
/// Bytes of any other answer.
const LONGEST_ANSWER: usize = 64 * 1024;
/// The most that a cluster is waited for to see whether it is there: a scheduler that waits does nothing else.
const REACH_TIMEOUT: Duration = Duration::from_secs(5);
/// A kept connection that is not used is closed before a server of ours would: what is asked meanwhile would be lost.
const IDLE: Duration = Duration::from_secs(7);
/// A shorter key may stand in an answer by chance.
const TELLING: usize = 12;
/// The lists that are kept.
const STATES: [&str; 4] = ["alerting", "pending", "in_maintenance", "suspended"];

/// Another cluster.
pub struct Cluster {
    wire: Arc<Wire>,
    ttl: Duration,
    lists: [Kept<Checks>; STATES.len()],
    numbers: Kept<Numbers>,
}

/// How it is called.
struct Wire {
    id: String,
    host: String,
    key: HeaderValue,
    http: Client,
    timeout: Duration,
}

/// What a cluster said.
#[derive(Debug)]
pub struct Reply {
    /// The HTTP status.
    pub status: StatusCode,
    /// The body, whole.
    pub body: Vec<u8>,
}

/// Why there is no reply, for people; what the cluster's address is they know.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Failure {
    /// There was no connection: nothing was asked.
    Unreached(String),
    /// It was asked, and did not answer in whole: it may have done what it was asked to.
    Unanswered(String),
}

impl Failure {
    /// What happened.
    #[must_use]
    pub fn why(self) -> String {
        match self {
            Self::Unreached(why) | Self::Unanswered(why) => why,
        }
    }
}

impl Cluster {
    pub(crate) fn new(
        id: &str,
        config: &Config,
        timeout: Duration,
        ttl: Duration,
    ) -> anyhow::Result<Self> {
        let mut key = HeaderValue::from_str(&config.key)
            .ok()
            .filter(|key| !key.is_empty())
            .context("key is empty, or has characters that no key has")?;
        key.set_sensitive(true);
        let mut http = Client::builder()
            // sooner than all of it, so that it is known whether anything was asked
            .connect_timeout(timeout * 3 / 4)
            .timeout(timeout)
            .pool_idle_timeout(IDLE)
            // a key is shown to the cluster that it was given for, and to no other
            .redirect(reqwest::redirect::Policy::none());
        if let Some(file) = &config.ca_file {
            let pem = std::fs::read(file)
                .with_context(|| format!("ca_file: cannot read {}", file.display()))?;
            let authorities = Certificate::from_pem_bundle(&pem)?;
            ensure!(
                !authorities.is_empty(),
                "ca_file: {} has no certificate",
                file.display()
            );
            http = authorities
                .into_iter()
                .fold(http, reqwest::ClientBuilder::add_root_certificate);
        }
        Ok(Self {
            wire: Arc::new(Wire {
                id: id.to_owned(),
                host: host(&config.host)?,
                key,
                http: http.build()?,
                timeout,
            }),
            ttl,
            lists: Default::default(),
            numbers: Kept::default(),
        })
    }

    /// Its id, which is meant to be what it calls itself.
    #[must_use]
    pub fn id(&self) -> &str {
        &self.wire.id
    }

    /// Its URL, without a slash at the end.
    #[must_use]
    pub fn host(&self) -> &str {
        &self.wire.host
    }

    /// Whether its key can be read on the way there.
    #[must_use]
    pub fn is_overheard(&self) -> bool {
        let Ok(url) = Url::parse(&self.wire.host) else {
            return true;
        };
        let name = url.host_str().unwrap_or_default();
        let address = name.trim_matches(['[', ']']).parse::<IpAddr>();
        let is_here = name == "localhost" || address.is_ok_and(|address| address.is_loopback());
        url.scheme() == "http" && !is_here
    }

    /// Its checks in a state of the API's path, as far as they are known. `None` if there is no such state.
    pub async fn checks(&self, state: &str) -> Option<Look<Checks>> {
        let at = STATES.iter().position(|known| *known == state)?;
        let state = STATES[at];
        let ask = || {
            let wire = Arc::clone(&self.wire);
            async move {
                let path = format!("/checks/state/{state}");
                let body = wire.get(&path, LONGEST_LIST).await?;
                Checks::read(body, state).await
            }
        };
        Some(self.lists[at].look(self.ttl, self.patience(), ask).await)
    }

    /// Its numbers, as far as they are known.
    pub async fn numbers(&self) -> Look<Numbers> {
        let ask = || {
            let wire = Arc::clone(&self.wire);
            async move {
                let body = wire.get("/stats", LONGEST_ANSWER).await?;
                Numbers::read(&body, &wire.id)
            }
        };
        self.numbers.look(self.ttl, self.patience(), ask).await
    }

    /// Whether it is there, asked just now: it answers as one of its kind, even if only to refuse our key. Gives what people
    /// should know of its answer.
    ///
    /// # Errors
    /// Why it counts as not reached.
    pub async fn reach(&self) -> Result<Option<String>, String> {
        let reply = self
            .wire
            .send(Method::GET, "/stats", None, None, LONGEST_ANSWER);
        let reply = tokio::time::timeout(REACH_TIMEOUT, reply).await;
        let reply = reply.unwrap_or_else(|_| Err(Failure::Unanswered(late(REACH_TIMEOUT))));
        let reply = reply.map_err(Failure::why)?;
        match reply.status {
            StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN => return Ok(accepted(&reply).err()),
            // it will let us in again
            StatusCode::TOO_MANY_REQUESTS => return Ok(None),
            _ => accepted(&reply)?,
        }
        let numbers = Numbers::read(&reply.body, &self.wire.id)?;
        let is_called_so = numbers.of == self.wire.id;
        Ok((!is_called_so).then(|| {
            shown(&format!(
                "call it what it calls itself, so that everybody who sees it means the same: {:?}",
                numbers.of
            ))
        }))
    }

    /// Lets it do something for somebody of ours. What is kept of it is asked for anew afterwards.
    ///
    /// # Errors
    /// If it does not answer.
    pub async fn act(
        &self,
        method: Method,
        path: &str,
        body: Option<&Value>,
        on_behalf_of: &str,
    ) -> Result<Reply, Failure> {
        let reply = self
            .wire
            .send(method, path, body, Some(on_behalf_of), LONGEST_ANSWER);
        let reply = reply.await;
        self.lists.iter().for_each(Kept::expire);
        self.numbers.expire();
        reply
    }

    /// A reply to a question, whatever it is.
    ///
    /// # Errors
    /// If it does not answer.
    pub async fn ask(&self, path: &str) -> Result<Reply, Failure> {
        self.wire
            .send(Method::GET, path, None, None, LONGEST_ANSWER)
            .await
    }

    /// As [`Cluster::ask`], where a list is expected.
    ///
    /// # Errors
    /// If it does not answer.
    pub async fn list(&self, path: &str) -> Result<Reply, Failure> {
        self.wire
            .send(Method::GET, path, None, None, LONGEST_LIST)
            .await
    }

    /// After how long a question that failed is asked again.
    fn patience(&self) -> Duration {
        self.wire.timeout.min(self.ttl)
    }
}

impl Wire {
    /// The body of a good answer, or why there is none.
    async fn get(&self, path: &str, longest: usize) -> Result<Vec<u8>, String> {
        let reply = self.send(Method::GET, path, None, None, longest).await;
        let reply = reply.map_err(Failure::why)?;
        accepted(&reply)?;
        Ok(reply.body)
    }

    async fn send(
        &self,
        method: Method,
        path: &str,
        body: Option<&Value>,
        on_behalf_of: Option<&str>,
        longest: usize,
    ) -> Result<Reply, Failure> {
        let mut request = self
            .http
            .request(method, format!("{}{path}", self.host))
            .header(HeaderName::from_static(API_KEY_HEADER), self.key.clone());
        if let Some(body) = body {
            request = request.json(body);
        }
        if let Some(name) = on_behalf_of.and_then(header) {
            request = request.header(HeaderName::from_static(ON_BEHALF_OF_HEADER), name);
        }
        let failure = |error| self.failure(&error);
        let mut response = request.send().await.map_err(failure)?;
        let status = response.status();
        let mut body = Vec::new();
        while let Some(piece) = response.chunk().await.map_err(failure)? {
            if body.len() + piece.len() > longest {
                return Err(Failure::Unanswered(format!(
                    "its answer is longer than {} KiB",
                    longest / 1024
                )));
            }
            body.extend_from_slice(&piece);
        }
        // whoever looks at another cluster is not to learn what opens it
        let key = self.key.as_bytes();
        if key.len() >= TELLING && memchr::memmem::find(&body, key).is_some() {
            return Err(Failure::Unanswered(
                "its answer holds our key, and is not shown".to_owned(),
            ));
        }
        Ok(Reply { status, body })
    }

    /// In words that say what happened, without the URL.
    fn failure(&self, error: &reqwest::Error) -> Failure {
        let why = match (error.is_timeout(), error.is_connect()) {
            (true, true) => format!("no connection within {:?}", self.timeout * 3 / 4),
            (true, false) => late(self.timeout),
            (false, _) => {
                let mut cause: &dyn std::error::Error = error;
                while let Some(deeper) = cause.source() {
                    cause = deeper;
                }
                match error.source() {
                    // a certificate may hold any number of names
                    Some(_) => shown(&cause.to_string()),
                    None => "the request could not be made".to_owned(),
                }
            }
        };
        if error.is_connect() || error.is_builder() {
            Failure::Unreached(why)
        } else {
            Failure::Unanswered(why)
        }
    }
}

fn late(timeout: Duration) -> String {
    format!("no answer within {timeout:?}")
}

/// Whether a reply is what was asked for; else what it is, in its own words too.
fn accepted(reply: &Reply) -> Result<(), String> {
    match reply.status {
        status if status.is_success() => Ok(()),
        StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN => {
            Err(format!("it {KEY_REFUSED}: {}", answers::refusal(reply)))
        }
        _ => Err(format!("it answers: {}", answers::refusal(reply))),
    }
}

/// A URL that paths can be put behind.
fn host(host: &str) -> anyhow::Result<String> {
    // the error says what is wrong, and not what stands there: it may be a password
    let url = Url::parse(host).context("host is no URL, such as https://stalker.example.net")?;
    ensure!(
        matches!(url.scheme(), "http" | "https") && url.has_host(),
        "host begins with https:// or http://"
    );
    ensure!(
        url.username().is_empty() && url.password().is_none(),
        "host holds a user or a password, and everybody sees it: key is the place for secrets"
    );
    ensure!(
        url.query().is_none() && url.fragment().is_none(),
        "host holds a ? or a #: it is only where the cluster is found"
    );
    Ok(host.trim_end_matches('/').to_owned())
}

/// A name as a header can have it.
fn header(name: &str) -> Option<HeaderValue> {
    let name: String = name
        .chars()
        .map(|c| if c.is_control() { '?' } else { c })
        .collect();
    HeaderValue::from_bytes(name.as_bytes()).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_is_overheard_where_others_are_on_the_way() {
        rustls::crypto::ring::default_provider()
            .install_default()
            .ok();
        for (host, is_overheard) in [
            ("http://stalker.example.net", true),
            ("HTTP://10.0.0.1:5000/", true),
            ("https://stalker.example.net", false),
            ("http://localhost:5000", false),
            ("http://127.0.0.2:5000", false),
            ("http://[::1]:5000", false),
        ] {
            let config = Config {
                host: host.to_owned(),
                key: "key".to_owned(),
                ca_file: None,
            };
            let second = Duration::from_secs(1);
            let cluster = Cluster::new("west", &config, second, second).expect("it can be used");
            assert_eq!(cluster.is_overheard(), is_overheard, "{host}");
        }
    }
}
