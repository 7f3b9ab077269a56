//! `memory_100k`: what a worker holds that has called 100,000 checks, and what all components hold at rest.

use std::time::Duration;

use anyhow::Context;

use super::{Bench, engine, progress};
use crate::component::Component;
use crate::cpu;
use crate::database::Database;
use crate::load::{Agents, Answers, Load};
use crate::report::Report;
use crate::system::{Setting, System};

/// Until all components have settled.
const REST: Duration = Duration::from_secs(20);

pub(super) async fn run(bench: &Bench) -> anyhow::Result<Report> {
    let answers = Answers {
        values: 3,
        ..Answers::default()
    };
    let agents = Agents::Simulated { after_ms: 0 };
    let load = bench.load(&Load {
        checks: 100_000,
        interval_s: 60,
        slots: 200,
        connections: 20,
        agents,
        ..engine(answers)
    });
    let mut system = System::start(&bench.server, &load, &Setting::default()).await?;
    // every check has run, and every connection that is kept is open
    let watched = system.watch(bench.seconds(90), progress).await?;
    system.finish(&bench.server, &load, &watched).await?;

    let database = Database::fresh(&bench.server).await?;
    let mut all = Component::start(
        "all",
        &database.url,
        &[
            ("api.register_key", "of the bench"),
            ("api.listen", "127.0.0.1:0"),
        ],
    )
    .await?;
    tokio::time::sleep(REST).await;
    all.ensure_running()?;
    let idle = cpu::resident_bytes(all.pid).context("the memory of stalkerd cannot be read")?;
    all.stop().await?;
    database.pool.close().await;
    bench.server.drop_database().await?;
    let mb = |bytes: u64| bytes as f64 / 1e6;
    Ok(Report::of(&load, &watched)
        .with("idle_rss_mb", idle / 1_000_000)
        .at_most("worker, MB", 250.0, mb(watched.worker_rss))
        .at_most("all components at rest, MB", 60.0, mb(idle)))
}
