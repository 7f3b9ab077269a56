//! A simulated agent: the agent's side of the wire without scripts, answering as it is told and counting.
//!
//! One is enough for any number of hosts. They share its address, so names tell them apart: a test that counts gives
//! every check a name of its own.

use std::collections::BTreeMap;
use std::io;
use std::net::SocketAddr;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, Once, PoisonError};
use std::time::{Duration, Instant};

use axum::body::{Body, Bytes};
use hyper::body::Incoming;
use hyper::service::service_fn;
use hyper::{Request, Response, StatusCode};
use hyper_util::rt::TokioIo;
use rustls::ServerConfig;
use rustls::crypto::ring::sign::any_ecdsa_type;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, PrivatePkcs8KeyDer};
use rustls::sign::{CertifiedKey, SingleCertAndKey};
use serde_json::json;
use sha2::{Digest, Sha256};
use stalker_domain::wire::CHECK_KEY_HEADER;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use tokio::task::{JoinHandle, JoinSet};
use tokio_rustls::TlsAcceptor;

/// What every simulated agent answers with until it is told otherwise.
const OK: (i32, &str) = (0, "OK - simulated");

/// A check's answer.
#[derive(Debug, Clone)]
enum Reply {
    /// The script's exit code and output, as an agent wraps them.
    Script(i32, String),
    /// HTTP status and body, whatever they are.
    Raw(StatusCode, Bytes),
    /// The request is heard and never answered.
    Never,
}

/// HTTPS on loopback, `GET /NAME` as in wire.md section 1, for every name. Dropped, it is gone.
#[derive(Debug)]
pub struct Agent {
    address: SocketAddr,
    script: Arc<Mutex<Script>>,
    identity: Identity,
    server: Option<JoinHandle<()>>,
}

/// How it behaves, and what it has seen.
#[derive(Debug, Default)]
struct Script {
    key: String,
    replies: BTreeMap<String, Reply>,
    delay: Duration,
    is_held: watch::Sender<bool>,
    is_mute: bool,
    cuts_left: usize,
    runs: BTreeMap<String, Vec<Instant>>,
    connections: usize,
}

/// A key and its self-signed certificate.
#[derive(Debug, Clone)]
struct Identity {
    certificate: CertificateDer<'static>,
    config: Arc<ServerConfig>,
}

impl Agent {
    /// Starts one that demands `key` in `X-CHECK-KEY`.
    ///
    /// # Panics
    /// If loopback cannot be listened on.
    pub async fn start(key: &str) -> Self {
        let script = Script {
            key: key.to_owned(),
            ..Script::default()
        };
        let mut agent = Self {
            address: SocketAddr::from(([127, 0, 0, 1], 0)),
            script: Arc::new(Mutex::new(script)),
            identity: Identity::new(),
            server: None,
        };
        agent.listen().await;
        agent
    }

    /// The port that it listens on; the same after a new start.
    #[must_use]
    pub fn port(&self) -> u16 {
        self.address.port()
    }

    /// The fingerprint that it would register: lower-case hex SHA-256 over the DER of its certificate.
    #[must_use]
    pub fn cert_sha256(&self) -> String {
        Sha256::digest(&self.identity.certificate)
            .iter()
            .map(|byte| format!("{byte:02x}"))
            .collect()
    }

    /// From now on the check's script exits with `status` and prints `out`.
    pub fn answer(&self, check: &str, status: i32, out: &str) {
        self.reply(check, Reply::Script(status, out.to_owned()));
    }

    /// From now on the check is answered with this HTTP status and body, whatever they are.
    ///
    /// # Panics
    /// If `status` is none of HTTP.
    pub fn answer_raw(&self, check: &str, status: u16, body: impl Into<Bytes>) {
        let status = StatusCode::from_u16(status).expect("a test answers with statuses of HTTP");
        self.reply(check, Reply::Raw(status, body.into()));
    }

    /// From now on the check's requests are heard, and counted, and never answered.
    pub fn never_answer(&self, check: &str) {
        self.reply(check, Reply::Never);
    }

    /// From now on every script takes this long.
    pub fn delay(&self, delay: Duration) {
        self.script().delay = delay;
    }

    /// From now on every script that begins lasts until [`Agent::release`].
    pub fn hold(&self) {
        self.script().is_held.send_replace(true);
    }

    /// All scripts that are held end now, and later ones are not held.
    pub fn release(&self) {
        self.script().is_held.send_replace(false);
    }

    /// From now on new connections are accepted and nothing is ever said on them.
    pub fn be_mute(&self, is_mute: bool) {
        self.script().is_mute = is_mute;
    }

    /// The next `n` requests that come on a connection which has served one before are heard, and counted, and their
    /// connections are closed instead of an answer.
    pub fn cut_reused(&self, n: usize) {
        self.script().cuts_left = n;
    }

    /// How many of the cuts of [`Agent::cut_reused`] were not made yet.
    #[must_use]
    pub fn cuts_left(&self) -> usize {
        self.script().cuts_left
    }

    /// How many connections were accepted so far.
    #[must_use]
    pub fn connections(&self) -> usize {
        self.script().connections
    }

    /// How often each check was run, counted when the request arrives.
    #[must_use]
    pub fn runs(&self) -> BTreeMap<String, usize> {
        let script = self.script();
        let counts = script.runs.iter();
        counts
            .map(|(check, at)| (check.clone(), at.len()))
            .collect()
    }

    /// When each check was run, as [`Agent::runs`] counts.
    #[must_use]
    pub fn run_times(&self) -> BTreeMap<String, Vec<Instant>> {
        self.script().runs.clone()
    }

    /// How often this check was run.
    #[must_use]
    pub fn runs_of(&self, check: &str) -> usize {
        self.script().runs.get(check).map_or(0, Vec::len)
    }

    /// Stops listening and cuts all connections: the agent is down, and its port refuses.
    pub async fn stop(&mut self) {
        if let Some(server) = self.server.take() {
            server.abort();
            // Only when the task is gone are its sockets closed; that it was cancelled is what we wanted.
            let _ = server.await;
        }
    }

    /// Starts again after [`Agent::stop`], on the same port and with the same certificate.
    ///
    /// # Panics
    /// If somebody has taken the port meanwhile.
    pub async fn start_again(&mut self) {
        self.stop().await;
        self.listen().await;
    }

    /// Starts again with a new key and certificate, as an agent whose state was lost.
    ///
    /// # Panics
    /// As [`Agent::start_again`].
    pub async fn start_again_with_new_certificate(&mut self) {
        self.identity = Identity::new();
        self.start_again().await;
    }

    /// Starts again with `other`'s key and certificate, as if it had moved to this address.
    ///
    /// # Panics
    /// As [`Agent::start_again`].
    pub async fn start_again_as(&mut self, other: &Self) {
        self.identity = other.identity.clone();
        self.start_again().await;
    }

    /// Starts again with its own certificate and a key that is not the certificate's: somebody who has only seen it.
    ///
    /// # Panics
    /// As [`Agent::start_again`].
    pub async fn start_again_with_foreign_key(&mut self) {
        self.identity = self.identity.with_foreign_key();
        self.start_again().await;
    }

    async fn listen(&mut self) {
        let listener = TcpListener::bind(self.address)
            .await
            .expect("the agent's port is free");
        self.address = listener
            .local_addr()
            .expect("a bound listener has an address");
        let acceptor = TlsAcceptor::from(Arc::clone(&self.identity.config));
        self.server = Some(tokio::spawn(serve(
            listener,
            acceptor,
            Arc::clone(&self.script),
        )));
    }

    fn reply(&self, check: &str, reply: Reply) {
        self.script().replies.insert(check.to_owned(), reply);
    }

    fn script(&self) -> MutexGuard<'_, Script> {
        lock(&self.script)
    }
}

impl Drop for Agent {
    fn drop(&mut self) {
        if let Some(server) = &self.server {
            server.abort();
        }
    }
}

impl Identity {
    fn new() -> Self {
        install_crypto_provider();
        let made = rcgen::generate_simple_self_signed(vec!["agent.invalid".to_owned()])
            .expect("a certificate can be made");
        let certificate = made.cert.der().clone();
        let key = PrivateKeyDer::from(PrivatePkcs8KeyDer::from(made.signing_key.serialize_der()));
        let config = ServerConfig::builder()
            .with_no_client_auth()
            .with_single_cert(vec![certificate.clone()], key)
            .expect("a certificate fits its own key");
        Self {
            certificate,
            config: Arc::new(config),
        }
    }

    fn with_foreign_key(&self) -> Self {
        let foreign = rcgen::generate_simple_self_signed(vec!["agent.invalid".to_owned()])
            .expect("a key can be made");
        let key = PrivateKeyDer::from(PrivatePkcs8KeyDer::from(
            foreign.signing_key.serialize_der(),
        ));
        let key = any_ecdsa_type(&key).expect("a key that was just made is one");
        // Nothing here looks whether they fit.
        let pair = SingleCertAndKey::from(CertifiedKey::new(vec![self.certificate.clone()], key));
        let config = ServerConfig::builder()
            .with_no_client_auth()
            .with_cert_resolver(Arc::new(pair));
        Self {
            certificate: self.certificate.clone(),
            config: Arc::new(config),
        }
    }
}

/// Makes ring the process's provider, as every executable of ours does in its first line.
pub(crate) fn install_crypto_provider() {
    static ONCE: Once = Once::new();
    ONCE.call_once(|| {
        rustls::crypto::ring::default_provider()
            .install_default()
            .expect("nobody else installs one")
    });
}

/// The connections end with this task, because it owns them.
async fn serve(listener: TcpListener, acceptor: TlsAcceptor, script: Arc<Mutex<Script>>) {
    let mut connections = JoinSet::new();
    loop {
        tokio::select! {
            accepted = listener.accept() => {
                if let Ok((stream, _)) = accepted {
                    connections.spawn(converse(stream, acceptor.clone(), Arc::clone(&script)));
                }
            }
            Some(_) = connections.join_next() => {}
        }
    }
}

async fn converse(stream: TcpStream, acceptor: TlsAcceptor, script: Arc<Mutex<Script>>) {
    lock(&script).connections += 1;
    if lock(&script).is_mute {
        std::future::pending::<()>().await;
    }
    // A caller that dislikes our certificate leaves here, and one that has what it wanted leaves below.
    let Ok(stream) = acceptor.accept(stream).await else {
        return;
    };
    let is_reused = AtomicBool::new(false);
    let service = service_fn(|request| {
        let is_reused = is_reused.swap(true, Ordering::Relaxed);
        answer(request, is_reused, Arc::clone(&script))
    });
    let _ = hyper::server::conn::http1::Builder::new()
        .serve_connection(TokioIo::new(stream), service)
        .await;
}

/// An error closes the connection without an answer.
async fn answer(
    request: Request<Incoming>,
    is_reused: bool,
    script: Arc<Mutex<Script>>,
) -> io::Result<Response<Body>> {
    let check = request.uri().path().trim_matches('/').to_owned();
    let key = request.headers().get(CHECK_KEY_HEADER);
    let (delay, mut is_held, reply) = {
        let mut script = lock(&script);
        if key.is_none_or(|key| key.as_bytes() != script.key.as_bytes()) {
            return Ok(response(StatusCode::UNAUTHORIZED, "Unauthorized"));
        }
        let runs = script.runs.entry(check.clone()).or_default();
        runs.push(Instant::now());
        if is_reused && script.cuts_left > 0 {
            script.cuts_left -= 1;
            return Err(io::ErrorKind::ConnectionAborted.into());
        }
        (
            script.delay,
            script.is_held.subscribe(),
            script.replies.get(&check).cloned(),
        )
    };
    if !delay.is_zero() {
        tokio::time::sleep(delay).await;
    }
    // An error says that the agent is gone, and then so is this connection.
    let _ = is_held.wait_for(|is_held| !is_held).await;
    let (status, out) = match reply.unwrap_or_else(|| Reply::Script(OK.0, OK.1.to_owned())) {
        Reply::Script(status, out) => (status, out),
        Reply::Raw(status, body) => return Ok(response(status, body)),
        Reply::Never => std::future::pending().await,
    };
    let body = json!({check: {"status": status, "out": out, "err": ""}}).to_string() + "\r\n";
    Ok(response(StatusCode::OK, body))
}

fn response(status: StatusCode, body: impl Into<Body>) -> Response<Body> {
    Response::builder()
        .status(status)
        .body(body.into())
        .expect("a status and a text make a response")
}

fn lock(script: &Mutex<Script>) -> MutexGuard<'_, Script> {
    script.lock().unwrap_or_else(PoisonError::into_inner)
}
