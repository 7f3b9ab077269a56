//! `scale_N`: workers whose slots are the limit do as much as their slots can; and where the limit lies when they are not.

use super::Bench;
use crate::load::{Agents, Answers, Load};
use crate::report::Report;

/// Runs per second of 200 slots whose agents answer after 200 ms.
const OF_A_WORKER: u32 = 1000;

pub(super) async fn run(bench: &Bench, workers: u32) -> anyhow::Result<Report> {
    let load = Load {
        checks: OF_A_WORKER * workers * 10,
        interval_s: 10,
        workers,
        slots: 200,
        connections: 20,
        agents: Agents::Simulated { after_ms: 200 },
        answers: Answers::default(),
    };
    let report = bench.steady(&load).await?;
    let wanted = f64::from(OF_A_WORKER * workers);
    let runs = report.number("runs_per_s").unwrap_or(f64::NAN);
    let report = report.at_most(
        &format!("distance from {wanted} runs/s"),
        0.05,
        (runs / wanted - 1.0).abs(),
    );
    if workers < 4 {
        return Ok(report);
    }
    let free = Load {
        checks: 100_000,
        slots: 4000,
        connections: 20,
        workers: 1,
        ..load
    };
    let limit = bench.steady(&free).await?;
    let runs = limit.number("runs_per_s").unwrap_or(f64::NAN);
    Ok(report
        .note(format!("one worker of 4,000 slots: {runs} runs/s"))
        .with("limit_with_4000_slots", limit.figures))
}
