//! `growth`: ten times as many checks at the same runs per second cost as much per run.

use serde_json::json;

use super::{Bench, engine};
use crate::load::{Answers, Load};
use crate::report::{Report, rounded};

const RUNS_PER_S: u32 = 5000;

pub(super) async fn run(bench: &Bench) -> anyhow::Result<Report> {
    let mut costs = Vec::new();
    let mut last = Report::default();
    for checks in [10_000, 100_000, 1_000_000] {
        let load = Load {
            checks,
            interval_s: checks / RUNS_PER_S,
            ..engine(Answers::default())
        };
        last = bench.steady(&load).await?;
        let cpu = &last.figures["cpu_us_per_run"];
        let sum = |part: &str| cpu[part].as_f64().unwrap_or(0.0);
        costs.push((checks, sum("worker") + sum("postgres") + sum("scheduler")));
    }
    let all = || costs.iter().map(|(_, cost)| *cost);
    let (least, most) = (all().fold(f64::MAX, f64::min), all().fold(0.0, f64::max));
    let by_checks: Vec<_> = costs
        .iter()
        .map(|(checks, cost)| json!({ "checks": checks, "cpu_us_per_run": rounded(*cost, 1) }))
        .collect();
    Ok(last
        .with("cost", by_checks)
        .at_most("dearest run beside the cheapest", 1.15, most / least))
}
