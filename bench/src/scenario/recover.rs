//! `recover`: an outage is over, and everything is overdue.

use super::{Bench, engine, progress};
use crate::load::{Answers, Load};
use crate::report::{Report, point};
use crate::system::{Setting, System};

/// Within so many seconds all must be on time again.
const WITHIN_S: u32 = 60;

pub(super) async fn run(bench: &Bench) -> anyhow::Result<Report> {
    let load = bench.load(&Load {
        interval_s: 30,
        ..engine(Answers::default())
    });
    let outage = "update check_state set due_at = due_at - interval '1 hour'";
    let setting = Setting {
        before: vec![outage.to_owned(), "vacuum (analyze) check_state".to_owned()],
        api: true,
        ..Setting::default()
    };
    let mut system = System::start(&bench.server_url, &load, &setting).await?;
    let watched = system.watch(bench.seconds(WITHIN_S + 20), progress).await?;
    system.stop(&bench.server_url).await?;
    let on_time = |ms: u32| ms < 1000;
    let late = watched
        .seconds
        .iter()
        .rposition(|second| !on_time(second.lateness.quantiles().p99));
    let most = watched
        .seconds
        .iter()
        .map(|second| second.lateness.runs())
        .max()
        .unwrap_or(0);
    let curve: Vec<_> = watched
        .seconds
        .iter()
        .map(|second| {
            point(
                second.at.as_secs_f64(),
                second.lateness.runs(),
                second.lateness.quantiles(),
                second.state_bytes,
            )
        })
        .collect();
    Ok(Report::of(&load, &watched)
        .with("curve", curve)
        .at_most(
            "seconds until p99 of lateness is below 1 s",
            WITHIN_S.into(),
            late.map_or(0.0, |n| n as f64 + 1.0),
        )
        // what is due on the grid, and the sweep's; of which a second of ours may see two rounds
        .at_most(
            "most runs in a second, in steady rates",
            3.0,
            most as f64 / load.offered(),
        ))
}
