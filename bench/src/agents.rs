//! The part of the agents: one process plays those of all hosts, over real HTTPS with kept connections. It stands
//! beside what is measured, on the same cores, so a request costs as little as it can.

use std::convert::Infallible;
use std::fmt::Write as _;
use std::net::Ipv4Addr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use hyper::header::{CONTENT_TYPE, HeaderValue};
use hyper::service::service_fn;
use hyper::{Request, Response, StatusCode};
use hyper_util::rt::TokioIo;
use nix::sys::resource::{Resource, getrlimit, setrlimit};
use rustls::ServerConfig;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, PrivatePkcs8KeyDer};
use rustls::server::NoServerSessionStorage;
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};
use stalker_domain::wire::CHECK_KEY_HEADER;
use tokio::net::{TcpListener, TcpStream};
use tokio_rustls::TlsAcceptor;

use crate::child::{self, Questions};
use crate::load::Answers;

/// What it is told.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct Task {
    /// What callers must show.
    pub(crate) check_key: String,
    pub(crate) answers: Answers,
    /// Seconds between two runs of a check: which turn it is follows from the time.
    pub(crate) interval_s: u32,
    /// Milliseconds from the request to the answer.
    pub(crate) after_ms: u32,
}

/// What it says.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct Seen {
    /// On 127.0.0.1.
    pub(crate) port: u16,
    /// Lower-case hex SHA-256 over the certificate's DER.
    pub(crate) cert_sha256: String,
    /// Since the start.
    pub(crate) requests: u64,
    /// Since the start.
    pub(crate) connections: u64,
}

pub(crate) async fn run(task: Task, mut asked: Questions) -> anyhow::Result<()> {
    allow_many_files()?;
    let (tls, cert_sha256) = certificate()?;
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await?;
    let port = listener.local_addr()?.port();
    let agents = Arc::new(Agents {
        task,
        requests: AtomicU64::new(0),
        connections: AtomicU64::new(0),
    });
    let serving = tokio::spawn(serve(listener, TlsAcceptor::from(tls), agents.clone()));
    child::answer(&mut asked, || Seen {
        port,
        cert_sha256: cert_sha256.clone(),
        requests: agents.requests.load(Ordering::Relaxed),
        connections: agents.connections.load(Ordering::Relaxed),
    })
    .await?;
    serving.abort();
    Ok(())
}

/// A connection is a file, and every host has its own.
fn allow_many_files() -> anyhow::Result<()> {
    let (_, most) = getrlimit(Resource::RLIMIT_NOFILE)?;
    setrlimit(Resource::RLIMIT_NOFILE, most, most)?;
    Ok(())
}

/// One certificate for all, of the kind that an agent makes itself.
fn certificate() -> anyhow::Result<(Arc<ServerConfig>, String)> {
    let key = rcgen::KeyPair::generate_for(&rcgen::PKCS_ECDSA_P256_SHA256)?;
    let made = rcgen::CertificateParams::default().self_signed(&key)?;
    let certificate = CertificateDer::from(made);
    let sha256 = Sha256::digest(&certificate)
        .iter()
        .fold(String::new(), |mut hex, byte| {
            let _ = write!(hex, "{byte:02x}");
            hex
        });
    let key = PrivateKeyDer::from(PrivatePkcs8KeyDer::from(key.serialize_der()));
    let mut tls = ServerConfig::builder()
        .with_no_client_auth()
        .with_single_cert(vec![certificate], key)?;
    // As an agent's: every connection shows the certificate.
    tls.session_storage = Arc::new(NoServerSessionStorage {});
    tls.send_tls13_tickets = 0;
    Ok((Arc::new(tls), sha256))
}

struct Agents {
    task: Task,
    requests: AtomicU64,
    connections: AtomicU64,
}

async fn serve(listener: TcpListener, acceptor: TlsAcceptor, agents: Arc<Agents>) {
    loop {
        match listener.accept().await {
            Ok((stream, _)) => {
                tokio::spawn(converse(stream, acceptor.clone(), agents.clone()));
            }
            // Out of files: others have to be closed first.
            Err(_) => tokio::time::sleep(Duration::from_millis(10)).await,
        }
    }
}

async fn converse(stream: TcpStream, acceptor: TlsAcceptor, agents: Arc<Agents>) {
    agents.connections.fetch_add(1, Ordering::Relaxed);
    let _ = stream.set_nodelay(true);
    // A caller that goes away is nothing to tell.
    let Ok(stream) = acceptor.accept(stream).await else {
        return;
    };
    let service = service_fn(|request: Request<_>| agents.answer(request));
    let _ = hyper::server::conn::http1::Builder::new()
        .auto_date_header(false)
        .serve_connection(TokioIo::new(stream), service)
        .await;
}

impl Agents {
    async fn answer<B>(&self, request: Request<B>) -> Result<Response<String>, Infallible> {
        self.requests.fetch_add(1, Ordering::Relaxed);
        let key = request.headers().get(CHECK_KEY_HEADER);
        if key.is_none_or(|key| key.as_bytes() != self.task.check_key.as_bytes()) {
            return Ok(refused(StatusCode::UNAUTHORIZED, "Unauthorized"));
        }
        let Some(check) = number_of(request.uri().path()) else {
            return Ok(refused(StatusCode::NOT_FOUND, "No such check"));
        };
        if self.task.after_ms > 0 {
            tokio::time::sleep(Duration::from_millis(self.task.after_ms.into())).await;
        }
        let (interval_s, turn) = (u64::from(self.task.interval_s.max(1)), self.turn());
        let mut response =
            Response::new(body(check, self.task.answers.of(check, turn, interval_s)));
        response
            .headers_mut()
            .insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
        Ok(response)
    }

    #[expect(
        clippy::disallowed_methods,
        reason = "it plays other machines, which have clocks of their own"
    )]
    fn turn(&self) -> u64 {
        let now = SystemTime::now()
            .duration_since(UNIX_EPOCH)
            .unwrap_or_default();
        now.as_secs() / u64::from(self.task.interval_s.max(1))
    }
}

/// Of `/check_17` 17.
fn number_of(path: &str) -> Option<u64> {
    path.strip_prefix("/check_")?.parse().ok()
}

/// The answer of wire.md, section 1. Nothing in an output of ours has to be escaped.
fn body(check: u64, (status, out): (i32, String)) -> String {
    let mut body = String::with_capacity(192);
    let _ = write!(
        body,
        "{{\"check_{check}\": {{\"status\": {status}, \"out\": \"{out}\", \"err\": \"\"}}}}\r\n"
    );
    body
}

fn refused(status: StatusCode, why: &str) -> Response<String> {
    let mut response = Response::new(why.to_owned());
    *response.status_mut() = status;
    response
}

#[cfg(test)]
mod tests {
    use stalker_domain::wire::AgentAnswer;

    use super::*;

    #[test]
    fn answers_are_an_agents() {
        let answers = Answers {
            values: 3,
            failing: 20,
            ..Answers::default()
        };
        for (check, turn) in [(7, 1), (7, 2), (7, 10), (99, 5)] {
            let said = answers.of(check, turn, 6);
            let answer: AgentAnswer =
                serde_json::from_str(&body(check, said.clone())).expect("it is JSON");
            let result = &answer[&format!("check_{check}")];
            assert_eq!((result.status, result.out.clone()), said);
        }
    }

    #[test]
    fn checks_have_numbers() {
        assert_eq!(number_of("/check_17"), Some(17));
        assert_eq!(number_of("/check_"), None);
        assert_eq!(number_of("/else"), None);
    }
}
