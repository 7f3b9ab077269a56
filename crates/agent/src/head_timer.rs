//! The time that a caller has to send a request's head.
//!
//! hyper's `header_read_timeout` starts when the *previous* answer is out, so it also bounds how long a kept
//! connection may idle. The two need different lengths: a head that has begun must be whole within seconds, while
//! a server's connection waits minutes for the next check. hyper's bounds the idling; this one starts with a
//! head's first byte.

use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::task::{Context, Poll, ready};
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::time::{Sleep, sleep};

/// How far a connection's requests are; told by the service, read by the timer.
#[derive(Default)]
pub(crate) struct Progress {
    begun: AtomicUsize,
    answered: AtomicUsize,
}

impl Progress {
    /// A head is complete.
    pub(crate) fn begin(&self) {
        self.begun.fetch_add(1, Ordering::Relaxed);
    }

    /// Its answer is on the way.
    pub(crate) fn answer(&self) {
        self.answered.fetch_add(1, Ordering::Relaxed);
    }
}

/// A stream whose reads fail when a head takes longer than `limit`.
pub(crate) struct HeadTimer<S> {
    stream: S,
    limit: Duration,
    progress: Arc<Progress>,
    /// Requests whose head is known to be complete.
    begun: usize,
    /// Runs while a head is expected. The first is expected at once: who connects has something to ask.
    running: Option<Pin<Box<Sleep>>>,
}

impl<S> HeadTimer<S> {
    pub(crate) fn new(stream: S, limit: Duration, progress: Arc<Progress>) -> Self {
        Self {
            stream,
            limit,
            progress,
            begun: 0,
            running: Some(Box::pin(sleep(limit))),
        }
    }
}

impl<S: AsyncRead + Unpin> AsyncRead for HeadTimer<S> {
    fn poll_read(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        let begun = this.progress.begun.load(Ordering::Relaxed);
        if begun != this.begun {
            this.begun = begun;
            this.running = None;
        }
        let before = buf.filled().len();
        match Pin::new(&mut this.stream).poll_read(cx, buf) {
            Poll::Ready(read) => {
                let is_idle = begun == this.progress.answered.load(Ordering::Relaxed);
                if is_idle && this.running.is_none() && buf.filled().len() > before {
                    this.running = Some(Box::pin(sleep(this.limit)));
                }
                Poll::Ready(read)
            }
            Poll::Pending => {
                let Some(running) = &mut this.running else {
                    return Poll::Pending;
                };
                ready!(running.as_mut().poll(cx));
                Poll::Ready(Err(io::Error::new(
                    io::ErrorKind::TimedOut,
                    "the request's head did not come in time",
                )))
            }
        }
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for HeadTimer<S> {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &[u8],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write(cx, buf)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(cx)
    }
}

#[cfg(test)]
mod tests {
    use tokio::io::{AsyncReadExt, AsyncWriteExt, duplex};

    use super::*;

    #[tokio::test(start_paused = true)]
    async fn only_a_head_is_timed() {
        let (mut client, server) = duplex(64);
        let progress = Arc::new(Progress::default());
        let mut timed = HeadTimer::new(server, Duration::from_secs(10), Arc::clone(&progress));
        client.write_all(b"head").await.expect("written");
        assert_eq!(timed.read(&mut [0; 8]).await.expect("in time"), 4);
        progress.begin();
        let long = Duration::from_secs(100);
        assert!(
            tokio::time::timeout(long, timed.read(&mut [0; 8]))
                .await
                .is_err(),
            "not while it is answered"
        );
        progress.answer();
        assert!(
            tokio::time::timeout(long, timed.read(&mut [0; 8]))
                .await
                .is_err(),
            "not while the caller idles"
        );
        client.write_all(b"he").await.expect("written");
        assert_eq!(timed.read(&mut [0; 8]).await.expect("in time"), 2);
        let error = timed
            .read(&mut [0; 8])
            .await
            .expect_err("a head that has begun is timed");
        assert_eq!(error.kind(), io::ErrorKind::TimedOut);
    }

    #[tokio::test(start_paused = true)]
    async fn the_first_head_is_timed_from_the_start() {
        let (_client, server) = duplex(64);
        let mut timed = HeadTimer::new(server, Duration::from_secs(10), Arc::default());
        assert!(timed.read(&mut [0; 8]).await.is_err());
    }
}
