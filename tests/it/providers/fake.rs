//! A receiver that is nearer to the wire than an HTTP library: it can reset a connection, or say what is no HTTP.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use serde_json::Value;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::{JoinHandle, JoinSet};

/// How a request is answered.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Answer {
    /// Status, further header lines, body.
    Http(u16, &'static str, &'static str),
    /// Nothing comes.
    Never,
    /// The connection is reset, once all of the request was read.
    Reset,
    /// What is no HTTP.
    Garbage,
}

/// What was asked.
#[derive(Debug, Clone)]
pub(crate) struct Request {
    pub(crate) method: String,
    pub(crate) path: String,
    /// By their names in lower case.
    pub(crate) headers: BTreeMap<String, String>,
    pub(crate) body: String,
}

impl Request {
    pub(crate) fn json(&self) -> Value {
        serde_json::from_str(&self.body)
            .unwrap_or_else(|error| panic!("{error}: the body is no JSON: {}", self.body))
    }

    /// The body as a form of HTML; each of its fields is there once.
    pub(crate) fn form(&self) -> BTreeMap<String, String> {
        assert_eq!(
            self.header("content-type"),
            "application/x-www-form-urlencoded"
        );
        let url = format!("http://form/?{}", self.body);
        let url = reqwest::Url::parse(&url).expect("the body can be a query");
        let form: BTreeMap<String, String> = url.query_pairs().into_owned().collect();
        assert_eq!(form.len(), url.query_pairs().count(), "{}", self.body);
        form
    }

    pub(crate) fn header(&self, name: &str) -> &str {
        self.headers.get(name).map_or("", String::as_str)
    }
}

/// Listens on loopback. Dropped, it is gone.
pub(crate) struct Fake {
    url: String,
    heard: Arc<Mutex<Vec<Request>>>,
    server: JoinHandle<()>,
}

impl Fake {
    pub(crate) async fn start(
        answer: impl Fn(&Request) -> Answer + Clone + Send + 'static,
    ) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0")
            .await
            .expect("loopback can be listened on");
        let address = listener
            .local_addr()
            .expect("a bound listener has an address");
        let heard = Arc::<Mutex<Vec<Request>>>::default();
        let book = Arc::clone(&heard);
        let server = tokio::spawn(async move {
            let mut connections = JoinSet::new();
            while let Ok((stream, _)) = listener.accept().await {
                connections.spawn(serve(stream, answer.clone(), Arc::clone(&book)));
            }
        });
        Self {
            url: format!("http://{address}"),
            heard,
            server,
        }
    }

    pub(crate) fn url(&self) -> &str {
        &self.url
    }

    /// Everything that was asked, in order.
    pub(crate) fn heard(&self) -> Vec<Request> {
        lock(&self.heard).clone()
    }
}

impl Drop for Fake {
    fn drop(&mut self) {
        self.server.abort();
    }
}

/// One request to a connection.
async fn serve(
    mut stream: TcpStream,
    answer: impl Fn(&Request) -> Answer,
    heard: Arc<Mutex<Vec<Request>>>,
) {
    let Some(request) = read(&mut stream).await else {
        return;
    };
    let answer = answer(&request);
    lock(&heard).push(request);
    let text = match answer {
        Answer::Http(status, headers, body) => {
            let length = body.len();
            format!(
                "HTTP/1.1 {status} Said\r\n{headers}connection: close\r\ncontent-length: {length}\r\n\r\n{body}"
            )
        }
        Answer::Never => std::future::pending().await,
        Answer::Reset => {
            let _ = stream.set_zero_linger();
            return;
        }
        Answer::Garbage => "\u{7f}ELF what is this?\r\n\r\n".to_owned(),
    };
    // a client that is gone has its reason
    let _ = stream.write_all(text.as_bytes()).await;
    let _ = stream.shutdown().await;
}

async fn read(stream: &mut TcpStream) -> Option<Request> {
    let mut received = Vec::new();
    loop {
        if stream.read_buf(&mut received).await.ok()? == 0 {
            return None;
        }
        let text = String::from_utf8_lossy(&received);
        let Some((head, body)) = text.split_once("\r\n\r\n") else {
            continue;
        };
        let mut lines = head.lines();
        let (method, rest) = lines.next()?.split_once(' ')?;
        let (path, _) = rest.split_once(' ')?;
        let headers: BTreeMap<String, String> = lines
            .filter_map(|line| line.split_once(':'))
            .map(|(name, value)| (name.to_lowercase(), value.trim().to_owned()))
            .collect();
        let length = headers.get("content-length").map(|length| length.parse());
        if body.len() >= length.and_then(Result::ok).unwrap_or(0) {
            return Some(Request {
                method: method.to_owned(),
                path: path.to_owned(),
                headers,
                body: body.to_owned(),
            });
        }
    }
}

fn lock(heard: &Mutex<Vec<Request>>) -> MutexGuard<'_, Vec<Request>> {
    heard.lock().unwrap_or_else(PoisonError::into_inner)
}
