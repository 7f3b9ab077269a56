//! The way to a receiver, on which everything may happen that happens on the way to a provider.

use std::io;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::{JoinHandle, JoinSet};

/// What becomes of a request on its way.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fault {
    /// It arrives, and so does its answer.
    None,
    /// Connections are refused, as those to a receiver that is down.
    Refuses,
    /// It is answered with this status, and the receiver never hears of it.
    Answers(u16),
    /// The receiver has answered when the connection breaks off.
    LosesAnswer,
    /// The receiver has answered, and nothing comes.
    HoldsAnswer,
    /// The answer comes in pieces of 400 bytes, ten in a second.
    Trickles,
}

/// A port that leads to another one.
#[derive(Debug)]
pub struct Line {
    address: SocketAddr,
    leads_to: Arc<Mutex<String>>,
    fault: Fault,
    server: Option<JoinHandle<()>>,
}

impl Line {
    /// One on which nothing goes wrong. It leads nowhere yet.
    ///
    /// # Panics
    /// If loopback cannot be listened on.
    pub async fn new() -> Self {
        let mut line = Self {
            address: SocketAddr::from(([127, 0, 0, 1], 0)),
            leads_to: Arc::default(),
            fault: Fault::None,
            server: None,
        };
        line.listen().await;
        line
    }

    /// Where it begins: stands for the receiver's own URL.
    #[must_use]
    pub fn url(&self) -> String {
        format!("http://{}/", self.address)
    }

    /// From now on it leads to this URL.
    pub fn lead_to(&self, url: &str) {
        let address = url.trim_start_matches("http://").trim_end_matches('/');
        *self.leads_to.lock().unwrap_or_else(PoisonError::into_inner) = address.to_owned();
    }

    /// From now on this happens to every request. If something else happened before, open connections break off.
    ///
    /// # Panics
    /// If somebody has taken the port meanwhile.
    pub async fn becomes(&mut self, fault: Fault) {
        if self.fault == fault {
            return;
        }
        self.fault = fault;
        if let Some(server) = self.server.take() {
            server.abort();
            // only when the task is gone are its sockets closed
            let _ = server.await;
        }
        if fault != Fault::Refuses {
            self.listen().await;
        }
    }

    async fn listen(&mut self) {
        let listener = TcpListener::bind(self.address)
            .await
            .expect("the line's port is free");
        self.address = listener
            .local_addr()
            .expect("a bound listener has an address");
        let (leads_to, fault) = (Arc::clone(&self.leads_to), self.fault);
        self.server = Some(tokio::spawn(async move {
            let mut connections = JoinSet::new();
            while let Ok((near, _)) = listener.accept().await {
                let address = leads_to
                    .lock()
                    .unwrap_or_else(PoisonError::into_inner)
                    .clone();
                // whatever breaks off here is what the test is about
                connections.spawn(async move { drop(carry(near, &address, fault).await) });
                while connections.try_join_next().is_some() {}
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

async fn carry(mut near: TcpStream, address: &str, fault: Fault) -> io::Result<()> {
    match fault {
        Fault::Refuses => {}
        Fault::None => {
            let mut far = TcpStream::connect(address).await?;
            tokio::io::copy_bidirectional(&mut near, &mut far).await?;
        }
        Fault::Trickles => {
            let far = TcpStream::connect(address).await?;
            let (mut from_far, mut to_far) = far.into_split();
            let (mut from_near, mut to_near) = near.into_split();
            let there = tokio::io::copy(&mut from_near, &mut to_far);
            let back = async {
                let mut pace = tokio::time::interval(Duration::from_millis(100));
                let mut piece = [0; 400];
                loop {
                    let n = from_far.read(&mut piece).await?;
                    if n == 0 {
                        return Ok(());
                    }
                    pace.tick().await;
                    to_near.write_all(&piece[..n]).await?;
                }
            };
            tokio::select! {
                // whoever asks may have nothing more to say, and still wait
                ended = back => return ended,
                Err(error) = there => return Err(error),
            }
        }
        Fault::Answers(status) => {
            request(&mut near).await?;
            let answer = format!(
                "HTTP/1.1 {status} Out Of Order\r\ncontent-length: 0\r\nconnection: close\r\n\r\n"
            );
            near.write_all(answer.as_bytes()).await?;
        }
        Fault::LosesAnswer | Fault::HoldsAnswer => {
            let request = request(&mut near).await?;
            let mut far = TcpStream::connect(address).await?;
            far.write_all(&request).await?;
            far.read_u8().await?;
            if fault == Fault::HoldsAnswer {
                // until the sender gives up, or is no more
                near.read_u8().await?;
            }
        }
    }
    Ok(())
}

/// All of one request, which says how long it is.
async fn request(near: &mut TcpStream) -> io::Result<Vec<u8>> {
    let mut request = Vec::new();
    loop {
        if near.read_buf(&mut request).await? == 0 {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        if length(&request).is_some_and(|length| request.len() >= length) {
            return Ok(request);
        }
    }
}

/// How long the request is, once its head is there.
fn length(request: &[u8]) -> Option<usize> {
    let head = request.windows(4).position(|end| end == b"\r\n\r\n")? + 4;
    let text = String::from_utf8_lossy(&request[..head]).to_ascii_lowercase();
    let body = text
        .lines()
        .find_map(|line| line.strip_prefix("content-length:"))
        .map_or(0, |length| {
            length.trim().parse().expect("a length is a number")
        });
    Some(head + body)
}
