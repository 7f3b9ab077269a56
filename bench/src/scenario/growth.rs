//! `growth`: ten times as many checks at the same runs per second cost as much per run.

use anyhow::ensure;
use serde_json::json;

use super::{Bench, SECONDS, WARM_UP_S, engine};
use crate::load::{Answers, Load};
use crate::report::{Report, rounded};
use crate::system::Watched;

const RUNS_PER_S: u32 = 5000;
/// Checks, and the seconds that are measured.
const SIZES: [(u32, u32); 3] = [(10_000, SECONDS), (100_000, SECONDS), (1_000_000, 30)];

pub(super) async fn run(bench: &Bench) -> anyhow::Result<Report> {
    ensure!(
        bench.options.checks.is_none() && bench.options.interval.is_none(),
        "growth compares numbers of checks at the same runs per second: it takes neither --checks nor --interval"
    );
    let mut sizes = Vec::new();
    for (checks, seconds) in SIZES {
        let load = bench.load(&Load {
            checks,
            interval_s: checks / RUNS_PER_S,
            ..engine(Answers::default())
        });
        // until every check has run once: the first run of a row is not like the later ones
        let warm_up_s = WARM_UP_S.max(load.interval_s);
        let watched = bench.watched(&load, warm_up_s, seconds).await?;
        sizes.push((load, watched));
    }
    let costs: Vec<Option<f64>> = sizes.iter().map(|(_, watched)| cost(watched)).collect();
    let mut report = match sizes.last() {
        Some((load, watched)) => Report::of(load, watched),
        None => Report::default(),
    };
    let mut by_checks = Vec::new();
    for ((load, watched), cost) in sizes.iter().zip(&costs) {
        let shown = cost.map(|cost| rounded(cost, 1));
        by_checks.push(json!({ "checks": load.checks, "cpu_us_per_run": shown }));
        let note = match shown {
            Some(us) => format!("{} checks: {us} us of CPU per run", load.checks),
            None => format!("{} checks: PostgreSQL runs elsewhere", load.checks),
        };
        report = report.keeps_up(load, watched).note(note);
    }
    Ok(report.with("cost", by_checks).at_most(
        "dearest run beside the cheapest",
        1.15,
        spread(costs),
    ))
}

/// Microseconds of all components per run; none without PostgreSQL's.
fn cost(watched: &Watched) -> Option<f64> {
    let others = watched.worker_cpu_us + watched.scheduler_cpu_us;
    let others = others as f64 / watched.runs().max(1) as f64;
    Some(watched.postgres_us_per_run()? + others)
}

fn spread(costs: Vec<Option<f64>>) -> Option<f64> {
    let costs = costs.into_iter().collect::<Option<Vec<f64>>>()?;
    let least = costs.iter().copied().reduce(f64::min)?;
    let most = costs.iter().copied().reduce(f64::max)?;
    Some(most / least)
}
