//! The scenarios: what each puts on the system, and what it aims at.

mod failing;
mod growth;
mod list;
mod memory;
mod notify;
mod pages;
mod recover;
mod samples;
mod scale;
mod scripts;
mod snapshot;

use clap::{ValueEnum, value_parser};

use crate::database::Server;
use crate::load::{Agents, Answers, Load};
use crate::report::Report;
use crate::system::{Second, Setting, System, Watched};

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
    /// GET /checks/ and /hosts/ with 200,000 checks
    List,
    /// Filtered pages of 100 of 200,000 checks, at half of `engine`'s rate
    Pages,
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
    #[arg(long, value_parser = value_parser!(u32).range(1..=86_400))]
    pub(crate) seconds: Option<u32>,
    /// Checks [default: the scenario's]
    #[arg(long, value_parser = value_parser!(u32).range(1..=10_000_000))]
    pub(crate) checks: Option<u32>,
    /// Seconds between two runs of a check [default: the scenario's]
    #[arg(long, value_parser = value_parser!(u32).range(1..=604_800))]
    pub(crate) interval: Option<u32>,
    /// Worker processes [default: the scenario's]
    #[arg(long, value_parser = value_parser!(u32).range(1..=100))]
    pub(crate) workers: Option<u32>,
    /// Slots of each worker [default: the scenario's]
    #[arg(long, value_parser = value_parser!(u32).range(1..=100_000))]
    pub(crate) slots: Option<u32>,
    /// Connections of each worker to the database [default: 20]
    #[arg(long, value_parser = value_parser!(u32).range(2..=200))]
    pub(crate) connections: Option<u32>,
}

/// Where it is run, and how.
#[derive(Debug)]
pub(crate) struct Bench {
    pub(crate) server: Server,
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
                // not measured where pg_walinspect is not to be had
                let wal = report.number("wal_bytes_per_run");
                let commits = report.number("commits_per_run").unwrap_or(f64::NAN);
                let hot = report.number("hot_share").unwrap_or(f64::NAN);
                report
                    .at_most("WAL without page images, B/run", 420.0, wal)
                    .at_most("commits/run", 0.05, commits)
                    .at_least("HOT share", 0.99, hot)
            }
            Self::EngineSamples => samples::run(bench).await?,
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
            Self::Failing => failing::run(bench).await?,
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
            Self::Pages => pages::run(bench).await?,
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
        connections: 20,
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
            slots: said.slots.map_or(load.slots, |slots| slots as usize),
            connections: said.connections.unwrap_or(load.connections),
            ..load.clone()
        }
    }

    fn seconds(&self, usual: u32) -> u32 {
        self.options.seconds.unwrap_or(usual)
    }

    /// A load that stays as it is, watched as long as most are.
    async fn steady(&self, load: &Load) -> anyhow::Result<Report> {
        let load = self.load(load);
        let watched = self.watched(&load, WARM_UP_S, SECONDS).await?;
        Ok(Report::of(&load, &watched))
    }

    /// What a system did under exactly this load, after so many seconds to warm up, in so many if the user does not say
    /// otherwise.
    async fn watched(&self, load: &Load, warm_up_s: u32, usual_s: u32) -> anyhow::Result<Watched> {
        let mut system = System::start(&self.server, load, &Setting::default()).await?;
        system.watch(warm_up_s, progress).await?;
        let watched = system.watch(self.seconds(usual_s), progress).await?;
        system.finish(&self.server, load, &watched).await?;
        Ok(watched)
    }

    async fn half_rate(&self) -> anyhow::Result<Report> {
        let load = self.load(&Load {
            checks: HALF_RATE * 6,
            ..engine(Answers::default())
        });
        let watched = self.watched(&load, WARM_UP_S, 600).await?;
        // none if nothing came after the first minute
        let after_a_minute = watched
            .seconds
            .iter()
            .skip(59)
            .map(|second| second.state_bytes);
        let growth = match after_a_minute.collect::<Vec<_>>().as_slice() {
            [first, .., last] => Some(*last as f64 / *first as f64 - 1.0),
            _ => None,
        };
        Ok(Report::of(&load, &watched)
            .keeps_up(&load, &watched)
            .at_most("lateness p99, ms", 150.0, watched.lateness.p99())
            .at_most("growth of check_state after the first minute", 0.0, growth))
    }
}

/// A line on standard error that stays one line.
#[expect(clippy::print_stderr, reason = "it talks to a person")]
pub(crate) fn progress(second: &Second) {
    let late = second.lateness.quantiles().unwrap_or_default();
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
