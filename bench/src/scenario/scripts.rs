//! `agent_scripts`: a real agent that runs real scripts, beside the loop that does nothing but start them.

use super::{Bench, SECONDS, WARM_UP_S, progress};
use crate::fleet::Address;
use crate::load::{Agents, Answers, Load};
use crate::report::{Report, rounded};
use crate::scripts::{Plugin, RealAgent};
use crate::system::{Setting, System};

/// Hosts that are this one agent: as many as it has connections for, when each keeps some.
const HOSTS: u32 = 8;
const CHECKS: u32 = 8000;

pub(super) async fn run(bench: &Bench) -> anyhow::Result<Report> {
    // more than it can do, so that it is always busy; with these slots no call waits long enough to be refused
    let load = bench.load(&Load {
        checks: CHECKS,
        interval_s: 2,
        workers: 1,
        slots: 100,
        connections: 20,
        agents: Agents::Elsewhere,
        answers: Answers::default(),
    });
    let plugin = Plugin::compile().await?;
    let bare_before = plugin.bare_spawns_per_s(5)?;
    let mut agent = RealAgent::start(&plugin, load.checks.div_ceil(HOSTS)).await?;
    let setting = Setting {
        agent: Some(Address {
            port: agent.port,
            cert_sha256: agent.cert_sha256.clone(),
        }),
        hosts: Some(HOSTS),
        ..Setting::default()
    };
    let mut system = System::start(&bench.server, &load, &setting).await?;
    system.watch(WARM_UP_S, progress).await?;
    let before = agent.cpu_us();
    let mut watched = system.watch(bench.seconds(SECONDS), progress).await?;
    agent.ensure_running()?;
    watched.agents_cpu_us = agent.cpu_us() - before;
    system.finish(&bench.server, &load, &watched).await?;
    agent.stop().await?;
    let bare = (bare_before + plugin.bare_spawns_per_s(5)?) / 2.0;
    let runs = watched.runs_per_s();
    Ok(Report::of(&load, &watched)
        .with("bare_spawns_per_s", rounded(bare, 0))
        .at_least("runs/s", 1500.0, runs)
        .at_least("share of a bare spawn loop", 0.6, runs / bare))
}
