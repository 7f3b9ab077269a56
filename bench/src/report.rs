//! What is told of a scenario: one JSON object, and one line of a table.

use serde::Serialize;
use serde_json::{Map, Value, json};

use crate::lateness::Quantiles;
use crate::load::Load;
use crate::system::Watched;

/// The figures of one scenario. What does not apply to it is absent.
#[derive(Debug, Clone, Default, Serialize)]
pub(crate) struct Report {
    pub(crate) scenario: String,
    #[serde(flatten)]
    pub(crate) figures: Map<String, Value>,
    /// What the scenario aims at, and whether that was met.
    pub(crate) targets: Vec<Target>,
}

/// One aim.
#[derive(Debug, Clone, Serialize)]
pub(crate) struct Target {
    pub(crate) what: String,
    pub(crate) reached: String,
    pub(crate) met: bool,
}

impl Report {
    /// What was seen of a system under a load.
    pub(crate) fn of(load: &Load, watched: &Watched) -> Self {
        let runs = watched.runs().max(1) as f64;
        let per_run = |of: u64| rounded(of as f64 / runs, 1);
        let work = &watched.work;
        let wal = |bytes: i64| rounded(bytes as f64 / runs, 0);
        Self::default()
            .with("runs_per_s", rounded(watched.runs_per_s(), 0))
            .with("seconds", rounded(watched.took.as_secs_f64(), 1))
            .with("checks", load.checks)
            .with("interval_s", load.interval_s)
            .with("offered_runs_per_s", rounded(load.offered(), 0))
            .with("workers", load.workers)
            .with("slots", load.slots)
            .with("lateness_ms", json!(watched.lateness.quantiles()))
            .with(
                "cpu_us_per_run",
                json!({
                    "worker": per_run(watched.worker_cpu_us),
                    "postgres": work.cpu_us.map(per_run),
                    "scheduler": per_run(watched.scheduler_cpu_us),
                    "agents": per_run(watched.agents_cpu_us),
                }),
            )
            .with("wal_bytes_per_run", work.record_bytes.map(wal))
            .with("wal_bytes_per_run_with_page_images", wal(work.wal_bytes))
            // claimed and recorded: 2, else this counts something else than runs
            .with("updates_per_run", rounded(work.updates as f64 / runs, 2))
            .with("hot_share", rounded(work.hot_share, 4))
            .with("commits_per_run", rounded(work.commits as f64 / runs, 4))
            .with(
                "rss_mb",
                json!({ "worker": watched.worker_rss / 1_000_000 }),
            )
            .with(
                "table_bytes",
                json!({ "check_state": [watched.state_bytes.0, watched.state_bytes.1] }),
            )
    }

    pub(crate) fn with(mut self, name: &str, value: impl Into<Value>) -> Self {
        self.figures.insert(name.to_owned(), value.into());
        self
    }

    /// Adds an aim: at least so much.
    pub(crate) fn at_least(self, what: &str, least: f64, reached: f64) -> Self {
        self.aim(format!("{what} >= {least}"), reached, reached >= least)
    }

    /// Adds an aim: at most so much.
    pub(crate) fn at_most(self, what: &str, most: f64, reached: f64) -> Self {
        self.aim(format!("{what} <= {most}"), reached, reached <= most)
    }

    fn aim(mut self, what: String, reached: f64, met: bool) -> Self {
        let reached = rounded(reached, 4).to_string();
        self.targets.push(Target { what, reached, met });
        self
    }

    /// Adds an aim that is no number.
    pub(crate) fn must(mut self, what: &str, met: bool) -> Self {
        let reached = if met { "yes" } else { "no" };
        self.targets.push(Target {
            what: what.to_owned(),
            reached: reached.to_owned(),
            met,
        });
        self
    }

    pub(crate) fn number(&self, name: &str) -> Option<f64> {
        self.figures.get(name)?.as_f64()
    }

    /// For people: the figures that matter most, and each aim.
    pub(crate) fn lines(&self) -> String {
        let mut lines = format!("{:<16}", self.scenario);
        if let Some(runs) = self.number("runs_per_s") {
            lines += &format!(" {runs:>8.0} runs/s");
        }
        if let Some(late) = self.figures.get("lateness_ms") {
            lines += &format!("  late ms {}/{}/{}", late["p50"], late["p99"], late["max"]);
        }
        if let Some(cpu) = self.figures.get("cpu_us_per_run") {
            let (worker, postgres) = (&cpu["worker"], &cpu["postgres"]);
            lines += &format!(
                "  CPU us/run worker {worker} postgres {postgres} agents {}",
                cpu["agents"]
            );
        }
        if let Some(wal) = self.number("wal_bytes_per_run_with_page_images") {
            lines += &format!("  WAL B/run {wal:.0}");
        }
        for Target { what, reached, met } in &self.targets {
            let verdict = if *met { "met   " } else { "MISSED" };
            lines += &format!("\n    {verdict} {what}: {reached}");
        }
        lines
    }
}

/// The quantiles that a curve shows.
pub(crate) fn point(at_s: f64, runs: u64, late: Quantiles, state_bytes: i64) -> Value {
    json!({ "at_s": rounded(at_s, 0), "runs": runs, "p99_ms": late.p99, "max_ms": late.max, "check_state_bytes": state_bytes })
}

/// As many digits behind the point as mean something.
pub(crate) fn rounded(value: f64, digits: i32) -> f64 {
    let unit = 10_f64.powi(digits);
    (value * unit).round() / unit
}
