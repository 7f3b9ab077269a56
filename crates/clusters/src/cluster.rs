//! One other cluster: where it is, what opens it, and what it said last.

use std::error::Error as _;
use std::time::Duration;

use anyhow::{Context, ensure};
use reqwest::header::{HeaderName, HeaderValue};
use reqwest::{Certificate, Client, Method, StatusCode, Url};
use serde_json::Value;
use stalker_domain::wire::API_KEY_HEADER;

use crate::Config;
use crate::answers::{self, Checks, Numbers, shown};
use crate::kept::{Kept, Look};

/// Says for whom a cluster acts at another one: a name there, and the cluster, as in `ann@east`. Whoever has the key may say
/// anything: it is a note for people who ask later, and opens nothing.
pub const ON_BEHALF_OF_HEADER: &str = "x-on-behalf-of";
/// Bytes of an answer that are read: 30,000 failing checks.
const LONGEST_ANSWER: usize = 16 * 1024 * 1024;
/// The lists that are kept.
const STATES: [&str; 4] = ["alerting", "pending", "in_maintenance", "suspended"];

/// Another cluster.
pub struct Cluster {
    id: String,
    host: String,
    key: HeaderValue,
    http: Client,
    timeout: Duration,
    ttl: Duration,
    lists: [Kept<Checks>; STATES.len()],
    numbers: Kept<Numbers>,
}

/// What a cluster said.
#[derive(Debug)]
pub struct Reply {
    /// The HTTP status.
    pub status: StatusCode,
    /// The body, at most 16 MiB.
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
    fn words(self) -> String {
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
            .connect_timeout(timeout)
            .timeout(timeout)
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
            id: id.to_owned(),
            host: host(&config.host)?,
            key,
            http: http.build()?,
            timeout,
            ttl,
            lists: Default::default(),
            numbers: Kept::default(),
        })
    }

    /// Its id, which is meant to be what it calls itself.
    #[must_use]
    pub fn id(&self) -> &str {
        &self.id
    }

    /// Its URL, without a slash at the end.
    #[must_use]
    pub fn host(&self) -> &str {
        &self.host
    }

    /// Its checks in a state of the API's path, as far as they are known. `None` if there is no such state.
    pub async fn checks(&self, state: &str) -> Option<Look<Checks>> {
        let of_state = STATES.iter().position(|known| *known == state)?;
        let ask = async || {
            let body = self.get(&format!("/checks/state/{state}")).await?;
            Checks::read(&body, state)
                .map_err(|why| shown(&format!("its list cannot be read: {why}")))
        };
        Some(
            self.lists[of_state]
                .look(self.ttl, self.patience(), ask)
                .await,
        )
    }

    /// Its numbers, as far as they are known.
    pub async fn numbers(&self) -> Look<Numbers> {
        let ask = async || {
            let body = self.get("/stats").await?;
            Numbers::read(&body, &self.id)
                .map_err(|why| shown(&format!("its numbers cannot be read: {why}")))
        };
        self.numbers.look(self.ttl, self.patience(), ask).await
    }

    /// Whether it answers, asked just now. What it says is another question: a reply that refuses our key is one.
    ///
    /// # Errors
    /// Why it counts as not reached: no answer, or one that says that it is out of order.
    pub async fn reach(&self) -> Result<Reply, String> {
        let reply = self.send(Method::GET, "/stats", None, None).await;
        let reply = reply.map_err(Failure::words)?;
        if reply.status.is_server_error() {
            return Err(format!("it answers HTTP {}", reply.status.as_u16()));
        }
        Ok(reply)
    }

    /// What is wrong with a reply of [`Cluster::reach`], if people should know.
    #[must_use]
    pub fn trouble(&self, reply: &Reply) -> Option<String> {
        if let Err(why) = accepted(reply) {
            return Some(why);
        }
        match Numbers::read(&reply.body, &self.id) {
            Ok(numbers) if numbers.of == self.id => None,
            Ok(numbers) => Some(shown(&format!(
                "call it what it calls itself, so that everybody who sees it means the same: {:?}",
                numbers.of
            ))),
            Err(why) => Some(shown(&format!("its numbers cannot be read: {why}"))),
        }
    }

    /// Lets it do something for somebody of ours. Afterwards what is kept of it is asked for anew.
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
        let reply = self.send(method, path, body, Some(on_behalf_of)).await;
        for list in &self.lists {
            list.expire().await;
        }
        self.numbers.expire().await;
        reply
    }

    /// A reply to a question, whatever it is.
    ///
    /// # Errors
    /// If it does not answer.
    pub async fn ask(&self, path: &str) -> Result<Reply, Failure> {
        self.send(Method::GET, path, None, None).await
    }

    /// The body of a good answer, or why there is none.
    async fn get(&self, path: &str) -> Result<Vec<u8>, String> {
        let reply = self.ask(path).await.map_err(Failure::words)?;
        accepted(&reply)?;
        Ok(reply.body)
    }

    async fn send(
        &self,
        method: Method,
        path: &str,
        body: Option<&Value>,
        on_behalf_of: Option<&str>,
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
        let mut response = request.send().await.map_err(|error| self.failure(&error))?;
        let status = response.status();
        let mut body = Vec::new();
        while let Some(piece) = response
            .chunk()
            .await
            .map_err(|error| self.failure(&error))?
        {
            if body.len() + piece.len() > LONGEST_ANSWER {
                return Err(Failure::Unanswered(format!(
                    "its answer is longer than {} MiB",
                    LONGEST_ANSWER / 1024 / 1024
                )));
            }
            body.extend_from_slice(&piece);
        }
        // whoever looks at another cluster is not to learn what opens it
        let key = self.key.as_bytes();
        if body.windows(key.len()).any(|part| part == key) {
            return Err(Failure::Unanswered(
                "its answer holds our key, and is not shown".to_owned(),
            ));
        }
        Ok(Reply { status, body })
    }

    /// In words that say what happened, without the URL.
    fn failure(&self, error: &reqwest::Error) -> Failure {
        let why = if error.is_timeout() {
            format!("no answer within {} s", self.timeout.as_secs())
        } else {
            let mut cause: &dyn std::error::Error = error;
            while let Some(deeper) = cause.source() {
                cause = deeper;
            }
            match error.source() {
                Some(_) => cause.to_string(),
                None => "the request could not be made".to_owned(),
            }
        };
        if error.is_connect() || error.is_builder() {
            Failure::Unreached(why)
        } else {
            Failure::Unanswered(why)
        }
    }

    /// After how long a question that failed is asked again.
    fn patience(&self) -> Duration {
        self.timeout.min(self.ttl)
    }
}

/// Whether a reply is what was asked for; else what it is, in its own words too.
fn accepted(reply: &Reply) -> Result<(), String> {
    match reply.status {
        status if status.is_success() => Ok(()),
        StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN => Err(format!(
            "it does not let our key do this: {}",
            answers::refusal(reply)
        )),
        _ => Err(answers::refusal(reply)),
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
