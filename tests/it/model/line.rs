//! The way to a receiver, which can be cut: then connections are refused, as those to a receiver that is down.

use std::net::SocketAddr;
use std::sync::{Arc, Mutex, PoisonError};

use tokio::net::{TcpListener, TcpStream};
use tokio::task::{JoinHandle, JoinSet};

/// A port that leads to another one.
#[derive(Debug)]
pub(super) struct Line {
    address: SocketAddr,
    leads_to: Arc<Mutex<String>>,
    server: Option<JoinHandle<()>>,
}

impl Line {
    pub(super) async fn new() -> Self {
        let mut line = Self {
            address: SocketAddr::from(([127, 0, 0, 1], 0)),
            leads_to: Arc::default(),
            server: None,
        };
        line.splice().await;
        line
    }

    /// Gives the URL that stands for this one from now on.
    pub(super) fn lead_to(&self, url: &str) -> String {
        let address = url.trim_start_matches("http://").trim_end_matches('/');
        *self.leads_to.lock().unwrap_or_else(PoisonError::into_inner) = address.to_owned();
        format!("http://{}/", self.address)
    }

    /// Connections break off and are refused.
    pub(super) async fn cut(&mut self) {
        if let Some(server) = self.server.take() {
            server.abort();
            // only when the task is gone are its sockets closed
            let _ = server.await;
        }
    }

    /// It works again, or still.
    pub(super) async fn splice(&mut self) {
        if self.server.is_some() {
            return;
        }
        let listener = TcpListener::bind(self.address)
            .await
            .expect("the line's port is free");
        self.address = listener
            .local_addr()
            .expect("a bound listener has an address");
        let leads_to = Arc::clone(&self.leads_to);
        self.server = Some(tokio::spawn(async move {
            let mut connections = JoinSet::new();
            while let Ok((mut near, _)) = listener.accept().await {
                let address = leads_to
                    .lock()
                    .unwrap_or_else(PoisonError::into_inner)
                    .clone();
                connections.spawn(async move {
                    if let Ok(mut far) = TcpStream::connect(address).await {
                        let _ = tokio::io::copy_bidirectional(&mut near, &mut far).await;
                    }
                });
            }
        }));
    }
}

impl Drop for Line {
    fn drop(&mut self) {
        if let Some(server) = &self.server {
            server.abort();
        }
    }
}
