//! The API, as the command line calls it: JSON in, JSON out, and every way in which that can fail said for people.

use std::time::Duration;

use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};
use reqwest::header::{COOKIE, ETAG, HeaderValue, IF_MATCH, SET_COOKIE, USER_AGENT};
use reqwest::{Certificate, Method, RequestBuilder, Response, StatusCode};
use serde_json::Value;
use stalker_domain::wire::{API_KEY_HEADER, KEY_REFUSED};

use crate::context::{Credentials, Server};
use crate::failure::Failure;

/// Until a connection stands.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);
/// Bytes of one answer: more than the largest list that anybody would read in a terminal.
const LONGEST_ANSWER: usize = 512 * 1024 * 1024;
/// All but what RFC 3986 leaves alone.
const ESCAPED: AsciiSet = NON_ALPHANUMERIC
    .remove(b'-')
    .remove(b'.')
    .remove(b'_')
    .remove(b'~');

/// What a thing was like when it was seen.
#[derive(Debug)]
pub(crate) struct Version(Option<HeaderValue>);

/// One server, and who we are to it.
#[derive(Debug, Clone)]
pub(crate) struct Client {
    http: reqwest::Client,
    server: Server,
}

impl Client {
    /// # Errors
    /// If the server's certificate authority cannot be read.
    pub(crate) fn new(server: Server) -> Result<Self, Failure> {
        let mut builder = reqwest::Client::builder()
            .connect_timeout(CONNECT_TIMEOUT.min(server.timeout))
            // between two pieces of an answer: a long list takes its time, a server that hangs does not get it
            .read_timeout(server.timeout)
            // a key is shown to the server that it was given for, and to no other
            .redirect(reqwest::redirect::Policy::none());
        if let Some(file) = &server.ca_file {
            let wrong = |why: String| {
                Failure::usage(format!(
                    "cannot use the certificates in {}: {why}",
                    file.display()
                ))
            };
            let pem = std::fs::read(file).map_err(|error| wrong(error.to_string()))?;
            let authorities =
                Certificate::from_pem_bundle(&pem).map_err(|error| wrong(error.to_string()))?;
            builder = authorities
                .into_iter()
                .fold(builder, reqwest::ClientBuilder::add_root_certificate);
        }
        let http = builder
            .build()
            .map_err(|error| Failure::usage(format!("no HTTP client can be made: {error}")))?;
        Ok(Self { http, server })
    }

    /// Where the server is, without a slash at the end.
    pub(crate) fn url(&self) -> &str {
        &self.server.url
    }

    /// Who signed in, if somebody did.
    pub(crate) fn user(&self) -> Option<&str> {
        self.server.user.as_deref()
    }

    /// GET. `path` begins with a slash; what is put into it is escaped by [`escaped`].
    ///
    /// # Errors
    /// If the server refuses, or does not answer.
    pub(crate) async fn get(&self, path: &str) -> Result<Value, Failure> {
        self.ask(self.request(Method::GET, path)).await
    }

    /// GET of one thing, which the answer has under `field`.
    ///
    /// # Errors
    /// As [`Client::get`].
    pub(crate) async fn one(&self, path: &str, field: &str) -> Result<Value, Failure> {
        let document = self.get(path).await?;
        self.require(document[field].is_object(), field)?;
        Ok(document)
    }

    /// GET of a list, which the answer has under `field`. `filters` go behind the `?`; those that are `None` are left out.
    ///
    /// # Errors
    /// As [`Client::get`]. A list that breaks off is no list.
    pub(crate) async fn list(
        &self,
        path: &str,
        field: &str,
        filters: &[(&str, Option<String>)],
    ) -> Result<Value, Failure> {
        self.list_within(path, &[field], filters).await
    }

    /// As [`Client::list`], of a list that lies deeper in the answer.
    ///
    /// # Errors
    /// As [`Client::list`].
    pub(crate) async fn list_within(
        &self,
        path: &str,
        fields: &[&str],
        filters: &[(&str, Option<String>)],
    ) -> Result<Value, Failure> {
        let filters: Vec<_> = filters
            .iter()
            .filter_map(|(name, value)| Some((*name, value.as_ref()?)))
            .collect();
        let document = self
            .ask(self.request(Method::GET, path).query(&filters))
            .await?;
        let list = fields
            .iter()
            .fold(&document, |document, field| &document[field]);
        self.require(list.is_array(), &fields.join("."))?;
        Ok(document)
    }

    /// # Errors
    /// If it is not so: then the server is one of another kind.
    pub(crate) fn require(&self, is_there: bool, field: &str) -> Result<(), Failure> {
        if is_there {
            return Ok(());
        }
        Err(self.unintelligible(&format!("its answer has no {field:?}")))
    }

    /// GET of what can be changed, with the version that [`Client::change`] takes.
    ///
    /// # Errors
    /// As [`Client::get`].
    pub(crate) async fn versioned(&self, path: &str) -> Result<(Value, Version), Failure> {
        let response = self.send(self.request(Method::GET, path)).await?;
        let version = Version(response.headers().get(ETAG).cloned());
        Ok((self.answer(response).await?, version))
    }

    /// Changes what is still as it was seen; without a body, deletes it.
    ///
    /// # Errors
    /// As [`Client::get`], and if somebody else has changed it meanwhile.
    pub(crate) async fn change(
        &self,
        method: Method,
        path: &str,
        body: Option<&Value>,
        Version(version): Version,
    ) -> Result<Value, Failure> {
        let mut request = self.request(method, path);
        if let Some(version) = version {
            request = request.header(IF_MATCH, version);
        }
        if let Some(body) = body {
            request = request.json(body);
        }
        self.ask(request).await
    }

    /// POST.
    ///
    /// # Errors
    /// As [`Client::get`].
    pub(crate) async fn post(&self, path: &str, body: &Value) -> Result<Value, Failure> {
        self.ask(self.request(Method::POST, path).json(body)).await
    }

    /// DELETE.
    ///
    /// # Errors
    /// As [`Client::get`].
    pub(crate) async fn delete(&self, path: &str) -> Result<Value, Failure> {
        self.ask(self.request(Method::DELETE, path)).await
    }

    /// Opens a session with a password; gives its cookie as it is to be shown.
    ///
    /// # Errors
    /// If they are wrong, or the server does not answer.
    pub(crate) async fn sign_in(&self, username: &str, password: &str) -> Result<String, Failure> {
        let form = [
            ("username", username),
            ("password", password),
            ("remember_me", "yes"),
        ];
        let response = self
            .send(self.request(Method::POST, "/signin").form(&form))
            .await?;
        match response.status() {
            status if status.is_redirection() => {}
            StatusCode::UNAUTHORIZED => {
                return Err(Failure::refused(401, "wrong user or password"));
            }
            StatusCode::TOO_MANY_REQUESTS => {
                return Err(Failure::refused(429, "too many tries")
                    .hint("wait half a minute, then try again"));
            }
            _ => {
                self.answer(response).await?;
                return Err(self.unintelligible("it does not sign anybody in"));
            }
        }
        let cookie = response
            .headers()
            .get(SET_COOKIE)
            .and_then(|cookie| cookie.to_str().ok());
        let pair = cookie.and_then(|cookie| cookie.split(';').next());
        pair.map(str::to_owned)
            .ok_or_else(|| self.unintelligible("it gives no session"))
    }

    /// Ends the session at the server. One that has ended already is no failure.
    ///
    /// # Errors
    /// If the server does not answer.
    pub(crate) async fn sign_out(&self) -> Result<(), Failure> {
        let response = self.send(self.request(Method::POST, "/signout")).await?;
        match response.status() {
            status if status.is_redirection() || status == StatusCode::UNAUTHORIZED => Ok(()),
            _ => self.answer(response).await.map(|_| ()),
        }
    }

    fn request(&self, method: Method, path: &str) -> RequestBuilder {
        let request = self
            .http
            .request(method, format!("{}{path}", self.server.url))
            .header(USER_AGENT, concat!("stalker/", env!("CARGO_PKG_VERSION")))
            // what a page of the server's own would say: nobody made us send this
            .header("sec-fetch-site", "same-origin");
        match &self.server.credentials {
            Credentials::Key(key) => request.header(API_KEY_HEADER, key),
            Credentials::Session(cookie) => request.header(COOKIE, cookie),
            Credentials::None => request,
        }
    }

    async fn ask(&self, request: RequestBuilder) -> Result<Value, Failure> {
        self.answer(self.send(request).await?).await
    }

    async fn send(&self, request: RequestBuilder) -> Result<Response, Failure> {
        request.send().await.map_err(|error| self.no_answer(&error))
    }

    async fn answer(&self, mut response: Response) -> Result<Value, Failure> {
        let status = response.status();
        let mut body = Vec::new();
        while let Some(piece) = response
            .chunk()
            .await
            .map_err(|error| self.no_answer(&error))?
        {
            body.extend_from_slice(&piece);
            if body.len() > LONGEST_ANSWER {
                return Err(self.unintelligible("its answer does not end"));
            }
        }
        if !status.is_success() {
            return Err(self.refusal(status, response.url().path(), &body));
        }
        // plain text, such as hosts by their beginning, is a string
        match serde_json::from_slice(&body) {
            Ok(value) => Ok(value),
            Err(_) if response_is_text(&body) => {
                Ok(Value::String(String::from_utf8_lossy(&body).into_owned()))
            }
            Err(_) => Err(self.unintelligible("its answer is no JSON")),
        }
    }

    fn refusal(&self, status: StatusCode, path: &str, body: &[u8]) -> Failure {
        let problem: Value = serde_json::from_slice(body).unwrap_or_default();
        let Some(detail) = problem["detail"].as_str() else {
            return match status.as_u16() {
                502..=504 => Failure::unreachable(format!(
                    "{} is not there: what stands before it answers {status}",
                    self.url()
                ))
                .hint("try again in a moment"),
                // some servers refuse without a word, as the original's
                refused => self
                    .unintelligible(&format!("it answers {status}"))
                    .status(refused),
            };
        };
        if matches!(status.as_u16(), 502 | 504) {
            // our server is there, another cluster is not
            return Failure::unreachable(detail)
                .hint("`stalker clusters list` shows which can be reached");
        }
        let failure = Failure::refused(status.as_u16(), detail);
        let is_global = path.starts_with("/global/");
        match status.as_u16() {
            400 if is_global => {
                failure.hint("`stalker clusters list` shows which clusters there are")
            }
            403 if detail.contains(KEY_REFUSED) => failure.hint(
                "an admin of this server can give it a key with more access, by clusters.ID.key",
            ),
            // of things that are the other cluster's
            404 if is_global => failure,
            401 => failure.hint(format!("sign in: stalker login {}", self.url())),
            403 => failure.hint(
                "ask an admin for a key or a user with more access, or use another: stalker login",
            ),
            404 => match noun(path) {
                Some(noun) => failure.hint(format!("`stalker {noun} list` shows what there is")),
                None => failure,
            },
            412 => failure.hint("look again, then repeat the command"),
            429 | 503 => failure.hint("try again in a moment"),
            _ => failure,
        }
    }

    fn no_answer(&self, error: &reqwest::Error) -> Failure {
        let mut cause: &dyn std::error::Error = error;
        while let Some(deeper) = cause.source() {
            cause = deeper;
        }
        if error.is_body() || error.is_decode() {
            let url = self.url();
            let why =
                format!("the answer of {url} broke off, and half of it is not shown: {cause}");
            return Failure::unreachable(why).hint("try again in a moment");
        }
        let why = match error.is_timeout() {
            true => "it did not answer in time".to_owned(),
            false => cause.to_string(),
        };
        Failure::unreachable(format!("cannot reach {}: {why}", self.url()))
            .hint("is it running, and is this its address? `stalker context list` shows what is configured")
    }

    fn unintelligible(&self, why: &str) -> Failure {
        Failure::unreachable(format!(
            "{} is no Stalker server of this version: {why}",
            self.url()
        ))
        .hint("is this its address? `stalker context list` shows what is configured")
    }
}

/// What lists the things that this path is about.
fn noun(path: &str) -> Option<&'static str> {
    Some(match path.split('/').nth(1)? {
        "checks" | "samples" | "state_log" => "checks",
        "hosts" | "notes" => "hosts",
        "alerts" => "alerts",
        "maintenances" => "maintenances",
        "notifications" => "notifications",
        "channels" => "channels",
        "keys" => "keys",
        "user" => "users",
        "sessions" => "sessions",
        "stats" => "clusters",
        _ => return None,
    })
}

/// Whether it can be what `/findhost` answers, and not a page.
fn response_is_text(body: &[u8]) -> bool {
    std::str::from_utf8(body).is_ok_and(|text| !text.trim_start().starts_with(['<', '{', '[']))
}

/// As one part of a path: names of hosts hold blanks, slashes and worse.
pub(crate) fn escaped(name: &str) -> String {
    utf8_percent_encode(name, &ESCAPED).to_string()
}
