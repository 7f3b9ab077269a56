//! What people read: a line of figures for each scenario, and below it its aims and what else is to be said.

use serde_json::Value;

use crate::report::{Report, Target};

pub(crate) fn of(reports: &[&Report]) -> String {
    let mut lines = vec![line([
        "scenario",
        "runs/s",
        "late ms p50/p99/max",
        "CPU us/run worker + PostgreSQL",
        "WAL B/run",
        "HOT",
    ])];
    for report in reports {
        lines.push(figures(report));
        lines.extend(report.targets.iter().map(aim));
        lines.extend(report.notes.iter().map(|note| format!("    {note}")));
    }
    lines.join("\n")
}

fn figures(report: &Report) -> String {
    let all = Value::Object(report.figures.clone());
    let shown = |value: &Value| match value {
        Value::Null => "-".to_owned(),
        value => value.to_string(),
    };
    let late = &all["lateness_ms"];
    let late = match late {
        Value::Null => "-".to_owned(),
        late => format!("{}/{}/{}", late["p50"], late["p99"], late["max"]),
    };
    let cpu = &all["cpu_us_per_run"];
    line([
        &report.scenario,
        &shown(&all["runs_per_s"]),
        &late,
        &format!("{} + {}", shown(&cpu["worker"]), shown(&cpu["postgres"])),
        &shown(&all["wal_bytes_per_run_with_page_images"]),
        &shown(&all["hot_share"]),
    ])
}

fn line([scenario, runs, late, cpu, wal, hot]: [&str; 6]) -> String {
    format!("{scenario:<16} {runs:>9} {late:>20} {cpu:>31} {wal:>10} {hot:>7}")
}

fn aim(target: &Target) -> String {
    let Target { what, reached, met } = target;
    let verdict = match met {
        Some(true) => "met",
        Some(false) => "MISSED",
        None => "not measured",
    };
    format!("    {verdict} {what}: {reached}")
}
