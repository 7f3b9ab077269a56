//! HTTPS: accepts connections, bounds what each may take, and ends them in order.

use std::io;
use std::sync::Arc;
use std::time::Duration;

use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::net::{TcpListener, TcpStream};
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
/// Connections at a time; more wait to be accepted.
const CONNECTIONS: usize = 256;
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
async fn connection(
    stream: TcpStream,
    tls: TlsAcceptor,
    runner: Arc<Runner>,
    shutdown: CancellationToken,
) {
    // Without it a kept connection pays the other side's delayed acknowledgement; failing costs only that.
    let _ = stream.set_nodelay(true);
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
