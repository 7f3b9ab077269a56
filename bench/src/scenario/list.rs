//! `list`: all checks and all hosts by the API, as a script of somebody's would read them.

use std::time::{Duration, Instant};

use anyhow::{Context, ensure};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use super::{Bench, engine};
use crate::component::Component;
use crate::cpu;
use crate::database::Database;
use crate::fleet;
use crate::load::{Answers, CHECKS_PER_HOST};
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
        let answer = read(&listen, "/checks/", "identity", api.pid).await?;
        took += began.elapsed();
        is_whole("/checks/", &answer, load.checks)?;
        most = most.max(answer.most_resident);
    }
    let hosts = read(&listen, "/hosts/", "identity", api.pid).await?;
    is_whole("/hosts/", &hosts, load.checks.div_ceil(CHECKS_PER_HOST))?;
    let packed_checks = read(&listen, "/checks/", "zstd", api.pid).await?;
    let packed_hosts = read(&listen, "/hosts/", "zstd", api.pid).await?;
    let after = resident(api.pid)?;
    api.stop().await?;
    database.pool.close().await;
    bench.server.drop_database().await?;
    let per_s = f64::from(load.checks) * f64::from(TIMES) / took.as_secs_f64();
    let mb = |bytes: u64| rounded(bytes as f64 / 1e6, 1);
    let growth = |answer: &Answer| mb(answer.most_resident.saturating_sub(before));
    Ok(Report::default()
        .with("checks", load.checks)
        .with("checks_per_s", rounded(per_s, 0))
        .with(
            "rss_mb",
            serde_json::json!({ "api": [mb(before), mb(most)], "after": mb(after), "with_hosts": mb(hosts.most_resident),
                "with_zstd": [mb(packed_checks.most_resident), mb(packed_hosts.most_resident)] }),
        )
        .with(
            "mb_read",
            serde_json::json!({ "hosts": mb(hosts.bytes), "zstd": [mb(packed_checks.bytes), mb(packed_hosts.bytes)] }),
        )
        .at_least("checks/s", 50_000.0, per_s)
        .at_most(
            "growth of the API's memory over five lists, MB",
            10.0,
            mb(most - before),
        )
        .at_most("growth with /hosts/ whole, MB", 10.0, growth(&hosts))
        .at_most(
            "growth with /checks/ and /hosts/ as zstd, MB",
            20.0,
            growth(&packed_checks).max(growth(&packed_hosts)),
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
    while read(&listen, "/healthz", "identity", api.pid)
        .await
        .is_err()
    {
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

/// What came of a list.
#[derive(Debug)]
pub(super) struct Answer {
    /// Checks, alerts or hosts; none are seen in what is compressed.
    pub(super) entries: u64,
    /// With its head.
    bytes: u64,
    /// The most bytes of memory that the server held meanwhile.
    most_resident: u64,
}

fn is_whole(path: &str, answer: &Answer, entries: u32) -> anyhow::Result<()> {
    let seen = answer.entries;
    ensure!(
        seen == u64::from(entries),
        "{path}: {seen} entries came of {entries}"
    );
    Ok(())
}

/// Reads all of an answer, in this encoding.
pub(super) async fn read(
    listen: &str,
    path: &str,
    encoding: &str,
    pid: u32,
) -> anyhow::Result<Answer> {
    let mut connection = TcpStream::connect(listen).await?;
    let request = format!(
        "GET {path} HTTP/1.1\r\nHost: {listen}\r\nX-API-KEY: {API_KEY}\r\nAccept-Encoding: {encoding}\r\nConnection: close\r\n\r\n"
    );
    connection.write_all(request.as_bytes()).await?;
    let mut buffer = vec![0; 1 << 20];
    let mut answer = Answer {
        entries: 0,
        bytes: 0,
        most_resident: 0,
    };
    let mut tail: Vec<u8> = Vec::new();
    loop {
        let n = connection.read(&mut buffer).await?;
        if n == 0 {
            break;
        }
        if answer.bytes == 0 {
            let head = String::from_utf8_lossy(&buffer[..n.min(1000)]).to_lowercase();
            ensure!(head.starts_with("http/1.1 200"), "{path}: {head}");
            ensure!(
                encoding == "identity" || head.contains(&format!("content-encoding: {encoding}")),
                "{path}: not as {encoding}: {head}"
            );
        }
        answer.bytes += n as u64;
        // counted, not read: the benchmark must not be what is measured
        tail.extend_from_slice(&buffer[..n]);
        answer.entries += count(&tail, b"\"hostname\":");
        let kept = tail.len().saturating_sub(10);
        tail.drain(..kept);
        answer.most_resident = answer.most_resident.max(resident(pid)?);
    }
    ensure!(answer.bytes > 0, "{path}: no answer");
    Ok(answer)
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
