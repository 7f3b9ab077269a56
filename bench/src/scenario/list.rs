//! `list`: all checks by the API, as a script of somebody's would read them.

use std::time::{Duration, Instant};

use anyhow::{Context, ensure};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use super::{Bench, engine};
use crate::component::Component;
use crate::cpu;
use crate::database::Database;
use crate::fleet;
use crate::load::Answers;
use crate::report::{Report, rounded};

const API_KEY: &str = "api-key-of-the-bench";
const TIMES: u32 = 5;

pub(super) async fn run(bench: &Bench) -> anyhow::Result<Report> {
    let load = bench.load(&engine(Answers::default()));
    let database = Database::fresh(&bench.server).await?;
    fleet::fill(&database.pool, &load, None, None).await?;
    let (api, listen) = start_api(&database.url).await?;
    let before = resident(api.pid)?;
    let mut took = Duration::ZERO;
    let mut most = before;
    for _ in 0..TIMES {
        let began = Instant::now();
        most = most.max(read(&listen, "/checks/", api.pid, load.checks.into()).await?);
        took += began.elapsed();
    }
    api.stop().await?;
    database.pool.close().await;
    bench.server.drop_database().await?;
    let per_s = f64::from(load.checks) * f64::from(TIMES) / took.as_secs_f64();
    let mb = |bytes: u64| rounded(bytes as f64 / 1e6, 1);
    Ok(Report::default()
        .with("checks", load.checks)
        .with("checks_per_s", rounded(per_s, 0))
        .with(
            "rss_mb",
            serde_json::json!({ "api": [mb(before), mb(most)] }),
        )
        .at_least("checks/s", 50_000.0, per_s)
        .at_most(
            "growth of the API's memory over five lists, MB",
            10.0,
            mb(most - before),
        ))
}

/// The API, and where it listens.
pub(super) async fn start_api(database_url: &str) -> anyhow::Result<(Component, String)> {
    let port = free_port().await?;
    let listen = format!("127.0.0.1:{port}");
    let settings = [
        ("api.register_key", "of the bench"),
        ("api.api_key", API_KEY),
        ("api.listen", listen.as_str()),
        // one address asks as all of its users would
        ("api.requests_per_s", "0"),
    ];
    let mut api = Component::start("api", database_url, &settings).await?;
    let started = Instant::now();
    while read(&listen, "/healthz", api.pid, 0).await.is_err() {
        api.ensure_running()?;
        ensure!(
            started.elapsed() < Duration::from_secs(30),
            "the API does not listen"
        );
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    Ok((api, listen))
}

fn resident(pid: u32) -> anyhow::Result<u64> {
    cpu::resident_bytes(pid).context("the memory of the API cannot be read")
}

/// Reads all of an answer, which must hold so many checks; returns the most bytes of memory that the server held meanwhile.
pub(super) async fn read(listen: &str, path: &str, pid: u32, checks: u64) -> anyhow::Result<u64> {
    let mut connection = TcpStream::connect(listen).await?;
    let request = format!(
        "GET {path} HTTP/1.1\r\nHost: {listen}\r\nX-API-KEY: {API_KEY}\r\nConnection: close\r\n\r\n"
    );
    connection.write_all(request.as_bytes()).await?;
    let mut buffer = vec![0; 1 << 20];
    // counted, not read: the benchmark must not be what is measured
    let mut seen = 0;
    let mut most_resident = 0;
    let mut tail: Vec<u8> = Vec::new();
    let mut is_first = true;
    loop {
        let n = connection.read(&mut buffer).await?;
        if n == 0 {
            break;
        }
        if is_first {
            ensure!(
                buffer.starts_with(b"HTTP/1.1 200"),
                "{path}: {}",
                String::from_utf8_lossy(&buffer[..n.min(100)])
            );
            is_first = false;
        }
        tail.extend_from_slice(&buffer[..n]);
        seen += count(&tail, b"\"hostname\":");
        let kept = tail.len().saturating_sub(10);
        tail.drain(..kept);
        most_resident = most_resident.max(resident(pid)?);
    }
    ensure!(!is_first, "{path}: no answer");
    ensure!(seen == checks, "{path}: {seen} checks came of {checks}");
    Ok(most_resident)
}

fn count(text: &[u8], what: &[u8]) -> u64 {
    text.windows(what.len())
        .filter(|window| *window == what)
        .count() as u64
}

async fn free_port() -> anyhow::Result<u16> {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await?;
    Ok(listener.local_addr().context("it listens")?.port())
}
