//! `memory_100k`: what a worker holds that has called 100,000 checks, and what all components hold at rest.

use std::time::Duration;

use super::{Bench, engine, progress};
use crate::component::Component;
use crate::cpu;
use crate::database::{self, Database};
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
        agents,
        ..engine(answers)
    });
    let mut system = System::start(&bench.server_url, &load, &Setting::default()).await?;
    // every check has run, and every connection that is kept is open
    let watched = system.watch(bench.seconds(90), progress).await?;
    system.stop(&bench.server_url).await?;

    let database = Database::fresh(&bench.server_url).await?;
    let all = Component::start(
        "all",
        &database.url,
        &[
            ("api.register_key", "of the bench"),
            ("api.listen", "127.0.0.1:0"),
        ],
    )?;
    tokio::time::sleep(REST).await;
    let idle = cpu::resident_bytes(all.pid()?);
    all.stop().await?;
    database.pool.close().await;
    database::drop_it(&bench.server_url).await?;
    let mb = |bytes: u64| bytes as f64 / 1e6;
    Ok(Report::of(&load, &watched)
        .with("idle_rss_mb", idle / 1_000_000)
        .at_most("worker, MB", 250.0, mb(watched.worker_rss))
        .at_most("all components at rest, MB", 60.0, mb(idle)))
}
