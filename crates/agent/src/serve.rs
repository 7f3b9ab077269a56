//! HTTPS: accepts connections, bounds what each may take, and ends them in order.

use std::io;
use std::sync::Arc;
use std::time::Duration;

use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpListener;
use tokio::sync::Semaphore;
use tokio::time::{sleep, timeout};
use tokio_rustls::TlsAcceptor;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use crate::answer::Runner;
use crate::head_timer::{HeadTimer, Progress};

/// A caller's time for the TLS handshake.
const HANDSHAKE: Duration = Duration::from_secs(10);
/// A caller's time for a request's head, from its first byte.
const HEAD: Duration = Duration::from_secs(10);
/// How long a connection may idle. Well above the 90 s for which servers keep theirs, so that it is the server that
/// closes and no request meets a connection that is just going away.
const IDLE: Duration = Duration::from_secs(300);
/// Connections at a time; more wait to be accepted. Room for what eight workers keep (`idle_connections_per_agent`).
const CONNECTIONS: usize = 512;
/// A caller sends a request line and a few headers.
const HEAD_BYTES: usize = 16 * 1024;
/// After an accept that failed: the usual reason, too many open files, does not go away by itself.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);
/// How long scripts may go on when the agent stops.
const DRAIN: Duration = Duration::from_secs(5);
/// How long ended scripts and connections may take to be gone.
const GONE: Duration = Duration::from_secs(2);

/// Serves until `shutdown`; then answers what is running, for [`DRAIN`] at most.
pub(crate) async fn serve(
    listener: TcpListener,
    tls: TlsAcceptor,
    runner: Arc<Runner>,
    shutdown: CancellationToken,
) {
    let connections = TaskTracker::new();
    accept(listener, &tls, &runner, &connections, &shutdown).await;
    connections.close();
    runner.scripts.close();
    let drained = async { tokio::join!(connections.wait(), runner.scripts.wait()) };
    if timeout(DRAIN, drained).await.is_err() {
        tracing::warn!(
            scripts = runner.scripts.len(),
            "ending the scripts that still run"
        );
        runner.stop.cancel();
        // What is not gone by then is held by the kernel; there is nothing left to be done about it.
        let _ = timeout(GONE, async {
            tokio::join!(connections.wait(), runner.scripts.wait())
        })
        .await;
    }
}

async fn accept(
    listener: TcpListener,
    tls: &TlsAcceptor,
    runner: &Arc<Runner>,
    connections: &TaskTracker,
    shutdown: &CancellationToken,
) {
    let room = Arc::new(Semaphore::new(CONNECTIONS));
    loop {
        let accepted = async {
            let permit = Arc::clone(&room)
                .acquire_owned()
                .await
                .expect("the semaphore is never closed");
            Ok::<_, io::Error>((listener.accept().await?.0, permit))
        };
        let accepted = tokio::select! {
            () = shutdown.cancelled() => return,
            accepted = accepted => accepted,
        };
        match accepted {
            Ok((stream, permit)) => {
                // Without it a kept connection pays the other side's delayed acknowledgement; failing costs only that.
                let _ = stream.set_nodelay(true);
                let (tls, runner, shutdown) = (tls.clone(), Arc::clone(runner), shutdown.clone());
                connections.spawn(async move {
                    connection(stream, tls, runner, shutdown).await;
                    drop(permit);
                });
            }
            Err(error) => {
                tracing::warn!("cannot accept a connection: {error}");
                sleep(ACCEPT_PAUSE).await;
            }
        }
    }
}

/// What goes wrong here is the caller's to notice; it is told at debug level only, for anyone can cause it.
async fn connection<S: AsyncRead + AsyncWrite + Unpin>(
    stream: S,
    tls: TlsAcceptor,
    runner: Arc<Runner>,
    shutdown: CancellationToken,
) {
    let handshake = tokio::select! {
        () = shutdown.cancelled() => return,
        handshake = timeout(HANDSHAKE, tls.accept(stream)) => handshake,
    };
    let stream = match handshake {
        Ok(Ok(stream)) => stream,
        Ok(Err(error)) => return tracing::debug!("TLS handshake: {error}"),
        Err(_) => {
            return tracing::debug!("TLS handshake: took more than {} s", HANDSHAKE.as_secs());
        }
    };
    let progress = Arc::new(Progress::default());
    let service = service_fn(|request| {
        let (runner, progress) = (Arc::clone(&runner), Arc::clone(&progress));
        async move {
            progress.begin();
            let answer = runner.answer(request).await;
            progress.answer();
            answer
        }
    });
    let io = TokioIo::new(HeadTimer::new(stream, HEAD, Arc::clone(&progress)));
    let mut connection = std::pin::pin!(
        http1::Builder::new()
            .timer(TokioTimer::new())
            .header_read_timeout(IDLE)
            .max_buf_size(HEAD_BYTES)
            .serve_connection(io, service)
    );
    let served: Result<(), hyper::Error> = tokio::select! {
        served = &mut connection => served,
        () = shutdown.cancelled() => {
            connection.as_mut().graceful_shutdown();
            connection.await
        }
    };
    if let Err(error) = served {
        tracing::debug!("connection: {error}");
    }
}

#[cfg(test)]
mod tests {
    use hyper::StatusCode;
    use rustls::pki_types::ServerName;
    use rustls::{ClientConfig, RootCertStore, ServerConfig};
    use stalker_domain::wire::CHECK_KEY_HEADER;
    use tokio::io::{AsyncReadExt, AsyncWriteExt, DuplexStream, duplex};
    use tokio::sync::watch;
    use tokio::time::Instant;
    use tokio_rustls::TlsConnector;
    use tokio_rustls::client::TlsStream;

    use super::*;
    use crate::checks::CheckSet;
    use crate::config::Config;
    use crate::offer::Offer;

    const KEY: &str = "key-of-the-test";
    const NAME: &str = "agent.invalid";

    /// What a caller does before it goes silent.
    enum Step {
        /// Sends a request and reads the answer.
        Ask,
        /// Sends the beginning of a head.
        Begin,
        /// In seconds.
        Wait(u64),
    }

    /// Whoever goes silent is cut off: soon in the middle of something, and late between two requests. The clock is
    /// the runtime's and paused: it jumps to the next timer that is armed, and to none that is not.
    #[tokio::test(start_paused = true)]
    async fn silence_is_cut_off() {
        use Step::{Ask, Begin, Wait};
        for (what, steps, expected_s) in [
            ("no handshake", None, 10),
            ("no request", Some(vec![]), 10),
            ("half a head", Some(vec![Begin]), 10),
            ("idle", Some(vec![Ask]), 300),
            (
                "idle after use",
                Some(vec![Ask, Wait(299), Ask, Wait(299), Ask]),
                300,
            ),
            ("half a second head", Some(vec![Ask, Wait(150), Begin]), 10),
        ] {
            let silence = silence_after(steps)
                .await
                .unwrap_or_else(|| panic!("{what}: is not cut off"));
            // In whole seconds: a timer may come a millisecond late.
            assert_eq!(silence.as_secs(), expected_s, "{what}: {silence:?}");
        }
    }

    /// How long the agent holds the connection of a caller that did this after its handshake, or not even that; if
    /// not for ever.
    async fn silence_after(steps: Option<Vec<Step>>) -> Option<Duration> {
        let (tls, trusting) = certificate();
        let (client, server) = duplex(64 * 1024);
        let shutdown = CancellationToken::new();
        let held = tokio::spawn(connection(server, tls, runner(), shutdown));
        // It stays open to the end of this function: what the caller closes itself is not cut off.
        let _silent: Box<dyn Send> = match steps {
            None => Box::new(client),
            Some(steps) => {
                let name = ServerName::try_from(NAME).expect("it is a name");
                let mut stream = trusting.connect(name, client).await.expect("a handshake");
                for step in steps {
                    match step {
                        Step::Ask => ask(&mut stream).await,
                        Step::Begin => stream.write_all(b"GET /no").await.expect("sent"),
                        Step::Wait(s) => sleep(Duration::from_secs(s)).await,
                    }
                }
                Box::new(stream)
            }
        };
        let began = Instant::now();
        timeout(IDLE * 2, held).await.ok()?.expect("no panic");
        Some(began.elapsed())
    }

    /// Asks for what is not there: an answer without a script, whose time would not be the paused clock's.
    async fn ask(stream: &mut TlsStream<DuplexStream>) {
        let head = format!("GET /none HTTP/1.1\r\nHost: x\r\n{CHECK_KEY_HEADER}: {KEY}\r\n\r\n");
        stream.write_all(head.as_bytes()).await.expect("sent");
        let mut answer = [0; 1024];
        let length = stream.read(&mut answer).await.expect("answered");
        let answer = String::from_utf8_lossy(&answer[..length]);
        let line = format!("HTTP/1.1 {}", StatusCode::NOT_FOUND.as_u16());
        assert!(answer.starts_with(&line), "{answer}");
    }

    /// The agent's side, and a caller that trusts it.
    fn certificate() -> (TlsAcceptor, TlsConnector) {
        // An error says that another test of this process was first.
        let _ = rustls::crypto::ring::default_provider().install_default();
        let made = rcgen::generate_simple_self_signed([NAME.to_owned()]).expect("it can be made");
        let mut roots = RootCertStore::empty();
        roots.add(made.cert.der().clone()).expect("a certificate");
        let key = made.signing_key.into();
        let server = ServerConfig::builder()
            .with_no_client_auth()
            .with_single_cert(vec![made.cert.into()], key)
            .expect("they belong together");
        let client = ClientConfig::builder()
            .with_root_certificates(roots)
            .with_no_client_auth();
        (Arc::new(server).into(), Arc::new(client).into())
    }

    /// Without checks.
    fn runner() -> Arc<Runner> {
        let file = tempfile::NamedTempFile::new().expect("a temporary file");
        std::fs::write(file.path(), "[main]\nregister_key = k\n").expect("written");
        let config = Config::load(file.path()).unwrap_or_else(|error| panic!("{error}"));
        let offer = Offer {
            settings: config.settings,
            checks: CheckSet::new(),
            check_key: KEY.to_owned(),
            is_unsettled: false,
        };
        let (_, offers) = watch::channel(Arc::new(offer));
        Arc::new(Runner::new(offers, 1))
    }
}
