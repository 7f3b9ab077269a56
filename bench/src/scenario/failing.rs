//! `failing`: a fifth of the checks fail and change, and somebody is told.

use super::{Bench, at_least_runs, engine, progress};
use crate::load::{Answers, Load};
use crate::receiver;
use crate::report::Report;
use crate::system::{Setting, System};

/// Until the alerts are open, which three runs make.
const WARM_UP_S: u32 = 60;
const SECONDS: u32 = 60;

pub(super) async fn run(bench: &Bench) -> anyhow::Result<Report> {
    let answers = Answers {
        failing: 20,
        ..Answers::default()
    };
    let load = bench.load(&Load {
        checks: 72_000,
        ..engine(answers)
    });
    let (receiver, url) = receiver::start().await?;
    let setting = Setting {
        channel: Some(url),
        ..Setting::default()
    };
    let mut system = System::start(&bench.server, &load, &setting).await?;
    system.watch(WARM_UP_S, progress).await?;
    let watched = system.watch(bench.seconds(SECONDS), progress).await?;
    let (alerts, told): (i64, i64) = sqlx::query_as(
        "select (select count(*) from alerts), (select count(*) from notifications where state = 'accepted')",
    )
    .fetch_one(&system.database.pool)
    .await?;
    system.finish(&bench.server, &load, &watched).await?;
    receiver.stop().await?;
    let report = Report::of(&load, &watched)
        .with("alerts", alerts)
        .with("told", told)
        .note(format!("{alerts} alerts, {told} notifications accepted"));
    // a channel that nobody is told by would leave the owed rule without work
    Ok(at_least_runs(report, 10_000.0).must("somebody was told", told > 0))
}
