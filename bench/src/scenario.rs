//! The scenarios: what each puts on the system, and what it aims at.

mod growth;
mod list;
mod memory;
mod notify;
mod recover;
mod scale;
mod scripts;
mod snapshot;

use clap::ValueEnum;

use crate::load::{Agents, Answers, Load};
use crate::report::Report;
use crate::system::{Second, Setting, System};

/// A scenario. A new one is a line in each of these matches.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
#[value(rename_all = "snake_case")]
pub(crate) enum Scenario {
    /// In-process agents, 100-byte outputs that change every run
    Engine,
    /// The same, three values of performance data recorded per run
    EngineSamples,
    /// Kept HTTPS connections to simulated agents on the same machine
    Https,
    /// Scripts run by a real stalker-agent on the same machine
    AgentScripts,
    /// From a state change until a receiver has accepted the notification, at 1,000 runs/s
    Notify,
    /// 20 % of the checks failing and changing
    Failing,
    /// Half of `engine`'s rate for ten minutes
    HalfRate,
    /// One worker of 200 slots, agents that answer after 200 ms
    #[value(name = "scale_1")]
    Scale1,
    /// Two such workers
    #[value(name = "scale_2")]
    Scale2,
    /// Four such workers, and then one whose slots are not the limit
    #[value(name = "scale_4")]
    Scale4,
    /// Memory of a worker with 100,000 checks, and of all components at rest
    #[value(name = "memory_100k")]
    Memory100k,
    /// A foreign snapshot held open for three minutes at half of `engine`'s rate
    SnapshotHeld,
    /// 200,000 checks overdue after an outage
    Recover,
    /// The cost of a run with 10,000, 100,000 and 1,000,000 checks
    Growth,
    /// GET /checks/ with 200,000 checks
    List,
}

/// What `make bench` runs.
pub(crate) const SHORT: [Scenario; 5] = [
    Scenario::Engine,
    Scenario::EngineSamples,
    Scenario::Https,
    Scenario::AgentScripts,
    Scenario::Notify,
];

/// What a user may say otherwise.
#[derive(Debug, Clone, Default, clap::Args)]
pub(crate) struct Options {
    /// Seconds that are measured, after some to warm up [default: the scenario's; 25 for most]
    #[arg(long)]
    pub(crate) seconds: Option<u32>,
    /// Checks [default: the scenario's]
    #[arg(long)]
    pub(crate) checks: Option<u32>,
    /// Seconds between two runs of a check [default: the scenario's]
    #[arg(long)]
    pub(crate) interval: Option<u32>,
    /// Worker processes [default: the scenario's]
    #[arg(long)]
    pub(crate) workers: Option<u32>,
    /// Slots of each worker [default: the scenario's]
    #[arg(long)]
    pub(crate) slots: Option<usize>,
}

/// Where it is run, and how.
#[derive(Debug, Clone)]
pub(crate) struct Bench {
    pub(crate) server_url: String,
    pub(crate) options: Options,
}

/// Seconds before the measurement: connections open, plans are made, caches fill.
const WARM_UP_S: u32 = 10;
const SECONDS: u32 = 25;
/// Half of what `engine` aims at.
const HALF_RATE: u32 = 15_000;

impl Scenario {
    pub(crate) fn name(self) -> String {
        self.to_possible_value()
            .map(|value| value.get_name().to_owned())
            .unwrap_or_default()
    }

    pub(crate) async fn run(self, bench: &Bench) -> anyhow::Result<Report> {
        let report = match self {
            Self::Engine => {
                let report = bench.steady(&engine(Answers::default())).await?;
                let report = at_least_runs(report, 30_000.0);
                let wal = report.number("wal_bytes_per_run").unwrap_or(f64::NAN);
                let commits = report.number("commits_per_run").unwrap_or(f64::NAN);
                let hot = report.number("hot_share").unwrap_or(f64::NAN);
                report
                    .at_most("WAL without page images, B/run", 420.0, wal)
                    .at_most("commits/run", 0.05, commits)
                    .at_least("HOT share", 0.99, hot)
            }
            Self::EngineSamples => {
                let answers = Answers {
                    values: 3,
                    ..Answers::default()
                };
                let load = Load {
                    checks: 100_000,
                    interval_s: 7,
                    ..engine(answers)
                };
                at_least_runs(bench.steady(&load).await?, 12_000.0)
            }
            Self::Https => {
                let agents = Agents::Simulated { after_ms: 0 };
                let load = Load {
                    checks: 60_000,
                    slots: 200,
                    agents,
                    ..engine(Answers::default())
                };
                at_least_runs(bench.steady(&load).await?, 8_000.0)
            }
            Self::Failing => {
                let answers = Answers {
                    failing: 20,
                    ..Answers::default()
                };
                let load = Load {
                    checks: 72_000,
                    ..engine(answers)
                };
                at_least_runs(bench.steady(&load).await?, 10_000.0)
            }
            Self::HalfRate => bench.half_rate().await?,
            Self::AgentScripts => scripts::run(bench).await?,
            Self::Notify => notify::run(bench).await?,
            Self::Scale1 => scale::run(bench, 1).await?,
            Self::Scale2 => scale::run(bench, 2).await?,
            Self::Scale4 => scale::run(bench, 4).await?,
            Self::Memory100k => memory::run(bench).await?,
            Self::SnapshotHeld => snapshot::run(bench).await?,
            Self::Recover => recover::run(bench).await?,
            Self::Growth => growth::run(bench).await?,
            Self::List => list::run(bench).await?,
        };
        Ok(Report {
            scenario: self.name(),
            ..report
        })
    }
}

/// The load of `engine`: a little more than it aims at.
fn engine(answers: Answers) -> Load {
    Load {
        checks: 200_000,
        interval_s: 6,
        workers: 1,
        slots: 1000,
        agents: Agents::InProcess,
        answers,
    }
}

fn at_least_runs(report: Report, least: f64) -> Report {
    let runs = report.number("runs_per_s").unwrap_or(f64::NAN);
    report.at_least("runs/s", least, runs)
}

impl Bench {
    /// The load, with what the user said otherwise.
    fn load(&self, load: &Load) -> Load {
        let said = &self.options;
        Load {
            checks: said.checks.unwrap_or(load.checks),
            interval_s: said.interval.unwrap_or(load.interval_s),
            workers: said.workers.unwrap_or(load.workers),
            slots: said.slots.unwrap_or(load.slots),
            ..load.clone()
        }
    }

    fn seconds(&self, usual: u32) -> u32 {
        self.options.seconds.unwrap_or(usual)
    }

    /// A load that stays as it is.
    async fn steady(&self, load: &Load) -> anyhow::Result<Report> {
        self.steady_with(load, &Setting::default()).await
    }

    async fn steady_with(&self, load: &Load, setting: &Setting) -> anyhow::Result<Report> {
        let load = self.load(load);
        let mut system = System::start(&self.server_url, &load, setting).await?;
        let seconds = self.seconds(SECONDS);
        system.watch(WARM_UP_S.min(seconds), progress).await?;
        let watched = system.watch(seconds, progress).await?;
        system.stop(&self.server_url).await?;
        Ok(Report::of(&load, &watched))
    }

    async fn half_rate(&self) -> anyhow::Result<Report> {
        let load = self.load(&Load {
            checks: HALF_RATE * 6,
            ..engine(Answers::default())
        });
        let mut system = System::start(&self.server_url, &load, &Setting::default()).await?;
        let first = system.watch(60, progress).await?;
        let watched = system.watch(self.seconds(540), progress).await?;
        system.stop(&self.server_url).await?;
        let growth = watched.state_bytes.1 as f64 / first.state_bytes.1 as f64 - 1.0;
        Ok(Report::of(&load, &watched)
            .at_most(
                "lateness p99, ms",
                150.0,
                watched.lateness.quantiles().p99.into(),
            )
            .at_most("growth of check_state after the first minute", 0.0, growth))
    }
}

/// A line on standard error that stays one line.
#[expect(clippy::print_stderr, reason = "it talks to a person")]
pub(crate) fn progress(second: &Second) {
    let late = second.lateness.quantiles();
    eprint!(
        "\r{:6.0} s {:8} runs/s, late p50 {} p99 {} max {} ms, check_state {} MB        ",
        second.at.as_secs_f64(),
        second.lateness.runs(),
        late.p50,
        late.p99,
        late.max,
        second.state_bytes / 1_000_000,
    );
}
