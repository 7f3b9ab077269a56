//! `snapshot_held`: somebody's report keeps a transaction open, so that nothing can be pruned.

use sqlx::{Connection, PgConnection};

use super::{Bench, HALF_RATE, engine, progress};
use crate::component::doctor;
use crate::load::{Answers, Load};
use crate::report::{Report, point};
use crate::system::{Second, Setting, System};

/// A point of the curve every so many seconds.
const STEP: usize = 10;
/// Seconds after the release within which all must be as before.
const NORMAL_WITHIN: u32 = 120;

pub(super) async fn run(bench: &Bench) -> anyhow::Result<Report> {
    let load = bench.load(&Load {
        checks: HALF_RATE * 6,
        ..engine(Answers::default())
    });
    let mut system = System::start(&bench.server_url, &load, &Setting::default()).await?;
    system.watch(15, progress).await?;
    let before = system.watch(30, progress).await?;
    let mut foreign = PgConnection::connect(&system.database.url).await?;
    sqlx::query("begin isolation level repeatable read")
        .execute(&mut foreign)
        .await?;
    let pid: i32 = sqlx::query_scalar("select pg_backend_pid() from check_state limit 1")
        .fetch_one(&mut foreign)
        .await?;
    let held = system.watch(bench.seconds(180), progress).await?;
    let told = doctor(&system.database.url).await?;
    sqlx::query("rollback").execute(&mut foreign).await?;
    foreign.close().await?;
    let after = system.watch(NORMAL_WITHIN, progress).await?;
    system.stop(&bench.server_url).await?;

    let usual = before.lateness.quantiles().p99.max(50);
    let back = after.seconds.windows(5).position(|five| {
        five.iter()
            .all(|second| second.lateness.quantiles().p99 <= 2 * usual)
    });
    let latest = held
        .seconds
        .iter()
        .chain(&after.seconds)
        .map(|second| second.lateness.quantiles().max)
        .max();
    let curve = |seconds: &[Second]| -> Vec<serde_json::Value> {
        let points = seconds.iter().step_by(STEP);
        points
            .map(|second| {
                point(
                    second.at.as_secs_f64(),
                    second.lateness.runs(),
                    second.lateness.quantiles(),
                    second.state_bytes,
                )
            })
            .collect()
    };
    let cost = |watched: &crate::system::Watched| {
        watched.work.cpu_us.unwrap_or(0) as f64 / watched.runs().max(1) as f64
    };
    Ok(Report::of(&load, &held)
        .with("curve_held", curve(&held.seconds))
        .with("curve_released", curve(&after.seconds))
        .with("postgres_cpu_us_per_run_before", cost(&before))
        .with("normal_after_s", back)
        .at_most("latest run, ms", 2000.0, latest.unwrap_or(0).into())
        .must("normal within two minutes of its release", back.is_some())
        .must("doctor names its pid", told.contains(&pid.to_string())))
}
