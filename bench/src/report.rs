//! What is told of a scenario: its figures and its aims, one JSON object.

use serde::Serialize;
use serde_json::{Map, Value, json};

use crate::load::Load;
use crate::system::{Second, Watched};

/// The figures of one scenario. What does not apply to it is absent.
#[derive(Debug, Clone, Default, Serialize)]
pub(crate) struct Report {
    pub(crate) scenario: String,
    #[serde(flatten)]
    pub(crate) figures: Map<String, Value>,
    /// What the scenario aims at, and whether that was met.
    pub(crate) targets: Vec<Target>,
    /// What else people see: a line each.
    #[serde(skip)]
    pub(crate) notes: Vec<String>,
}

/// One aim.
#[derive(Debug, Clone, Serialize)]
pub(crate) struct Target {
    pub(crate) what: String,
    pub(crate) reached: String,
    /// None: this server or its user does not let it be measured.
    pub(crate) met: Option<bool>,
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
            .with("updates_per_run", rounded(watched.updates_per_run(), 2))
            .with("hot_share", rounded(work.hot_share, 4))
            .with("commits_per_run", rounded(work.commits as f64 / runs, 4))
            .with("connections", watched.asked.map(|asked| asked.connections))
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

    /// Adds an aim: at least so much. None was not measured.
    pub(crate) fn at_least(self, what: &str, least: f64, reached: impl Into<Option<f64>>) -> Self {
        let met = |reached: f64| reached >= least;
        self.aim(format!("{what} >= {least}"), reached.into(), met)
    }

    /// Adds an aim: at most so much. None was not measured.
    pub(crate) fn at_most(self, what: &str, most: f64, reached: impl Into<Option<f64>>) -> Self {
        let met = |reached: f64| reached <= most;
        self.aim(format!("{what} <= {most}"), reached.into(), met)
    }

    fn aim(mut self, what: String, reached: Option<f64>, met: impl Fn(f64) -> bool) -> Self {
        self.targets.push(Target {
            what,
            reached: reached.map_or("-".to_owned(), |reached| rounded(reached, 4).to_string()),
            met: reached.map(met),
        });
        self
    }

    /// Adds an aim that is no number.
    pub(crate) fn must(mut self, what: &str, met: bool) -> Self {
        let reached = if met { "yes" } else { "no" };
        self.targets.push(Target {
            what: what.to_owned(),
            reached: reached.to_owned(),
            met: Some(met),
        });
        self
    }

    /// Adds the aim that what is due is run: lateness says nothing about what never ran.
    pub(crate) fn keeps_up(self, load: &Load, watched: &Watched) -> Self {
        self.at_least("share of the runs due", 0.97, watched.share_of(load))
    }

    /// Adds a line for people.
    pub(crate) fn note(mut self, line: String) -> Self {
        self.notes.push(line);
        self
    }

    pub(crate) fn number(&self, name: &str) -> Option<f64> {
        self.figures.get(name)?.as_f64()
    }
}

/// Seconds as points of a curve.
pub(crate) fn curve<'a>(seconds: impl IntoIterator<Item = &'a Second>) -> Vec<Value> {
    let point = |second: &Second| {
        let late = second.lateness.quantiles();
        json!({
            "at_s": rounded(second.at.as_secs_f64(), 0),
            "runs": second.lateness.runs(),
            "p99_ms": late.map(|late| late.p99),
            "max_ms": late.map(|late| late.max),
            "check_state_bytes": second.state_bytes,
        })
    };
    seconds.into_iter().map(point).collect()
}

/// As many digits behind the point as mean something.
pub(crate) fn rounded(value: f64, digits: i32) -> f64 {
    let unit = 10_f64.powi(digits);
    (value * unit).round() / unit
}
