//! A client of the API, as thin as a test can use it: JSON in, status and JSON out.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};

use reqwest::{Client, Method, RequestBuilder, StatusCode};
use serde_json::{Value, json};
use stalker_domain::wire::{AGENT_TOKEN_HEADER, API_KEY_HEADER, REGISTER_KEY_HEADER};

use crate::agent::{Agent, install_crypto_provider};

/// One server's API with the keys for it.
#[derive(Debug, Clone)]
pub struct Api {
    /// Where it listens, without a slash at the end.
    pub url: String,
    api_key: String,
    register_key: String,
    client: Client,
    /// What the server gave to agents, by the names of their hosts.
    tokens: Arc<Mutex<BTreeMap<String, String>>>,
}

/// An answer's status and body; a body that is no JSON is a JSON string.
pub type Answer = (StatusCode, Value);

impl Api {
    /// A client for the server at `url`.
    ///
    /// # Panics
    /// If an HTTP client cannot be made.
    #[must_use]
    pub fn new(url: &str, api_key: &str, register_key: &str) -> Self {
        install_crypto_provider();
        let client = Client::builder()
            .no_proxy()
            .build()
            .expect("a client can be made");
        Self {
            url: url.trim_end_matches('/').to_owned(),
            api_key: api_key.to_owned(),
            register_key: register_key.to_owned(),
            client,
            tokens: Arc::default(),
        }
    }

    /// A request with the API key.
    pub fn request(&self, method: Method, path: &str) -> RequestBuilder {
        self.client
            .request(method, format!("{}{path}", self.url))
            .header(API_KEY_HEADER, &self.api_key)
    }

    /// GET, whatever the answer is.
    pub async fn get(&self, path: &str) -> Answer {
        answer(self.request(Method::GET, path)).await
    }

    /// POST, whatever the answer is.
    pub async fn post(&self, path: &str, body: &Value) -> Answer {
        answer(self.request(Method::POST, path).json(body)).await
    }

    /// DELETE, whatever the answer is.
    pub async fn delete(&self, path: &str) -> Answer {
        answer(self.request(Method::DELETE, path)).await
    }

    /// GET with the answer 200; gives the body.
    ///
    /// # Panics
    /// At any other answer.
    pub async fn read(&self, path: &str) -> Value {
        let (status, body) = self.get(path).await;
        assert_eq!(status, StatusCode::OK, "GET {path}: {body}");
        body
    }

    /// Registers with the register key, whatever the answer is. A token that is given is shown the next time, as agents do.
    pub async fn register(&self, registration: &Value) -> Answer {
        let hostname = registration["hostname"].as_str().unwrap_or_default();
        let known = || self.tokens.lock().expect("no test panics with it");
        let mut request = self
            .client
            .post(format!("{}/register", self.url))
            .header(REGISTER_KEY_HEADER, &self.register_key);
        let token = known().get(hostname).cloned();
        if let Some(token) = token {
            request = request.header(AGENT_TOKEN_HEADER, token);
        }
        let (status, body) = answer(request.json(registration)).await;
        if let Some(token) = body["token"].as_str() {
            known().insert(hostname.to_owned(), token.to_owned());
        }
        (status, body)
    }

    /// Registers a host whose checks, all with this interval, a simulated agent answers.
    ///
    /// # Panics
    /// If the server refuses it.
    pub async fn register_simulated(
        &self,
        agent: &Agent,
        hostname: &str,
        checks: &[&str],
        interval_s: u32,
    ) {
        let checks: serde_json::Map<_, _> = checks
            .iter()
            .map(|name| ((*name).to_owned(), json!({"args": "", "interval": interval_s, "follow_up": interval_s, "priority": 1})))
            .collect();
        let (status, body) = self
            .register(&json!({
                "hostname": hostname, "ip": "127.0.0.1", "port": agent.port(), "cert_sha256": agent.cert_sha256(),
                "agent_version": "simulated", "roles": ["simulated"], "checks": checks,
            }))
            .await;
        assert_eq!(status, StatusCode::OK, "registering {hostname}: {body}");
    }

    /// The host's check of this name, if there is one.
    ///
    /// # Panics
    /// If the server's answer is neither 200 nor 404.
    pub async fn check(&self, hostname: &str, name: &str) -> Option<Value> {
        let (status, body) = self.get(&format!("/checks/host/{hostname}")).await;
        assert!(
            matches!(status, StatusCode::OK | StatusCode::NOT_FOUND),
            "{status}: {body}"
        );
        body["checks"]
            .as_array()?
            .iter()
            .find(|check| check["check"] == name)
            .cloned()
    }
}

async fn answer(request: RequestBuilder) -> Answer {
    let response = request.send().await.expect("the API answers");
    let status = response.status();
    let text = response.text().await.expect("the answer arrives whole");
    (
        status,
        serde_json::from_str(&text).unwrap_or(Value::String(text)),
    )
}
