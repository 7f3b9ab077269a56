//! `recover`: an outage is over, and everything is overdue.

use super::{Bench, engine, progress};
use crate::load::{Answers, Load};
use crate::report::{Report, curve};
use crate::system::{Second, Setting, System};

/// Within so many seconds all must be on time again.
const WITHIN_S: u32 = 60;
/// Seconds that the load is looked at together: one of ours may see two rounds of a sweep.
const WINDOW: usize = 10;
/// Runs per second that the sweep takes on at least, however little is due.
const SWEEP_AT_LEAST: f64 = 200.0;
/// For the sweep's rounds do not begin with our windows.
const TOLERANCE: f64 = 1.1;

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
    let mut system = System::start(&bench.server, &load, &setting).await?;
    let watched = system.watch(bench.seconds(WITHIN_S + 20), progress).await?;
    system.finish(&bench.server, &load, &watched).await?;
    let steady = load.offered();
    // what is due, and as much again by the sweep: twice the steady rate
    let bound = (steady + steady.max(SWEEP_AT_LEAST)) / steady * TOLERANCE;
    let most = |seconds: usize| most_in(&watched.seconds, seconds).map(|runs| runs / steady);
    Ok(Report::of(&load, &watched)
        .with("curve", curve(&watched.seconds))
        .with("busiest_second_in_steady_rates", most(1))
        .note(format!(
            "in the busiest second {:.2} steady rates",
            most(1).unwrap_or(0.0)
        ))
        .at_most(
            "seconds until p99 of lateness is below 1 s",
            WITHIN_S.into(),
            on_time_after(&watched.seconds),
        )
        .at_most(
            "most runs/s over 10 s, in steady rates, with a tolerance",
            bound,
            most(WINDOW),
        ))
}

/// Seconds after which nothing was late any more: without end if the last still was.
fn on_time_after(seconds: &[Second]) -> f64 {
    match seconds
        .iter()
        .rposition(|second| second.lateness.p99() >= 1000.0)
    {
        None => 0.0,
        Some(last) if last + 1 == seconds.len() => f64::INFINITY,
        Some(last) => last as f64 + 1.0,
    }
}

/// Runs per second of the busiest so many seconds; none if it was watched for less.
fn most_in(seconds: &[Second], window: usize) -> Option<f64> {
    let runs = |seconds: &[Second]| seconds.iter().map(|second| second.lateness.runs()).sum();
    let most: u64 = seconds.windows(window).map(runs).max()?;
    Some(most as f64 / window as f64)
}
