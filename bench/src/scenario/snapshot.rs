//! `snapshot_held`: somebody's report keeps a transaction open, so that nothing can be pruned.

use std::time::Duration;

use anyhow::ensure;
use sqlx::{Connection, PgConnection};

use super::{Bench, HALF_RATE, engine, progress};
use crate::component::doctor;
use crate::load::{Answers, Load};
use crate::report::{Report, curve, rounded};
use crate::system::{Second, Setting, System};

/// About as many checks as `engine` has. How many versions of a row come together decides what a run costs by the end:
/// fewer checks that run more often are dearer at the same rate.
const INTERVAL_S: u32 = 13;
/// A point of the curve every so many seconds …
const STEP: usize = 10;
/// … of which people see every third.
const SHOWN: usize = 30;
/// Seconds after the release within which all must be as before; the cost is that of the last of them.
const NORMAL_WITHIN: u32 = 120;
const AT_THE_END: u32 = 30;
/// `doctor` names what is older than a minute.
const SHORTEST: u32 = 70;

pub(super) async fn run(bench: &Bench) -> anyhow::Result<Report> {
    let seconds = bench.seconds(180);
    ensure!(
        seconds >= SHORTEST,
        "snapshot_held needs --seconds {SHORTEST} or more: the doctor names a transaction that is a minute old"
    );
    let load = bench.load(&Load {
        checks: HALF_RATE * INTERVAL_S,
        interval_s: INTERVAL_S,
        ..engine(Answers::default())
    });
    let mut system = System::start(&bench.server, &load, &Setting::default()).await?;
    system.watch(15, progress).await?;
    let before = system.watch(30, progress).await?;
    let mut foreign = PgConnection::connect(&system.database.url).await?;
    sqlx::query("begin isolation level repeatable read")
        .execute(&mut foreign)
        .await?;
    let pid: i32 = sqlx::query_scalar("select pg_backend_pid() from check_state limit 1")
        .fetch_one(&mut foreign)
        .await?;
    let held = system.watch(seconds, progress).await?;
    let told = doctor(&system.database.url).await?;
    sqlx::query("rollback").execute(&mut foreign).await?;
    foreign.close().await?;
    let after = system.watch(NORMAL_WITHIN - AT_THE_END, progress).await?;
    let at_the_end = system.watch(AT_THE_END, progress).await?;
    system.finish(&bench.server, &load, &held).await?;

    let later = at_the_end.seconds.iter().map(|second| Second {
        at: second.at + Duration::from_secs((NORMAL_WITHIN - AT_THE_END).into()),
        ..second.clone()
    });
    let released: Vec<Second> = after.seconds.iter().cloned().chain(later).collect();
    let usual = before.lateness.p99().max(50.0);
    let is_usual = |second: &Second| second.lateness.p99() <= 2.0 * usual;
    let back = released
        .windows(5)
        .position(|five| five.iter().all(is_usual));
    let all = held.seconds.iter().chain(&released);
    let latest = all.map(|second| second.lateness.max()).fold(0.0, f64::max);
    let (usual_cost, cost) = (
        before.postgres_us_per_run(),
        at_the_end.postgres_us_per_run(),
    );
    let mut report = Report::of(&load, &held)
        .with("curve_held", curve(held.seconds.iter().step_by(STEP)))
        .with("curve_released", curve(released.iter().step_by(STEP)))
        .with(
            "postgres_cpu_us_per_run_before",
            usual_cost.map(|us| rounded(us, 1)),
        )
        .with(
            "postgres_cpu_us_per_run_after",
            cost.map(|us| rounded(us, 1)),
        )
        .with("normal_after_s", back);
    for (when, seconds) in [("held", &held.seconds), ("released", &released)] {
        for second in seconds.iter().step_by(SHOWN) {
            report = report.note(shown(when, second));
        }
    }
    Ok(report
        .keeps_up(&load, &held)
        .at_most("latest run, ms", 2000.0, latest)
        .must("normal within two minutes of its release", back.is_some())
        .at_most(
            "PostgreSQL's CPU per run after the release, beside before",
            1.3,
            cost.zip(usual_cost).map(|(cost, usual)| cost / usual),
        )
        .must(
            "doctor names its pid",
            told.contains(&format!("process {pid} of ")),
        ))
}

fn shown(when: &str, second: &Second) -> String {
    format!(
        "{when} for {:.0} s: {} runs/s, p99 {} ms, check_state {} MB",
        second.at.as_secs_f64(),
        second.lateness.runs(),
        second.lateness.p99(),
        second.state_bytes / 1_000_000,
    )
}
