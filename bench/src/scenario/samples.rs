//! `engine_samples`: as `engine`, with three values of performance data recorded per run.

use std::time::Duration;

use super::{Bench, SECONDS, WARM_UP_S, at_least_runs, engine, progress};
use crate::load::{Answers, Load};
use crate::report::{Report, rounded};
use crate::system::{Setting, System};

/// Until what was measured has been written: samples are kept off the path of an alert, and come later.
const WRITTEN_WITHIN: Duration = Duration::from_secs(5);

pub(super) async fn run(bench: &Bench) -> anyhow::Result<Report> {
    let answers = Answers {
        values: 3,
        ..Answers::default()
    };
    let load = bench.load(&Load {
        checks: 100_000,
        interval_s: 7,
        ..engine(answers)
    });
    let mut system = System::start(&bench.server, &load, &Setting::default()).await?;
    system.watch(WARM_UP_S, progress).await?;
    let watched = system.watch(bench.seconds(SECONDS), progress).await?;
    tokio::time::sleep(WRITTEN_WITHIN).await;
    let (from_ms, until_ms) = watched.between_ms;
    let samples: i64 = sqlx::query_scalar(
        "select count(*) from samples
         where at >= timestamptz 'epoch' + $1 * interval '1 ms' and at < timestamptz 'epoch' + $2 * interval '1 ms'",
    )
    .bind(from_ms)
    .bind(until_ms)
    .fetch_one(&system.database.pool)
    .await?;
    system.finish(&bench.server, &load, &watched).await?;
    let per_run = samples as f64 / watched.runs().max(1) as f64;
    let report = Report::of(&load, &watched).with("samples_per_run", rounded(per_run, 3));
    Ok(at_least_runs(report, 12_000.0).at_least("samples written per run", 2.97, per_run))
}
